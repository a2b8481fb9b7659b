"""What a run's models say about single test examples: how often each label is predicted, how sure, how right."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tui_influence.influence.outputs import OutputKind, outputs_of_kind
from tui_influence.reading import Reading


@dataclass(frozen=True)
class Said:
    """What some models say about one example.

    Attributes:
        models: how many they are.
        votes: (label, share of the models that predict it), the most common first.
        accuracy: share that predict the true label; NaN without models.
        probability: mean probability of the true label; NaN without models.
        margin: mean margin, nats; NaN without models.
    """

    models: int
    votes: tuple[tuple[int, float], ...]
    accuracy: float
    probability: float
    margin: float

    @property
    def label(self) -> int | None:
        """The label that most of them predict."""
        return self.votes[0][0] if self.votes else None


def said(reading: Reading, example: int) -> Said:
    """Return what all models to estimate from say about a test example."""
    return _said(reading, example, np.ones(len(reading.outputs), dtype=np.bool_))


def said_with_and_without(reading: Reading, example: int, group: int) -> tuple[Said, Said]:
    """Return what the models that were trained on a group say about a test example, and what the others say."""
    has = np.asarray(reading.outputs.masks[:, group])
    return _said(reading, example, has), _said(reading, example, ~has)


def label_name(classes: Sequence[str], label: int) -> str:
    """Return the name of a predicted label, which a record may hold beyond the classes there are.

    The first beyond them stands for any other than the right one, where an import does not say which.
    """
    if label < len(classes):
        return classes[label]
    return "another class" if label == len(classes) else f"label {label}"


def usual_predictions(reading: Reading, examples: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return (len(examples),) the label that most models predict for each; the smaller label of equals."""
    predicted = np.asarray(reading.outputs.predicted[:, examples])
    classes = len(reading.described.classes)
    counts = [np.bincount(column, minlength=classes).argmax() for column in predicted.T]
    return np.array(counts, dtype=np.intp)


def _said(reading: Reading, example: int, models: NDArray[np.bool_]) -> Said:
    count = int(models.sum())
    if not count:
        return Said(0, (), float("nan"), float("nan"), float("nan"))
    label = int(reading.examples.labels[example])
    margins = np.asarray(reading.outputs.margins[:, example])[models]
    predicted = np.asarray(reading.outputs.predicted[:, example])[models]
    labels, counts = np.unique(predicted, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return Said(
        models=count,
        votes=tuple((int(labels[place]), float(counts[place] / count)) for place in order),
        accuracy=float((predicted == label).mean()),
        probability=float(outputs_of_kind(margins, None, None, OutputKind.PROBABILITY).mean()),
        margin=float(margins.astype(np.float64).mean()),
    )
