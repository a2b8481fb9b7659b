"""The check of a results directory before a run continues: damaged records go to quarantine, to be trained again."""

import os
import shutil
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np

from tui_influence.designs import Row
from tui_influence.errors import ResultsError
from tui_influence.roles import Role
from tui_influence.store.files import COPY_AGAIN, make_directory
from tui_influence.store.listing import list_records
from tui_influence.store.matrix import check_record, remove_unsound
from tui_influence.store.paths import TEMPORARY_PREFIX, Paths
from tui_influence.store.records import DamagedRecordError, Record, read_record
from tui_influence.store.run_info import RunInfo
from tui_influence.text import pluralize, printable

_STALE_AGE = 600.0
"""Seconds after which a temporary file is no longer in use."""


def check_identity(paths: Paths, identity: str) -> None:
    """Check that the records in a directory belong to a run with this identity, before anything there is written.

    Single records of another run go to quarantine later; if none belongs to this run, the records are not the mistake.

    Raises:
        ResultsError: there are records, and every undamaged one belongs to another run.
    """
    others = 0
    for role in Role:
        for index, target in list_records(paths, role):
            try:
                record = read_record(paths, role, index, target)
            except DamagedRecordError:
                continue
            if record.identity == identity:
                return
            others += 1
    if others:
        raise ResultsError(
            f"{printable(str(paths.records_root))}: {pluralize(others, 'record')}, none of them of this config and "
            f"data: is run.json missing, or that of another run? Then {COPY_AGAIN}; a new run "
            "needs another [run] output"
        )


def quarantine_damaged(paths: Paths, info: RunInfo, rows: Iterable[Row]) -> list[str]:
    """Read every record, and move those that are damaged, unreadable or of another run to `quarantine/`.

    Returns:
        the damage, one line each.

    Raises:
        ResultsError: the directory cannot be written.
    """
    planned = {(row.role, row.index): row for row in rows}
    damaged: list[tuple[Role, int, int, DamagedRecordError]] = []
    indices = defaultdict[tuple[Role, int], list[int]](list)
    for role in Role:
        for index, target in sorted(list_records(paths, role)):
            row = planned.get((role, index))
            if row is None or target >= len(info.targets):
                continue  # not in the plan: it is never read
            try:
                record = read_record(paths, role, index, target)
                check_record(record, info)
                check_row(record, row)
            except DamagedRecordError as error:
                damaged.append((role, index, target, error))
                indices[role, target].append(index)
    lines: list[str] = []
    for role in Role:
        for target in range(len(info.targets)):
            lines += remove_unsound(paths, info, role, target, without=indices[role, target])
    for role, index, target, damage in damaged:
        _quarantine(paths, paths.record(role, index, target), role, damage)
        lines.append(str(damage))
    return lines


def remove_stale_files(paths: Paths) -> None:
    """Remove temporary files and directories that a crash left behind."""
    now = time.time()
    for directory, names, files in os.walk(paths.root):
        for name in [*names, *files]:
            path = Path(directory) / name
            if not name.startswith(TEMPORARY_PREFIX):
                continue
            with suppress(FileNotFoundError):  # a worker that outlived its supervisor has just finished it
                if now - path.lstat().st_mtime > _STALE_AGE:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


def check_row(record: Record, row: Row) -> None:
    """Check that a record belongs to a row of the plan.

    Raises:
        DamagedRecordError: its mask or seed differs.
    """
    if record.seed != row.seed or not np.array_equal(record.mask, row.mask):
        raise DamagedRecordError(f"record {record.role.value} {record.index}: its mask or seed is not the plan's")


def _quarantine(paths: Paths, path: Path, role: Role, damage: DamagedRecordError) -> None:
    make_directory(paths.quarantine)
    try:
        path.rename(paths.quarantine / f"{role.value}-{time.time_ns()}-{path.name}")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ResultsError(f"{damage}; cannot move it to quarantine: {reason}") from error
