"""The results directory of an import: records, matrix and all that a reader asks for, whole or not at all.

It is made under a temporary name beside its place, and renamed when everything is on the disk. Each model has a record
like a trained one, so that every reader finds what it knows; `run.json` says that there is no config to go on with.
"""

import os
import secrets
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tui_influence.datasets.images import square
from tui_influence.designs import split_examples
from tui_influence.errors import ConfigError
from tui_influence.importing.arrays import CheckedImport, row_blocks
from tui_influence.roles import Role
from tui_influence.runs.heartbeat import Heartbeat, State, write_heartbeat
from tui_influence.runs.prepare import thumbnail_side, versions
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
"""Of the split into halves; there is no other randomness."""


def write_import(opened: CheckedImport, root: Path, target: str) -> None:
    """Make a results directory.

    Args:
        opened: what it holds.
        root: where it goes; must not exist, or be empty.
        target: name of the target.

    Raises:
        ConfigError: there is something already.
        ResultsError: the disk is full or refuses; nothing is left behind.
    """
    require_unused(root)
    root = root.absolute()
    temporary = root.parent / f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    make_directory(root.parent)
    try:
        try:
            _write(opened, Paths(temporary), root.name, target)
            os.sync()  # once, where waiting for each of ten thousand records would take the most time
            temporary.rename(root)
            sync_directory(root.parent)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    except OSError as error:
        raise to_results_error(error, "write", root) from error


def require_unused(root: Path) -> None:
    """Refuse a place that holds something.

    Raises:
        ConfigError: it does.
        ResultsError: it cannot be looked at.
    """
    try:
        if root.is_symlink() or (root.exists() and (not root.is_dir() or any(root.iterdir()))):
            raise ConfigError(f"{printable(str(root))}: exists; an import makes a directory of its own")
    except OSError as error:
        raise to_results_error(error, "use", root) from error


def _write(opened: CheckedImport, paths: Paths, name: str, target: str) -> None:
    make_results_directory(paths.root)
    info = _info(opened, paths, name, target)
    for record in _records(opened):
        path = paths.record(record.role, record.index, record.target)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, encode(record), durable=False)
    write_run_info(paths, info)
    for role in (Role.ESTIMATE, Role.HELDOUT):
        compact(paths, info, role, 0)
    now, total = time.time(), len(opened.masks)
    write_heartbeat(paths, Heartbeat(State.DONE, now, now, done=total, total=total), durable=True)
    events = EventLog(paths.events)
    events.write("imported", models=total)
    events.close()


def _info(opened: CheckedImport, paths: Paths, name: str, target: str) -> RunInfo:
    labels, n = opened.labels, len(opened.labels)
    names = tuple(f"{opened.classes[label]}/{j}" for j, label in enumerate(labels.tolist()))
    examples = Examples(labels, split_examples(labels, _SEED), names)
    pictures = None if opened.images is None else _thumbnails(opened.images)
    digests = write_examples(paths, 0, examples, pictures)
    groups = list(opened.groups)
    return RunInfo(
        name=name,
        identity=opened.identity,
        config={
            IMPORTED: True,
            "source": {"groups": "group"},
            "design": {"kind": "fixed" if opened.is_fixed_size else "random", "alpha": round(opened.alpha, 3)},
        },
        seed=_SEED,
        models=opened.models,
        heldout=opened.heldout,
        resolution=0 if pictures is None else pictures.shape[1],
        channels=1 if pictures is None else pictures.shape[3],
        source=SourceInfo([], groups, [0] * len(groups), 0, "", 0),
        targets=[TargetInfo(target, "imported", list(opened.classes), 0, n, [], 0, digests)],
        versions=versions(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _records(opened: CheckedImport) -> Iterator[Record]:
    labels = opened.labels.astype(np.uint16)
    other = np.uint16(len(opened.classes))
    for (start, masks), (_, outputs) in zip(row_blocks(opened.masks), row_blocks(opened.outputs), strict=True):
        if opened.predicted is None:
            predicted = np.where(outputs > 0, labels, other).astype(np.uint16)
        else:
            predicted = np.asarray(opened.predicted[start : start + len(masks)]).astype(np.uint16)
        margins, right = as_margins(outputs), (predicted == labels).mean(axis=1)
        for row in range(len(masks)):
            heldout = start + row >= opened.models
            index = start + row - (opened.models if heldout else 0)
            yield Record(
                role=Role.HELDOUT if heldout else Role.ESTIMATE,
                index=index,
                target=0,
                seed=index,
                cluster=index,
                identity=opened.identity,
                numerics="imported",
                mask=masks[row].astype(np.bool_),
                margins=margins[row],
                predicted=predicted[row],
                metrics={"target_accuracy": float(right[row])},
            )


def _thumbnails(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return squares of images, as small as those that a sweep keeps: (n, side, side, C) uint8."""
    count, height, width, channels = images.shape
    side = min(height, width, thumbnail_side(count, channels))
    if (height, width) == (side, side):
        return images
    made = np.empty((count, side, side, channels), dtype=np.uint8)
    for place, pixels in enumerate(images):
        made[place] = square(Image.fromarray(pixels[..., 0] if channels == 1 else pixels), side, channels)
    return made
