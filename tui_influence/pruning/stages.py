"""Second stage of a pruning: baseline arms, and additional repeats.

It follows once every arm has its first repeats. A model trained on every source class maps each target example to one
of them, by its head (label mapping) or by the nearest mean of a class's features (feature mapping); a class that hardly
any example is mapped to is of no use to the target (DP4TL, Zhang et al., NeurIPS 2023, which clusters the source
instead of using its classes for features). These are the single-model baselines that thousands of models have to beat.
Examples are counted on the `estimate` half. The prior networks of the sweep are such models, one for each repeat, so
that baseline arms are trained with the others; for repeats beyond them, and for sweeps without them, the models of the
pruning that keep everything are used, once they are trained.

Additional repeats depend on how much an arm's accuracy varies, never on its gain: to train until an interval excludes
zero would find gains where there are none. The rule is Stein's (1945), in two stages: the first repeats determine how
many are needed for an interval of the requested width. They alone do, so that asking again changes nothing (unless more
first repeats are requested).
"""

from collections.abc import Mapping
from contextlib import suppress
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
from tui_influence.store.records import DamagedRecordError, read_record
from tui_influence.store.run_info import RunInfo, read_run_info
from tui_influence.text import printable

Usage = NDArray[np.float64]
"""(K,) weighted share of a target's examples that a model maps to each class."""


def prior_usage(paths: Paths, info: RunInfo, weights: Mapping[str, float], kind: ArmKind) -> list[Usage]:
    """Return how often each recorded prior network of a sweep maps target examples to each class, (K,) for each.

    Damaged records are left out, as they are from the ranking.

    Args:
        paths: of the sweep, whose groups are the source classes.
        info: of the sweep.
        weights: of targets by name.
        kind: by labels or by features.

    Raises:
        ResultsError: the records cannot be read.
    """
    usage = []
    for index in range(info.prior):
        with suppress(DamagedRecordError):
            usage.append(_usage(paths, info, (Role.PRIOR, index), weights, kind))
    return [of_model for of_model in usage if of_model is not None]


def class_usage(pruning_paths: Paths, pruning: Pruning, kind: ArmKind) -> list[Usage]:
    """Return how often each repeat of keeping everything maps target examples to each class, (K,) for each repeat.

    Repeats are counted from the first, up to one that is not recorded.

    Args:
        pruning_paths: of the pruning.
        pruning: whose groups are the source classes.
        kind: by labels or by features.

    Raises:
        ResultsError: a record is damaged.
    """
    info = read_run_info(pruning_paths.root)
    everything = next(arm for arm in pruning.arms if arm.kind is ArmKind.ALL)
    usage: list[Usage] = []
    for row in everything.rows:
        of_model = _usage(pruning_paths, info, (Role.ARM, row.index), pruning.ranking.targets, kind)
        if of_model is None:
            break
        usage.append(of_model)
    return usage


def _usage(
    paths: Paths, info: RunInfo, model: tuple[Role, int], weights: Mapping[str, float], kind: ArmKind
) -> Usage | None:
    """Return the usage by one model of a run; None if it is not recorded for every target."""
    targets = {info.target_index(name): weight for name, weight in weights.items()}
    if not all(paths.record(*model, target).exists() for target in targets):
        return None
    usage = np.zeros(len(info.source.groups))
    for target, weight in targets.items():
        half = read_examples(paths, info, target).estimate
        record = read_record(paths, *model, target)
        mapped = record.mapped if kind is ArmKind.LABELS else record.nearest
        if mapped is None or len(mapped) != len(half):
            root = printable(str(paths.root))
            raise ResultsError(f"{root}: its records do not name the class that each example is mapped to")
        usage += weight * np.bincount(mapped[half], minlength=len(usage))[: len(usage)] / half.sum()
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
