"""What each source group does to each class of a target and to each of its test examples.

The ranking asks which groups move a target; this turns the question round: which part of the target does one group
move. All groups are estimated at once, so that going from one to the next costs nothing; where the matrix of all
groups and examples would not fit in memory, a group at a time.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tui_influence.analysis.examples import majority_predictions
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import select_examples
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.analysis.types import ExampleEffect, GroupEffects
from tui_influence.errors import ConfigError
from tui_influence.influence.estimate import (
    benjamini_hochberg,
    interval,
    p_values,
)
from tui_influence.influence.estimators import (
    ESTIMATORS,
    estimate,
    find_estimator,
)
from tui_influence.influence.outputs import OutputMatrix, mean_outputs_by_label, parse_output_kind
from tui_influence.influence.ranking import (
    influence_matrix,
    influence_row,
    ranked_rows,
)
from tui_influence.influence.types import (
    SIGNIFICANCE_LEVEL,
    Estimate,
    RankedGroup,
)

MAX_VALUES = 30_000_000
"""Groups times examples that are estimated at once: two float32 arrays of this size stay below 250 MB."""


@dataclass(frozen=True)
class TargetEffects:
    """Influences of all groups of a run on the classes and the examples of one target.

    Attributes:
        reading: what they are estimated from.
        question: its estimator, output and split; its class narrows the examples.
        columns: (c,) the examples that were asked for.
        classes: (K, C) influence on the mean output of each class's examples in the split.
        examples: (K, c) influence on each of them; None where it is estimated a group at a time.
    """

    reading: RunSnapshot
    question: Question
    columns: NDArray[np.int64]
    classes: Estimate
    examples: Estimate | None

    def of_group(self, group: int, count: int) -> GroupEffects:
        """Return what a group does, with at most `count` examples that it helps and as many that it hurts."""
        reading = self.reading
        row, place = (self.examples, group) if self.examples is not None else (self._row(group), 0)
        influence, se = (array[place].astype(np.float64) for array in (row.influence, row.se))
        q = benjamini_hochberg(p_values(influence, se, row.df))
        low, high = interval(influence, se, row.df)
        order = np.argsort(np.where(np.isnan(influence), np.inf, -influence), kind="stable")
        known = order[: int(np.count_nonzero(~np.isnan(influence)))]
        helped = [place for place in known[:count] if influence[place] > 0]
        hurt = [place for place in known[::-1][:count] if influence[place] < 0]
        chosen = np.array([*helped, *hurt], dtype=np.intp)
        predicted = majority_predictions(reading, self.columns[chosen])
        found = [
            ExampleEffect(
                example=int(self.columns[place]),
                label=int(reading.examples.labels[self.columns[place]]),
                predicted=int(usual),
                influence=float(influence[place]),
                se=float(se[place]),
                low=float(low[place]),
                high=float(high[place]),
                q=float(q[place]),
            )
            for place, usual in zip(chosen, predicted, strict=True)
        ]
        return GroupEffects(
            group=group,
            classes=self._on_classes(group),
            helped=tuple(found[: len(helped)]),
            hurt=tuple(found[len(helped) :]),
            n_helped=int(np.count_nonzero((q < SIGNIFICANCE_LEVEL) & (influence > 0))),
            n_hurt=int(np.count_nonzero((q < SIGNIFICANCE_LEVEL) & (influence < 0))),
            n_examples=len(self.columns),
            models=len(reading.outputs),
        )

    def _on_classes(self, group: int) -> tuple[RankedGroup, ...]:
        found = self.classes
        return ranked_rows(
            found.influence[group],
            found.se[group],
            found.df,
            self.reading.target_info.classes,
            int(found.n_with[group]),
            int(found.n_without[group]),
        )

    def _row(self, group: int) -> Estimate:
        outputs = self.reading.outputs
        return influence_row(
            group,
            masks=outputs.masks,
            margins=outputs.margins,
            predicted=outputs.predicted,
            labels=self.reading.examples.labels,
            estimator=self.question.estimator,
            kind=self.question.output_kind,
            clusters=self.reading.clusters,
            examples=self.columns,
        )


def estimate_effects(reading: RunSnapshot, question: Question, *, at_once: bool = True) -> TargetEffects:
    """Estimate what every group does to every class and every example of a target.

    Args:
        reading: of the question's target.
        question: its estimator, output and split; its class narrows the examples, its example is not looked at.
        at_once: estimate the examples of all groups now, if that fits in memory. Who asks about a single group saves
            most of the time without, where the estimator supports that.

    Raises:
        ConfigError: the question does not fit the run, or all examples at once are too many for the estimator.
        ResultsError: no model has been recorded, or stored outputs are NaN or infinite.
    """
    outputs, labels, described = reading.outputs, reading.examples.labels, reading.target_info
    columns = select_examples(described, reading.examples, Question(None, question.target_class, split=question.split))
    split = select_examples(described, reading.examples, Question(split=question.split))
    reading.require_models()
    kind = parse_output_kind(question.output_kind)
    matrix = OutputMatrix(outputs.margins, outputs.predicted, labels, kind)
    by_class = mean_outputs_by_label(matrix, split, labels, len(described.classes))
    few = len(reading.info.source.groups) * len(columns) <= MAX_VALUES
    needed = not find_estimator(question.estimator).supports_only
    if not few and needed:
        others = ", ".join(f"`{name}`" for name, estimator in ESTIMATORS.items() if estimator.supports_only)
        raise ConfigError(
            f"{len(reading.info.source.groups):,} groups times {len(columns):,} examples are too many for "
            f"{question.estimator}; use {others}, which estimates one group at a time"
        )
    return TargetEffects(
        reading=reading,
        question=question,
        columns=columns,
        classes=estimate(question.estimator, outputs.masks, by_class, reading.clusters),
        examples=influence_matrix(
            masks=outputs.masks,
            margins=outputs.margins,
            predicted=outputs.predicted,
            labels=labels,
            estimator=question.estimator,
            kind=kind,
            clusters=reading.clusters,
            examples=columns,
        )
        if few and (at_once or needed)
        else None,
    )
