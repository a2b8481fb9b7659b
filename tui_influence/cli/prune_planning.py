"""What `tinfl prune` plans: its options turned into a pruning, its data checked, its cost said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_influence.cli import diagnostics, output
from tui_influence.cli.live import StageLine
from tui_influence.cli.starting import with_devices
from tui_influence.config.schema import Config
from tui_influence.datasets.class_list import read_class_list
from tui_influence.errors import ConfigError
from tui_influence.pruning.arms import SEEDS, Chosen, check_grid, choice, default_grid, with_arms
from tui_influence.pruning.documents import plan_document
from tui_influence.pruning.mapping import uses_of_classes
from tui_influence.pruning.mixture import parse_weights
from tui_influence.pruning.planning import Asked, config_of, open_sweep_data, plan, refuse_other_question
from tui_influence.pruning.report import plan_lines
from tui_influence.runs.datasets import Datasets
from tui_influence.runs.devices import worker_devices
from tui_influence.runs.heartbeat import ACTIVE, observe
from tui_influence.runs.measure import measure
from tui_influence.runs.ownership import already_running
from tui_influence.runs.words import duration
from tui_influence.store.arms_file import ArmKind, Pruning, read_arms
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo
from tui_influence.text import printable


@dataclass(frozen=True)
class Options:
    """The options of `tinfl prune` that say what to train; None or empty where they were not given."""

    k: str | None
    seeds: int | None
    keep: Sequence[Path]
    drop: Sequence[Path]
    targets: Sequence[str]
    estimator: str | None
    output: str | None
    settings: Mapping[str, Any]
    devices: str | None


def planned(paths: Paths, info: RunInfo, own: Paths, options: Options) -> tuple[Pruning, Asked]:
    """Return the pruning that the options ask for: a new one, or more of one that exists.

    Args:
        paths: of the sweep.
        info: of the sweep.
        own: where the pruning is kept.
        options: of the command line.

    Raises:
        AlreadyRunningError: it is being run.
        ConfigError: the options are wrong, or do not fit the pruning that exists.
        ResultsError: the sweep cannot be ranked.
    """
    if observe(own)[0] in ACTIVE:
        raise already_running(own)
    chosen = _lists(info, options)
    ks = numbers(options.k, len(info.source.groups)) if options.k is not None else ()
    settings = {key: value for key, value in options.settings.items() if value is not None}
    before = read_arms(own) if own.run.exists() else None  # what never began is planned anew
    if before is not None:
        used = before.ranking
        weights = parse_weights(options.targets, info) if options.targets else used.targets
        asked = Asked(weights, options.estimator or used.estimator, options.output or used.output, settings)
        refuse_other_question(own, before, asked)
        return with_arms(before, ks, chosen, options.seeds or 1), asked
    weights = parse_weights(options.targets, info)
    asked = Asked(weights, options.estimator or "difference", options.output or "margin", settings)
    if options.k is None and not chosen:
        ks = default_grid(len(info.source.groups))
    return plan(paths, info, asked, ks, chosen, options.seeds or SEEDS), asked


def with_label_mapping(own: Paths, pruning: Pruning) -> Pruning:
    """Return a pruning with label mapping for every k of its lowest arms, from the models that keep everything.

    Raises:
        ConfigError: none of those is recorded yet, or it has no ranking to give.
    """
    return with_arms(pruning, [], [], 1, uses_of_classes(own, pruning))


def checked(info: RunInfo, own: Paths, asked: Asked, options: Options) -> tuple[Config, Datasets]:
    """Return the config that the pruning is trained by, and its data, which are still those of the sweep.

    Raises:
        ConfigError: a setting is wrong, or the data have changed.
        DatasetError: the data have moved.
    """
    config = with_devices(config_of(info, own, asked), options.devices)
    if config.model.is_user_code and "model.arch" not in asked.settings:
        raise ConfigError(
            f"the network of this sweep is code ({printable(config.model.arch)}), which is not run because a results "
            f"directory names it: say so with --arch {printable(config.model.arch)}"
        )
    worker_devices(config.compute)
    with StageLine() as line:
        return config, open_sweep_data(config, info, line.stage)


def numbers(text: str, groups: int) -> tuple[int, ...]:
    """Return the numbers of classes that `--k` names.

    Raises:
        ConfigError: they are no numbers, or impossible ones.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        raise ConfigError(f'--k "{printable(text, 60)}": must be numbers of classes, such as 10,20,40')
    return check_grid([int(part) for part in parts], groups)


def show_plan(pruning: Pruning, config: Config, data: Datasets, *, json: bool, ascii_only: bool) -> None:
    """Show what would be trained and what it would cost, after timing a few training steps."""
    kept = sum(row.mask.mean() for row in pruning.rows()) / pruning.size
    groups = len(pruning.groups)
    # As many models of the mean size: `measure` times one of a design.
    design = config.design.model_copy(
        update={"kind": "fixed", "alpha": min(float(kept), (groups - 1) / groups), "models": pruning.size, "heldout": 0}
    )
    workers = worker_devices(config.compute)[: pruning.size]
    with StageLine() as line:
        line.stage(f"timing a few training steps on {len(workers)} workers", 0, 0)
        cost = measure(config.model_copy(update={"design": design}), data, workers)
    if json:
        output.write_json(
            {
                **plan_document(pruning),
                "seconds_per_model": cost.seconds_per_model,
                "seconds": cost.seconds,
                "disk_bytes": cost.disk,
            }
        )
        return
    for text in plan_lines(pruning, ascii_only=ascii_only):
        output.line(text)
    output.line(
        f"cost: {pruning.size} models, {cost.seconds_per_model:.2f} s each on {len(workers)} "
        f"worker{'' if len(workers) == 1 else 's'}: {duration(cost.seconds)} in all, {cost.disk / 2**20:,.1f} MiB"
    )


def say_how_many(paths: Paths, info: RunInfo, pruning: Pruning) -> None:
    """Say how many models the ranking is from, where the sweep is not done yet."""
    state = observe(paths)[0]
    if pruning.ranking.models < info.models:
        diagnostics.warn(
            f"ranked by {pruning.ranking.models} of {info.models} models (the sweep is {state.value}); "
            "the ranking stays as it is now"
        )


def _lists(info: RunInfo, options: Options) -> list[Chosen]:
    listed = [*((path, ArmKind.KEEP) for path in options.keep), *((path, ArmKind.DROP) for path in options.drop)]
    groups = info.source.groups
    return [choice(read_class_list(path, groups), groups, kind, path.name) for path, kind in listed]
