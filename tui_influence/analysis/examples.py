"""Predictions of a run's models for single test examples, and the source groups that influence one of them."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import rank
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.analysis.types import ExampleReport, PredictionSummary
from tui_influence.influence.outputs import outputs_of_kind
from tui_influence.influence.types import OutputKind


def summarise_predictions(snapshot: RunSnapshot, example: int) -> PredictionSummary:
    """Summarise the predictions of all models for a test example."""
    return _summarise(snapshot, example, np.ones(len(snapshot.outputs), dtype=np.bool_))


def summarise_with_and_without(
    snapshot: RunSnapshot, example: int, group: int
) -> tuple[PredictionSummary, PredictionSummary]:
    """Summarise the predictions of the models trained with a group, and of those trained without it."""
    has = np.asarray(snapshot.outputs.masks[:, group])
    return _summarise(snapshot, example, has), _summarise(snapshot, example, ~has)


def majority_predictions(snapshot: RunSnapshot, examples: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the label that most models predict for each example; of equally frequent labels the smaller one."""
    predicted = np.asarray(snapshot.outputs.predicted[:, examples])
    classes = len(snapshot.target_info.classes)
    counts = [np.bincount(column, minlength=classes).argmax() for column in predicted.T]
    return np.array(counts, dtype=np.intp)


def _summarise(snapshot: RunSnapshot, example: int, is_included: NDArray[np.bool_]) -> PredictionSummary:
    count = int(is_included.sum())
    if not count:
        return PredictionSummary(0, (), float("nan"), float("nan"), float("nan"))
    label = int(snapshot.examples.labels[example])
    margins = np.asarray(snapshot.outputs.margins[:, example])[is_included]
    predicted = np.asarray(snapshot.outputs.predicted[:, example])[is_included]
    labels, counts = np.unique(predicted, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return PredictionSummary(
        models=count,
        votes=tuple((int(labels[index]), float(counts[index] / count)) for index in order),
        accuracy=float((predicted == label).mean()),
        probability=float(outputs_of_kind(margins, None, None, OutputKind.PROBABILITY).mean()),
        margin=float(margins.astype(np.float64).mean()),
    )


def explain_example(snapshot: RunSnapshot, question: Question, example: int, group: int | None = None) -> ExampleReport:
    """Report on one test example: its predictions, and the ranking of groups by their influence on it.

    Args:
        snapshot: of the question's target.
        question: its estimator and output; its class and split do not matter to a single example.
        example: its number among all test examples.
        group: compare the models that have this group with those that do not.

    Raises:
        ConfigError: there is no such example.
        ResultsError: no model has been recorded, or stored outputs are NaN or infinite.
    """
    drivers = rank(snapshot, replace(question, target_class=None, example=example))
    return ExampleReport(
        example=example,
        name=snapshot.examples.names[example],
        label=int(snapshot.examples.labels[example]),
        split="estimate" if snapshot.examples.estimate[example] else "evaluate",
        overall=summarise_predictions(snapshot, example),
        with_and_without=None if group is None else summarise_with_and_without(snapshot, example, group),
        drivers=drivers,
    )
