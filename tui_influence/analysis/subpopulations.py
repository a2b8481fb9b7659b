"""Subpopulations of a target (Jain et al. 2022, section 4.1): examples of one class that the same group drives.

The target says *bird*; which of its birds look like an *ostrich* is shown by the source class that helps them more than
it helps birds in general. Two questions: which examples does a source group drive (`driven_examples`), and which groups
drive the examples of a class (`find_subpopulations`).

An example is assigned to a group only where that is significant. Its driver is the largest of K effects, so its p-value
is K times that effect's own (Bonferroni, which holds whichever is chosen); over the examples of a class the false
discovery rate of being assigned to any group is controlled (Benjamini & Hochberg 1995). All others are unassigned.
"""

from collections.abc import Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray

from tui_influence.analysis.class_relative import ClassRelativeInfluence, class_relative_influence
from tui_influence.analysis.probe_types import ClassSubpopulations, DrivenExample, DrivenExamples, Subpopulation
from tui_influence.analysis.question import Question
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.errors import ConfigError
from tui_influence.influence.estimate import benjamini_hochberg, interval, p_values, t_quantile
from tui_influence.influence.outputs import Floats
from tui_influence.influence.types import SIGNIFICANCE_LEVEL
from tui_influence.text import printable


def driven_examples(snapshot: RunSnapshot, question: Question, group: int) -> DrivenExamples:
    """Find the test examples that a group drives: those that it helps more than the rest of their class.

    The false discovery rate is over the examples, since there is one group.

    Args:
        snapshot: of the question's target.
        question: its estimator, output and split; its class narrows the examples.
        group: its column in the masks.

    Raises:
        ConfigError: the question does not fit the run, or the group never varies.
        ResultsError: too few models have been recorded, or stored outputs are NaN or infinite.
    """
    relative = class_relative_influence(snapshot, question, group)
    if relative.estimate.n_with[0] in (0, relative.models):
        name = printable(snapshot.info.source.groups[group], 60)
        which = "every" if relative.estimate.n_with[0] else "no"
        raise ConfigError(f'{which} model has "{name}": its influence is unknown')
    effect, se = (array[0].astype(np.float64) for array in (relative.estimate.influence, relative.estimate.se))
    q = benjamini_hochberg(p_values(effect, se, relative.estimate.df))
    order = np.argsort(-effect, kind="stable")
    is_helped = (effect > 0) & (relative.influence[0] > 0)
    helped, not_helped = (
        _driven_by(relative, np.zeros(len(places), dtype=np.intp), places, q[places])
        for places in (order[is_helped[order]], order[~is_helped[order]])
    )
    return DrivenExamples(
        group=group,
        examples=helped,
        not_helped=not_helped,
        n_examples=len(relative.example_indices),
        class_sizes=np.bincount(relative.labels, minlength=len(snapshot.target_info.classes)),
        models=relative.models,
    )


def find_subpopulations(snapshot: RunSnapshot, question: Question) -> tuple[ClassSubpopulations, ...]:
    """Group the examples of the question's class, or of every class, by the source group that drives each.

    Args:
        snapshot: of the question's target.
        question: its estimator, output, split and class.

    Returns:
        One for each class that has examples in the split, in the order of the target's classes.

    Raises:
        ConfigError: the question does not fit the run.
        ResultsError: too few models have been recorded, or stored outputs are NaN or infinite.
    """
    relative = class_relative_influence(snapshot, question)
    candidates = _driving_effects(relative)
    driver = np.argmax(candidates, axis=0)
    has_driver = np.isfinite(np.take_along_axis(candidates, driver[None], axis=0)[0])
    sizes = np.bincount(snapshot.examples.labels)
    has_driver &= sizes[relative.labels] > 1  # alone in its class, an example cannot be compared
    return tuple(
        _class_subpopulations(relative, driver, has_driver, int(label)) for label in np.unique(relative.labels)
    )


def _driving_effects(relative: ClassRelativeInfluence) -> Floats:
    """(K, c) class-relative influences, -inf where the group does not help the example or its influence is unknown."""
    return np.where((relative.estimate.influence > 0) & (relative.influence > 0), relative.estimate.influence, -np.inf)


def _class_subpopulations(
    relative: ClassRelativeInfluence, driver: NDArray[np.intp], has_driver: NDArray[np.bool_], label: int
) -> ClassSubpopulations:
    of = np.flatnonzero(relative.labels == label)
    effect, se = (
        array[driver[of], of].astype(np.float64) for array in (relative.estimate.influence, relative.estimate.se)
    )
    p = p_values(effect, se, relative.estimate.df)
    n_groups = int(np.count_nonzero(np.isfinite(relative.estimate.se[:, of]).any(axis=1)))
    q = benjamini_hochberg(np.where(has_driver[of], np.minimum(p * n_groups, 1.0), 1.0))
    order = np.argsort(np.where(has_driver[of], -effect, np.inf), kind="stable")
    examples = _driven_by(relative, driver[of][order], of[order], q[order], has_driver[of][order])
    members: dict[int, list[DrivenExample]] = {}
    for example in examples:
        if example.is_significant and example.group is not None:
            members.setdefault(example.group, []).append(example)
    groups = [Subpopulation(group, tuple(those)) for group, those in members.items()]
    return ClassSubpopulations(
        label=label,
        subpopulations=tuple(sorted(groups, key=lambda part: -len(part.members))),
        unassigned=tuple(example for example in examples if not example.is_significant),
        n_examples=len(of),
        models=relative.models,
        models_needed=_models_needed(relative, np.where(has_driver[of], effect, 0.0), se, n_groups),
    )


def _models_needed(
    relative: ClassRelativeInfluence, effect: NDArray[np.float64], se: NDArray[np.float64], n_groups: int
) -> int | None:
    """Return how many models it takes to assign half of a class, if its typical largest effect is no accident.

    The t of an effect grows with the root of the models. The largest of many effects is too large by chance, so this
    errs low.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        typical = float(np.median(effect / se))
    if not typical > 0 or not np.isfinite(typical) or not n_groups:
        return None
    critical = t_quantile(1 - SIGNIFICANCE_LEVEL / 2 / (2 * n_groups), relative.estimate.df)
    return None if typical >= critical else ceil(relative.models * (critical / typical) ** 2)


def _driven_by(
    relative: ClassRelativeInfluence,
    rows: NDArray[np.intp],
    examples: NDArray[np.intp],
    q: NDArray[np.float64],
    has_driver: NDArray[np.bool_] | None = None,
) -> tuple[DrivenExample, ...]:
    """Return the influence of the groups at `rows` on the examples, one each; without a group where none drives it."""
    effect, se, influence = (
        array[rows, examples].astype(np.float64)
        for array in (relative.estimate.influence, relative.estimate.se, relative.influence)
    )
    if has_driver is None:
        has_driver = np.ones(len(examples), dtype=np.bool_)
    for numbers in (effect, se, influence):
        numbers[~has_driver] = np.nan
    low, high = interval(effect, se, relative.estimate.df)
    columns: Sequence[Floats] = (influence, effect, se, low, high, q)
    return tuple(
        DrivenExample(int(example), int(label), int(group) if named else None, *map(float, values))
        for example, label, group, named, *values in zip(
            relative.example_indices[examples],
            relative.labels[examples],
            relative.groups[rows],
            has_driver,
            *columns,
            strict=True,
        )
    )
