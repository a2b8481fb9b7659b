"""How many workers a GPU is given, when the config leaves it open: one more for as long as that pays.

A small network leaves most of a GPU idle between its kernels; a large one fills it alone. Nobody can tell beforehand,
so the sweep finds out on its own models: none is trained for the measurement alone.
"""

from dataclasses import dataclass, field
from enum import Enum

MIN_SPEEDUP = 1.1
"""A further worker stays worth trying while it makes the device at least this much faster."""
MODELS_PER_WORKER = 3
"""Models each worker finishes before its number is judged."""


class Change(Enum):
    """What to do about the number of workers."""

    NONE = 0
    ADD = 1
    TAKE_BACK = -1
    """The last one added made the device slower as a whole."""


@dataclass
class WorkerTuner:
    """The number of workers of one device, from 1 up.

    Attributes:
        most: workers to try at most.
        workers: given so far.
        settled: whether the number is final.
    """

    most: int
    workers: int = 1
    settled: bool = False
    _best: float = 0.0
    _finished: list[float] = field(default_factory=list)

    def on_ready(self) -> None:
        """Note that a worker is ready, a first or a restarted one: what was measured until now does not count."""
        self._finished.clear()

    def on_model(self, now: float, ready: int) -> Change:
        """Note that a model is done; return whether to start one more worker or to end one.

        Args:
            now: seconds.
            ready: workers of the device that train or could.
        """
        if self.settled or ready < self.workers:
            return Change.NONE
        self._finished.append(now)
        # Right after a change every worker is in the middle of something: a first round of models is not counted.
        first, needed = self.workers, self.workers * (1 + MODELS_PER_WORKER)
        if len(self._finished) <= needed:
            return Change.NONE
        rate = (len(self._finished) - 1 - first) / max(now - self._finished[first], 1e-9)
        self.settled = rate < MIN_SPEEDUP * self._best or self.workers >= self.most
        if rate < self._best and self.workers > 1:
            self.workers -= 1
            return Change.TAKE_BACK
        self._best = rate
        if self.settled:
            return Change.NONE
        self.workers += 1
        self._finished.clear()
        return Change.ADD

    def on_memory(self) -> bool:
        """Note that the device ran out of memory; return whether to do with one worker less."""
        self.settled = True
        if self.workers == 1:
            return False
        self.workers -= 1
        return True
