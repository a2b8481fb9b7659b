"""Influence of each source group on each class of a target and on each of its test examples.

A ranking lists the groups that influence a target; this is the reverse: the part of the target that one group
influences. All groups are estimated at once, so that going from one to the next costs nothing; where the matrix of all
groups and examples would not fit in memory, they are estimated one at a time.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tui_influence.analysis.examples import majority_predictions
from tui_influence.analysis.prior import output_prior
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import select_examples
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.analysis.types import ExampleEffect, GroupEffects
from tui_influence.errors import ConfigError
from tui_influence.influence.estimate import benjamini_hochberg, interval, p_values
from tui_influence.influence.estimators import estimate, estimators_of_single_groups, find_estimator
from tui_influence.influence.outputs import OutputMatrix, mean_outputs_by_label, parse_output_kind
from tui_influence.influence.prior import OutputPrior
from tui_influence.influence.ranking import influence_matrix, ranked_rows
from tui_influence.influence.types import SIGNIFICANCE_LEVEL, Estimate, RankedGroup

MAX_VALUES = 30_000_000
"""Groups times examples that are estimated at once: two float32 arrays of this size stay below 250 MB."""


@dataclass(frozen=True)
class TargetEffects:
    """Influences of all groups of a run on the classes and the examples of one target.

    Attributes:
        snapshot: what they are estimated from.
        question: its estimator, output and split; its class narrows the examples.
        example_indices: (c,) the examples in question.
        classes: (K, C) influence on the mean output of each class's examples in the split.
        examples: (K, c) influence on each of them; None where it is estimated a group at a time.
    """

    snapshot: RunSnapshot
    question: Question
    example_indices: NDArray[np.int64]
    classes: Estimate
    examples: Estimate | None

    def of_group(self, group: int, count: int) -> GroupEffects:
        """Return the effects of a group, with at most `count` examples that it helps and as many that it hurts."""
        snapshot = self.snapshot
        estimate, index = self.examples, group
        if estimate is None:
            only = np.array([group])
            prior = output_prior(snapshot, self.question)
            estimate, index = example_influences(snapshot, self.question, self.example_indices, prior, only), 0
        influence, se = (array[index].astype(np.float64) for array in (estimate.influence, estimate.se))
        q = benjamini_hochberg(p_values(influence, se, estimate.df))
        low, high = interval(influence, se, estimate.df)
        order = np.argsort(np.where(np.isnan(influence), np.inf, -influence), kind="stable")
        ranked = order[: int(np.count_nonzero(~np.isnan(influence)))]
        helped = [index for index in ranked[:count] if influence[index] > 0]
        hurt = [index for index in ranked[::-1][:count] if influence[index] < 0]
        chosen = np.array([*helped, *hurt], dtype=np.intp)
        predicted = majority_predictions(snapshot, self.example_indices[chosen])
        effects = [
            ExampleEffect(
                example=int(self.example_indices[index]),
                label=int(snapshot.examples.labels[self.example_indices[index]]),
                predicted=int(label),
                influence=float(influence[index]),
                se=float(se[index]),
                low=float(low[index]),
                high=float(high[index]),
                q=float(q[index]),
            )
            for index, label in zip(chosen, predicted, strict=True)
        ]
        return GroupEffects(
            group=group,
            classes=self._on_classes(group),
            helped=tuple(effects[: len(helped)]),
            hurt=tuple(effects[len(helped) :]),
            n_helped=int(np.count_nonzero((q < SIGNIFICANCE_LEVEL) & (influence > 0))),
            n_hurt=int(np.count_nonzero((q < SIGNIFICANCE_LEVEL) & (influence < 0))),
            n_examples=len(self.example_indices),
            models=len(snapshot.outputs),
        )

    def _on_classes(self, group: int) -> tuple[RankedGroup, ...]:
        estimate = self.classes
        return ranked_rows(
            estimate.influence[group],
            estimate.se[group],
            estimate.df,
            self.snapshot.target_info.classes,
            int(estimate.n_with[group]),
            int(estimate.n_without[group]),
        )


def example_influences(
    snapshot: RunSnapshot,
    question: Question,
    examples: NDArray[np.int64],
    prior: OutputPrior | None,
    only: NDArray[np.intp] | None = None,
) -> Estimate:
    """Return the influence of all groups, or of some, on examples of the snapshot's target, (K, c).

    Args:
        snapshot: the models.
        question: its estimator and output.
        examples: (c,) indices of the examples.
        prior: of the question, by `output_prior`.
        only: (K',) indices of groups; None for all.

    Raises:
        ResultsError: stored outputs are NaN or infinite.
    """
    outputs, labels = snapshot.outputs, snapshot.examples.labels
    return influence_matrix(
        masks=outputs.masks,
        margins=outputs.margins,
        predicted=outputs.predicted,
        labels=labels,
        estimator=question.estimator,
        kind=question.output_kind,
        clusters=snapshot.clusters,
        examples=examples,
        only=only,
        prior=prior and prior.of_examples(labels[examples]),
    )


def estimate_effects(snapshot: RunSnapshot, question: Question, *, at_once: bool = True) -> TargetEffects:
    """Estimate the influence of every group on every class and every example of a target.

    Args:
        snapshot: of the question's target.
        question: its estimator, output and split; its class narrows the examples, its example is ignored.
        at_once: estimate the examples of all groups now, if that fits in memory. Without it, a question about a
            single group takes a fraction of the time, where the estimator supports that.

    Raises:
        ConfigError: the question does not fit the run, or all examples at once are too many for the estimator.
        ResultsError: no model has been recorded, or stored outputs are NaN or infinite.
    """
    outputs, labels, target_info = snapshot.outputs, snapshot.examples.labels, snapshot.target_info
    example_indices = select_examples(
        target_info, snapshot.examples, Question(None, question.target_class, split=question.split)
    )
    split = select_examples(target_info, snapshot.examples, Question(split=question.split))
    snapshot.require_models()
    kind = parse_output_kind(question.output_kind)
    matrix = OutputMatrix(outputs.margins, outputs.predicted, labels, kind)
    prior = output_prior(snapshot, question)
    by_class = prior.class_outputs if prior else mean_outputs_by_label(matrix, split, labels, len(target_info.classes))
    fits_in_memory = len(snapshot.info.source.groups) * len(example_indices) <= MAX_VALUES
    all_groups_only = not find_estimator(question.estimator).supports_only
    if not fits_in_memory and all_groups_only:
        raise ConfigError(
            f"{len(snapshot.info.source.groups):,} groups times {len(example_indices):,} examples are too many for "
            f"{question.estimator}; use {estimators_of_single_groups()}, which estimates one group at a time"
        )
    return TargetEffects(
        snapshot=snapshot,
        question=question,
        example_indices=example_indices,
        classes=estimate(question.estimator, outputs.masks, by_class, snapshot.clusters, prior),
        examples=example_influences(snapshot, question, example_indices, prior)
        if fits_in_memory and (at_once or all_groups_only)
        else None,
    )
