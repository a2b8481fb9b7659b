"""What source groups do to single test examples, beyond what they do to the examples' class on average.

A group that helps a whole class helps every example of it; what tells examples of one class apart is what is left when
each model's mean output on the class is taken from its output on the example. What a model gets wrong in the same way
on all of a class leaves the difference too, so that its standard error is the difference's own, and smaller.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.effects import MOST_VALUES
from tui_influence.errors import ConfigError, ResultsError
from tui_influence.influence.estimate import Estimate
from tui_influence.influence.estimators import Estimator, difference, estimate, parse_estimator
from tui_influence.influence.outputs import Floats, Integers, OutputMatrix, mean_outputs_by_label, parse_kind
from tui_influence.ranking import chosen_columns
from tui_influence.ranking_question import Question
from tui_influence.reading import Reading
from tui_influence.text import counted, printable

FEWEST_MODELS = 10
"""With fewer, an interval on one example is wider than any effect that a group has been seen to have."""


@dataclass(frozen=True)
class BeyondClass(OutputMatrix):
    """Outputs (m, n) less each model's mean output on the class of the example.

    Attributes:
        averages: (m, C) each model's mean output on each class, in the unit of the outputs.
    """

    averages: Floats | None = None

    def block(self, rows: slice, columns: slice | Integers) -> Floats:
        """Return what `OutputMatrix.block` does, less the averages."""
        if self.averages is None or self.labels is None:
            raise ValueError("averages need labels, and labels averages")
        of = self.labels[self.stored(columns)]
        outputs: Floats = super().block(rows, columns).astype(self.dtype)
        outputs -= self.averages[rows].astype(self.dtype)[:, of]
        return outputs


@dataclass(frozen=True)
class Beyond:
    """Influences on c test examples beyond their class.

    Attributes:
        columns: (c,) the examples, ascending.
        labels: (c,) their classes.
        groups: (K',) the groups that are asked about, by their column in the masks.
        beyond: (K', c) influence beyond the average of the example's class.
        influence: (K', c) that and the influence on the average: for `difference`, the influence on the example.
        models: that it is estimated from.
    """

    columns: NDArray[np.int64]
    labels: NDArray[np.int64]
    groups: NDArray[np.intp]
    beyond: Estimate
    influence: Floats
    models: int


def beyond_class(reading: Reading, question: Question, group: int | None = None) -> Beyond:
    """Estimate what groups do to single examples beyond what they do to the examples' class.

    Args:
        reading: of the question's target.
        question: its estimator, output and split; its class narrows the examples, its example is not looked at.
        group: this group only; None for all of them.

    Raises:
        ConfigError: the question does not fit the run, the class has one example, or there are too many to estimate.
        ResultsError: too few models have been recorded (the reason says how many it takes), or outputs are NaN.
    """
    outputs, labels, described = reading.outputs, reading.examples.labels, reading.described
    columns = chosen_columns(described, reading.examples, Question(None, question.target_class, split=question.split))
    refuse_too_few_models(reading)
    if question.target_class is not None and len(columns) < 2:
        raise ConfigError(
            f'class "{printable(question.target_class, 60)}" has one test example in the {question.split} half: '
            "there are no others to compare it with"
        )
    kind = parse_kind(question.output_kind)
    stored = OutputMatrix(outputs.margins, outputs.predicted, labels, kind)
    averages = mean_outputs_by_label(stored, columns, labels, len(described.classes))
    matrix = BeyondClass(outputs.margins, outputs.predicted, labels, kind, columns, averages)
    alone = None if group is None else np.array([group], dtype=np.intp)
    found = _estimate(question.estimator, outputs.masks, matrix, reading.clusters, alone)
    on_class = _estimate(question.estimator, outputs.masks, averages, reading.clusters, alone)
    return Beyond(
        columns=columns,
        labels=labels[columns],
        groups=np.arange(outputs.masks.shape[1]) if alone is None else alone,
        beyond=found,
        influence=found.influence + on_class.influence[:, labels[columns]].astype(found.influence.dtype),
        models=len(outputs),
    )


def refuse_too_few_models(reading: Reading) -> None:
    """Refuse a question about single test examples that the models are too few for.

    Raises:
        ResultsError: they are; the reason says how many it takes.
    """
    reading.refuse_if_empty()
    models = len(reading.outputs)
    if models < FEWEST_MODELS:
        raise ResultsError(
            f"{counted(models, 'model')} recorded: single test examples take at least {FEWEST_MODELS}, "
            "and some hundreds to tell much"
        )


def _estimate(
    estimator: str,
    masks: NDArray[np.bool_],
    outputs: Floats | OutputMatrix,
    clusters: NDArray[Any] | None,
    only: NDArray[np.intp] | None,
) -> Estimate:
    """Return an estimate of all groups, or of some: only `difference` can save the time of the others."""
    if only is not None and parse_estimator(estimator) is Estimator.DIFFERENCE:
        return difference(masks, outputs, clusters, only=only)
    if masks.shape[1] * outputs.shape[1] > MOST_VALUES:
        raise ConfigError(
            f"{masks.shape[1]:,} groups times {outputs.shape[1]:,} examples are too many at once: ask about one "
            "--class, or about one --source with the estimator `difference`"
        )
    found = estimate(estimator, masks, outputs, clusters)
    if only is None:
        return found
    return Estimate(
        found.influence[only], found.se[only], found.df, found.n_with[only], found.n_without[only], found.kind,
        found.relative, found.penalty,
    )  # fmt: skip
