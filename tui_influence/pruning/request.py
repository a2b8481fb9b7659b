"""What a user asks of a pruning, and the pruning that it becomes: the command line and the app ask alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tui_influence.config.schema import Config
from tui_influence.errors import ConfigError
from tui_influence.pruning.arms import SEEDS, Chosen, check_grid, default_grid, with_arms
from tui_influence.pruning.planning import Asked, config_of, open_sweep_data, plan, refuse_other_question
from tui_influence.runs.datasets import Datasets, Progress
from tui_influence.runs.devices import with_devices, worker_devices
from tui_influence.runs.heartbeat import ACTIVE, observe
from tui_influence.runs.measure import Cost, measure
from tui_influence.runs.ownership import already_running
from tui_influence.store.arms_file import BASELINES, ArmKind, Pruning, Stages, read_arms
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo, refuse_if_imported
from tui_influence.text import printable

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


def planned(paths: Paths, info: RunInfo, own: Paths, wanted: Wanted, progress: Progress | None = None) -> Planned:
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
    paths: Paths, info: RunInfo, own: Paths, wanted: Wanted, progress: Progress | None = None
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
        wanted.estimator or (used.estimator if used else "difference"),
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
    kept = sum(row.mask.mean() for row in pruning.rows()) / pruning.size
    groups = len(pruning.groups)
    # As many models of the mean size: `measure` times one of a design.
    design = config.design.model_copy(
        update={"kind": "fixed", "alpha": min(float(kept), (groups - 1) / groups), "models": pruning.size, "heldout": 0}
    )
    workers = worker_devices(config.compute)[: pruning.size]
    return measure(config.model_copy(update={"design": design}), one.data, workers)


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
