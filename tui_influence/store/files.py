"""Reading and writing of files: a crash leaves the old file or the new one, never a part of one."""

import errno
import json
import os
import secrets
from io import BufferedReader
from pathlib import Path
from typing import Any

from tui_influence.errors import ResultsError, TinflError
from tui_influence.regular_files import NotRegularError, open_regular
from tui_influence.store.json_values import matches_digest, parse
from tui_influence.store.paths import TEMPORARY_PREFIX
from tui_influence.text import printable

_MACHINE_ERRORS = {
    errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.ESTALE,
    errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ENOTCONN,
    errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.ESHUTDOWN,
}  # fmt: skip


COPY_AGAIN = "copy it again from where the run was made"
"""Advice about a file that cannot be made again."""


class DiskFullError(ResultsError):
    """There is no space left; earlier files are intact."""


class AlteredFileError(ResultsError):
    """A JSON file does not match the digest in it."""


def write_atomically(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file under a temporary name beside `path`, flush it to the disk, then rename it.

    Args:
        path: of the file; an older one is replaced.
        content: all of it.
        durable: wait for the disk (about a millisecond); a heartbeat does not need it.

    Raises:
        DiskFullError: no space or quota left; the temporary file is gone again.
        ResultsError: any other error of the file system.
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
        raise to_results_error(error, "write", path) from error


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Write JSON atomically; raise ValueError for a value that JSON has no notation for, such as NaN."""
    text = json.dumps(value, allow_nan=False, indent=1)
    write_atomically(path, text.encode("ascii") + b"\n", durable=durable)


def read_json(path: Path, *, limit: int = 256 << 20) -> Any:
    """Read JSON of at most `limit` bytes.

    Raises:
        ResultsError: it is missing, unreadable, too large or not JSON (see `json_values.parse`).
    """
    try:
        return parse(read_bytes(path, limit=limit))
    except ValueError as error:
        raise ResultsError(f"{printable(str(path))}: damaged or half copied (not JSON)") from error


def check_digest(path: Path, values: dict[str, Any]) -> None:
    """Check values that were read from a file against their digest; older versions wrote none.

    Raises:
        AlteredFileError: they do not match.
    """
    if not matches_digest(values):
        raise AlteredFileError(
            f"{printable(str(path))}: its content does not match its digest: damaged or edited; {COPY_AGAIN}"
        )


def read_bytes(path: Path, *, limit: int = 1 << 30) -> bytes:
    """Read a regular file of at most `limit` bytes; pipes and devices are refused.

    On a network file system, a file that another machine replaces meanwhile is read again.

    Raises:
        ResultsError: it is missing, unreadable, too large or no regular file.
    """
    try:
        try:
            content = _content(path, limit)
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
            content = _content(path, limit)
    except OSError as error:
        raise to_results_error(error, "read", path) from error
    return content


def _content(path: Path, limit: int) -> bytes:
    with open_file(path) as file:
        if os.fstat(file.fileno()).st_size > limit or len(content := file.read(limit + 1)) > limit:
            raise ResultsError(f"{printable(str(path))}: larger than any file of this kind can be")
        return content


def open_file(path: Path) -> BufferedReader:
    """Open a regular file for reading, without waiting at a pipe.

    Raises:
        OSError: it cannot be opened.
        ResultsError: it is no regular file.
    """
    try:
        return open_regular(path)
    except NotRegularError as error:
        raise ResultsError(f"{printable(str(path))}: {str(error.strerror).lower()}") from error


def is_gone(error: OSError) -> bool:
    """Whether an error says that a file no longer exists; on a network file system even an open one may be gone."""
    return error.errno in (errno.ENOENT, errno.ESTALE)


def is_machine_error(error: BaseException | None) -> bool:
    """Whether an error is about this machine or its network, not about the file."""
    return isinstance(error, OSError) and error.errno in _MACHINE_ERRORS


def last_line(path: Path, start: int = 0) -> str:
    """Return the last line of a log from a byte offset on, safe to show; empty if there is none."""
    try:
        with open_file(path) as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(start, end - 4096))
            lines = file.read(4096).decode(errors="replace").strip().splitlines()
    except (OSError, ResultsError):
        return ""
    return printable(lines[-1].strip(), 300) if lines else ""


def make_directory(path: Path) -> None:
    """Make a directory and its parents, durably.

    Raises:
        ResultsError: it cannot be made.
    """
    missing = [directory for directory in (path, *path.parents) if not directory.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        for directory in missing:
            sync_directory(directory.parent)
    except OSError as error:
        raise to_results_error(error, "make", path) from error


def sync_directory(path: Path) -> None:
    """Make renames inside a directory durable, where its file system can."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def reason_in_line(error: TinflError | OSError) -> str:
    """Return why something is refused, or why a file cannot be used, in one line with the first details."""
    if isinstance(error, TinflError):
        return "; ".join([str(error), *error.details[:3]])
    return str(to_results_error(error))


def to_results_error(error: OSError, verb: str = "use", path: Path | None = None) -> ResultsError:
    """Return an error of the file system as a message of one line; `path` defaults to that of the error."""
    where = printable(str(path or error.filename or "a file"))
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(f"cannot {verb} {where}: no space left on the disk")
    return ResultsError(f"cannot {verb} {where}: {(error.strerror or str(error)).lower()}")
