"""A circuit breaker for one device: many failures in a row are attributed to the device instead of the models.

A model that fails now and then is tried again, and in the end given up. If every model on a device fails, something
else is wrong (its memory is taken, its driver is broken, the disk refuses), and going on would give up the rest of the
plan within minutes. The device is then paused, tries one model, and is paused for longer; if no pause helps, it is
dismissed.
"""

from dataclasses import dataclass, field

from tui_influence.designs import Row
from tui_influence.runs.protocol import FailureKind

PAUSES = (10.0, 60.0, 300.0)
"""Seconds of each pause of a device; after the last it is dismissed."""
MAX_FALSE_STARTS = 3
"""Workers in a row that may end before they begin a model."""
DIVERGED_STREAK = 20
"""Diverged models in a row, on a device that has finished others, that are attributed to the device."""


@dataclass
class Breaker:
    """Failures in a row on one device.

    Attributes:
        limit: number of different models that must fail in a row for the device to be responsible.
        has_succeeded: whether models of this run have been finished, on this device or in an earlier session.
        failures: since the last success.
        streak: models that failed since the last success or pause; a model may occur several times.
        reason: of the last failure.
    """

    limit: int
    has_succeeded: bool = False
    failures: int = 0
    streak: list[tuple[Row, FailureKind]] = field(default_factory=list)
    reason: str = ""
    _false_starts: int = 0
    _pauses: int = 0
    _paused_until: float = 0.0

    def on_begun(self) -> None:
        """Count that a worker has begun a model."""
        self._false_starts = 0

    def on_success(self) -> None:
        """Count that a model was finished: the device works."""
        self.has_succeeded = True
        self.streak.clear()
        self.failures = self._false_starts = self._pauses = 0
        self._paused_until = 0.0

    def on_failure(self, row: Row, kind: FailureKind, reason: str) -> bool:
        """Count that a model failed; return whether the device is responsible."""
        self.streak.append((row, kind))
        self.failures += 1
        self.reason = reason
        if self.is_on_trial and kind is not FailureKind.DIVERGED:  # a model can diverge on any device
            return True
        only_diverged = all(kind is FailureKind.DIVERGED for _, kind in self.streak)
        limit = max(self.limit, DIVERGED_STREAK) if only_diverged and self.has_succeeded else self.limit
        return len({(row.role, row.index) for row, _ in self.streak}) >= limit

    def on_false_start(self, reason: str) -> bool:
        """Count that a worker ended before it began a model; return whether the device is responsible."""
        self._false_starts += 1
        self.reason = reason
        return self.is_on_trial or self._false_starts >= MAX_FALSE_STARTS

    @property
    def is_on_trial(self) -> bool:
        """Whether the device was paused and has finished nothing since: it gets one model at a time."""
        return self._pauses > 0

    @property
    def is_exhausted(self) -> bool:
        """Whether no pause has helped."""
        return self._pauses >= len(PAUSES)

    def pause(self, now: float) -> float:
        """Pause the device from `now` (monotonic seconds) on, and clear the streak; return the seconds of the pause.

        The caller decides what happens to the models of the streak.
        """
        seconds = PAUSES[self._pauses]
        self._pauses += 1
        self._paused_until = now + seconds
        self._false_starts = 0
        self.streak.clear()
        return seconds

    def remaining_pause(self, now: float) -> float:
        """Return the seconds until the pause ends; 0 if the device is not paused."""
        return max(0.0, self._paused_until - now)
