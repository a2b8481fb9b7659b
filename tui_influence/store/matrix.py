"""The compacted matrix: all records of a (role, target) as arrays, rebuilt from the records at any time.

A generation is a directory of plain `.npy` files that any program can map: `margins` (m, n) float16, `predicted`
(m, n) uint16, `masks` (m, K) bool, `indices`, `clusters` (m,), and `manifest.json` with their digests and the
training metrics. It is written beside the others and renamed whole, so a reader never sees half of one and two
writers cannot collide. The generation before the newest is kept: where a file system is shared, a reader on another
machine may see the newest late, and may still have the older one mapped. It is a cache: what it lacks is read from the
records. A reader checks types and shapes; the digests are checked, and a generation that does not match them removed,
whenever a run starts (`drop_unsound`).
"""

import heapq
import mmap
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.designs import Mask
from tui_influence.errors import ResultsError
from tui_influence.roles import Role
from tui_influence.store.files import make_directory, read_json, refusal, sync_directory
from tui_influence.store.generation import ARRAYS, Entry, digest_of, write_generation
from tui_influence.store.listing import list_records
from tui_influence.store.paths import TEMPORARY_PREFIX, Paths
from tui_influence.store.records import DamagedRecordError, Record, read_record
from tui_influence.store.run_info import RunInfo
from tui_influence.text import printable

WORTH_COMPACTING = int(os.environ.get("TINFL_COMPACT_AFTER", "256"))
"""Fewer records than this are read faster than a generation is written. Tests of faults set it lower."""

_KEPT = 2
"""Generations that compacting leaves: the newest, and the one that readers may be at."""
_GENERATION = re.compile(r"\d{8}-[0-9a-f]{8}")
_UNSOUND = (
    ResultsError, OSError, ValueError, KeyError, TypeError, AttributeError,
    EOFError, MemoryError, SyntaxError, TokenError,
)  # fmt: skip
"""What reading a file that somebody else wrote, or half wrote, can end in."""


@dataclass(frozen=True)
class Outputs:
    """What the models of one role say about one target; row order is the order of `indices`.

    Attributes:
        indices: (m,) int64, ascending.
        clusters: (m,) int64; models that share a cluster share their training seed.
        masks: (m, K) bool.
        margins: (m, n) float16, nats; often memory-mapped.
        predicted: (m, n) uint16 classes; often memory-mapped.
        metrics: of each model's training.
        damaged: what was wrong with records that had to be left out.
    """

    indices: NDArray[np.int64]
    clusters: NDArray[np.int64]
    masks: Mask
    margins: NDArray[np.float16]
    predicted: NDArray[np.uint16]
    metrics: list[dict[str, float]]
    damaged: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.indices)

    def release(self) -> None:
        """Let the system take back the memory of what is mapped and was read; it is read again where it is needed."""
        for array in (self.margins, self.predicted):
            mapped = getattr(array, "_mmap", None)
            if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
                mapped.madvise(mmap.MADV_DONTNEED)


def load_outputs(paths: Paths, info: RunInfo, role: Role, target: int) -> Outputs:
    """Return the outputs of all models recorded so far, from the newest generation and the records it lacks.

    Raises:
        ResultsError: the directory cannot be read.
    """
    base = _newest(paths, info, role, target)
    known = set(base.indices.tolist()) if base else set()
    planned = info.planned.get(role, 0)
    missing = sorted({i for i, t in list_records(paths, role) if t == target and i < planned} - known)
    if base and not missing:
        return base
    records, damaged = _read_all(paths, info, role, target, missing)
    return _joined(base, records, info, target, tuple(damaged))


def compact(paths: Paths, info: RunInfo, role: Role, target: int) -> bool:
    """Write a new generation if enough records have come since the last one, and drop those before that one.

    Returns:
        whether it wrote one.

    Raises:
        ResultsError: the disk is full or refuses; the older generation stands.
    """
    base = _newest(paths, info, role, target)
    recorded = {i for i, t in list_records(paths, role) if t == target}
    if len(recorded) - (len(base) if base else 0) < WORTH_COMPACTING:
        return False
    planned = info.planned.get(role, 0)
    known = set(base.indices.tolist()) if base else set()
    missing = sorted(i for i in recorded - known if i < planned)
    parent = paths.matrix(role, target)
    make_directory(parent)
    temporary = parent / f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    try:
        try:
            entries = _entries(paths, info, role, target, base, missing)
            n, groups = info.targets[target].test, len(info.source.groups)
            count = write_generation(temporary, entries, n, groups, info.identity)
            final = parent / f"{count:08d}-{secrets.token_hex(4)}"
            temporary.rename(final)
            sync_directory(parent)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    except OSError as error:
        raise refusal(error, "write", parent) from error
    for old in _generations(parent)[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return True


def drop_unsound(paths: Paths, info: RunInfo, role: Role, target: int, *, without: int | None = None) -> list[str]:
    """Remove generations that do not match their digests, or that hold row `without`.

    Returns:
        what was wrong, one line each.
    """
    dropped = []
    for directory in _generations(paths.matrix(role, target)):
        try:
            outputs = _open_generation(directory, info, target)
            digests = read_json(directory / "manifest.json")["digests"]
            sound = all(digests[name] == digest_of(getattr(outputs, name)) for name in ARRAYS)
            stale = without is not None and without in outputs.indices
        except _UNSOUND:
            sound, stale = False, False
        if not sound or stale:
            shutil.rmtree(directory, ignore_errors=True)
        if not sound:
            dropped.append(f"{printable(str(directory))}: damaged, and made again from the records")
    return dropped


def _entries(
    paths: Paths, info: RunInfo, role: Role, target: int, base: Outputs | None, missing: list[int]
) -> Iterator[Entry]:
    """Yield the rows of the next generation in the order of their indices, each read when it is asked for."""
    known = base.indices.tolist() if base else []
    places = heapq.merge(((index, place) for place, index in enumerate(known)), ((index, -1) for index in missing))
    for count, (index, place) in enumerate(places):
        if base is not None and place >= 0:
            yield Entry(
                base.margins[place],
                base.predicted[place],
                base.masks[place],
                index,
                int(base.clusters[place]),
                base.metrics[place],
            )
            if count % 1024 == 0:
                base.release()
            continue
        records, _ = _read_all(paths, info, role, target, [index])
        for record in records:
            yield Entry(record.margins, record.predicted, record.mask, index, record.cluster, record.metrics)


def _newest(paths: Paths, info: RunInfo, role: Role, target: int) -> Outputs | None:
    """Return the newest sound generation; None if there is none: the records are the truth.

    One that is gone by the time it is opened was replaced by a newer one, so the directory is listed again.
    """
    parent, tried = paths.matrix(role, target), set[Path]()
    while left := [directory for directory in _generations(parent) if directory not in tried]:
        tried.add(left[-1])
        try:
            return _open_generation(left[-1], info, target)
        except _UNSOUND:
            continue
    return None


def _open_generation(directory: Path, info: RunInfo, target: int) -> Outputs:
    manifest = read_json(directory / "manifest.json")
    count, n, groups = manifest["count"], info.targets[target].test, len(info.source.groups)
    expected = {
        "margins": ((count, n), np.float16),
        "predicted": ((count, n), np.uint16),
        "masks": ((count, groups), np.bool_),
        "indices": ((count,), np.int64),
        "clusters": ((count,), np.int64),
    }
    arrays: dict[str, Any] = {}
    for name, (shape, dtype) in expected.items():
        array = np.load(directory / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        if array.shape != shape or array.dtype != dtype:
            raise ValueError(f"{name}: wrong type or shape")
        arrays[name] = array if array.ndim == 2 and name != "masks" else np.array(array)
    metrics = [{str(key): float(value) for key, value in found.items()} for found in manifest["metrics"]]
    if manifest["identity"] != info.identity or len(metrics) != count:
        raise ValueError("made for another config")
    return Outputs(**arrays, metrics=metrics)


def _generations(parent: Path) -> list[Path]:
    try:
        names = sorted(path for path in parent.iterdir() if _GENERATION.fullmatch(path.name))
    except OSError:
        return []
    return [path for path in names if path.is_dir() and not path.is_symlink()]


def _read_all(
    paths: Paths, info: RunInfo, role: Role, target: int, indices: Iterable[int]
) -> tuple[list[Record], list[str]]:
    records: list[Record] = []
    damaged: list[str] = []
    for index in indices:
        try:
            record = read_record(paths, role, index, target)
            check_belongs(record, info)
        except DamagedRecordError as error:
            damaged.append(str(error))
        else:
            records.append(record)
    return records, damaged


def check_belongs(record: Record, info: RunInfo) -> None:
    """Check that a record is of this run.

    Raises:
        DamagedRecordError: it was trained under another config, or does not fit the run's groups or examples.
    """
    groups, n = len(info.source.groups), info.targets[record.target].test
    where = f"record {record.role.value} {record.index}"
    if record.identity != info.identity:
        raise DamagedRecordError(f"{where}: trained under another config")
    if len(record.mask) != groups or len(record.margins) != n or len(record.predicted) != n:
        raise DamagedRecordError(f"{where}: it does not fit {groups} groups and {n} examples")


def _joined(
    base: Outputs | None, records: list[Record], info: RunInfo, target: int, damaged: tuple[str, ...]
) -> Outputs:
    n, groups, m = info.targets[target].test, len(info.source.groups), len(records)
    fresh = Outputs(
        indices=np.array([record.index for record in records], dtype=np.int64),
        clusters=np.array([record.cluster for record in records], dtype=np.int64),
        masks=np.array([record.mask for record in records], dtype=np.bool_).reshape(m, groups),
        margins=np.array([record.margins for record in records], dtype=np.float16).reshape(m, n),
        predicted=np.array([record.predicted for record in records], dtype=np.uint16).reshape(m, n),
        metrics=[record.metrics for record in records],
        damaged=damaged,
    )
    if base is None:
        return fresh
    order = np.argsort(np.concatenate([base.indices, fresh.indices]), kind="stable")
    merged = {name: np.concatenate([getattr(base, name), getattr(fresh, name)])[order] for name in ARRAYS}
    metrics = base.metrics + fresh.metrics
    return Outputs(**merged, metrics=[metrics[position] for position in order], damaged=damaged)
