"""Which groups a pruning drops: its arms, from a ranking, by chance, or from a list of the user's.

A row's seed and its random draw depend on the run's seed, the arm and the repeat alone: more repeats or more arms
leave every row that exists as it is.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tui_influence.designs import MIN_GROUPS, arm_seed, draw_dropped_groups, shuffle_groups
from tui_influence.errors import ConfigError
from tui_influence.roles import (
    BASELINES,
    ArmKind,
)
from tui_influence.store.pruning_plan import (
    Arm,
    ArmRow,
    Pruning,
)
from tui_influence.text import printable

SEEDS = 5
"""Retrainings of an arm, if nobody says otherwise."""
_BY_K = (ArmKind.LOWEST, ArmKind.RANDOM, ArmKind.HIGHEST)
_GRID = (1 / 12, 1 / 6, 1 / 3, 1 / 2)


@dataclass(frozen=True)
class Chosen:
    """Groups that the user chose by hand.

    Attributes:
        kind: `keep` or `drop`: what the list says of its groups.
        label: what tables call the arm.
        dropped: groups left out, ascending.
    """

    kind: ArmKind
    label: str
    dropped: tuple[int, ...]


def default_grid(groups: int) -> tuple[int, ...]:
    """Return how many of so many groups are dropped if nobody says otherwise: up to half, closer at the low end."""
    most = groups - MIN_GROUPS
    return tuple(sorted({min(max(1, round(share * groups)), most) for share in _GRID}))


def check_grid(ks: Sequence[int], groups: int) -> tuple[int, ...]:
    """Return the numbers of groups to drop, ascending and once each.

    Raises:
        ConfigError: one is impossible.
    """
    most = groups - MIN_GROUPS
    for k in ks:
        if not 1 <= k <= most:
            raise ConfigError(
                f"k = {k}: the source has {groups} groups, of which 1 to {most} can be dropped "
                f"({MIN_GROUPS} must stay to train a classifier)"
            )
    return tuple(sorted(set(ks)))


def choice(names: Sequence[str], groups: Sequence[str], kind: ArmKind, label: str) -> Chosen:
    """Return what a list of groups keeps or drops; `label` is what tables and messages call it.

    Raises:
        ConfigError: it leaves too few groups, or all.
    """
    place = {name: number for number, name in enumerate(groups)}
    where = printable(label)
    listed = {place[name] for name in names}
    dropped = listed if kind is ArmKind.DROP else set(range(len(groups))) - listed
    kept = len(groups) - len(dropped)
    if kept < MIN_GROUPS:
        raise ConfigError(f"{where}: it leaves {kept} of {len(groups)} groups: at least {MIN_GROUPS} must stay")
    if not dropped:
        raise ConfigError(f"{where}: it drops nothing: that is the arm that keeps everything")
    return Chosen(kind, f"{kind} {label}", tuple(sorted(dropped)))


def order_of(influence: Sequence[float | None]) -> NDArray[np.int64]:
    """Return the groups from lowest to highest influence, those of unknown influence in the middle (at the median)."""
    known = [value for value in influence if value is not None]
    middle = float(np.median(known)) if known else 0.0
    return np.argsort([middle if value is None else value for value in influence], kind="stable")


def with_arms(
    pruning: Pruning,
    ks: Sequence[int],
    chosen: Sequence[Chosen],
    seeds: int,
    uses: Mapping[ArmKind, Sequence[NDArray[np.float64]]] | None = None,
    repeats: Mapping[str, int] | None = None,
) -> Pruning:
    """Return a pruning with further arms, and at least `seeds` repeats of every arm; existing rows stay as they are.

    Args:
        pruning: with arms or none yet.
        ks: numbers of groups to drop, lowest first, at random and highest first.
        chosen: lists of the user's; each is compared with as many dropped at random.
        seeds: repeats of each arm.
        uses: by baseline, for each repeat of keeping everything, (K,) how often target examples are taken for each
            group. Adds that baseline for every k that is dropped lowest first, with as many repeats as that arm has
            and these allow: each repeat has its own ranking.
        repeats: more repeats of some arms, by `identity`.
    """
    uses, repeats = uses or {}, repeats or {}
    order = order_of(pruning.ranking.influence)
    arms = {identity(arm): arm for arm in pruning.arms}

    def add(kind: ArmKind, label: str, k: int, dropped: tuple[int, ...] = ()) -> None:
        arms.setdefault(_identity(kind, k, dropped), Arm(kind, label, k, ()))

    add(ArmKind.ALL, "keep everything", 0)
    for kind in _BY_K:
        for k in ks:
            add(kind, f"{kind} {k}", k)
    for one in chosen:
        add(one.kind, one.label, len(one.dropped), one.dropped)
        add(ArmKind.RANDOM, f"random {len(one.dropped)}", len(one.dropped))
    for kind in uses:
        for arm in [arm for arm in arms.values() if arm.kind is ArmKind.LOWEST]:
            add(kind, f"{kind.replace('-', ' ')} {arm.k}", arm.k)
    lists = {_identity(one.kind, len(one.dropped), one.dropped): one.dropped for one in chosen}
    lists |= {identity(arm): arm.rows[0].dropped for arm in pruning.arms}

    def wanted(key: str, arm: Arm) -> int:
        if arm.kind not in BASELINES:
            return max(seeds, repeats.get(key, 0))
        beside = len(arms[_identity(ArmKind.LOWEST, arm.k, ())].rows)
        return min(len(uses.get(arm.kind, ())), max(seeds, beside))

    counts = {key: max(len(arm.rows), wanted(key, arm)) for key, arm in arms.items()}
    index = pruning.n_rows
    grown: dict[str, tuple[ArmRow, ...]] = dict.fromkeys(arms, ())
    for repeat in range(max(counts.values())):
        for key, arm in arms.items():
            if not len(arm.rows) <= repeat < counts[key]:
                continue
            match arm.kind:
                case ArmKind.LABELS | ArmKind.FEATURES:
                    ties = shuffle_groups(pruning.seed, len(pruning.groups), repeat)
                    dropped = np.lexsort((ties, uses[arm.kind][repeat]))[: arm.k]
                case ArmKind.LOWEST:
                    dropped = order[: arm.k]
                case ArmKind.HIGHEST:
                    dropped = order[::-1][: arm.k]
                case ArmKind.RANDOM:
                    dropped = draw_dropped_groups(pruning.seed, len(pruning.groups), arm.k, repeat)
                case _:
                    dropped = np.array(lists.get(key, ()), dtype=np.int64)
            numbers = tuple(sorted(dropped.tolist()))
            grown[key] += (ArmRow(index, repeat, arm_seed(pruning.seed, key, repeat), numbers),)
            index += 1
    return replace(pruning, arms=tuple(replace(arm, rows=arm.rows + grown[key]) for key, arm in arms.items()))


def identity(arm: Arm) -> str:
    """Return what tells an arm that has rows from the others of a pruning: how many it drops, or for a list, which."""
    return _identity(arm.kind, arm.k, arm.rows[0].dropped)


def _identity(kind: ArmKind, k: int, dropped: tuple[int, ...]) -> str:
    if kind not in (ArmKind.KEEP, ArmKind.DROP):
        return f"{kind} {k}"
    return f"list {hashlib.blake2b(repr(dropped).encode(), digest_size=8).hexdigest()}"
