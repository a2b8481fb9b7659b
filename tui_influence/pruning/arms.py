"""Arms of a pruning: the groups that each drops, by a ranking, at random, or by a list of the user's.

A row's seed and its random draw depend on the run's seed, the arm and the repeat alone: more repeats or more arms leave
every existing row as it is.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tui_influence.designs import MIN_GROUPS, arm_seed, draw_dropped_groups, shuffle_groups
from tui_influence.errors import ConfigError
from tui_influence.pruning.options import ClassList
from tui_influence.roles import BASELINES, ArmKind
from tui_influence.store.pruning_plan import Arm, ArmRow, Pruning
from tui_influence.text import printable

DEFAULT_SEEDS = 5
"""Retrainings of an arm by default."""
_BY_COUNT = (ArmKind.LOWEST, ArmKind.RANDOM, ArmKind.HIGHEST)
_DEFAULT_SHARES = (1 / 12, 1 / 6, 1 / 3, 1 / 2)


def default_drop_counts(groups: int) -> tuple[int, ...]:
    """Return the default numbers of groups to drop, up to half of them and closer together at the low end."""
    most = groups - MIN_GROUPS
    return tuple(sorted({min(max(1, round(share * groups)), most) for share in _DEFAULT_SHARES}))


def check_drop_counts(drop_counts: Sequence[int], groups: int) -> tuple[int, ...]:
    """Return the numbers of groups to drop, ascending and once each.

    Raises:
        ConfigError: one is impossible.
    """
    most = groups - MIN_GROUPS
    for k in drop_counts:
        if not 1 <= k <= most:
            raise ConfigError(
                f"cannot drop {k} of {groups} groups: from 1 to {most} can be dropped "
                f"({MIN_GROUPS} must stay to train a classifier)"
            )
    return tuple(sorted(set(drop_counts)))


def dropped_groups(class_list: ClassList, groups: Sequence[str]) -> tuple[int, ...]:
    """Return the indices of the groups that the arm of a list drops, ascending.

    Args:
        class_list: the list.
        groups: names of all groups.

    Raises:
        ConfigError: the list leaves too few groups, or all of them.
    """
    index_of = {name: index for index, name in enumerate(groups)}
    where = printable(class_list.name)
    listed = {index_of[name] for name in class_list.groups}
    dropped = listed if class_list.kind is ArmKind.DROP else set(range(len(groups))) - listed
    n_left = len(groups) - len(dropped)
    if n_left < MIN_GROUPS:
        raise ConfigError(f"{where} leaves {n_left} of {len(groups)} groups: at least {MIN_GROUPS} must stay")
    if not dropped:
        raise ConfigError(f"{where} drops no group: that is the arm that keeps everything")
    return tuple(sorted(dropped))


def with_arms(
    pruning: Pruning,
    drop_counts: Sequence[int],
    lists: Sequence[ClassList],
    seeds: int,
    usage: Mapping[ArmKind, Sequence[NDArray[np.float64]]] | None = None,
    repeats: Mapping[str, int] | None = None,
) -> Pruning:
    """Return a pruning with further arms, and at least `seeds` repeats of every arm; existing rows stay as they are.

    Args:
        pruning: with arms or none yet.
        drop_counts: numbers of groups to drop, lowest first, at random and highest first.
        lists: lists of the user's; each arm is compared with one that drops as many groups at random.
        seeds: repeats of each arm.
        usage: by baseline, for each repeat of keeping everything, (K,) how often target examples are mapped to each
            group. Adds that baseline for every number of groups that is dropped lowest first, with as many repeats as
            that arm has and these allow: each repeat has its own ranking.
        repeats: more repeats of some arms, by `arm_key`.

    Raises:
        ConfigError: a list leaves too few groups, or all of them.
    """
    usage, repeats = usage or {}, repeats or {}
    ascending = pruning.ranking.ascending()
    arms = {arm_key(arm): arm for arm in pruning.arms}
    listed = {arm_key(arm): arm.rows[0].dropped for arm in pruning.arms}

    def add(kind: ArmKind, label: str, k: int, dropped: tuple[int, ...] = ()) -> None:
        arms.setdefault(_arm_key(kind, k, dropped), Arm(kind, label, k, ()))

    add(ArmKind.ALL, "keep everything", 0)
    for kind in _BY_COUNT:
        for k in drop_counts:
            add(kind, f"{kind} {k}", k)
    for class_list in lists:
        dropped = dropped_groups(class_list, pruning.groups)
        k = len(dropped)
        listed.setdefault(_arm_key(class_list.kind, k, dropped), dropped)
        add(class_list.kind, class_list.label, k, dropped)
        add(ArmKind.RANDOM, f"random {k}", k)
    for kind in usage:
        for arm in [arm for arm in arms.values() if arm.kind is ArmKind.LOWEST]:
            add(kind, f"{kind.replace('-', ' ')} {arm.k}", arm.k)

    def needed(key: str, arm: Arm) -> int:
        if arm.kind not in BASELINES:
            return max(seeds, repeats.get(key, 0))
        of_lowest = len(arms[_arm_key(ArmKind.LOWEST, arm.k, ())].rows)
        return min(len(usage.get(arm.kind, ())), max(seeds, of_lowest))

    def dropped_by(key: str, arm: Arm, repeat: int) -> tuple[int, ...]:
        match arm.kind:
            case ArmKind.LABELS | ArmKind.FEATURES:
                ties = shuffle_groups(pruning.seed, len(pruning.groups), repeat)
                dropped = np.lexsort((ties, usage[arm.kind][repeat]))[: arm.k].tolist()
            case ArmKind.LOWEST:
                dropped = ascending[: arm.k]
            case ArmKind.HIGHEST:
                dropped = ascending[::-1][: arm.k]
            case ArmKind.RANDOM:
                dropped = draw_dropped_groups(pruning.seed, len(pruning.groups), arm.k, repeat).tolist()
            case _:
                return listed.get(key, ())
        return tuple(sorted(dropped))

    counts = {key: max(len(arm.rows), needed(key, arm)) for key, arm in arms.items()}
    index = pruning.n_rows
    new_rows: dict[str, tuple[ArmRow, ...]] = dict.fromkeys(arms, ())
    for repeat in range(max(counts.values())):
        for key, arm in arms.items():
            if not len(arm.rows) <= repeat < counts[key]:
                continue
            seed = arm_seed(pruning.seed, key, repeat)
            new_rows[key] += (ArmRow(index, repeat, seed, dropped_by(key, arm, repeat)),)
            index += 1
    return replace(pruning, arms=tuple(replace(arm, rows=arm.rows + new_rows[key]) for key, arm in arms.items()))


def arm_key(arm: Arm) -> str:
    """Return the key of an arm with rows: its kind and number of groups; for a list, the groups themselves."""
    return _arm_key(arm.kind, arm.k, arm.rows[0].dropped)


def _arm_key(kind: ArmKind, k: int, dropped: tuple[int, ...]) -> str:
    if kind not in (ArmKind.KEEP, ArmKind.DROP):
        return f"{kind} {k}"
    return f"list {hashlib.blake2b(repr(dropped).encode(), digest_size=8).hexdigest()}"
