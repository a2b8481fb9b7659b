"""The check of a results directory before a run goes on: damaged records are set aside, so that they are made again."""

import os
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np

from tui_influence.designs import Row
from tui_influence.errors import ResultsError
from tui_influence.roles import Role
from tui_influence.store.files import make_directory
from tui_influence.store.listing import list_records
from tui_influence.store.matrix import check_belongs, drop_unsound
from tui_influence.store.paths import TEMPORARY_PREFIX, Paths
from tui_influence.store.records import DamagedRecordError, Record, read_record
from tui_influence.store.run_info import RunInfo

_STALE = 600.0
"""Seconds after which a temporary file belongs to nobody any more."""


def set_damaged_aside(paths: Paths, info: RunInfo, rows: Iterable[Row]) -> list[str]:
    """Read every record, and move those that are damaged, cannot be read or are of another run to `quarantine/`.

    Returns:
        what was wrong, one line each.

    Raises:
        ResultsError: the directory refuses.
    """
    planned = {(row.role, row.index): row for row in rows}
    damaged: list[str] = []
    for role in Role:
        for target in range(len(info.targets)):
            damaged += drop_unsound(paths, info, role, target)
        for index, target in sorted(list_records(paths, role)):
            row = planned.get((role, index))
            if row is None or target >= len(info.targets):
                continue  # beyond the plan: nobody reads it
            try:
                record = read_record(paths, role, index, target)
                check_belongs(record, info)
                check_row(record, row)
            except DamagedRecordError as error:
                damaged.append(str(error))
                _set_aside(paths, paths.record(role, index, target), role, error)
                drop_unsound(paths, info, role, target, without=index)
    return damaged


def remove_stale(paths: Paths) -> None:
    """Remove temporary files and directories that a crash left behind."""
    now = time.time()
    for directory, names, files in os.walk(paths.root):
        for name in [*names, *files]:
            path = Path(directory) / name
            if not name.startswith(TEMPORARY_PREFIX):
                continue
            with suppress(FileNotFoundError):  # a worker that outlived its supervisor has just finished it
                if now - path.lstat().st_mtime > _STALE:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


def check_row(record: Record, row: Row) -> None:
    """Check that a record is of a row of the plan.

    Raises:
        DamagedRecordError: its mask or seed is another.
    """
    if record.seed != row.seed or not np.array_equal(record.mask, row.mask):
        raise DamagedRecordError(f"record {record.role.value} {record.index}: its mask or seed is not the plan's")


def _set_aside(paths: Paths, path: Path, role: Role, damage: DamagedRecordError) -> None:
    make_directory(paths.quarantine)
    try:
        path.rename(paths.quarantine / f"{role.value}-{time.time_ns()}-{path.name}")
    except OSError as error:
        raise ResultsError(f"{damage}; cannot set it aside: {(error.strerror or str(error)).lower()}") from error
