"""Second stage of a pruning: baseline arms, and additional repeats.

It follows once every arm has its first repeats. A model trained on every source class maps each target example to one
of them, by its head (label mapping) or by the nearest mean of a class's features (feature mapping); a class that hardly
any example is mapped to is of no use to the target (DP4TL, Zhang et al., NeurIPS 2023, which clusters the source
instead of using its classes for features). These are the single-model baselines that thousands of models have to beat.
Examples are counted on the `estimate` half.

Additional repeats depend on how much an arm's accuracy varies, never on its gain: to train until an interval excludes
zero would find gains where there are none. The rule is Stein's (1945), in two stages: the first repeats determine how
many are needed for an interval of the requested width. They alone do, so that asking again changes nothing (unless more
first repeats are requested).
"""

from math import ceil, isfinite

import numpy as np
from numpy.typing import NDArray

from tui_influence.designs import Row
from tui_influence.errors import ResultsError
from tui_influence.influence.estimate import t_quantile
from tui_influence.pruning.arms import arm_key, with_arms
from tui_influence.pruning.results import first_accuracies
from tui_influence.roles import ArmKind, Role
from tui_influence.store.examples import read_examples
from tui_influence.store.paths import Paths
from tui_influence.store.pruning_plan import EXTENDABLE_ARMS, Pruning, read_arms, write_arms
from tui_influence.store.records import read_record
from tui_influence.store.run_info import read_run_info
from tui_influence.text import printable


def class_usage(pruning_paths: Paths, pruning: Pruning, kind: ArmKind) -> list[NDArray[np.float64]]:
    """Return how often target examples are mapped to each class, (K,) for each repeat of keeping everything.

    Targets count by their weights. Repeats are counted from the first, up to one that is not recorded.

    Args:
        pruning_paths: of the pruning.
        pruning: whose groups are the source classes.
        kind: by labels or by features.

    Raises:
        ResultsError: a record is damaged.
    """
    info = read_run_info(pruning_paths.root)
    halves = [read_examples(pruning_paths, info, index).estimate for index in range(len(info.targets))]
    everything = next(arm for arm in pruning.arms if arm.kind is ArmKind.ALL)
    usage: list[NDArray[np.float64]] = []
    for row in everything.rows:
        if not all(pruning_paths.record(Role.ARM, row.index, index).exists() for index in range(len(halves))):
            break
        count = np.zeros(len(pruning.groups))
        for index, half in enumerate(halves):
            record = read_record(pruning_paths, Role.ARM, row.index, index)
            mapped = record.mapped if kind is ArmKind.LABELS else record.nearest
            if mapped is None or len(mapped) != len(half):
                root = printable(str(pruning_paths.root))
                raise ResultsError(f"{root}: its records do not name the class that each example is mapped to")
            share = np.bincount(mapped[half], minlength=len(count))[: len(count)] / half.sum()
            count += pruning.ranking.targets[info.targets[index].name] * share
        usage.append(count)
    return usage


def extend_pruning(paths: Paths) -> list[Row]:
    """Plan the second stage of a pruning where it is due, and return all rows of the run.

    Raises:
        ResultsError: it cannot be read.
    """
    pruning = read_arms(paths)
    extended = with_arms(pruning, [], [], pruning.stages.seeds, repeats=repeats_needed(paths, pruning))
    usage = {kind: class_usage(paths, pruning, kind) for kind in pruning.stages.baselines}
    usage = {kind: counts for kind, counts in usage.items() if counts}
    extended = with_arms(extended, [], [], pruning.stages.seeds, usage)
    if extended != pruning:
        write_arms(paths, extended)
    return extended.rows()


def repeats_needed(pruning_paths: Paths, pruning: Pruning) -> dict[str, int]:
    """Return how many repeats some arms need, by `arm_key`, for an interval of the requested width.

    With r repeats of an arm and as many that keep everything, whose accuracies vary by s and s0, the half width is
    t sqrt((s^2 + s0^2) / r), t of the first repeats' degrees of freedom.
    """
    stages = pruning.stages
    if not stages.within or stages.most <= stages.seeds or stages.seeds < 2:
        return {}
    first = first_accuracies(pruning_paths, read_run_info(pruning_paths.root), pruning)
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
