"""Influence of source groups on single test examples relative to the other examples of the same class.

A group that helps a whole class helps every example of it; examples of one class differ in what remains when each
model's mean output on the other examples of the class is subtracted from its output on the example. What a model gets
wrong in the same way on a whole class cancels too, so that the standard error is the difference's own, and smaller.
The other examples are those of both halves of the test set, whatever the question, so that an example has one result.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.analysis.class_effects import MAX_VALUES
from tui_influence.analysis.prior import output_prior
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import select_examples
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.errors import ConfigError, ResultsError
from tui_influence.influence.estimators import estimators_of_single_groups, find_estimator
from tui_influence.influence.outputs import Floats, Integers, OutputMatrix, mean_outputs_by_label, parse_output_kind
from tui_influence.influence.prior import OutputPrior
from tui_influence.influence.types import Estimate
from tui_influence.text import pluralize, printable

MIN_MODELS = 10
"""With fewer, an interval on one example is wider than any effect observed so far."""


@dataclass(frozen=True)
class ClassCenteredOutputs(OutputMatrix):
    """Outputs (m, n) less each model's mean output on the other examples of the class.

    With n_y examples in the class and their mean, both of which include the example, that is
    y - (n_y mean - y) / (n_y - 1) = (y - mean) n_y / (n_y - 1). An example that is alone in its class stays as it is.

    Attributes:
        averages: (m, C) each model's mean output on each class, in the unit of the outputs; 0 for a class of one.
        scale: (C,) n_y / (n_y - 1); 1 for a class of one.
    """

    averages: Floats | None = None
    scale: Floats | None = None

    def block(self, rows: slice, columns: slice | Integers) -> Floats:
        """Return what `OutputMatrix.block` does, less the averages."""
        if self.averages is None or self.scale is None or self.labels is None:
            raise ValueError("averages need labels, and labels averages")
        of = self.labels[self.stored_columns(columns)]
        outputs: Floats = super().block(rows, columns).astype(self.dtype)
        outputs -= np.take(self.averages[rows], of, axis=1)
        outputs *= self.scale[of]
        return outputs


@dataclass(frozen=True)
class ClassRelativeInfluence:
    """Class-relative influences on c test examples.

    Attributes:
        example_indices: (c,) the examples, ascending.
        labels: (c,) their classes.
        groups: (K',) the groups in question, by their column in the masks.
        estimate: (K', c) influence on the example minus influence on the other examples of its class.
        influence: (K', c) on the example itself, as a ranking by one example has it.
        models: number of models behind it.
    """

    example_indices: NDArray[np.int64]
    labels: NDArray[np.int64]
    groups: NDArray[np.intp]
    estimate: Estimate
    influence: Floats
    models: int


def class_relative_influence(
    snapshot: RunSnapshot, question: Question, group: int | None = None
) -> ClassRelativeInfluence:
    """Estimate the influence of groups on single examples, relative to the other examples of the class.

    `difference` takes the spread of an arm for the same with and without a group, see `Differences`.

    Args:
        snapshot: of the question's target.
        question: its estimator, output and split; its class narrows the examples, its example is ignored.
        group: this group only; None for all of them.

    Raises:
        ConfigError: the question does not fit the run, the class has one example, or there are too many to estimate.
        ResultsError: too few models have been recorded (the reason says how many it takes), or outputs are NaN.
    """
    outputs, labels, target_info = snapshot.outputs, snapshot.examples.labels, snapshot.target_info
    example_indices = select_examples(
        target_info, snapshot.examples, Question(None, question.target_class, split=question.split)
    )
    require_enough_models(snapshot)
    matrix = class_centered_outputs(snapshot, question.output_kind, example_indices)
    if question.target_class is not None and np.count_nonzero(labels == labels[example_indices[0]]) < 2:
        raise ConfigError(
            f'class "{printable(question.target_class, 60)}" has one test example: '
            "there are no others to compare it with"
        )
    groups = None if group is None else np.array([group], dtype=np.intp)
    of_classes = output_prior(snapshot, question)
    prior = of_classes and of_classes.of_examples(labels[example_indices])
    # What a prior says of an example is what it says of the class: of the difference from the class it says nothing.
    nothing = prior and prior.of_outputs(np.zeros_like(prior.shares))
    relative = _estimate(question.estimator, outputs.masks, matrix, snapshot.clusters, groups, nothing)
    return ClassRelativeInfluence(
        example_indices=example_indices,
        labels=labels[example_indices],
        groups=np.arange(outputs.masks.shape[1]) if groups is None else groups,
        estimate=relative,
        influence=_on_examples(snapshot, question.estimator, matrix, relative, groups, prior),
        models=len(outputs),
    )


def _on_examples(
    snapshot: RunSnapshot,
    estimator: str,
    matrix: ClassCenteredOutputs,
    relative: Estimate,
    groups: NDArray[np.intp] | None,
    prior: OutputPrior | None,
) -> Floats:
    """Return the influence on the examples themselves, (K', c).

    With a linear estimator, it is the class-relative influence plus that on the class. With another, such as `ridge`,
    which chooses a penalty for every output, it is estimated from the outputs themselves.
    """
    masks, clusters = snapshot.outputs.masks, snapshot.clusters
    assert matrix.averages is not None
    assert matrix.scale is not None
    assert matrix.labels is not None
    assert matrix.examples is not None
    if not find_estimator(estimator).is_linear:
        plain = OutputMatrix(matrix.margins, matrix.predicted, matrix.labels, matrix.kind, matrix.examples)
        return _estimate(estimator, masks, plain, clusters, groups, prior).influence
    of = matrix.labels[matrix.examples]
    present, class_index = np.unique(of, return_inverse=True)
    on_class = _estimate(estimator, masks, matrix.averages[:, present], clusters, groups)
    influence: Floats = relative.influence / matrix.scale[of].astype(relative.influence.dtype)
    influence += np.take(on_class.influence.astype(relative.influence.dtype), class_index, axis=1)
    return influence


def class_centered_outputs(
    snapshot: RunSnapshot, output_kind: str, example_indices: NDArray[np.int64]
) -> ClassCenteredOutputs:
    """Return the outputs of all models on some examples, (m, c), less those on the others of each example's class.

    Raises:
        ConfigError: there is no such kind of output.
        ResultsError: stored outputs are NaN or infinite.
    """
    outputs, labels, count = snapshot.outputs, snapshot.examples.labels, len(snapshot.target_info.classes)
    kind = parse_output_kind(output_kind)
    everything = OutputMatrix(outputs.margins, outputs.predicted, labels, kind)
    averages = mean_outputs_by_label(everything, np.arange(snapshot.target_info.test), labels, count)
    sizes = np.bincount(labels, minlength=count)
    averages[:, sizes < 2] = 0
    scale = np.where(sizes < 2, 1, sizes / np.maximum(sizes - 1, 1))
    return ClassCenteredOutputs(
        outputs.margins, outputs.predicted, labels, kind, example_indices,
        averages.astype(everything.dtype), scale.astype(everything.dtype),
    )  # fmt: skip


def require_enough_models(snapshot: RunSnapshot) -> None:
    """Refuse a question about single test examples where there are too few models.

    Raises:
        ResultsError: they are; the reason says how many it takes.
    """
    snapshot.require_models()
    models = len(snapshot.outputs)
    if models < MIN_MODELS:
        raise ResultsError(
            f"{pluralize(models, 'model')} recorded: single test examples take at least {MIN_MODELS}, "
            "and some hundreds for precise results"
        )


def _estimate(
    estimator: str,
    masks: NDArray[np.bool_],
    outputs: Floats | OutputMatrix,
    clusters: NDArray[Any] | None,
    groups: NDArray[np.intp] | None,
    prior: OutputPrior | None = None,
) -> Estimate:
    """Return an estimate of all groups, or of some, which saves time where the estimator supports it."""
    method = find_estimator(estimator)
    if not (groups is not None and method.supports_only) and masks.shape[1] * outputs.shape[1] > MAX_VALUES:
        raise ConfigError(
            f"{masks.shape[1]:,} groups times {outputs.shape[1]:,} examples are too many at once: ask about one "
            f"--class, or about one --source with the estimator {estimators_of_single_groups()}"
        )
    return method.estimate(masks, outputs, clusters, only=groups, pooled=True, prior=prior)
