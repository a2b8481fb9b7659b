"""What follows once every arm has its first repeats: the arms that one model ranks for, and more repeats where needed.

More repeats are decided by how much an arm's accuracy varies, never by what it gained: to train until an interval
leaves out zero would find gains where there are none. The rule is Stein's (1945), in two stages: the first repeats say
how many are needed for an interval of the width that was asked for. They alone decide, so that asking again changes
nothing (unless somebody asks for more first repeats).
"""

from math import ceil, isfinite

import numpy as np

from tui_influence.designs import Row
from tui_influence.influence.estimate import t_quantile
from tui_influence.pruning.arms import identity, with_arms
from tui_influence.pruning.mapping import uses_of_classes
from tui_influence.pruning.measured import first_accuracies
from tui_influence.store.arms_file import MAY_GROW, ArmKind, Pruning, read_arms, write_arms
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import read_run_info


def whole_plan(paths: Paths) -> list[Row]:
    """Return the rows of a run, all that there are by now, after planning what follows; none for a sweep.

    Raises:
        ResultsError: it cannot be read.
    """
    if not paths.arms.exists():
        return []
    pruning = read_arms(paths)
    grown = with_arms(pruning, [], [], pruning.stages.seeds, repeats=repeats_needed(paths, pruning))
    uses = {kind: uses_of_classes(paths, pruning, kind) for kind in pruning.stages.baselines}
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
    control = next(identity(arm) for arm in pruning.arms if arm.kind is ArmKind.ALL)
    needed: dict[str, int] = {}
    for arm in pruning.arms:
        both = [first[key] for key in (identity(arm), control)]
        if arm.kind not in MAY_GROW or arm.kind is ArmKind.ALL or min(len(values) for values in both) < 2:
            continue
        spread = sum(float(np.var(values, ddof=1)) for values in both)
        df = sum(len(values) - 1 for values in both)
        count = ceil(spread * (t_quantile(0.975, df) / stages.within) ** 2)
        needed[identity(arm)] = min(count, stages.most) if isfinite(spread) else stages.seeds
    if needed:
        needed[control] = max(needed.values())
    return needed
