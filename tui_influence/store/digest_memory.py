"""A user's memory of directories whose digests match, so that nothing is hashed twice.

It is in the user's state directory, because the maker of a results directory could write "checked" into that one. An
entry is valid as long as every file has the same inode, size and times. A file that was changed a moment ago may change
again without new times, and is not remembered yet.
"""

import hashlib
import os
import stat
import time
from contextlib import suppress
from pathlib import Path

import platformdirs

from tui_influence.errors import ResultsError
from tui_influence.store.files import read_bytes, write_atomically

_SETTLING_SECONDS = 3.0
"""Seconds after which a file system gives a changed file other times than before."""
_MAX_DIRECTORIES = 1000
"""Directories in the memory; beyond that the oldest tenth is removed."""


def compute_stamp(digest: str, files: dict[str, os.stat_result]) -> str:
    """Return a hash that changes with every file that was checked.

    Args:
        digest: of the manifest that the files were checked against.
        files: the status of each open file, by name.
    """
    statuses = [(name, file.st_ino, file.st_size, file.st_mtime_ns, file.st_ctime_ns) for name, file in files.items()]
    return hashlib.blake2b(repr((digest, statuses)).encode(), digest_size=16).hexdigest()


def is_remembered(directory: Path, stamp: str) -> bool:
    """Whether the digests of a directory matched when it had this stamp."""
    try:
        return _is_private(_folder()) and read_bytes(_stamp_path(directory), limit=1024) == stamp.encode()
    except (OSError, ResultsError):
        return False


def remember(directory: Path, stamp: str, files: dict[str, os.stat_result]) -> None:
    """Remember that the digests of a directory matched when it had this stamp; errors are ignored.

    Args:
        directory: that was checked.
        stamp: of its files.
        files: the status of each before it was read.
    """
    changed = max(max(file.st_mtime, file.st_ctime) for file in files.values())
    folder = _folder()
    if not (time.time() - changed > _SETTLING_SECONDS and folder.is_absolute()):
        return
    with suppress(OSError, ResultsError):
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        if _is_private(folder):
            write_atomically(_stamp_path(directory), stamp.encode(), durable=False)
            _forget_oldest(folder)


def _folder() -> Path:
    return platformdirs.user_state_path("tinfl") / "digests"


def _stamp_path(directory: Path) -> Path:
    return _folder() / hashlib.blake2b(os.fsencode(directory.absolute()), digest_size=16).hexdigest()


def _is_private(folder: Path) -> bool:
    """Whether nobody but this user can write into a folder."""
    status = folder.stat()
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _forget_oldest(folder: Path) -> None:
    with os.scandir(folder) as entries:
        notes = sorted((entry.stat().st_mtime, entry.path) for entry in entries)
    for _, path in notes[: len(notes) - _MAX_DIRECTORIES * 9 // 10] if len(notes) > _MAX_DIRECTORIES else []:
        Path(path).unlink(missing_ok=True)
