"""From a sweep to a pruning that can be trained: its config, its ranking, its arms.

What a user asks of a pruning, and the pruning that it becomes: the command line and the app ask alike.

Starting the retrainings of a pruning that is planned, in the background; the one way in which they begin.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from tui_influence.analysis.snapshot import read_snapshot
from tui_influence.config.errors import find_problems
from tui_influence.config.identity import differences
from tui_influence.config.loader import config_from_json
from tui_influence.config.positions import Node
from tui_influence.config.schema import Config, RunSection
from tui_influence.designs import MIN_GROUPS
from tui_influence.errors import ConfigError, ResultsError
from tui_influence.influence.estimate import (
    interval,
)
from tui_influence.influence.estimators import DEFAULT_ESTIMATOR, estimate
from tui_influence.influence.outputs import (
    Floats,
    parse_output_kind,
)
from tui_influence.influence.types import (
    Estimate,
    OutputKind,
)
from tui_influence.pruning.arms import SEEDS, Chosen, check_grid, default_grid, with_arms
from tui_influence.pruning.forecast import predict_gain
from tui_influence.pruning.target_mix import Mixture, Side, mix_words, refuse_half_without_examples
from tui_influence.roles import (
    BASELINES,
    ArmKind,
)
from tui_influence.runs.cost import Cost, estimate_cost
from tui_influence.runs.datasets import Datasets, ProgressCallback, open_datasets
from tui_influence.runs.devices import with_devices, worker_devices
from tui_influence.runs.heartbeat import ACTIVE, observe
from tui_influence.runs.launch import start
from tui_influence.runs.ownership import already_running
from tui_influence.runs.supervisor import Observer, Request
from tui_influence.store.paths import Paths
from tui_influence.store.pruning_plan import (
    ArmRanking,
    Gain,
    GainForecast,
    Pruning,
    Stages,
    read_arms,
)
from tui_influence.store.run_info import RunInfo, read_run_info, refuse_if_imported
from tui_influence.text import printable

_NUMBERS_KEPT = 200
"""Numbers of groups for which a gain is predicted, at most."""


class OtherSettingsError(ConfigError):
    """A pruning of that name is there, and asks for something else; `details` are the differences."""


@dataclass(frozen=True)
class Asked:
    """What a pruning is to be.

    Attributes:
        weights: of the targets that count, by name.
        estimator: what groups are ranked with.
        output: what they are ranked by.
        settings: of the retraining, instead of the sweep's; dotted keys such as `train.epochs`. `transfer` applies to
            every target.
    """

    weights: Mapping[str, float]
    estimator: str
    output: str
    settings: Mapping[str, Any]


def directory_of(paths: Paths, name: str) -> Paths:
    """Return where a pruning of a sweep is kept.

    Raises:
        ConfigError: it cannot have that name.
    """
    try:
        RunSection(name=name)
    except ValidationError:
        raise ConfigError(
            f'--name "{printable(name, 60)}": must be letters, digits, ".", "_" or "-", and begin with one of the first'
        ) from None
    return Paths(paths.prunings / name)


def names_of(paths: Paths) -> list[str]:
    """Return the names of a sweep's prunings."""
    if not paths.prunings.is_dir():
        return []
    return sorted(entry.name for entry in paths.prunings.iterdir() if Paths(entry).run.exists())


def config_of(info: RunInfo, own: Paths, asked: Asked) -> Config:
    """Return the config that a pruning is trained by: the one it began with, or the sweep's, with other settings.

    Args:
        info: of the sweep.
        own: where the pruning is kept.
        asked: what it is to be.

    Raises:
        ConfigError: a setting is wrong, or not what the pruning began with.
    """
    begun = config_from_json(read_run_info(own.root).config) if own.run.exists() else None
    wanted = (begun or config_from_json(info.config)).model_dump(mode="json")
    wanted["run"] |= {"name": f"{info.name}-{own.root.name}"[:100], "output": str(own.root)}
    wanted["target"] = [target for target in wanted["target"] if target["name"] in asked.weights]
    for key, value in asked.settings.items():
        section, _, field = key.rpartition(".")
        for table in [wanted[section]] if section else wanted["target"]:
            table[field] = value
    try:
        config = Config.model_validate(wanted)
    except ValidationError:
        raise ConfigError(find_problems(wanted, Node(), "")[0].message) from None
    changed = differences(begun, config) if begun else []
    if changed:
        raise _other_settings(own, changed)
    return config


def open_sweep_data(config: Config, info: RunInfo, progress: ProgressCallback | None = None) -> Datasets:
    """Open the datasets of a pruning, and check that they are those of its sweep.

    They are packed as the sweep's were, though a target that is left out may have been the one in colour.

    Raises:
        DatasetError: one has moved.
        ConfigError: one has changed since the sweep.
    """
    data = open_datasets(config, progress, (info.resolution, info.channels))
    changed = ["the source"] if data.source.fingerprint != info.source.fingerprint else []
    for section, images in zip(config.target, data.targets, strict=True):
        known = info.targets[info.target_index(section.name)]
        if known.fingerprints != [images.train.fingerprint, images.test.fingerprint]:
            changed.append(f"target {printable(section.name)}")
    if not changed and list(data.groups.names) != info.source.groups:
        changed.append("the grouping of the source")
    if changed:
        raise ConfigError(f"changed since the sweep: {', '.join(changed)}; its ranking is of other data")
    return data


def refuse_other_question(own: Paths, pruning: Pruning, asked: Asked) -> None:
    """Refuse to go on with a pruning that was ranked by something else.

    Raises:
        ConfigError: it was; the differences are named.
    """
    used = pruning.ranking
    was = {"target": mix_words(used.targets), "estimator": used.estimator, "output": used.output}
    now = {"target": mix_words(asked.weights), "estimator": asked.estimator, "output": asked.output}
    changed = [f"{key}: {was[key]} -> {now[key]}" for key in was if was[key] != now[key]]
    if changed:
        raise _other_settings(own, changed)


def plan(paths: Paths, info: RunInfo, asked: Asked, ks: Sequence[int]) -> Pruning:
    """Rank for a pruning by what a sweep has recorded by now, and predict its gains; it has no arms yet.

    Args:
        paths: of the sweep.
        info: of the sweep.
        asked: what the pruning is to be.
        ks: numbers of groups to drop, among those whose gain is predicted.

    Raises:
        ResultsError: no model is recorded yet, or a half of the test examples is empty.
        ConfigError: the question does not fit the run.
    """
    sides = []
    for name in asked.weights:
        reading = read_snapshot(paths, info, name)
        reading.require_models()
        sides.append(Side(name, reading.examples, reading.outputs))
        refuse_half_without_examples(sides[-1])
    mixture = Mixture.of(sides, asked.weights)
    score = mixture.mean(parse_output_kind(asked.output), estimate=True)
    found = estimate(asked.estimator, mixture.masks, score, mixture.clusters)
    if not np.isfinite(found.influence).any():
        raise ResultsError(
            f"{printable(str(paths.root))}: {len(score)} model{'' if len(score) == 1 else 's'} recorded: "
            "too few to rank by; see `tinfl status`"
        )
    ranking = _used(found, info, asked, len(score))
    shape = info.resolution, info.channels
    bare = Pruning(
        info.name, info.identity, info.seed, tuple(info.source.groups), ranking, (), (), Stages(SEEDS), shape
    )
    return _with_forecast(bare, mixture, score, ks)


def _with_forecast(pruning: Pruning, mixture: Mixture, score: NDArray[np.float64], ks: Sequence[int]) -> Pruning:
    most = len(pruning.groups) - MIN_GROUPS
    spread = np.unique(np.linspace(1, most, min(most, _NUMBERS_KEPT)).round().astype(int)).tolist()
    numbers = sorted({*ks, *spread})
    outputs = np.stack([mixture.mean(kind, estimate=True) for kind in (OutputKind.MARGIN, OutputKind.CORRECT)], axis=1)
    found = predict_gain(mixture.masks, score, outputs, mixture.clusters, pruning.ranking.estimator, numbers)
    if found is None:
        return pruning

    def gain(side: Floats | None, place: int, quantity: int) -> Gain | None:
        if side is None:
            return None
        value, low, high = (float(end) for end in side[:, place, quantity])
        return value, low, high

    forecast = []
    for place, k in enumerate(numbers):
        margin, accuracy = (gain(found.over_random, place, quantity) for quantity in range(2))
        assert margin is not None
        assert accuracy is not None
        everything = [gain(found.over_all, place, quantity) for quantity in range(2)]
        forecast.append(GainForecast(k, margin, accuracy, *everything))
    return replace(pruning, forecast=tuple(forecast))


def _used(found: Estimate, info: RunInfo, asked: Asked, models: int) -> ArmRanking:
    influence, se = found.influence[:, 0].astype(float), found.se[:, 0].astype(float)
    low, high = interval(influence, se, found.df)
    return ArmRanking(
        targets=dict(asked.weights),
        estimator=asked.estimator,
        output=asked.output,
        design=info.design_label,
        models=models,
        relative=found.is_relative,
        influence=_known(influence),
        low=_known(low),
        high=_known(high),
    )


def _known(values: NDArray[Any]) -> tuple[float | None, ...]:
    return tuple(float(value) if isfinite(value) else None for value in values)


def _other_settings(own: Paths, changed: Sequence[str]) -> OtherSettingsError:
    error = OtherSettingsError(f"{printable(str(own.root))} holds a pruning with other settings; choose another --name")
    error.details = tuple(changed)
    return error


WITHIN = 0.01
"""Half width of the interval of an accuracy's gain, as a fraction, that is asked for where nobody says otherwise."""
_MOST = 4
"""Times as many repeats of an arm as its first ones, at most, where nobody says otherwise."""


@dataclass(frozen=True)
class Wanted:
    """What is asked of a pruning; None or empty where nothing is said.

    Attributes:
        ks: numbers of groups to drop.
        chosen: lists of the user's.
        seeds: repeats of each arm.
        weights: of the targets that count, by name.
        estimator: what groups are ranked with.
        output: what they are ranked by.
        baselines: kinds of arms that one model ranks for.
        within: half width, as a fraction, that the interval of an accuracy's gain is to have at most; 0: as it comes,
            as where only `seeds` are given.
        most: repeats of an arm at most, however wide.
        settings: of the retraining, instead of the sweep's; dotted keys such as `train.epochs`.
        devices: instead of the config's.
    """

    ks: Sequence[int] = ()
    chosen: Sequence[Chosen] = ()
    seeds: int | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    estimator: str | None = None
    output: str | None = None
    baselines: Sequence[ArmKind] | None = None
    within: float | None = None
    most: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    devices: list[str] | str | None = None


@dataclass(frozen=True)
class Planned:
    """A pruning that can be trained.

    Attributes:
        pruning: its arms.
        config: it is trained by.
        data: it is trained on: still those of the sweep.
    """

    pruning: Pruning
    config: Config
    data: Datasets


def planned(
    paths: Paths, info: RunInfo, own: Paths, wanted: Wanted, progress: ProgressCallback | None = None
) -> Planned:
    """Return the pruning that is asked for: a new one, or more of one that exists. Nothing is written.

    Args:
        paths: of the sweep.
        info: of the sweep.
        own: where the pruning is kept.
        wanted: what is asked.
        progress: told about packing the data, if they have to be.

    Raises:
        AlreadyRunningError: it is being run.
        ConfigError: what is asked is wrong, or does not fit the pruning that exists; or the data have changed.
        DatasetError: the data have moved.
        ResultsError: the sweep cannot be ranked.
    """
    pruning, config = outlined(paths, info, own, wanted, progress)
    if config.compute.executor == "local":  # a login node has none of the devices that tasks get
        worker_devices(config.compute)
    return Planned(pruning, config, open_sweep_data(config, info, progress))


def outlined(
    paths: Paths, info: RunInfo, own: Paths, wanted: Wanted, progress: ProgressCallback | None = None
) -> tuple[Pruning, Config]:
    """Return the arms that `planned` would return, and what they are trained by, without a look at data or devices.

    So that they can be shown where the results are but not the datasets. Arguments and errors are those of `planned`.
    """
    refuse_if_imported(paths.root, info)
    if observe(own)[0] in ACTIVE:
        raise already_running(own)
    before = read_arms(own) if own.run.exists() else None  # what never began is planned anew
    used = before.ranking if before else None
    asked = Asked(
        wanted.weights or (used.targets if used else {info.targets[0].name: 1.0}),
        wanted.estimator or (used.estimator if used else DEFAULT_ESTIMATOR),
        wanted.output or (used.output if used else "margin"),
        wanted.settings,
    )
    if before is not None:
        refuse_other_question(own, before, asked)
    groups = len(info.source.groups)
    ks = check_grid(wanted.ks, groups)
    stages = _stages(wanted, info, before)
    if before is None and not ks and not wanted.chosen:
        ks = default_grid(groups)
    if before is None and progress is not None:
        progress("ranking, and predicting the gains", 0, 0)
    bare = before or plan(paths, info, asked, ks)
    pruning = with_arms(replace(bare, stages=stages), ks, wanted.chosen, stages.seeds)
    config = with_devices(config_of(info, own, asked), wanted.devices)
    if config.model.is_user_code and "model.arch" not in asked.settings:
        raise ConfigError(
            f"the network of this sweep is code ({printable(config.model.arch)}), which is not run because a results "
            f"directory names it: say so with --arch {printable(config.model.arch)}"
        )
    return pruning, config


def cost_of(one: Planned) -> Cost:
    """Return what the retrainings that are planned cost, after timing a few training steps.

    Raises:
        TinflError: it cannot be trained.
    """
    pruning, config = one.pruning, one.config
    kept = sum(row.mask.mean() for row in pruning.rows()) / pruning.n_rows
    groups = len(pruning.groups)
    # As many models of the mean size: `measure` times one of a design.
    design = config.design.model_copy(
        update={
            "kind": "fixed",
            "alpha": min(float(kept), (groups - 1) / groups),
            "models": pruning.n_rows,
            "heldout": 0,
        }
    )
    workers = worker_devices(config.compute)[: pruning.n_rows]
    return estimate_cost(config.model_copy(update={"design": design}), one.data, workers)


def _stages(wanted: Wanted, info: RunInfo, before: Pruning | None) -> Stages:
    """What is asked, else what was asked before, else what is sensible."""
    known = before.stages if before else Stages(SEEDS)
    classes = info.source.groups == info.source.classes
    if wanted.baselines is not None:
        baselines = tuple(kind for kind in BASELINES if kind in {*known.baselines, *wanted.baselines})
        if wanted.baselines and not classes:
            raise ConfigError(
                f"{', '.join(wanted.baselines)}: one model ranks source classes, and here groups are left out instead"
            )
    else:
        baselines = known.baselines if before else BASELINES if classes else ()
    if before is None:
        known = Stages(wanted.seeds or SEEDS, within=WITHIN if wanted.seeds is None else 0.0)
    seeds = max(known.seeds, wanted.seeds or 0)
    within = known.within if wanted.within is None else wanted.within
    most = known.most if wanted.most is None else wanted.most
    if wanted.most is not None and wanted.most < seeds:
        raise ConfigError(
            f"at most {wanted.most} retrainings of an arm are fewer than the {seeds} of each to begin with"
        )
    return Stages(seeds, baselines, within, max(most or _MOST * seeds, seeds))


def begin(plan: Planned, own: Paths, observer: Observer) -> int:
    """Start a supervisor that trains what is planned.

    Args:
        plan: what `request.planned` returned.
        own: where the pruning is kept.
        observer: is told what is being prepared until the run is under way.

    Returns:
        the pid of the supervisor.

    Raises:
        TinflError: it could not be started.
    """
    return start(Request(plan.config, own.root, pruning=plan.pruning), observer)
