"""Number of workers per GPU where the config leaves it open: one more as long as throughput grows.

A small network leaves most of a GPU idle between its kernels; a large one fills it alone. That cannot be predicted, so
a sweep measures it on its own models: no model is trained for the measurement alone.
"""

from dataclasses import dataclass, field
from enum import Enum

MIN_SPEEDUP = 1.1
"""Relative throughput that one more worker must reach for another to be tried."""
MODELS_PER_WORKER = 3
"""Models that each worker finishes before the number of workers is judged."""


class Change(Enum):
    """A change to the number of workers."""

    NONE = 0
    ADD = 1
    TAKE_BACK = -1
    """The last added worker made the device slower as a whole."""


@dataclass
class WorkerTuner:
    """Number of workers of one device, from 1 up.

    Attributes:
        limit: maximum number of workers.
        workers: present number.
        is_final: whether the number no longer changes.
    """

    limit: int
    workers: int = 1
    is_final: bool = False
    _best_rate: float = 0.0
    _finish_times: list[float] = field(default_factory=list)

    def on_ready(self) -> None:
        """Discard the measurement, as a worker has just become ready."""
        self._finish_times.clear()

    def on_model(self, now: float, ready: int) -> Change:
        """Count a finished model; return whether to start or end a worker.

        Args:
            now: seconds.
            ready: number of the device's workers that can train.
        """
        if self.is_final or ready < self.workers:
            return Change.NONE
        self._finish_times.append(now)
        # Right after a change every worker is in the middle of a model: the first round of models is not counted.
        first, needed = self.workers, self.workers * (1 + MODELS_PER_WORKER)
        if len(self._finish_times) <= needed:
            return Change.NONE
        rate = (len(self._finish_times) - 1 - first) / max(now - self._finish_times[first], 1e-9)
        self.is_final = rate < MIN_SPEEDUP * self._best_rate or self.workers >= self.limit
        if rate < self._best_rate and self.workers > 1:
            self.workers -= 1
            return Change.TAKE_BACK
        self._best_rate = rate
        if self.is_final:
            return Change.NONE
        self.workers += 1
        self._finish_times.clear()
        return Change.ADD

    def on_memory(self) -> bool:
        """Handle that the device ran out of memory; return whether to use one worker fewer."""
        self.is_final = True
        if self.workers == 1:
            return False
        self.workers -= 1
        return True
