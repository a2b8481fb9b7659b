"""The results directory of an import, with the same files as that of a sweep.

It is made under a temporary name beside its final path, and renamed when everything is on the disk, so it is complete
or does not exist. Each model has a record like a trained model; `run.json` marks the run as imported, as it has no
config to resume.
"""

import os
import secrets
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tui_influence.datasets.images import to_square
from tui_influence.designs import split_examples
from tui_influence.errors import ConfigError
from tui_influence.importing.arrays import CheckedImport, row_blocks
from tui_influence.roles import Role
from tui_influence.runs.heartbeat import Heartbeat, State, write_heartbeat
from tui_influence.runs.prepare import package_versions, thumbnail_side
from tui_influence.store.events import EventLog
from tui_influence.store.examples import Examples, write_examples
from tui_influence.store.files import make_directory, sync_directory, to_results_error, write_atomically
from tui_influence.store.matrix import compact
from tui_influence.store.paths import TEMPORARY_PREFIX, Paths
from tui_influence.store.records import Record, as_margins, encode
from tui_influence.store.results_directory import make_results_directory
from tui_influence.store.run_info import IMPORTED, RunInfo, SourceInfo, TargetInfo, write_run_info
from tui_influence.text import printable

_SEED = 0
"""Seed of the split into halves; nothing else is random."""


def write_import(checked: CheckedImport, root: Path, target: str) -> None:
    """Write the results directory of an import.

    Args:
        checked: masks, outputs and examples of the import.
        root: its path; it must not exist, or be an empty directory.
        target: name of the target.

    Raises:
        ConfigError: the path is in use.
        ResultsError: it cannot be written; nothing of it remains.
    """
    require_unused(root)
    root = root.absolute()
    temporary = root.parent / f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    make_directory(root.parent)
    try:
        try:
            _write(checked, Paths(temporary), root.name, target)
            os.sync()  # once, as waiting for each of ten thousand records would take longest
            temporary.rename(root)
            sync_directory(root.parent)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    except OSError as error:
        raise to_results_error(error, "write", root) from error


def require_unused(root: Path) -> None:
    """Refuse a path that exists, unless it is an empty directory.

    Raises:
        ConfigError: it exists.
        ResultsError: it cannot be read.
    """
    try:
        if root.is_symlink() or (root.exists() and (not root.is_dir() or any(root.iterdir()))):
            raise ConfigError(f"{printable(str(root))} already exists; an import writes a new directory")
    except OSError as error:
        raise to_results_error(error, "use", root) from error


def _write(checked: CheckedImport, paths: Paths, name: str, target: str) -> None:
    make_results_directory(paths.root)
    info = _info(checked, paths, name, target)
    for record in chain(_records(checked), _prior_records(checked)):
        path = paths.record(record.role, record.index, record.target)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, encode(record), durable=False)
    write_run_info(paths, info)
    for role in (Role.ESTIMATE, Role.HELDOUT):
        compact(paths, info, role, 0)
    now, total = time.time(), sum(info.planned_rows.values())
    write_heartbeat(paths, Heartbeat(State.DONE, now, now, done=total, total=total), durable=True)
    events = EventLog(paths.events)
    events.write("imported", models=total)
    events.close()


def _info(checked: CheckedImport, paths: Paths, name: str, target: str) -> RunInfo:
    labels, n = checked.labels, len(checked.labels)
    names = tuple(f"{checked.classes[label]}/{j}" for j, label in enumerate(labels.tolist()))
    examples = Examples(labels, split_examples(labels, _SEED), names)
    thumbnails = None if checked.images is None else _thumbnails(checked.images)
    digests = write_examples(paths, 0, examples, thumbnails)
    groups = list(checked.groups)
    return RunInfo(
        name=name,
        identity=checked.identity,
        config={
            IMPORTED: True,
            "source": {"groups": "group"},
            "design": {"kind": "fixed" if checked.is_fixed_size else "random", "alpha": round(checked.alpha, 3)},
        },
        seed=_SEED,
        models=checked.models,
        heldout=checked.heldout,
        resolution=0 if thumbnails is None else thumbnails.shape[1],
        channels=1 if thumbnails is None else thumbnails.shape[3],
        source=SourceInfo([], groups, [0] * len(groups), 0, "", 0),
        targets=[TargetInfo(target, "imported", list(checked.classes), 0, n, [], 0, digests)],
        versions=package_versions(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        prior=0 if checked.prior is None else len(checked.prior),
        margin_type=checked.margin_type,
    )


def _records(checked: CheckedImport) -> Iterator[Record]:
    labels = checked.labels.astype(np.uint16)
    other_class = np.uint16(len(checked.classes))
    for (start, masks), (_, outputs) in zip(row_blocks(checked.masks), row_blocks(checked.outputs), strict=True):
        if checked.predicted is None:
            predicted = np.where(outputs > 0, labels, other_class).astype(np.uint16)
        else:
            predicted = np.asarray(checked.predicted[start : start + len(masks)]).astype(np.uint16)
        margins, accuracies = as_margins(outputs, checked.margin_type), (predicted == labels).mean(axis=1)
        for row in range(len(masks)):
            heldout = start + row >= checked.models
            index = start + row - (checked.models if heldout else 0)
            cluster = index if checked.clusters is None else int(checked.clusters[start + row])
            yield Record(
                role=Role.HELDOUT if heldout else Role.ESTIMATE,
                index=index,
                target=0,
                seed=cluster,
                cluster=cluster,
                identity=checked.identity,
                numerics="imported",
                mask=masks[row].astype(np.bool_),
                margins=margins[row],
                predicted=predicted[row],
                metrics={"target_accuracy": float(accuracies[row])},
            )


def _prior_records(checked: CheckedImport) -> Iterator[Record]:
    """Yield the records of the prior networks. Only their measures are known: their margins are 0."""
    if checked.prior is None:
        return
    n = len(checked.labels)
    for index, (mapping, ablation) in enumerate(zip(checked.prior.mapping, checked.prior.ablation, strict=True)):
        yield Record(
            role=Role.PRIOR,
            index=index,
            target=0,
            seed=index,
            cluster=index,
            identity=checked.identity,
            numerics="imported",
            mask=np.ones(len(checked.groups), dtype=np.bool_),
            margins=as_margins(np.zeros(n), checked.margin_type),
            predicted=np.full(n, len(checked.classes), dtype=np.uint16),
            metrics={},
            mapping=mapping,
            ablation=ablation,
        )


def _thumbnails(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return square thumbnails as small as those of a sweep: (n, side, side, C) uint8."""
    count, height, width, channels = images.shape
    side = min(height, width, thumbnail_side(count, channels))
    if (height, width) == (side, side):
        return images
    thumbnails = np.empty((count, side, side, channels), dtype=np.uint8)
    for index, pixels in enumerate(images):
        thumbnails[index] = to_square(Image.fromarray(pixels[..., 0] if channels == 1 else pixels), side, channels)
    return thumbnails
