"""Preparation of a results directory from a config: `run.json`, the plan, labels and thumbnails."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from tui_influence import __version__
from tui_influence.config.identity import changed_clusters, compute_identity
from tui_influence.config.loader import config_from_json, config_to_json
from tui_influence.config.schema import Config
from tui_influence.datasets import thumbnails
from tui_influence.designs import Row, planned_models, split_examples
from tui_influence.errors import ConfigError, DatasetError, ResultsError
from tui_influence.roles import Role
from tui_influence.runs.datasets import Datasets, ProgressCallback, open_datasets, reopen_datasets
from tui_influence.runs.record_check import check_identity
from tui_influence.staged_design import check_design, sweep_rows
from tui_influence.store.class_clusters import read_class_clusters, read_cluster_stage
from tui_influence.store.events import EventLog
from tui_influence.store.examples import Examples, write_examples, write_source_thumbnails
from tui_influence.store.files import COPY_AGAIN, make_directory
from tui_influence.store.growth import read_growth
from tui_influence.store.paths import Paths
from tui_influence.store.plan import write_plan
from tui_influence.store.pruning_plan import Pruning, check_arms, read_arms, write_arms
from tui_influence.store.run_info import RunInfo, SourceInfo, TargetInfo, read_run_info, write_run_info
from tui_influence.text import printable

SAMPLES_PER_GROUP = 12
"""Source images of each group that are stored as thumbnails."""
_THUMBNAIL_BYTES = 96 << 20
"""Maximum size of the thumbnails of one target; with more images they become smaller, not fewer."""
PlanExtender = Callable[[Paths], list[Row]]
"""Returns the whole plan once all of it is recorded; rows that follow from the records of others are in it."""
_PARTS = ("train", "test")
"""The parts of a target; each is packed, and has a fingerprint."""
_PACKAGES = ("numpy", "torch", "torchvision", "pillow", "safetensors")


def prepare(
    config: Config, paths: Paths, progress: ProgressCallback, *, trusted: bool = False
) -> tuple[RunInfo, list[Row]]:
    """Make or extend a results directory; calling it again changes nothing that exists.

    The rows are those of the config's design, or of `arms.json` where there is one: then the run is a pruning. Of a
    sweep with class clusters, they are those that follow from `clusters.json`.

    Args:
        config: of the run.
        paths: of its results; the caller owns the run.
        progress: called in the slow parts.
        trusted: whether the config was read from the user's own file: see `open_datasets`.

    Returns:
        the run's description, and its rows in the order they are trained.

    Raises:
        DatasetError: a dataset is not as the config describes it.
        ConfigError: the design is impossible, or the directory holds a run of other data.
        ResultsError: the directory cannot be written, or its `run.json` or `arms.json` is damaged.
    """
    previous = read_run_info(paths.root) if paths.run.exists() else None
    pruning = read_arms(paths) if paths.arms.exists() else None
    if previous:
        _check_kind(paths, previous, pruning)
        _check_targets(paths, previous, config)
    try:
        data = open_datasets(config, progress, pruning.shape if pruning else None, trusted=trusted)
    except DatasetError:
        if previous is None:
            raise
        # Moved or gone, or not to be opened; but the cache may still hold the data that the run began with.
        data = reopen_datasets(config, previous, trusted=trusted)
    if pruning and pruning.groups != tuple(data.groups.names):
        raise ConfigError(f"{paths.root}: the groups changed since this pruning was planned")
    groups = data.groups.names
    classes = len(previous.source.groups if previous else groups)
    clusters = config.n_clusters(classes)
    if previous and (changed := changed_clusters(config_from_json(previous.config), config, classes)):
        raise ConfigError(f"{printable(str(paths.root))}: the run was planned otherwise: {changed[0]}")
    config = config.model_copy(update={"design": config.design.model_copy(update={"clusters": clusters})})
    check_design(config.design, len(groups), config.run.seed, clusters)
    models = planned_models(config.design, previous.models if previous else 0)
    fingerprints = data.fingerprints(config)
    identity, weights = compute_identity(config, fingerprints), fingerprints.get("weights", "")
    if previous and previous.identity != identity:
        raise ConfigError(
            f"{paths.root}: the training data changed since this run was started: {_changes(previous, data, weights)}"
        )
    check_identity(paths, identity)
    if pruning:
        rows = pruning.rows()
    else:
        stage = read_cluster_stage(paths, identity, groups, clusters)
        further = models - config.design.models
        rows = sweep_rows(config.design, len(groups), config.run.seed, config.n_prior, clusters, stage, further)
    if previous:
        _check_description(paths, previous, config, data)
        info = previous
    else:
        progress("writing thumbnails", 0, 0)
        info = replace(_describe(config, data, paths, identity, trusted=trusted), weights=weights)
    write_plan(paths, rows)
    info = replace(
        info,
        name=config.run.name,
        config=config_to_json(config),
        models=0 if pruning else models,
        heldout=0 if pruning else config.design.heldout,
        prior=0 if pruning else config.n_prior,
        arms=pruning.n_rows if pruning else 0,
    )
    write_run_info(paths, info)
    return info, rows


def extend_arms(paths: Paths, pruning: Pruning) -> None:
    """Write the arms of a pruning, which must include all arms written before.

    Args:
        paths: of the pruning; the caller owns it.
        pruning: as it was planned a moment ago from the arms written before.

    Raises:
        ConfigError: another command has extended it meanwhile.
        ResultsError: the directory cannot be written.
    """
    if paths.run.exists() and paths.arms.exists():
        planned = {row.index: row for arm in pruning.arms for row in arm.rows}
        before = [row for arm in read_arms(paths).arms for row in arm.rows]
        if any(planned.get(row.index) != row for row in before):
            raise ConfigError(f"{printable(str(paths.root))}: it was extended by another command just now; try again")
    write_arms(paths, pruning)


def extend_plan(
    paths: Paths, info: RunInfo, planned: int, extender: PlanExtender, log: EventLog
) -> tuple[RunInfo, list[Row]]:
    """Extend a plan, all of which is recorded, and log what was decided; return the run's description and all rows.

    Args:
        paths: of the run; the caller owns it.
        info: the run.
        planned: rows of the plan so far; as many, or none, are returned where nothing follows.
        extender: returns the whole plan with what follows.
        log: the run's event log.
    """
    before = read_growth(paths).decisions
    rows = extender(paths)
    decisions = read_growth(paths).decisions
    if decisions != before:
        log.write("growth", **asdict(decisions[-1]))
    if len(rows) <= planned:
        return info, rows
    info = extend_plan_file(paths, info, rows)
    reason = _growth_reason(paths, info) if decisions == before else {}
    log.write("grown", rows=len(rows) - planned, total=len(rows), **reason)
    return info, rows


def extend_plan_file(paths: Paths, info: RunInfo, rows: list[Row]) -> RunInfo:
    """Write a plan with further rows; return the run's new description.

    Its numbers of models never fall: those of a plan that grows in stages are of all stages from the start.
    """
    write_plan(paths, rows)
    count = Counter(row.role for row in rows)
    info = replace(
        info,
        models=max(info.models, count[Role.ESTIMATE]),
        heldout=max(info.heldout, count[Role.HELDOUT]),
        arms=count[Role.ARM],
    )
    write_run_info(paths, info)
    return info


def _growth_reason(paths: Paths, info: RunInfo) -> dict[str, str]:
    """Return the field `reason` of the event that a plan has grown, where there is one.

    Raises:
        ResultsError: `clusters.json` cannot be read.
    """
    clusters = read_class_clusters(paths, info.identity, info.source.groups) if info.n_clusters else None
    return {"reason": clusters.describe(info.models)} if clusters else {}


def _check_kind(paths: Paths, info: RunInfo, pruning: Pruning | None) -> None:
    """Check that `run.json` describes a pruning if there is an `arms.json`, and only then.

    Raises:
        ResultsError: it is not.
    """
    if pruning is not None:
        check_arms(paths, pruning, info)
    elif info.arms:
        raise ResultsError(
            f"{printable(str(paths.run))}: it describes a pruning, but there is no arms.json beside it: half copied, "
            f"or copied to the wrong directory; {COPY_AGAIN}"
        )


def _check_targets(paths: Paths, info: RunInfo, config: Config) -> None:
    """Check that `run.json` describes the targets of the config, as datasets are opened by both.

    Raises:
        ResultsError: it does not.
    """
    described, configured = ([target.name for target in targets] for targets in (info.targets, config.target))
    if described != configured:
        raise _misdescribed(paths, f"targets {', '.join(described)}, where the config has {', '.join(configured)}")
    for target in info.targets:
        if len(target.fingerprints) != len(_PARTS):
            raise _misdescribed(paths, f"{len(target.fingerprints)} fingerprints of target {target.name}")


def _check_description(paths: Paths, info: RunInfo, config: Config, data: Datasets) -> None:
    """Check the description of the data in `run.json`, which records are compared with and readers rely on.

    Raises:
        ResultsError: it is not.
    """
    targets = [
        _describe_target(config, data, i, skipped=target.skipped, digests=target.digests)
        for i, target in enumerate(info.targets)
    ]
    source = _describe_source(data, skipped=info.source.skipped, digests=info.source.digests)
    pairs = [
        ("seed", info.seed, config.run.seed),
        ("resolution", info.resolution, data.resolution),
        ("channels", info.channels, data.channels),
        *((f"source.{key}", value, vars(source)[key]) for key, value in vars(info.source).items()),
    ]
    for i, (described, opened) in enumerate(zip(info.targets, targets, strict=True)):
        pairs += [(f"targets[{i}].{key}", value, vars(opened)[key]) for key, value in vars(described).items()]
    for key, described, opened in pairs:
        if isinstance(described, list) and isinstance(opened, list) and len(described) == len(opened):
            pairs += [(f"{key}[{i}]", *values) for i, values in enumerate(zip(described, opened, strict=True))]
        elif described != opened:
            raise _misdescribed(paths, f"{key} is {described}, where the data have {opened}")


def _misdescribed(paths: Paths, difference: str) -> ResultsError:
    return ResultsError(
        f"{printable(str(paths.run))}: it does not describe the data of its config ({printable(difference, 120)}): "
        f"damaged or edited; {COPY_AGAIN}"
    )


def _describe(config: Config, data: Datasets, paths: Paths, identity: str, *, trusted: bool) -> RunInfo:
    make_directory(paths.root)
    return RunInfo(
        name=config.run.name,
        identity=identity,
        config=config_to_json(config),
        seed=config.run.seed,
        models=config.design.models,
        heldout=config.design.heldout,
        prior=config.n_prior,
        resolution=data.resolution,
        channels=data.channels,
        source=_describe_source(
            data,
            skipped=len(data.source.skipped),
            digests=_write_source_images(config, data, paths, trusted=trusted),
        ),
        targets=[
            _describe_target(
                config,
                data,
                i,
                skipped=len(images.train.skipped) + len(images.test.skipped),
                digests=_write_target_images(config, data, paths, i, trusted=trusted),
            )
            for i, images in enumerate(data.targets)
        ],
        versions=package_versions(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _describe_source(data: Datasets, *, skipped: int, digests: dict[str, str]) -> SourceInfo:
    sizes = np.bincount(data.groups.group_of_image[data.groups.group_of_image >= 0], minlength=len(data.groups.names))
    return SourceInfo(
        classes=list(data.source.classes),
        groups=list(data.groups.names),
        sizes=sizes.tolist(),
        images=len(data.source),
        fingerprint=data.source.fingerprint,
        skipped=skipped,
        digests=digests,
    )


def _describe_target(
    config: Config, data: Datasets, position: int, *, skipped: int, digests: dict[str, str]
) -> TargetInfo:
    section, images = config.target[position], data.targets[position]
    return TargetInfo(
        name=section.name,
        transfer=section.transfer,
        classes=list(images.test.classes),
        train=len(images.train),
        test=len(images.test),
        fingerprints=[images.train.fingerprint, images.test.fingerprint],
        skipped=skipped,
        digests=digests,
    )


def _write_target_images(
    config: Config, data: Datasets, paths: Paths, position: int, *, trusted: bool
) -> dict[str, str]:
    section, images = config.target[position], data.targets[position]
    n = len(images.test)
    side = thumbnail_side(n, data.channels)
    thumbnail_images = thumbnails(section, "test", images.test, np.arange(n), side, trusted=trusted)
    examples = Examples(
        labels=images.test.labels,
        estimate=split_examples(images.test.labels, config.run.seed),
        names=images.test.names,
    )
    return write_examples(paths, position, examples, thumbnail_images)


def _write_source_images(config: Config, data: Datasets, paths: Paths, *, trusted: bool) -> dict[str, str]:
    groups = data.groups.group_of_image
    order = np.argsort(groups, kind="stable")
    chosen: list[int] = []
    for group in range(len(data.groups.names)):
        start, end = np.searchsorted(groups[order], [group, group + 1])
        members = order[start:end]
        step = max(1, len(members) // SAMPLES_PER_GROUP)
        chosen.extend(members[::step][:SAMPLES_PER_GROUP].tolist())
    positions = np.array(chosen, dtype=np.int64)
    side = thumbnail_side(len(positions), data.channels)
    thumbnail_images = thumbnails(config.source, "source", data.source, positions, side, trusted=trusted)
    return write_source_thumbnails(paths, thumbnail_images, groups[positions])


def thumbnail_side(count: int, channels: int) -> int:
    """Return the side, in pixels, at which so many thumbnails stay within their budget."""
    return int(min(64, max(16, (_THUMBNAIL_BYTES / max(1, count * channels)) ** 0.5)))


def _changes(previous: RunInfo, data: Datasets, weights: str) -> str:
    changes = ["the source"] if previous.source.fingerprint != data.source.fingerprint else []
    for old, new in zip(previous.targets, data.targets, strict=True):
        if old.fingerprints != [new.train.fingerprint, new.test.fingerprint]:
            changes.append(f"target {old.name}")
    if previous.weights != weights:
        changes.append("the weights that it starts from")
    return ", ".join(changes) or "the grouping, or the code of the network"


def version_warnings(info: RunInfo) -> list[str]:
    """Return a warning if this session's packages differ from those that the run began with."""
    now = package_versions()
    mixed = [
        f"{package} {before} -> {now[package]}"
        for package, before in info.versions.items()
        if package not in ("git", "python") and package in now and now[package] != before
    ]
    return [f"the run began with other versions: {', '.join(mixed)}"] if mixed else []


def package_versions() -> dict[str, str]:
    """Return the versions of this program and of the packages that its records depend on."""
    versions = {"tinfl": __version__, "python": sys.version.split()[0]}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    revision = _git_revision()
    return {**versions, "git": revision} if revision else versions


def _git_revision() -> str | None:
    """Return the git revision of this program, if it runs from a checkout."""
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / ".git").exists():
        return None
    try:
        process = subprocess.run(
            ["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return process.stdout.strip() or None
