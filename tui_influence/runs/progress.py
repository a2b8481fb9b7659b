"""Statistics of the models trained so far: rate, time left, accuracies, and warnings that follow from them."""

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tui_influence.roles import Role
from tui_influence.runs.protocol import Done
from tui_influence.text import printable

MIN_MODELS = 5
"""Minimum number of models before anything is concluded from their mean."""
_MAX_RECENT = 101
"""Number of latest models whose median is the usual time of a model."""
_MAX_SECONDS = 1e7
"""Seconds that no model takes, a third of a year; an event file may hold any number."""
UNLEARNT_LOSS = 0.9
"""A source loss above this fraction of log(classes) means that the source was hardly learnt."""

CHANCE_KAPPA = 0.1
"""Share of the way from guessing to no error, below which a target counts as hardly learnt."""


@dataclass
class RunningMean:
    """Running mean and variance (Welford 1962)."""

    count: int = 0
    mean: float = 0.0
    _squares: float = 0.0

    def add(self, value: float) -> None:
        """Add one value."""
        self.count += 1
        delta = value - self.mean
        self.mean += delta / self.count
        self._squares += delta * (value - self.mean)

    @property
    def standard_error(self) -> float:
        """Of the mean; infinite below two values."""
        return math.sqrt(self._squares / (self.count - 1) / self.count) if self.count > 1 else math.inf


@dataclass
class ModelStatistics:
    """Statistics of the models of one session.

    Attributes:
        workers: processes that train side by side.
        seconds: wall time of a model; of a prior network, which takes another time, only until another is finished.
        lost: seconds of workers that led to no model: restarts, pauses, failed models.
        source_loss: of the last source epoch, over log(classes present).
        source_accuracy: of the last source epoch.
        target_accuracy: on the test examples; one mean per target.
        target_class_accuracy: a mean over their classes, likewise.
    """

    workers: int
    seconds: RunningMean = field(default_factory=RunningMean)
    lost: float = 0.0
    source_loss: RunningMean = field(default_factory=RunningMean)
    source_accuracy: RunningMean = field(default_factory=RunningMean)
    target_accuracy: list[RunningMean] = field(default_factory=list)
    target_class_accuracy: list[RunningMean] = field(default_factory=list)
    _has_priors_alone: bool = True
    _recent: dict[str, deque[tuple[float, int]]] = field(default_factory=dict)
    """By device: seconds and number of source groups of the latest models."""

    def add(self, done: Done) -> None:
        """Add one finished model."""
        is_prior = done.role is Role.PRIOR
        if self._has_priors_alone and not is_prior:
            self.seconds, self._has_priors_alone = RunningMean(), False
        if self._has_priors_alone or not is_prior:
            self.seconds.add(done.seconds)
        first = done.metrics[0] if done.metrics else {}
        if "source_accuracy" in first:
            self.source_accuracy.add(first["source_accuracy"])
        if "source_loss" in first and first.get("source_classes", 0) > 1:
            self.source_loss.add(first["source_loss"] / math.log(first["source_classes"]))
        for means, key in (
            (self.target_accuracy, "target_accuracy"),
            (self.target_class_accuracy, "target_class_accuracy"),
        ):
            while len(means) < len(done.metrics) and any(key in metrics for metrics in done.metrics):
                means.append(RunningMean())
            for mean, metrics in zip(means, done.metrics, strict=False):
                if key in metrics:
                    mean.add(metrics[key])

    def add_time(self, device: str, seconds: float, groups: int) -> None:
        """Add the time of a model, perhaps of an earlier session; see `usual_seconds`."""
        self._recent.setdefault(device, deque(maxlen=_MAX_RECENT)).append((seconds, groups))

    def add_past_times(self, events: Iterable[dict[str, Any]], groups: Mapping[tuple[str, int], int]) -> None:
        """Add the times of the models of earlier sessions.

        Args:
            events: of the run, from its start.
            groups: number of source groups that each row is trained on, by role and index.
        """
        devices: dict[Any, Any] = {}
        for event in events:
            worker, role, index, seconds = (event.get(key) for key in ("worker", "role", "index", "seconds"))
            if not isinstance(worker, int):
                continue
            if event["event"] == "worker-started":
                devices[worker] = event.get("device")
            if event["event"] != "model" or worker not in devices or not isinstance(seconds, int | float):
                continue
            size = groups.get((role, index)) if isinstance(role, str) and isinstance(index, int) else None
            if size is not None and 0 < seconds < _MAX_SECONDS:
                self.add_time(str(devices[worker]), float(seconds), size)

    def usual_seconds(self, device: str, groups: int) -> float | None:
        """Return the median time of the latest models on a device, or on devices of its kind if it has finished none.

        The time of a model that was trained on fewer groups is scaled up in proportion.

        Args:
            device: that trains the model.
            groups: number of source groups that the model is trained on.

        Returns:
            seconds; None before any model is finished.
        """
        kind = device.partition(":")[0]
        same_kind = [recent for other, recent in self._recent.items() if other.partition(":")[0] == kind]
        latest = self._recent.get(device) or [model for recent in same_kind for model in recent]
        return median(seconds * max(1.0, groups / max(1, size)) for seconds, size in latest) if latest else None

    @property
    def _worker_seconds(self) -> float:
        """Seconds of a worker per model, including its share of lost time."""
        return self.seconds.mean + self.lost / self.seconds.count

    @property
    def models_per_hour(self) -> float:
        """Of all workers together; 0 before the first model."""
        has_rate = self.seconds.count and self.seconds.mean > 0
        return 3600 * self.workers / self._worker_seconds if has_rate else 0.0

    def eta(self, left: int, in_training: Sequence[float] = ()) -> tuple[float, float, float] | None:
        """Estimate the seconds until the rest is done, with a 95% range from the variance between models.

        Args:
            left: number of models left, those in training included.
            in_training: seconds that each model in training has taken so far. A model that takes longer than usual is
                expected to take as much longer again.

        Returns:
            the estimate, and the ends of its range; None without data.
        """
        if self.seconds.count < 2 or self.workers == 0:
            return None
        late = max((seconds - self.seconds.mean for seconds in in_training), default=0.0)
        expected = left * self._worker_seconds / self.workers
        # Both the mean and the sum of the models to come are uncertain.
        spread = self.seconds.standard_error * math.sqrt(1 + self.seconds.count / max(left, 1))
        relative = min(1.0, 1.96 * spread / self.seconds.mean) if self.seconds.mean else 0.0
        low, high = expected * (1 - relative), expected * (1 + relative)
        return max(expected, late), max(low, late), max(high, late)

    def warnings(self, targets: Sequence[tuple[str, int]] = ()) -> list[str]:
        """Return warnings about the models.

        Args:
            targets: name and number of classes of each target.
        """
        warnings = []
        if self.source_loss.count >= MIN_MODELS and self.source_loss.mean > UNLEARNT_LOSS:
            warnings.append(unlearnt_warning(self.source_accuracy.mean))
        for (name, classes), accuracy in zip(targets, self.target_class_accuracy, strict=False):
            warnings += poor_transfer_warnings(name, classes, accuracy.mean, accuracy.count)
        return warnings


def is_near_chance(accuracy: float, classes: int) -> bool:
    """Whether a mean accuracy over classes, 0 to 1, is hardly better than that of guessing (Cohen 1960)."""
    return classes > 1 and accuracy * classes - 1 < CHANCE_KAPPA * (classes - 1)


def poor_transfer_warnings(target: str, classes: int, accuracy: float, models: int) -> list[str]:
    """Return a warning if models hardly tell the classes of a target apart; none while there are few models.

    Args:
        target: name of the target.
        classes: number of its classes.
        accuracy: mean over models of the mean accuracy over classes, 0 to 1.
        models: number of models.
    """
    if models < MIN_MODELS or not is_near_chance(accuracy, classes):
        return []
    return [
        f"the models are near chance on the target {printable(target, 40)} (mean accuracy of its classes "
        f"{accuracy:.1%}, by guessing {1 / classes:.1%}): rankings for it are mostly noise; train longer, or on a "
        "source that is closer to it"
    ]


def unlearnt_warning(accuracy: float) -> str:
    """Return the warning for source models that have hardly learnt their source."""
    return (
        f"the source models are near chance (accuracy {accuracy:.1%}): there is no signal to transfer; "
        "train longer, or with another learning rate"
    )
