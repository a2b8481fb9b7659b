"""Whether predictions flip where the groups to blame are left out: what the retrainings of a verification show.

The retrainings are a pruning with one or several lists, and its controls: models that keep everything, and models that
drop as many groups at random. The example's influences came from the sweep's models, these retrainings are others, so
the same example may be asked about. How many of the evaluate half flip says what leaving the groups out costs or gains
elsewhere; that half had no part in choosing them, and the example asked about is not counted in it.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import comb, nan

import numpy as np
from numpy.typing import NDArray

from tui_influence.errors import ResultsError
from tui_influence.export.report import SIGNIFICANT
from tui_influence.influence.outputs import Mask
from tui_influence.pruning.measured import Interval, difference, mean_of
from tui_influence.roles import Role
from tui_influence.store.arms_file import Arm, ArmKind, Pruning, check_arms
from tui_influence.store.examples import read_examples
from tui_influence.store.matrix import load_outputs
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo
from tui_influence.text import printable


class Outcome(StrEnum):
    """What follows from leaving out what is to blame for an example."""

    OPEN = "open"
    """Too few retrainings are recorded to say."""
    HOLDS = "holds"
    """Most are right about it, where with everything most were not; and more than without as many at random."""
    OFTENER = "oftener"
    """It is right more often than with everything and than without as many at random, but not where most were wrong
    and most are right."""
    ANY = "any"
    """It is right more often than with everything, and not more often than without as many at random."""
    WORSE = "worse"
    """It is right less often than with everything."""
    RIGHT = "right"
    """Most models that keep everything are right about it, so that nothing could flip."""
    MARGIN = "margin"
    """Its margin is higher than with everything and than without as many at random; no more than that."""
    NOTHING = "nothing"
    """Nothing can be told from chance."""


@dataclass(frozen=True)
class Against:
    """An arm held against a control, on one example.

    Attributes:
        p: two-sided p-value that both are right equally often (Fisher's exact test); NaN without retrainings.
        margin: change of the mean margin, nats, with Welch's interval.
    """

    p: float
    margin: Interval


@dataclass(frozen=True)
class Flipped:
    """Examples of the evaluate half whose usual prediction is another than in models that keep everything.

    Attributes:
        to_right: wrong by most with everything, right by most without the groups.
        to_wrong: the other way round.
        size: examples that were looked at.
    """

    to_right: int
    to_wrong: int
    size: int


@dataclass(frozen=True)
class ArmOnExample:
    """What the retrainings of one arm say about the example.

    Attributes:
        arm: which.
        models: retrainings recorded.
        right: how many of them are right about the example.
        margin: mean margin of the example, nats, with its t interval.
        over_all: against keeping everything; None for that arm itself.
        over_random: against as many dropped at random; None where that is the arm itself, or not retrained.
        flipped: of the evaluate half, against keeping everything; None where either has no retraining.
    """

    arm: Arm
    models: int
    right: int
    margin: Interval
    over_all: Against | None
    over_random: Against | None
    flipped: Flipped | None


@dataclass(frozen=True)
class Verified:
    """A verification as far as it is recorded.

    Attributes:
        info: of the retrainings.
        pruning: what they were planned to be.
        example: that is asked about, by number.
        label: its class.
        arms: in the order of the plan.
        damaged: records that had to be left out.
    """

    info: RunInfo
    pruning: Pruning
    example: int
    label: int
    arms: tuple[ArmOnExample, ...]
    damaged: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether every arm has all its retrainings."""
        return all(found.models == len(found.arm.rows) for found in self.arms)

    @property
    def blamed(self) -> tuple[ArmOnExample, ...]:
        """The arms that leave out what is to blame; more than one where different numbers of groups were asked for."""
        return tuple(one for one in self.arms if one.arm.kind is ArmKind.DROP)

    def of(self, kind: ArmKind, k: int) -> ArmOnExample | None:
        """Return the first arm of a kind that leaves out `k` groups."""
        return next((one for one in self.arms if (one.arm.kind, one.arm.k) == (kind, k)), None)

    def outcome(self, one: ArmOnExample) -> Outcome:
        """Return what follows from an arm that leaves out what is to blame."""
        everything, control = self.of(ArmKind.ALL, 0), self.of(ArmKind.RANDOM, one.arm.k)
        if everything is None or control is None or one.over_all is None or one.over_random is None:
            return Outcome.OPEN
        if not all(arm.models > 1 for arm in (one, everything, control)):
            return Outcome.OPEN
        flips, beyond = (
            against.p < SIGNIFICANT and one.right * other.models > other.right * one.models
            for against, other in ((one.over_all, everything), (one.over_random, control))
        )
        if flips and not beyond:
            return Outcome.ANY
        if flips:
            turns = 2 * everything.right <= everything.models and 2 * one.right > one.models
            return Outcome.HOLDS if turns else Outcome.OFTENER
        if one.over_all.p < SIGNIFICANT:
            return Outcome.WORSE
        if 2 * everything.right > everything.models:
            return Outcome.RIGHT
        rises = one.over_all.margin.sign > 0 and one.over_random.margin.sign > 0
        return Outcome.MARGIN if rises else Outcome.NOTHING


def verified(paths: Paths, info: RunInfo, pruning: Pruning, example: int) -> Verified:
    """Read what the retrainings of a verification say by now.

    Args:
        paths: of the verification.
        info: of the verification; its first target is the example's.
        pruning: its arms.
        example: by number.

    Raises:
        ResultsError: it cannot be read, or has no such example.
    """
    check_arms(paths, pruning, info)
    examples, outputs = read_examples(paths, info, 0), load_outputs(paths, info, Role.ARM, 0)
    if not 0 <= example < len(examples.labels):
        raise ResultsError(f"{printable(str(paths.root))}: no example {example}")
    correct = np.asarray(outputs.predicted) == examples.labels.astype(np.uint16)
    margins = np.asarray(outputs.margins[:, example], dtype=np.float64)
    elsewhere = ~examples.estimate
    elsewhere[example] = False
    rows = {
        (arm.kind, arm.k, arm.label): np.flatnonzero(np.isin(outputs.indices, [row.index for row in arm.rows]))
        for arm in pruning.arms
    }
    of_kind = {(kind, k): found for (kind, k, _), found in rows.items()}

    def against(own: NDArray[np.intp], other: NDArray[np.intp]) -> Against:
        hits = (int(correct[own, example].sum()), int(correct[other, example].sum()))
        return Against(fisher_exact(hits[0], len(own), hits[1], len(other)), difference(margins[own], margins[other]))

    everything = of_kind[ArmKind.ALL, 0]
    arms = []
    for arm in pruning.arms:
        own = rows[arm.kind, arm.k, arm.label]
        others = of_kind.get((ArmKind.RANDOM, arm.k))
        arms.append(
            ArmOnExample(
                arm=arm,
                models=len(own),
                right=int(correct[own, example].sum()),
                margin=mean_of(margins[own]),
                over_all=None if arm.kind is ArmKind.ALL else against(own, everything),
                over_random=None if others is None or arm.kind is ArmKind.RANDOM else against(own, others),
                flipped=None if arm.kind is ArmKind.ALL else _flipped(correct[:, elsewhere], own, everything),
            )
        )
    return Verified(info, pruning, example, int(examples.labels[example]), tuple(arms), outputs.damaged)


def fisher_exact(right: int, models: int, other_right: int, others: int) -> float:
    """Two-sided p-value that two groups of models are right equally often (Fisher 1935); NaN if either is empty.

    The sum of the probabilities, given how many are right in all, of every outcome no more probable than the one seen.
    """
    if not models or not others:
        return nan
    total = right + other_right
    ways = [comb(models, k) * comb(others, total - k) for k in range(max(0, total - others), min(models, total) + 1)]
    seen = comb(models, right) * comb(others, other_right)
    return sum(way for way in ways if way <= seen) / comb(models + others, total)


def _flipped(correct: Mask, own: NDArray[np.intp], everything: NDArray[np.intp]) -> Flipped | None:
    if not len(own) or not len(everything):
        return None
    now, before = (correct[rows].mean(axis=0) > 0.5 for rows in (own, everything))
    return Flipped(int(np.count_nonzero(now & ~before)), int(np.count_nonzero(before & ~now)), correct.shape[1])
