"""The rankings of source classes that one model gives, which thousands of models have to beat.

A model trained on every source class takes each target example for one of them, by its head (label mapping) or by the
nearest mean of a class's features (feature mapping); a class that hardly any example is taken for is of no use to the
target (DP4TL, Zhang et al., NeurIPS 2023; theirs clusters the source instead of using its classes for features).
Counted on the `estimate` half.

What follows once every arm has its first repeats: the arms that one model ranks for, and more repeats where needed.

More repeats are decided by how much an arm's accuracy varies, never by what it gained: to train until an interval
leaves out zero would find gains where there are none. The rule is Stein's (1945), in two stages: the first repeats say
how many are needed for an interval of the width that was asked for. They alone decide, so that asking again changes
nothing (unless somebody asks for more first repeats).
"""

from math import ceil, isfinite

import numpy as np
from numpy.typing import NDArray

from tui_influence.designs import Row
from tui_influence.errors import ResultsError
from tui_influence.influence.estimate import t_quantile
from tui_influence.pruning.arms import arm_key, with_arms
from tui_influence.pruning.results import first_accuracies
from tui_influence.roles import (
    ArmKind,
    Role,
)
from tui_influence.store.examples import read_examples
from tui_influence.store.paths import Paths
from tui_influence.store.pruning_plan import (
    EXTENDABLE_ARMS,
    Pruning,
    read_arms,
    write_arms,
)
from tui_influence.store.records import read_record
from tui_influence.store.run_info import read_run_info
from tui_influence.text import printable


def class_usage(paths: Paths, pruning: Pruning, kind: ArmKind) -> list[NDArray[np.float64]]:
    """Return how often target examples are taken for each class, (K,) for each repeat of keeping everything.

    Targets count by their weights. Repeats are counted from the first, up to one that is not recorded.

    Args:
        paths: of the pruning.
        pruning: whose groups are the source classes.
        kind: by labels or by features.

    Raises:
        ResultsError: a record is damaged.
    """
    info = read_run_info(paths.root)
    halves = [read_examples(paths, info, place).estimate for place in range(len(info.targets))]
    everything = next(arm for arm in pruning.arms if arm.kind is ArmKind.ALL)
    uses: list[NDArray[np.float64]] = []
    for row in everything.rows:
        if not all(paths.record(Role.ARM, row.index, place).exists() for place in range(len(halves))):
            break
        count = np.zeros(len(pruning.groups))
        for place, half in enumerate(halves):
            record = read_record(paths, Role.ARM, row.index, place)
            taken = record.mapped if kind is ArmKind.LABELS else record.nearest
            if taken is None or len(taken) != len(half):
                raise ResultsError(
                    f"{printable(str(paths.root))}: its records do not say which class each example is taken for"
                )
            share = np.bincount(taken[half], minlength=len(count))[: len(count)] / half.sum()
            count += pruning.ranking.targets[info.targets[place].name] * share
        uses.append(count)
    return uses


def extend_plan(paths: Paths) -> list[Row]:
    """Return the rows of a run, all that there are by now, after planning what follows; none for a sweep.

    Raises:
        ResultsError: it cannot be read.
    """
    if not paths.arms.exists():
        return []
    pruning = read_arms(paths)
    grown = with_arms(pruning, [], [], pruning.stages.seeds, repeats=repeats_needed(paths, pruning))
    uses = {kind: class_usage(paths, pruning, kind) for kind in pruning.stages.baselines}
    grown = with_arms(grown, [], [], pruning.stages.seeds, {kind: found for kind, found in uses.items() if found})
    if grown != pruning:
        write_arms(paths, grown)
    return grown.rows()


def repeats_needed(paths: Paths, pruning: Pruning) -> dict[str, int]:
    """Return how many repeats some arms need, by `arms.identity`, so that the gain of each is known as well as asked.

    With r repeats of an arm and as many that keep everything, whose accuracies vary by s and s0, the half width is
    t sqrt((s^2 + s0^2) / r), t of the first repeats' degrees of freedom.
    """
    stages = pruning.stages
    if not stages.within or stages.most <= stages.seeds or stages.seeds < 2:
        return {}
    first = first_accuracies(paths, read_run_info(paths.root), pruning)
    control = next(arm_key(arm) for arm in pruning.arms if arm.kind is ArmKind.ALL)
    needed: dict[str, int] = {}
    for arm in pruning.arms:
        both = [first[key] for key in (arm_key(arm), control)]
        if arm.kind not in EXTENDABLE_ARMS or arm.kind is ArmKind.ALL or min(len(values) for values in both) < 2:
            continue
        spread = sum(float(np.var(values, ddof=1)) for values in both)
        df = sum(len(values) - 1 for values in both)
        count = ceil(spread * (t_quantile(0.975, df) / stages.within) ** 2)
        needed[arm_key(arm)] = min(count, stages.most) if isfinite(spread) else stages.seeds
    if needed:
        needed[control] = max(needed.values())
    return needed
