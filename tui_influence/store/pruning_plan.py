"""Arms of a pruning, in `arms.json`: written before training; the plan is made from it.

Groups are indices into `groups`; a row's mask has every group that it does not drop. More seeds or more arms add rows
at the end: an existing row never changes, so that its record stays valid.
"""

from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np

from tui_influence.designs import MIN_GROUPS, Row
from tui_influence.errors import ResultsError
from tui_influence.roles import BASELINES, ArmKind, Role
from tui_influence.store.files import check_digest, make_directory, read_json, write_json
from tui_influence.store.json_values import (
    array,
    count,
    describe_damage,
    number,
    numbers,
    table,
    text,
    texts,
    with_digest,
)
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo
from tui_influence.text import printable

_SCHEMA = 2
_MAX_SEED = 2**63 - 1
_MAX_REPEATS = 100_000

Gain = tuple[float, float, float]


EXTENDABLE_ARMS = (ArmKind.ALL, ArmKind.LOWEST, ArmKind.KEEP, ArmKind.DROP)
"""Arms that may get more repeats if their accuracy gain is uncertain; the others are controls."""


@dataclass(frozen=True)
class ArmRow:
    """One retraining.

    Attributes:
        index: of the row in the plan.
        repeat: counted from 0 within the arm.
        seed: of its training.
        dropped: groups that are left out, ascending.
    """

    index: int
    repeat: int
    seed: int
    dropped: tuple[int, ...]


@dataclass(frozen=True)
class Arm:
    """Retrainings that differ only in their seed (and, for random arms, in the groups they drop).

    Attributes:
        kind: how the dropped groups were chosen.
        label: name in tables.
        k: groups dropped.
        rows: its retrainings, by repeat.
    """

    kind: ArmKind
    label: str
    k: int
    rows: tuple[ArmRow, ...]


@dataclass(frozen=True)
class ArmRanking:
    """The ranking that `lowest` and `highest` are chosen by.

    Attributes:
        targets: weight of each target by name; the influence is on their weighted mean.
        estimator: how influence was estimated.
        output: what it is an influence on.
        design: of the sweep, in words.
        models: that it was estimated from.
        relative: influences compare with an average other group and sum to zero.
        influence: (K,) of each group, on the `estimate` half; None where undefined.
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

    def ascending(self) -> list[int]:
        """Return the groups from lowest to highest influence, those of unknown influence in the middle (the median)."""
        middle = median([value for value in self.influence if value is not None] or [0.0])
        values = [middle if value is None else value for value in self.influence]
        return sorted(range(len(values)), key=values.__getitem__)


@dataclass(frozen=True)
class GainForecast:
    """Gain forecast of dropping the k lowest, made before training: value and 95% interval.

    Attributes:
        k: groups dropped.
        margin_over_random: gain over as many dropped at random: value, low and high, in nats.
        accuracy_over_random: likewise, as a fraction.
        margin: gain over keeping everything; None where the sweep's masks do not determine it.
        accuracy: likewise.
    """

    k: int
    margin_over_random: Gain
    accuracy_over_random: Gain
    margin: Gain | None
    accuracy: Gain | None


@dataclass(frozen=True)
class Stages:
    """Retrainings that follow the first repeats of all arms; their number depends only on the spread of these.

    Attributes:
        seeds: first repeats of each arm.
        baselines: kinds of arms whose groups the models that keep everything choose.
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
    """A pruning: its arms and the ranking that they are chosen by.

    Attributes:
        sweep: name of the sweep whose ranking is tested.
        identity: of that sweep's config and data.
        seed: of the run, from which every row's seed is derived.
        groups: (K,) names.
        ranking: that arms are chosen by.
        forecast: by k, ascending; empty if the models were too few.
        arms: in the order of the tables.
        stages: what follows their first repeats.
        shape: side in pixels, and channels, that all images are packed in: those of the sweep, or of its request.
        anchors: prior networks that the forecast over keeping everything compares with; 0 for none.
    """

    sweep: str
    identity: str
    seed: int
    groups: tuple[str, ...]
    ranking: ArmRanking
    forecast: tuple[GainForecast, ...]
    arms: tuple[Arm, ...]
    stages: Stages
    shape: tuple[int, int]
    anchors: int = 0

    @property
    def n_rows(self) -> int:
        """Rows of all arms together."""
        return sum(len(arm.rows) for arm in self.arms)

    @property
    def drops_lowest(self) -> bool:
        """Whether it drops the lowest of a ranking; lists of classes have no forecast and no recommendation."""
        return any(arm.kind is ArmKind.LOWEST for arm in self.arms)

    @property
    def max_rows(self) -> int:
        """Rows of all arms together after all stages, at most."""
        stages = self.stages
        max_repeats = max(stages.most, stages.seeds) if stages.within else stages.seeds
        kinds_present = {arm.kind for arm in self.arms}
        lowest_rows = [max(len(arm.rows), max_repeats) for arm in self.arms if arm.kind is ArmKind.LOWEST]
        other_rows = [
            max(len(arm.rows), max_repeats if arm.kind in EXTENDABLE_ARMS else 0)
            for arm in self.arms
            if arm.kind not in BASELINES
        ]
        baseline_kinds = {*stages.baselines, *(kinds_present & set(BASELINES))}
        return sum(other_rows) + len(baseline_kinds) * sum(lowest_rows)

    def rows(self) -> list[Row]:
        """Return the plan in the order it is trained: the first repeat of every arm, then the second."""
        rows = sorted((row for arm in self.arms for row in arm.rows), key=lambda row: row.repeat)
        return [Row(Role.ARM, row.index, self._mask(row), row.seed, row.index) for row in rows]

    def _mask(self, row: ArmRow) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        mask = np.ones(len(self.groups), dtype=np.bool_)
        mask[list(row.dropped)] = False
        return mask


def write_arms(paths: Paths, pruning: Pruning) -> None:
    """Write `arms.json` with a digest; only the owner of the run may.

    Raises:
        ResultsError: it cannot be written.
    """
    make_directory(paths.root)
    write_json(paths.arms, with_digest(arms_to_json(pruning)))


def read_arms(paths: Paths) -> Pruning:
    """Read `arms.json`.

    Raises:
        AlteredFileError: it does not match its digest.
        ResultsError: it is missing, damaged, or from a newer version.
    """
    values = read_json(paths.arms)
    pruning = arms_from_json(values, printable(str(paths.arms)))
    check_digest(paths.arms, values)
    return pruning


def arms_to_json(pruning: Pruning) -> dict[str, Any]:
    """Return a pruning as JSON values."""
    return {"schema": _SCHEMA, **asdict(pruning)}


def arms_from_json(values: Any, where: str) -> Pruning:
    """Return the pruning in JSON values.

    Args:
        values: as they were parsed.
        where: their origin, for messages.

    Raises:
        ResultsError: they are damaged, or from another version.
    """
    try:
        schema = count(table(values)["schema"])
        if schema > _SCHEMA:
            raise ResultsError(f"{where}: made by a newer version of tinfl: upgrade this one")
        if schema < _SCHEMA:
            raise ResultsError(f"{where}: made by an older version of tinfl, whose prunings this one cannot go on with")
        side, channels = array(values["shape"])
        pruning = Pruning(
            sweep=text(values["sweep"]),
            identity=text(values["identity"]),
            seed=count(values["seed"], _MAX_SEED),
            groups=tuple(texts(values["groups"])),
            ranking=_ranking(table(values["ranking"])),
            forecast=tuple(_forecast(table(forecast)) for forecast in array(values["forecast"])),
            arms=tuple(_arm(table(arm)) for arm in array(values["arms"])),
            stages=_stages(table(values["stages"])),
            shape=(count(side), count(channels)),
            anchors=count(values.get("anchors", 0)),  # older versions had none
        )
        _check(pruning)
    except (KeyError, TypeError, ValueError) as error:
        raise ResultsError(f"{where}: damaged ({describe_damage(error)})") from error
    return pruning


def check_arms(paths: Paths, pruning: Pruning, info: RunInfo) -> None:
    """Check that `arms.json` and `run.json` are of one pruning.

    Raises:
        ResultsError: they are of different ones.
    """
    if not info.arms:
        raise ResultsError(
            f"{printable(str(paths.arms))}: the run.json beside it is that of a sweep, which has no arms; remove this "
            "file, or copy the pruning again from where it was made"
        )
    if set(pruning.ranking.targets) != {target.name for target in info.targets}:
        problem = "its targets are not those of run.json"
    elif list(pruning.groups) != info.source.groups:
        problem = "its groups are not those of run.json"
    elif pruning.n_rows < info.arms:  # more of them: it has been extended, and run.json will be
        problem = f"{pruning.n_rows:,} rows, where run.json has {info.arms:,}"
    else:
        return
    raise ResultsError(f"{printable(str(paths.arms))}: damaged ({problem})")


def _ranking(values: dict[str, Any]) -> ArmRanking:
    is_relative = values["relative"]
    if not isinstance(is_relative, bool):
        raise TypeError("its ranking is neither relative nor absolute")
    return ArmRanking(
        targets=dict(numbers(values["targets"])),
        estimator=text(values["estimator"]),
        output=text(values["output"]),
        design=text(values["design"]),
        models=count(values["models"]),
        relative=is_relative,
        influence=_numbers(values["influence"]),
        low=_numbers(values["low"]),
        high=_numbers(values["high"]),
    )


def _arm(values: dict[str, Any]) -> Arm:
    rows = tuple(
        ArmRow(
            index=count(row["index"]),
            repeat=count(row["repeat"]),
            seed=count(row["seed"], _MAX_SEED),
            dropped=tuple(count(group) for group in array(row["dropped"])),
        )
        for row in map(table, array(values["rows"]))
    )
    return Arm(ArmKind(text(values["kind"])), text(values["label"]), count(values["k"]), rows)


def _forecast(values: dict[str, Any]) -> GainForecast:
    margin, accuracy = values["margin"], values["accuracy"]
    return GainForecast(
        k=count(values["k"]),
        margin_over_random=_gain(values["margin_over_random"]),
        accuracy_over_random=_gain(values["accuracy_over_random"]),
        margin=None if margin is None else _gain(margin),
        accuracy=None if accuracy is None else _gain(accuracy),
    )


def _stages(values: dict[str, Any]) -> Stages:
    baselines = tuple(ArmKind(kind) for kind in texts(values["baselines"]))
    if not set(baselines) <= set(BASELINES):
        raise ValueError("its stages are none")
    within, seeds, most = number(values["within"], 0, 1), values["seeds"], values["most"]
    return Stages(count(seeds, _MAX_REPEATS), baselines, within, count(most, _MAX_REPEATS))


def _numbers(values: Any) -> tuple[float | None, ...]:
    return tuple(None if value is None else number(value) for value in array(values))


def _gain(values: Any) -> Gain:
    value, low, high = (number(end) for end in array(values))
    return value, low, high


def _check(pruning: Pruning) -> None:
    groups = len(pruning.groups)
    if [arm.kind for arm in pruning.arms].count(ArmKind.ALL) != 1:
        raise ValueError("no arm keeps everything")
    weights = pruning.ranking.targets.values()
    if not weights or not all(weight > 0 for weight in weights):
        raise ValueError("its targets have no weights")
    rows = [row for arm in pruning.arms for row in arm.rows]
    if sorted(row.index for row in rows) != list(range(len(rows))):
        raise ValueError("its rows are not numbered from 0")
    for arm in pruning.arms:
        _check_arm(arm, groups)
    arm_keys = [(arm.kind, arm.k) for arm in pruning.arms if arm.kind not in (ArmKind.KEEP, ArmKind.DROP)]
    if len(set(arm_keys)) < len(arm_keys):
        raise ValueError("an arm is in it twice")
    if any(not 1 <= forecast.k <= groups for forecast in pruning.forecast):
        raise ValueError("what it forecasts cannot be dropped")
    if not all(
        len(column) == groups for column in (pruning.ranking.influence, pruning.ranking.low, pruning.ranking.high)
    ):
        raise ValueError("its ranking is not of its groups")


def _check_arm(arm: Arm, groups: int) -> None:
    if not arm.rows or [row.repeat for row in arm.rows] != list(range(len(arm.rows))):
        raise ValueError("the repeats of an arm are not numbered from 0")
    for row in arm.rows:
        if list(row.dropped) != sorted(set(row.dropped)) or any(group >= groups for group in row.dropped):
            raise ValueError(f"row {row.index} drops what is not there")
        if len(row.dropped) != arm.k or (arm.kind is ArmKind.ALL) != (arm.k == 0) or groups - arm.k < MIN_GROUPS:
            raise ValueError(f"row {row.index} does not drop {arm.k} groups, or leaves too few")
