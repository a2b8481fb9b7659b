"""What a run's models say about single test examples: how often each label is predicted, how sure, how right.

All there is to say about one test example: what models predict for it, and which source groups move it.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import (
    rank,
)
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.analysis.types import (
    ExampleReport,
    PredictionSummary,
)
from tui_influence.influence.outputs import (
    outputs_of_kind,
)
from tui_influence.influence.types import (
    OutputKind,
)


def summarise_predictions(reading: RunSnapshot, example: int) -> PredictionSummary:
    """Return what all models to estimate from say about a test example."""
    return _said(reading, example, np.ones(len(reading.outputs), dtype=np.bool_))


def summarise_with_and_without(
    reading: RunSnapshot, example: int, group: int
) -> tuple[PredictionSummary, PredictionSummary]:
    """Return what the models that were trained on a group say about a test example, and what the others say."""
    has = np.asarray(reading.outputs.masks[:, group])
    return _said(reading, example, has), _said(reading, example, ~has)


def majority_predictions(reading: RunSnapshot, examples: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return (len(examples),) the label that most models predict for each; the smaller label of equals."""
    predicted = np.asarray(reading.outputs.predicted[:, examples])
    classes = len(reading.target_info.classes)
    counts = [np.bincount(column, minlength=classes).argmax() for column in predicted.T]
    return np.array(counts, dtype=np.intp)


def _said(reading: RunSnapshot, example: int, models: NDArray[np.bool_]) -> PredictionSummary:
    count = int(models.sum())
    if not count:
        return PredictionSummary(0, (), float("nan"), float("nan"), float("nan"))
    label = int(reading.examples.labels[example])
    margins = np.asarray(reading.outputs.margins[:, example])[models]
    predicted = np.asarray(reading.outputs.predicted[:, example])[models]
    labels, counts = np.unique(predicted, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return PredictionSummary(
        models=count,
        votes=tuple((int(labels[place]), float(counts[place] / count)) for place in order),
        accuracy=float((predicted == label).mean()),
        probability=float(outputs_of_kind(margins, None, None, OutputKind.PROBABILITY).mean()),
        margin=float(margins.astype(np.float64).mean()),
    )


def explain_example(reading: RunSnapshot, question: Question, example: int, group: int | None = None) -> ExampleReport:
    """Look at one test example.

    Args:
        reading: of the question's target.
        question: its estimator and output; its class and split do not matter to a single example.
        example: its number among all test examples.
        group: compare the models that have this group with those that do not.

    Raises:
        ConfigError: there is no such example.
        ResultsError: no model has been recorded, or stored outputs are NaN or infinite.
    """
    drivers = rank(reading, replace(question, target_class=None, example=example))
    return ExampleReport(
        example=example,
        name=reading.examples.names[example],
        label=int(reading.examples.labels[example]),
        split="estimate" if reading.examples.estimate[example] else "evaluate",
        overall=summarise_predictions(reading, example),
        with_and_without=None if group is None else summarise_with_and_without(reading, example, group),
        drivers=drivers,
    )
