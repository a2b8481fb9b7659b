"""Whether predictions flip where the groups to blame are left out: what the retrainings of a verification show.

The retrainings are a pruning with one or several lists, and its controls: models that keep everything, and models that
drop as many groups at random. The example's influences came from the sweep's models, these retrainings are others, so
the same example may be asked about. How many of the evaluate half flip says what leaving the groups out costs or gains
elsewhere; that half had no part in choosing them, and the example asked about is not counted in it.

Where the retrainings that verify an example are kept, and the command line that asks for them.

Loads nothing heavy: an app asks for every image that is opened, and paints meanwhile.

What is retrained to put the blame for one test example to the test.

A pruning with one list: the groups that are most to blame are left out, several seeds; beside it as many are left out
at random, and everything is kept. So it is planned, trained, stopped and gone on with as any pruning is, and there is
no second way to train. What its retrainings say of the example is for `flips` to read.
"""

from dataclasses import dataclass
from math import comb, nan

import numpy as np
from numpy.typing import NDArray

from tui_influence.analysis.failures import (
    harmful_groups,
)
from tui_influence.analysis.question import Question
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.analysis.types import (
    HarmfulGroup,
)
from tui_influence.errors import ResultsError
from tui_influence.influence.outputs import Mask
from tui_influence.pruning.arms import choice
from tui_influence.pruning.options import kept_at
from tui_influence.pruning.planning import Wanted
from tui_influence.pruning.results import (
    difference,
    mean_of,
)
from tui_influence.pruning.types import Against, ArmOnExample, Flipped, Verified
from tui_influence.roles import (
    ArmKind,
    Role,
)
from tui_influence.store.examples import read_examples
from tui_influence.store.matrix import load_outputs
from tui_influence.store.paths import Paths
from tui_influence.store.pruning_plan import (
    Pruning,
    check_arms,
)
from tui_influence.store.run_info import RunInfo
from tui_influence.text import printable


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


SEEDS = 10
"""Retrainings of each arm: with fewer, hardly any change from wrong to right is more than chance."""
FEWEST_SEEDS = 4
"""Retrainings of an arm from which a flip can be told: 4 of 4 against 0 of 4 has p = 0.029, 3 of 3 has 0.1."""
DROP = 3
"""Groups that are left out, the most blamed first."""


@dataclass(frozen=True)
class Verification:
    """What is to be retrained for one example.

    Attributes:
        own: where it is kept.
        blamed: groups that are left out, the worst first.
        wanted: the pruning that leaves them out.
    """

    own: Paths
    blamed: tuple[HarmfulGroup, ...]
    wanted: Wanted

    @property
    def told(self) -> bool:
        """Whether any of the groups is to blame by more than chance."""
        return any(one.is_significant for one in self.blamed)


def verification(
    reading: RunSnapshot,
    question: Question,
    *,
    drop: int | None = None,
    seeds: int | None = None,
    devices: list[str] | str | None = None,
) -> Verification:
    """Return what is to be retrained. Nothing is written.

    Args:
        reading: of the question's target.
        question: names the example, and what its blame is estimated with.
        drop: groups to leave out, `DROP` if it is not given; fewer are, where fewer lower the margin.
        seeds: retrainings of each arm, `SEEDS` if it is not given.
        devices: instead of the config's.

    Raises:
        ConfigError: the question does not fit the run, or too few groups would stay.
        ResultsError: nothing is to blame, or too few models have been recorded to say.
    """
    example = question.example
    if example is None:
        raise ValueError("a verification is of one example")
    found = harmful_groups(reading, question, drop or DROP)
    if not found:
        raise ResultsError(f"nothing lowers the margin of example {example}: there is nothing to leave out")
    groups = reading.info.source.groups
    names = [groups[one.group] for one in found]
    wanted = Wanted(
        chosen=[choice(names, groups, ArmKind.DROP, f"{len(names)} blamed for example {example}")],
        seeds=seeds or SEEDS,
        weights={reading.target_info.name: 1.0},
        estimator=question.estimator,
        output=question.output_kind,
        baselines=(),
        devices=devices,
    )
    return Verification(kept_at(reading.paths, reading.target, example), found, wanted)
