"""Plan the retrainings of a pruning from a sweep's ranking, and start them, for the command line and the app alike."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from tui_influence.analysis.snapshot import read_snapshot
from tui_influence.config.identity import differences
from tui_influence.config.loader import config_from_json
from tui_influence.config.positions import Node
from tui_influence.config.schema import Config, DesignSection, RunSection
from tui_influence.config.validation import find_problems
from tui_influence.designs import MIN_GROUPS
from tui_influence.errors import ConfigError, ResultsError
from tui_influence.influence.estimate import interval
from tui_influence.influence.estimators import default_estimator, estimate, find_estimator
from tui_influence.influence.outputs import Floats, parse_output_kind
from tui_influence.influence.prior import OutputPrior
from tui_influence.influence.types import Estimate, OutputKind
from tui_influence.networks import is_pickle
from tui_influence.pruning.arms import DEFAULT_SEEDS, check_drop_counts, default_drop_counts, dropped_groups, with_arms
from tui_influence.pruning.forecast import predict_gain
from tui_influence.pruning.options import PruningRequest, describe_weights
from tui_influence.pruning.stages import prior_usage
from tui_influence.pruning.target_mix import TargetMix, TargetOutputs, refuse_half_without_examples
from tui_influence.roles import BASELINES
from tui_influence.runs.cost import Cost, estimate_cost
from tui_influence.runs.datasets import Datasets, ProgressCallback, open_datasets, weights_digest
from tui_influence.runs.devices import with_devices, worker_devices
from tui_influence.runs.heartbeat import ACTIVE, observe
from tui_influence.runs.launch import start
from tui_influence.runs.network_check import check_network
from tui_influence.runs.ownership import already_running
from tui_influence.runs.supervisor import Observer, Request
from tui_influence.store.paths import Paths
from tui_influence.store.pruning_plan import ArmRanking, Gain, GainForecast, Pruning, Stages, read_arms
from tui_influence.store.run_info import RunInfo, read_run_info, refuse_if_imported
from tui_influence.text import pluralize, printable, quote_path

DEFAULT_CI_HALF_WIDTH = 0.01
"""Half width that the interval of an accuracy's gain may have by default, as a fraction."""
_MAX_SEEDS_FACTOR = 4
"""By default an arm has at most this many times its first repeats."""
_OTHER_LENGTH = {"train.epochs": "steps", "train.steps": "epochs"}
"""The key of `[train]` that a setting replaces."""
_MAX_FORECASTS = 200
"""Maximum of the numbers of groups for which a gain is forecast, besides those of the request."""


class OtherSettingsError(ConfigError):
    """A pruning of that name exists with other settings; `details` lists the differences."""


@dataclass(frozen=True)
class PruningPlan:
    """A pruning that can be trained.

    Attributes:
        pruning: its arms.
        config: that it is trained by.
        data: that it is trained on, the same as the sweep's.
    """

    pruning: Pruning
    config: Config
    data: Datasets


def pruning_directory(paths: Paths, name: str) -> Paths:
    """Return the results directory of one of a sweep's prunings, whether it exists or not.

    Raises:
        ConfigError: the name is invalid.
    """
    try:
        RunSection(name=name)
    except ValidationError:
        raise ConfigError(
            f'--name "{printable(name, 60)}": must be letters, digits, ".", "_" or "-", and begin with a letter or a '
            "digit"
        ) from None
    return Paths(paths.prunings / name)


def pruning_names(paths: Paths) -> list[str]:
    """Return the names of a sweep's prunings."""
    if not paths.prunings.is_dir():
        return []
    return sorted(entry.name for entry in paths.prunings.iterdir() if Paths(entry).run.exists())


def plan_pruning(
    paths: Paths, info: RunInfo, pruning_paths: Paths, request: PruningRequest, progress: ProgressCallback | None = None
) -> PruningPlan:
    """Plan a new pruning, or more of one that exists, and open its data. Nothing is written.

    Args:
        paths: of the sweep.
        info: of the sweep.
        pruning_paths: the pruning's results directory.
        request: what to retrain.
        progress: called while the data are packed, where they have to be.

    Raises:
        AlreadyRunningError: the pruning is running.
        ConfigError: the request is wrong, or does not fit the existing pruning; or the data have changed.
        DatasetError: the data have moved.
        ResultsError: the sweep cannot be ranked.
    """
    pruning, config = preview_plan(paths, info, pruning_paths, request, progress)
    if config.compute.executor == "local":  # a login node has none of the devices that tasks get
        worker_devices(config.compute)
    return PruningPlan(pruning, config, open_sweep_data(config, info, progress))


def preview_plan(
    paths: Paths, info: RunInfo, pruning_paths: Paths, request: PruningRequest, progress: ProgressCallback | None = None
) -> tuple[Pruning, Config]:
    """Return the arms and the config that `plan_pruning` returns, without looking at data or devices.

    So a plan can be shown where the results are but not the datasets. Arguments and errors are those of
    `plan_pruning`.
    """
    refuse_if_imported(paths.root, info)
    if observe(pruning_paths)[0] in ACTIVE:
        raise already_running(pruning_paths)
    before = read_arms(pruning_paths) if pruning_paths.run.exists() else None  # one that never began is planned anew
    ranking = before.ranking if before else None
    estimator = (
        ranking.estimator if ranking else default_estimator(has_prior=info.prior > 0, groups=len(info.source.groups))
    )
    request = replace(
        request,
        weights=request.weights or (ranking.targets if ranking else {info.targets[0].name: 1.0}),
        estimator=request.estimator or estimator,
        output=request.output or (ranking.output if ranking else "margin"),
    )
    if before is not None:
        refuse_other_ranking(pruning_paths, before, request)
    groups = info.source.groups
    drop_counts = check_drop_counts(request.drop_counts, len(groups))
    for class_list in request.lists:
        dropped_groups(class_list, groups)  # before a ranking takes its time
    stages = _stages(request, info, before)
    config = with_devices(pruning_config(info, pruning_paths, request), request.devices)
    if is_pickle(config.model.weights) and "model.weights" not in request.settings:
        weights = printable(str(config.model.weights))
        raise ConfigError(
            f"the weights of this sweep are a pickle ({weights}), which a results directory may name but not have "
            f"read: `tinfl prune` allows it with --weights {quote_path(Path(weights))}"
        )
    if not config.model.is_user_code:  # code is run once training begins
        _check_other_network(config, info, request)
    if before is None:
        if not drop_counts and not request.lists:
            drop_counts = default_drop_counts(len(groups))
        if progress is not None:
            progress("ranking the groups and forecasting the gains", 0, 0)
    pruning = before or rank_for_pruning(paths, info, request, drop_counts)
    shape = _shape(config, info)
    usage = {kind: prior_usage(paths, info, request.weights, kind) for kind in stages.baselines}
    usage = {kind: networks for kind, networks in usage.items() if networks}
    pruning = with_arms(replace(pruning, stages=stages, shape=shape), drop_counts, request.lists, stages.seeds, usage)
    if config.model.is_user_code and "model.arch" not in request.settings:
        arch = printable(config.model.arch)
        raise ConfigError(
            f"the network of this sweep is user code ({arch}), which a results directory may name but not have run: "
            f"allow it with --arch {arch}"
        )
    return pruning, config


def _check_other_network(config: Config, info: RunInfo, request: PruningRequest) -> None:
    """Check a network that is not the sweep's, or that its weights also fit images of another size.

    Raises:
        ConfigError: there is no such network, or the weights do not fit it.
    """
    settings = request.settings.keys()
    if config.model.weights is None:
        if "model.arch" in settings:
            check_network(config.model)
    elif settings & {"model.arch", "model.weights", "model.resolution"}:
        side, channels = _shape(config, info)
        check_network(config.model, (len(info.source.classes), channels, config.model.network_side(side)))


def pruning_config(info: RunInfo, pruning_paths: Paths, request: PruningRequest) -> Config:
    """Return the config that a pruning is trained by: the one it began with, or the sweep's, with other settings.

    Args:
        info: of the sweep.
        pruning_paths: the pruning's results directory.
        request: names targets and settings.

    Raises:
        ConfigError: a setting is wrong, or differs from what the pruning began with.
    """
    begun = config_from_json(read_run_info(pruning_paths.root).config) if pruning_paths.run.exists() else None
    content = (begun or config_from_json(info.config)).model_dump(mode="json")
    content["run"] |= {"name": f"{info.name}-{pruning_paths.root.name}"[:100], "output": str(pruning_paths.root)}
    content["target"] = [target for target in content["target"] if target["name"] in request.weights]
    for key, value in request.settings.items():
        section, _, field = key.rpartition(".")
        for table in [content[section]] if section else content["target"]:
            table[field] = value
            if key in _OTHER_LENGTH:
                table[_OTHER_LENGTH[key]] = None
        if key == "model.resolution":
            content["train"]["resolutions"] = None
            if content["model"]["stored_side"] is not None and isinstance(value, int):
                content["model"]["stored_side"] = max(content["model"]["stored_side"], value)
    try:
        config = Config.model_validate(content)
    except ValidationError:
        raise ConfigError(find_problems(content, Node(), "")[0].message) from None
    if request.same == "steps" and config.train.steps is None:
        settings = {"epochs": None, "steps": config.train.source_steps(info.source.images)}
        config = config.model_copy(update={"train": config.train.model_copy(update=settings)})
    elif request.same == "epochs" and config.train.steps is not None:
        if begun:
            raise _other_settings(pruning_paths, ["same: steps -> epochs"])
        raise ConfigError(
            f"--same epochs: every arm would train for {pluralize(config.train.steps, 'step')}, whatever it keeps; "
            "add --epochs COUNT"
        )
    changed = differences(begun, config) if begun else []
    if changed:
        raise _other_settings(pruning_paths, changed)
    return config


def refuse_other_ranking(pruning_paths: Paths, pruning: Pruning, request: PruningRequest) -> None:
    """Refuse to extend a pruning whose groups were ranked in another way.

    Raises:
        ConfigError: they were; the differences are named.
    """
    used = pruning.ranking
    before = {"target": describe_weights(used.targets), "estimator": used.estimator, "output": used.output}
    now = {"target": describe_weights(request.weights), "estimator": request.estimator, "output": request.output}
    changed = [f"{key}: {before[key]} -> {now[key]}" for key in before if before[key] != now[key]]
    if changed:
        raise _other_settings(pruning_paths, changed)


def _other_settings(pruning_paths: Paths, changed: Sequence[str]) -> OtherSettingsError:
    root = printable(str(pruning_paths.root))
    error = OtherSettingsError(f"{root} holds a pruning with other settings; choose another --name")
    error.details = tuple(changed)
    return error


def _stages(request: PruningRequest, info: RunInfo, before: Pruning | None) -> Stages:
    """Return the stages that are requested, else those of the existing pruning, else the defaults."""
    groups_are_classes = info.source.groups == info.source.classes
    if before is None:
        half_width = DEFAULT_CI_HALF_WIDTH if request.seeds is None else 0.0
        default = Stages(request.seeds or DEFAULT_SEEDS, BASELINES if groups_are_classes else (), half_width)
    else:
        default = before.stages
    baselines = default.baselines
    if request.baselines is not None:
        if request.baselines and not groups_are_classes:
            raise ConfigError(
                f"{', '.join(request.baselines)}: single-model baselines rank source classes, but the groups of this "
                "run are not classes"
            )
        existing = before.stages.baselines if before else ()
        baselines = tuple(kind for kind in BASELINES if kind in {*existing, *request.baselines})
    seeds = max(default.seeds, request.seeds or 0)
    half_width = default.within if request.ci_half_width is None else request.ci_half_width
    if request.max_seeds is not None and request.max_seeds < seeds:
        raise ConfigError(f"--max-seeds {request.max_seeds} is less than the {seeds} seeds that each arm begins with")
    most = default.most if request.max_seeds is None else request.max_seeds
    return Stages(seeds, baselines, half_width, max(most or _MAX_SEEDS_FACTOR * seeds, seeds))


def _shape(config: Config, info: RunInfo) -> tuple[int, int]:
    """Return the side and the channels of a pruning's images: the sweep's, unless another resolution is requested.

    A target that is left out may have been the one in colour.
    """
    return config.model.packed_side or info.resolution, info.channels


def open_sweep_data(config: Config, info: RunInfo, progress: ProgressCallback | None = None) -> Datasets:
    """Open the datasets of a pruning, and check that they are those of its sweep: packed as the sweep's were.

    Raises:
        DatasetError: one has moved.
        ConfigError: one has changed since the sweep.
    """
    data = open_datasets(config, progress, (info.resolution, info.channels))
    changed = ["the source"] if data.source.fingerprint != info.source.fingerprint else []
    for section, images in zip(config.target, data.targets, strict=True):
        target = info.targets[info.target_index(section.name)]
        if target.fingerprints != [images.train.fingerprint, images.test.fingerprint]:
            changed.append(f"target {printable(section.name)}")
    if not changed and list(data.groups.names) != info.source.groups:
        changed.append("the grouping of the source")
    starts_alike = config.model.weights == config_from_json(info.config).model.weights
    if starts_alike and config.model.weights is not None and weights_digest(config.model) != info.weights:
        changed.append("the weights that it starts from")
    if changed:
        raise ConfigError(f"the data changed since the sweep ({', '.join(changed)}); its ranking no longer applies")
    shape = _shape(config, info)
    return data if shape == (info.resolution, info.channels) else open_datasets(config, progress, shape)


def rank_for_pruning(paths: Paths, info: RunInfo, request: PruningRequest, drop_counts: Sequence[int]) -> Pruning:
    """Rank for a pruning by what a sweep has recorded by now, and predict its gains; it has no arms yet.

    Args:
        paths: of the sweep.
        info: of the sweep.
        request: names weights, estimator and output.
        drop_counts: numbers of groups to drop, among those whose gain is predicted.

    Raises:
        ResultsError: no model is recorded yet, or a half of the test examples is empty.
        ConfigError: the request does not fit the run.
    """
    targets = []
    for name in request.weights:
        snapshot = read_snapshot(paths, info, name)
        snapshot.require_models()
        targets.append(TargetOutputs(name, snapshot.examples, snapshot.outputs, snapshot.prior))
        refuse_half_without_examples(targets[-1])
    mix = TargetMix.from_outputs(targets, request.weights)
    mean_output = mix.mean(parse_output_kind(request.output), estimate=True)
    prior = mix.prior(parse_output_kind(request.output)) if find_estimator(request.estimator).needs_prior else None
    influences = estimate(request.estimator, mix.masks, mean_output, mix.clusters, prior)
    if not np.isfinite(influences.influence).any():
        raise ResultsError(
            f"{printable(str(paths.root))}: {pluralize(len(mean_output), 'model')} recorded: "
            "too few to rank by; see `tinfl status`"
        )
    pruning = Pruning(
        info.name,
        info.identity,
        info.seed,
        tuple(info.source.groups),
        _ranking_used(influences, info, request, len(mean_output)),
        (),
        (),
        Stages(DEFAULT_SEEDS),
        (info.resolution, info.channels),
    )
    return _with_forecast(pruning, mix, mean_output, drop_counts, prior)


def _ranking_used(influences: Estimate, info: RunInfo, request: PruningRequest, models: int) -> ArmRanking:
    influence, se = influences.influence[:, 0].astype(float), influences.se[:, 0].astype(float)
    low, high = interval(influence, se, influences.df)
    return ArmRanking(
        targets=dict(request.weights),
        estimator=request.estimator,
        output=request.output,
        design=info.design_label,
        models=models,
        relative=influences.is_relative,
        influence=_finite_or_none(influence),
        low=_finite_or_none(low),
        high=_finite_or_none(high),
    )


def _finite_or_none(values: NDArray[Any]) -> tuple[float | None, ...]:
    return tuple(float(value) if isfinite(value) else None for value in values)


def _with_forecast(
    pruning: Pruning,
    mix: TargetMix,
    mean_output: NDArray[np.float64],
    drop_counts: Sequence[int],
    prior: OutputPrior | None,
) -> Pruning:
    most = len(pruning.groups) - MIN_GROUPS
    spread = np.unique(np.linspace(1, most, min(most, _MAX_FORECASTS)).round().astype(int)).tolist()
    counts = sorted({*drop_counts, *spread})
    outputs = np.stack([mix.mean(kind, estimate=True) for kind in (OutputKind.MARGIN, OutputKind.CORRECT)], axis=1)
    by_kind = [mix.anchors(kind) for kind in (OutputKind.MARGIN, OutputKind.CORRECT)]
    of_networks = [anchors for anchors in by_kind if anchors is not None]
    anchors = np.stack(of_networks, axis=1) if len(of_networks) == len(by_kind) else None
    predicted = predict_gain(
        mix.masks, mean_output, outputs, mix.clusters, pruning.ranking.estimator, counts, prior, anchors
    )
    if predicted is None:
        return pruning

    def gain(gains: Floats, index: int, quantity: int) -> Gain:
        value, low, high = (float(end) for end in gains[:, index, quantity])
        return value, low, high

    forecast = []
    for index, k in enumerate(counts):
        margin, accuracy = (gain(predicted.over_random, index, quantity) for quantity in range(2))
        over_all = predicted.over_all
        over_everything = [None if over_all is None else gain(over_all, index, quantity) for quantity in range(2)]
        forecast.append(GainForecast(k, margin, accuracy, *over_everything))
    return replace(pruning, forecast=tuple(forecast), anchors=0 if anchors is None else len(anchors))


def plan_cost(plan: PruningPlan) -> Cost:
    """Return what the planned retrainings cost, after timing a few training steps.

    Raises:
        TinflError: it cannot be trained.
    """
    pruning, config = plan.pruning, plan.config
    share = sum(row.mask.mean() for row in pruning.rows()) / pruning.n_rows
    groups = len(pruning.groups)
    # As many models of the mean size: one model of a design is timed.
    alpha = min(float(share), (groups - 1) / groups)
    design = DesignSection(kind="fixed", alpha=alpha, models=pruning.n_rows, heldout=0, prior=0)
    workers = worker_devices(config.compute)[: pruning.n_rows]
    return estimate_cost(config.model_copy(update={"design": design}), plan.data, workers)


def start_pruning(plan: PruningPlan, pruning_paths: Paths, observer: Observer) -> int:
    """Start a supervisor that trains a plan in the background.

    Args:
        plan: what to train.
        pruning_paths: the pruning's results directory.
        observer: receives the progress of the preparation until the run has started.

    Returns:
        the pid of the supervisor.

    Raises:
        TinflError: it could not be started.
    """
    return start(Request(plan.config, pruning_paths.root, pruning=plan.pruning), observer)
