"""What a supervisor knows about its models so far: rate, time left, accuracies, and what should worry a user."""

import math
from dataclasses import dataclass, field

from tui_influence.runs.protocol import Done

ENOUGH = 5
"""Models before anything is concluded from their mean."""
UNLEARNT = 0.9
"""A source loss above this fraction of log(classes) means that the source was hardly learnt."""


@dataclass
class Mean:
    """Running mean and variance (Welford 1962)."""

    count: int = 0
    mean: float = 0.0
    _squares: float = 0.0

    def add(self, value: float) -> None:
        """Take in one value."""
        self.count += 1
        delta = value - self.mean
        self.mean += delta / self.count
        self._squares += delta * (value - self.mean)

    @property
    def standard_error(self) -> float:
        """Of the mean; infinite below two values."""
        return math.sqrt(self._squares / (self.count - 1) / self.count) if self.count > 1 else math.inf


@dataclass
class Progress:
    """Statistics over the models of this session.

    Attributes:
        workers: processes that train side by side.
        seconds: wall time of a model.
        source_loss: of the last source epoch, over log(classes present).
        source_accuracy: of the last source epoch.
        target_accuracy: on the test examples, a mean a target.
    """

    workers: int
    seconds: Mean = field(default_factory=Mean)
    source_loss: Mean = field(default_factory=Mean)
    source_accuracy: Mean = field(default_factory=Mean)
    target_accuracy: list[Mean] = field(default_factory=list)

    def add(self, done: Done) -> None:
        """Take in one finished model."""
        self.seconds.add(done.seconds)
        first = done.metrics[0] if done.metrics else {}
        if "source_accuracy" in first:
            self.source_accuracy.add(first["source_accuracy"])
        if "source_loss" in first and first.get("source_classes", 0) > 1:
            self.source_loss.add(first["source_loss"] / math.log(first["source_classes"]))
        while len(self.target_accuracy) < len(done.metrics):
            self.target_accuracy.append(Mean())
        for mean, metrics in zip(self.target_accuracy, done.metrics, strict=False):
            if "target_accuracy" in metrics:
                mean.add(metrics["target_accuracy"])

    @property
    def models_per_hour(self) -> float:
        """Of all workers together; 0 before the first model."""
        return 3600 * self.workers / self.seconds.mean if self.seconds.count and self.seconds.mean > 0 else 0.0

    def eta(self, left: int) -> tuple[float, float, float] | None:
        """Seconds until `left` models are done, with a 95% range from how much models differ; None if unknown."""
        if self.seconds.count < 2 or self.workers == 0:
            return None
        expected = left * self.seconds.mean / self.workers
        # The mean is uncertain, and so is the sum of what is to come.
        spread = self.seconds.standard_error * math.sqrt(1 + self.seconds.count / max(left, 1))
        relative = min(1.0, 1.96 * spread / self.seconds.mean) if self.seconds.mean else 0.0
        return expected, expected * (1 - relative), expected * (1 + relative)

    def warnings(self) -> list[str]:
        """Return what a user should look into."""
        if self.source_loss.count >= ENOUGH and self.source_loss.mean > UNLEARNT:
            return [unlearnt(self.source_accuracy.mean)]
        return []


def unlearnt(accuracy: float) -> str:
    """Return the warning for source models that have hardly learnt their source."""
    return (
        f"the source models are near chance (accuracy {accuracy:.1%}): there is no signal to transfer; "
        "train longer, or with another learning rate"
    )
