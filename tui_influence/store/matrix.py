"""The compacted matrix: all records of a (role, target) as arrays, rebuilt from the records at any time.

A generation is a directory of plain `.npy` files that any program can map: `margins` (m, n) float16 or float32 (see
`RunInfo.margin_type`), `predicted` (m, n) uint16, `masks` (m, K) bool, `indices`, `clusters` (m,), and `manifest.json`
with their digests, the training metrics, the role and the target. It is written beside the others and renamed as a
whole, so that a reader never sees a part of one and two writers cannot collide. The generation before the newest stays:
on a shared file system, a reader on another machine may see the newest late, and may still have the older one mapped.
It is a cache: the rows that it lacks are read from the records, and so are all if no generation matches its digests.
When a run starts, those that do not are removed (`remove_unsound`).
"""

import errno
import heapq
import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tui_influence.roles import Role
from tui_influence.store.files import is_gone, make_directory, sync_directory, to_results_error
from tui_influence.store.generation import (
    ARRAYS,
    DamagedGenerationError,
    GenerationSpec,
    LargerPlanError,
    MatrixRow,
    Outputs,
    open_generation,
    write_generation,
)
from tui_influence.store.listing import list_records
from tui_influence.store.paths import TEMPORARY_PREFIX, Paths
from tui_influence.store.records import DamagedRecordError, Record, read_record
from tui_influence.store.run_info import RunInfo
from tui_influence.text import printable

MIN_RECORDS_TO_COMPACT = int(os.environ.get("TINFL_COMPACT_AFTER", "256"))
"""Fewer new records are read faster than a generation is written. Tests of faults set it lower."""

_MAX_GENERATIONS = 2
"""Generations that remain after compaction: the newest, and one that readers may have open."""
_RECORDS_COMPARED = 3
"""Records that a generation of an older version is compared with, to check its role and target."""
_GENERATION = re.compile(r"[0-9]{8}-[0-9a-f]{8}")


def load_outputs(paths: Paths, info: RunInfo, role: Role, target: int) -> Outputs:
    """Return the outputs of all models recorded so far, from the newest generation and the records it lacks.

    Raises:
        ResultsError: the directory cannot be read.
    """
    base, damaged_matrices = _newest(paths, info, role, target)
    missing = _missing(paths, info, role, target, base)
    damaged: list[str] = []
    outputs = base
    if base is None or missing:
        records, damaged = _read_all(paths, info, role, target, missing)
        outputs = _joined(base, records, info, target)
    assert outputs is not None
    return replace(outputs, damaged=tuple(damaged), damaged_matrices=tuple(damaged_matrices))


def compact(paths: Paths, info: RunInfo, role: Role, target: int) -> bool:
    """Write a new generation if there are enough new records, and remove all but the one before it.

    Returns:
        whether it wrote one.

    Raises:
        ResultsError: it cannot be written; the older generation is intact.
    """
    base, damaged = _newest(paths, info, role, target)
    if damaged:  # they would be taken for the newest
        remove_unsound(paths, info, role, target)
    missing = _missing(paths, info, role, target, base)
    if len(missing) < MIN_RECORDS_TO_COMPACT:
        return False
    parent = paths.matrix(role, target)
    make_directory(parent)
    temporary = parent / f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    try:
        try:
            entries = _next_rows(paths, info, role, target, base, missing)
            count = write_generation(temporary, entries, generation_spec(info, role, target))
            final = parent / f"{count:08d}-{secrets.token_hex(4)}"
            temporary.rename(final)
            sync_directory(parent)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    except OSError as error:
        raise to_results_error(error, "write", parent) from error
    for old in list_generations(paths, role, target)[:-_MAX_GENERATIONS]:
        _remove(old)
    return True


def remove_unsound(paths: Paths, info: RunInfo, role: Role, target: int, *, without: Collection[int] = ()) -> list[str]:
    """Remove generations that do not match their digests, or that contain one of the rows `without`.

    Returns:
        reasons, one line each.
    """
    reasons = []
    for directory in list_generations(paths, role, target):
        is_stale = False
        try:
            generation = _open(paths, info, role, target, directory, recheck=True)
            is_stale = bool(np.isin(generation.indices, list(without)).any())
        except (DamagedGenerationError, LargerPlanError) as error:
            reasons.append(f"{error}; it is made again from the records")
            is_stale = True
        if is_stale:
            _remove(directory)
    return reasons


def generation_spec(info: RunInfo, role: Role, target: int) -> GenerationSpec:
    """Return the requirements on a generation of a run."""
    planned, groups = info.planned_rows.get(role, 0), len(info.source.groups)
    return GenerationSpec(info.identity, role, target, planned, groups, info.targets[target].test, info.margin_type)


def matches_record(generation: Outputs, record: Record) -> bool:
    """Whether a generation has the same outputs of a model as its record, or none."""
    position = int(np.searchsorted(generation.indices, record.index))
    if position == len(generation) or generation.indices[position] != record.index:
        return True
    return (
        np.array_equal(generation.margins[position], record.margins)
        and np.array_equal(generation.predicted[position], record.predicted)
        and np.array_equal(generation.masks[position], record.mask)
        and generation.clusters[position] == record.cluster
        and generation.metrics[position] == record.metrics
    )


def _open(paths: Paths, info: RunInfo, role: Role, target: int, directory: Path, *, recheck: bool = False) -> Outputs:
    """Open a generation; one that does not name its role and target is compared with some of the records.

    Raises:
        DamagedGenerationError: it is damaged, or of another role or target.
        LargerPlanError: it holds rows beyond the plan.
    """
    generation = open_generation(directory, generation_spec(info, role, target), recheck=recheck)
    if not generation.is_labelled:
        _check_against_records(paths, role, target, directory, generation)
    return generation


def _check_against_records(paths: Paths, role: Role, target: int, directory: Path, generation: Outputs) -> None:
    compared = 0
    for index in generation.indices.tolist():
        try:
            record = read_record(paths, role, index, target)
        except DamagedRecordError:  # or gone: compare another
            continue
        if not matches_record(generation, record):
            raise DamagedGenerationError(
                f"{printable(str(directory))}: damaged (it does not say what the record of row {index} says)"
            )
        compared += 1
        if compared == _RECORDS_COMPARED:
            return
    if not compared and len(generation):
        raise DamagedGenerationError(
            f"{printable(str(directory))}: it does not name its role and target, and no record can be read that would"
        )


def _remove(directory: Path) -> None:
    """Remove a generation; it is renamed first, so that no reader finds one with missing files."""
    temporary = directory.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(4)}")
    with suppress(OSError):  # it is removed in place then, or another process has removed it
        directory = directory.rename(temporary)
    shutil.rmtree(directory, ignore_errors=True)


def _missing(paths: Paths, info: RunInfo, role: Role, target: int, base: Outputs | None) -> list[int]:
    """Return the rows of the plan that have a record but are not in a generation."""
    planned = info.planned_rows.get(role, 0)
    recorded = {i for i, t in list_records(paths, role) if t == target and i < planned}
    return sorted(recorded - set(base.indices.tolist() if base else ()))


def _next_rows(
    paths: Paths, info: RunInfo, role: Role, target: int, base: Outputs | None, missing: list[int]
) -> Iterator[MatrixRow]:
    """Yield the rows of the next generation in the order of their indices, one at a time."""
    base_indices = base.indices.tolist() if base else []
    positions = heapq.merge(
        ((index, position) for position, index in enumerate(base_indices)), ((index, -1) for index in missing)
    )
    for count, (index, position) in enumerate(positions):
        if base is not None and position >= 0:
            yield MatrixRow(
                base.margins[position],
                base.predicted[position],
                base.masks[position],
                index,
                int(base.clusters[position]),
                base.metrics[position],
            )
            if count % 1024 == 0:
                base.release()
            continue
        records, _ = _read_all(paths, info, role, target, [index])
        for record in records:
            yield MatrixRow(record.margins, record.predicted, record.mask, index, record.cluster, record.metrics)


def _newest(paths: Paths, info: RunInfo, role: Role, target: int) -> tuple[Outputs | None, list[str]]:
    """Return the newest sound generation, or None, and the errors of newer ones.

    A generation whose directory is gone when it is opened was replaced by a newer one, so they are listed again.
    """
    tried, damaged = set[Path](), list[str]()
    while untried := [directory for directory in list_generations(paths, role, target) if directory not in tried]:
        tried.add(untried[-1])
        try:
            generation = _open(paths, info, role, target, untried[-1])
        except LargerPlanError:  # `run.json` was read before the plan grew
            continue
        except DamagedGenerationError as error:
            if not _is_replaced(untried[-1], error.__cause__):
                damaged.append(str(error))
            continue
        return generation, damaged
    return None, damaged


def _is_replaced(directory: Path, cause: BaseException | None) -> bool:
    """Whether a generation could not be opened because its directory is gone; a single missing file is damage."""
    return (
        isinstance(cause, OSError)
        and is_gone(cause)
        and (cause.errno == errno.ESTALE or not os.path.lexists(directory))
    )


def list_generations(paths: Paths, role: Role, target: int) -> list[Path]:
    """Return the directories of all generations of a (role, target), the newest last."""
    try:
        names = sorted(path for path in paths.matrix(role, target).iterdir() if _GENERATION.fullmatch(path.name))
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
            check_record(record, info)
        except DamagedRecordError as error:
            damaged.append(str(error))
        else:
            records.append(record)
    return records, damaged


def check_record(record: Record, info: RunInfo) -> None:
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
    if record.margins.dtype != info.margin_type:
        raise DamagedRecordError(f"{where}: its margins are {record.margins.dtype}, not {info.margin_type}")


def _joined(base: Outputs | None, records: list[Record], info: RunInfo, target: int) -> Outputs:
    n, groups, m = info.targets[target].test, len(info.source.groups), len(records)
    fresh = Outputs(
        indices=np.array([record.index for record in records], dtype=np.int64),
        clusters=np.array([record.cluster for record in records], dtype=np.int64),
        masks=np.array([record.mask for record in records], dtype=np.bool_).reshape(m, groups),
        margins=np.array([record.margins for record in records], dtype=info.margin_type).reshape(m, n),
        predicted=np.array([record.predicted for record in records], dtype=np.uint16).reshape(m, n),
        metrics=[record.metrics for record in records],
    )
    if base is None:
        return fresh
    order = np.argsort(np.concatenate([base.indices, fresh.indices]), kind="stable")
    merged: dict[str, Any] = {
        name: np.concatenate([getattr(base, name), getattr(fresh, name)])[order] for name in ARRAYS
    }
    metrics = base.metrics + fresh.metrics
    return Outputs(**merged, metrics=[metrics[position] for position in order])
