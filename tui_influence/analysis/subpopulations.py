"""Subpopulations of a target (Jain et al. 2022, section 4.1): examples of one class, told apart by what drives them.

The target says *bird*; which of its birds look like an *ostrich* is said by the source class that helps them more than
it helps birds in general. Two questions: which examples does a source group drive (`driven_by`), and which groups
drive the examples of a class (`subpopulations`).

An example is given to a group only where that is more than chance. Its driver is the largest of K effects, so its
p-value is K times that effect's own (Bonferroni, which holds whichever is chosen); over the examples of a class the
false discovery rate of being given to any group is controlled (Benjamini & Hochberg 1995). All others are not told.
"""

from collections.abc import Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray

from tui_influence.analysis.class_relative import ClassRelativeInfluence, class_relative_influence
from tui_influence.analysis.question import Question
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.analysis.types import ClassSubpopulations, DrivenExample, DrivenExamples, Subpopulation
from tui_influence.errors import ConfigError
from tui_influence.influence.estimate import benjamini_hochberg, interval, p_values, t_quantile
from tui_influence.influence.outputs import Floats
from tui_influence.influence.types import (
    SIGNIFICANCE_LEVEL,
)
from tui_influence.text import printable


def driven_examples(reading: RunSnapshot, question: Question, group: int) -> DrivenExamples:
    """Find the test examples that a group drives beyond the average of their class.

    The false discovery rate is over the examples: one group was asked about.

    Args:
        reading: of the question's target.
        question: its estimator, output and split; its class narrows the examples.
        group: its column in the masks.

    Raises:
        ConfigError: the question does not fit the run, or the group never varies.
        ResultsError: too few models have been recorded, or stored outputs are NaN or infinite.
    """
    found = class_relative_influence(reading, question, group)
    if found.estimate.n_with[0] in (0, found.models):
        name = printable(reading.info.source.groups[group], 60)
        which = "every" if found.estimate.n_with[0] else "no"
        raise ConfigError(f'{which} model has "{name}": its influence is unknown')
    effect, se = (array[0].astype(np.float64) for array in (found.estimate.influence, found.estimate.se))
    q = benjamini_hochberg(p_values(effect, se, found.estimate.df))
    order = np.argsort(-effect, kind="stable")
    helped = (effect > 0) & (found.influence[0] > 0)
    examples, others = (
        _driven(found, np.zeros(len(places), dtype=np.intp), places, q[places])
        for places in (order[helped[order]], order[~helped[order]])
    )
    return DrivenExamples(
        group=group,
        examples=examples,
        not_helped=others,
        n_examples=len(found.example_indices),
        class_sizes=np.bincount(found.labels, minlength=len(reading.target_info.classes)),
        models=found.models,
    )


def find_subpopulations(reading: RunSnapshot, question: Question) -> tuple[ClassSubpopulations, ...]:
    """Group the examples of the question's class, or of every class, by the source group that drives each.

    Args:
        reading: of the question's target.
        question: its estimator, output, split and class.

    Returns:
        One for each class that has examples in the split, in the order of the target's classes.

    Raises:
        ConfigError: the question does not fit the run.
        ResultsError: too few models have been recorded, or stored outputs are NaN or infinite.
    """
    found = class_relative_influence(reading, question)
    candidates = _candidates(found)
    driver = np.argmax(candidates, axis=0)
    driven = np.isfinite(np.take_along_axis(candidates, driver[None], axis=0)[0])
    sizes = np.bincount(reading.examples.labels)
    driven &= sizes[found.labels] > 1  # alone in its class, an example has nothing to be told apart from
    return tuple(_parts(found, driver, driven, int(label)) for label in np.unique(found.labels))


def _candidates(found: ClassRelativeInfluence) -> Floats:
    """(K, c) effects beyond the class, -inf where they cannot drive: the group does not help, or nobody can tell."""
    return np.where((found.estimate.influence > 0) & (found.influence > 0), found.estimate.influence, -np.inf)


def _parts(
    found: ClassRelativeInfluence, driver: NDArray[np.intp], driven: NDArray[np.bool_], label: int
) -> ClassSubpopulations:
    of = np.flatnonzero(found.labels == label)
    effect, se = (array[driver[of], of].astype(np.float64) for array in (found.estimate.influence, found.estimate.se))
    p = p_values(effect, se, found.estimate.df)
    tried = int(np.count_nonzero(np.isfinite(found.estimate.se[:, of]).any(axis=1)))
    q = benjamini_hochberg(np.where(driven[of], np.minimum(p * tried, 1.0), 1.0))
    order = np.argsort(np.where(driven[of], -effect, np.inf), kind="stable")
    examples = _driven(found, driver[of][order], of[order], q[order], driven[of][order])
    members: dict[int, list[DrivenExample]] = {}
    for example in examples:
        if example.is_significant and example.group is not None:
            members.setdefault(example.group, []).append(example)
    parts = [Subpopulation(group, tuple(those)) for group, those in members.items()]
    return ClassSubpopulations(
        label=label,
        subpopulations=tuple(sorted(parts, key=lambda part: -len(part.members))),
        unassigned=tuple(example for example in examples if not example.is_significant),
        n_examples=len(of),
        models=found.models,
        models_needed=_needed(found, np.where(driven[of], effect, 0.0), se, tried),
    )


def _needed(
    found: ClassRelativeInfluence, effect: NDArray[np.float64], se: NDArray[np.float64], tried: int
) -> int | None:
    """Models from which half of a class could be told, if its typical largest effect is no accident.

    The t of an effect grows with the root of the models. The largest of many effects is too large by chance, so this
    errs low.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        typical = float(np.median(effect / se))
    if not typical > 0 or not np.isfinite(typical) or not tried:
        return None
    wanted = t_quantile(1 - SIGNIFICANCE_LEVEL / 2 / (2 * tried), found.estimate.df)
    return None if typical >= wanted else ceil(found.models * (wanted / typical) ** 2)


def _driven(
    found: ClassRelativeInfluence,
    rows: NDArray[np.intp],
    places: NDArray[np.intp],
    q: NDArray[np.float64],
    known: NDArray[np.bool_] | None = None,
) -> tuple[DrivenExample, ...]:
    """Return what the groups at `rows` do to the examples at `places`, one each; of none where not known."""
    effect, se, influence = (
        array[rows, places].astype(np.float64)
        for array in (found.estimate.influence, found.estimate.se, found.influence)
    )
    if known is None:
        known = np.ones(len(places), dtype=np.bool_)
    for numbers in (effect, se, influence):
        numbers[~known] = np.nan
    low, high = interval(effect, se, found.estimate.df)
    columns: Sequence[Floats] = (influence, effect, se, low, high, q)
    return tuple(
        DrivenExample(int(example), int(label), int(group) if named else None, *map(float, values))
        for example, label, group, named, *values in zip(
            found.example_indices[places], found.labels[places], found.groups[rows], known, *columns, strict=True
        )
    )
