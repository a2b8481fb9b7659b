"""Writing files so that a crash leaves the old one or the new one, never half of one."""

import errno
import json
import os
import secrets
from pathlib import Path
from typing import Any

from tui_influence.errors import ResultsError
from tui_influence.text import printable

TEMPORARY_PREFIX = ".tmp-"


class DiskFullError(ResultsError):
    """There is no room left: nothing that was written before is lost."""


def write_atomically(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file under a temporary name beside `path`, flush it to the disk, then rename it.

    Args:
        path: where it ends up; an older file there is replaced.
        content: all of it.
        durable: wait for the disk (about a millisecond); a heartbeat does not need it.

    Raises:
        DiskFullError: no space or quota left; the temporary file is gone again.
        ResultsError: any other refusal of the file system.
    """
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(4)}")
    try:
        try:
            with temporary.open("wb") as file:
                file.write(content)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if durable:
            sync_directory(path.parent)
    except OSError as error:
        raise refusal(error, "write", path) from error


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Write JSON atomically; a value that JSON has no word for (NaN) is a bug and raises ValueError."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1)
    write_atomically(path, text.encode() + b"\n", durable=durable)


def read_json(path: Path, *, limit: int = 256 << 20) -> Any:
    """Read JSON of at most `limit` bytes.

    Raises:
        ResultsError: it is missing, unreadable, too large or not JSON.
    """
    try:
        if path.stat().st_size > limit:
            raise ResultsError(f"{printable(str(path))}: larger than any file of this kind can be")
        return json.loads(path.read_bytes())
    except OSError as error:
        raise refusal(error, "read", path) from error
    except (ValueError, RecursionError) as error:
        raise ResultsError(f"{printable(str(path))}: damaged or half copied (not JSON)") from error


def make_directory(path: Path) -> None:
    """Make a directory and its parents.

    Raises:
        ResultsError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refusal(error, "make", path) from error


def sync_directory(path: Path) -> None:
    """Make renames inside a directory durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refusal(error: OSError, verb: str = "use", path: Path | None = None) -> ResultsError:
    """Return the one-line reason for what the file system refused; `path` is the error's own when not given."""
    where = printable(str(path or error.filename or "a file"))
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(f"cannot {verb} {where}: no space left on the disk")
    return ResultsError(f"cannot {verb} {where}: {(error.strerror or str(error)).lower()}")
