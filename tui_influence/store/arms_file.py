"""`arms.json`: what a pruning retrains, and why. Written before anything is trained; the plan is made from it.

Groups are numbers, positions in `groups`; a row's mask keeps every group that it does not drop. More seeds or more
arms add rows at the end: a row that exists never changes, so its record stays what it was.
"""

from dataclasses import asdict, dataclass
from enum import StrEnum
from math import isfinite
from typing import Any

import numpy as np

from tui_influence.designs import MIN_GROUPS, Row
from tui_influence.errors import ResultsError
from tui_influence.roles import Role
from tui_influence.store.files import make_directory, read_json, write_json
from tui_influence.store.paths import Paths
from tui_influence.text import printable

_SCHEMA = 2

Gain = tuple[float, float, float]


class ArmKind(StrEnum):
    """How the groups that an arm drops were chosen."""

    ALL = "all"
    """None is dropped: what every other arm is compared with."""
    LOWEST = "lowest"
    """Those of lowest influence."""
    RANDOM = "random"
    """Drawn anew for every repeat."""
    HIGHEST = "highest"
    """Those of highest influence."""
    LABELS = "label-mapping"
    """Those that a model trained on everything takes fewest target examples for (DP4TL, NeurIPS 2023)."""
    FEATURES = "feature-mapping"
    """Those whose mean feature is nearest to fewest target examples, in a model trained on everything."""
    KEEP = "keep"
    """All but those in a list of the user's."""
    DROP = "drop"
    """Those in a list of the user's."""


MAY_GROW = (ArmKind.ALL, ArmKind.LOWEST, ArmKind.KEEP, ArmKind.DROP)
"""Arms that may get more repeats where they vary; the others are there to be compared with."""
BASELINES = (ArmKind.LABELS, ArmKind.FEATURES)
"""Rankings that one model trained on everything gives, which thousands of models have to beat."""


@dataclass(frozen=True)
class ArmRow:
    """One retraining.

    Attributes:
        index: its row of the plan.
        repeat: counted from 0 within the arm.
        seed: of its training.
        dropped: groups it does without, ascending.
    """

    index: int
    repeat: int
    seed: int
    dropped: tuple[int, ...]


@dataclass(frozen=True)
class Arm:
    """Retrainings that differ in nothing but their seed (and, at random, in what they drop).

    Attributes:
        kind: how the dropped groups were chosen.
        label: what tables call it.
        k: groups dropped.
        rows: its retrainings, by repeat.
    """

    kind: ArmKind
    label: str
    k: int
    rows: tuple[ArmRow, ...]


@dataclass(frozen=True)
class RankingUsed:
    """The ranking that `lowest` and `highest` were read from.

    Attributes:
        targets: weight of each target by name; the influence is on their weighted mean.
        estimator: how influence was estimated.
        output: what it is an influence on.
        design: of the sweep, in words.
        models: that it was estimated from.
        relative: influences compare with an average other group and sum to zero.
        influence: (K,) of each group, on the `estimate` half; None where it could not be told.
        low: (K,) lower ends of their 95% intervals.
        high: (K,) upper ends.
    """

    targets: dict[str, float]
    estimator: str
    output: str
    design: str
    models: int
    relative: bool
    influence: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]


@dataclass(frozen=True)
class Forecast:
    """What dropping the k lowest was predicted to gain, before anything was trained: value and 95% interval.

    Attributes:
        k: groups dropped.
        margin_over_random: gain over as many dropped at random: value, low and high, in nats.
        accuracy_over_random: likewise, as a fraction.
        margin: gain over keeping everything; None where the sweep's masks cannot tell.
        accuracy: likewise.
    """

    k: int
    margin_over_random: Gain
    accuracy_over_random: Gain
    margin: Gain | None
    accuracy: Gain | None


@dataclass(frozen=True)
class Stages:
    """What is to follow once all arms have their first repeats, decided by nothing but how those vary.

    Attributes:
        seeds: first repeats of each arm.
        baselines: kinds of arms that the models which keep everything rank for.
        within: half width, as a fraction, that the 95% interval of an accuracy's gain is to have at most: arms that
            vary more get more repeats. Zero: none do.
        most: repeats of an arm at most.
    """

    seeds: int
    baselines: tuple[ArmKind, ...] = ()
    within: float = 0.0
    most: int = 0


@dataclass(frozen=True)
class Pruning:
    """A pruning.

    Attributes:
        sweep: name of the sweep whose ranking it tests.
        identity: of that sweep's config and data.
        seed: of the run, from which every row's seed is derived.
        groups: (K,) names.
        ranking: that was used.
        forecast: by k, ascending; empty where the models were too few to predict from.
        arms: in the order of the tables.
        stages: what follows their first repeats.
        shape: side in pixels, and channels, that all images are packed in: those of the sweep.
    """

    sweep: str
    identity: str
    seed: int
    groups: tuple[str, ...]
    ranking: RankingUsed
    forecast: tuple[Forecast, ...]
    arms: tuple[Arm, ...]
    stages: Stages
    shape: tuple[int, int]

    @property
    def size(self) -> int:
        """Rows of all arms together."""
        return sum(len(arm.rows) for arm in self.arms)

    @property
    def drops_numbers(self) -> bool:
        """Whether it drops the lowest of a ranking; of lists alone nothing is predicted, and none is recommended."""
        return any(arm.kind is ArmKind.LOWEST for arm in self.arms)

    @property
    def at_most(self) -> int:
        """Rows of all arms together once everything that may follow has followed."""
        stages = self.stages
        most = max(stages.most, stages.seeds) if stages.within else stages.seeds
        there = {arm.kind for arm in self.arms}
        lowest = [max(len(arm.rows), most) for arm in self.arms if arm.kind is ArmKind.LOWEST]
        kept = [
            max(len(arm.rows), most if arm.kind in MAY_GROW else 0) for arm in self.arms if arm.kind not in BASELINES
        ]
        kinds = {*stages.baselines, *(there & set(BASELINES))}
        return sum(kept) + len(kinds) * sum(lowest)

    def rows(self) -> list[Row]:
        """Return the plan in the order it is trained: the first repeat of every arm, then the second."""
        rows = sorted((row for arm in self.arms for row in arm.rows), key=lambda row: row.repeat)
        return [Row(Role.ARM, row.index, self._mask(row), row.seed, row.index) for row in rows]

    def _mask(self, row: ArmRow) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        mask = np.ones(len(self.groups), dtype=np.bool_)
        mask[list(row.dropped)] = False
        return mask


def write_arms(paths: Paths, pruning: Pruning) -> None:
    """Write `arms.json`; only who owns the run may.

    Raises:
        ResultsError: the directory refuses.
    """
    make_directory(paths.root)
    write_json(paths.arms, arms_to_json(pruning))


def read_arms(paths: Paths) -> Pruning:
    """Read `arms.json`.

    Raises:
        ResultsError: it is missing, damaged, or from a newer version.
    """
    return arms_from_json(read_json(paths.arms), printable(str(paths.arms)))


def arms_to_json(pruning: Pruning) -> dict[str, Any]:
    """Return a pruning as JSON values."""
    return {"schema": _SCHEMA, **asdict(pruning)}


def arms_from_json(found: dict[str, Any], where: str) -> Pruning:
    """Return the pruning in JSON values.

    Args:
        found: the values.
        where: they are from, for messages.

    Raises:
        ResultsError: they are damaged, or from another version.
    """
    try:
        if found["schema"] > _SCHEMA:
            raise ResultsError(f"{where}: made by a newer version of tinfl: upgrade this one")
        if found["schema"] < _SCHEMA:
            raise ResultsError(f"{where}: made by an older version of tinfl, whose prunings this one cannot go on with")
        side, channels = found["shape"]
        pruning = Pruning(
            sweep=str(found["sweep"]),
            identity=str(found["identity"]),
            seed=int(found["seed"]),
            groups=tuple(str(name) for name in found["groups"]),
            ranking=_ranking(found["ranking"]),
            forecast=tuple(_forecast(one) for one in found["forecast"]),
            arms=tuple(_arm(arm) for arm in found["arms"]),
            stages=_stages(found["stages"]),
            shape=(int(side), int(channels)),
        )
        _check(pruning)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ResultsError(f"{where}: damaged ({printable(str(error), 80)})") from error
    return pruning


def _ranking(found: dict[str, Any]) -> RankingUsed:
    return RankingUsed(
        targets={str(name): float(weight) for name, weight in found["targets"].items()},
        estimator=str(found["estimator"]),
        output=str(found["output"]),
        design=str(found["design"]),
        models=int(found["models"]),
        relative=bool(found["relative"]),
        influence=_numbers(found["influence"]),
        low=_numbers(found["low"]),
        high=_numbers(found["high"]),
    )


def _arm(found: dict[str, Any]) -> Arm:
    rows = tuple(
        ArmRow(int(row["index"]), int(row["repeat"]), int(row["seed"]), tuple(int(group) for group in row["dropped"]))
        for row in found["rows"]
    )
    return Arm(ArmKind(found["kind"]), str(found["label"]), int(found["k"]), rows)


def _forecast(found: dict[str, Any]) -> Forecast:
    margin, accuracy = found["margin"], found["accuracy"]
    return Forecast(
        k=int(found["k"]),
        margin_over_random=_gain(found["margin_over_random"]),
        accuracy_over_random=_gain(found["accuracy_over_random"]),
        margin=None if margin is None else _gain(margin),
        accuracy=None if accuracy is None else _gain(accuracy),
    )


def _stages(found: dict[str, Any]) -> Stages:
    baselines = tuple(ArmKind(kind) for kind in found["baselines"])
    within = float(found["within"])
    if not set(baselines) <= set(BASELINES) or not 0 <= within < 1:
        raise ValueError("its stages are none")
    return Stages(int(found["seeds"]), baselines, within, int(found["most"]))


def _numbers(found: list[Any]) -> tuple[float | None, ...]:
    return tuple(None if value is None else float(value) for value in found)


def _gain(found: list[Any]) -> Gain:
    value, low, high = (float(number) for number in found)
    return value, low, high


def _check(pruning: Pruning) -> None:
    count = len(pruning.groups)
    if [arm.kind for arm in pruning.arms].count(ArmKind.ALL) != 1:
        raise ValueError("no arm keeps everything")
    if not 0 <= pruning.seed < 2**63:
        raise ValueError("its seed is none")
    weights = pruning.ranking.targets.values()
    if not weights or not all(isfinite(weight) and weight > 0 for weight in weights):
        raise ValueError("its targets have no weights")
    rows = [row for arm in pruning.arms for row in arm.rows]
    if sorted(row.index for row in rows) != list(range(len(rows))):
        raise ValueError("its rows are not numbered from 0")
    for row in rows:
        dropped = set(row.dropped)
        if not dropped <= set(range(count)) or len(dropped) != len(row.dropped) or count - len(dropped) < MIN_GROUPS:
            raise ValueError(f"row {row.index} drops what is not there")
        if not 0 <= row.seed < 2**63:
            raise ValueError(f"row {row.index} has no seed")
    if not all(
        len(column) == count for column in (pruning.ranking.influence, pruning.ranking.low, pruning.ranking.high)
    ):
        raise ValueError("its ranking is not of its groups")
