"""Files that the user asked a result to be written to: written whole or not at all.

A thin layer on `store.files`, for paths of the user's own: a file that exists keeps its permissions, a link stays a
link, one that may not be written is not replaced; devices and pipes (`/dev/stdout`, a FIFO) are written to. Links
inside a results directory, which may be somebody else's, are not followed.
"""

import os
import re
import stat
from collections.abc import Mapping
from errno import EACCES, EISDIR
from pathlib import Path

from tui_influence.errors import ConfigError, ResultsError
from tui_influence.store.files import to_results_error, write_atomically
from tui_influence.store.results_directory import refuse_links_in_path
from tui_influence.text import printable

_DEVICES = re.compile("/dev|/proc/[^/]+(/task/[^/]+)?/fd")
"""Directories of devices and open files, in which nothing else belongs."""


def refuse_same_file(files: Mapping[str, Path | None]) -> None:
    """Refuse to write two results to one file, where the second would replace the first.

    Args:
        files: where each option wants its result, by the option's name; None where it was not given. Devices and
            pipes may be written to twice.

    Raises:
        ConfigError: two of them are the same file, by whatever names.
    """
    options_by_file: dict[tuple[int, int] | str, str] = {}
    for option, path in files.items():
        if path is None:
            continue
        file_id: tuple[int, int] | str = os.path.realpath(path)
        if path.exists():
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                continue
            file_id = (status.st_dev, status.st_ino)
        if file_id in options_by_file:
            raise ConfigError(f"{options_by_file[file_id]} and {option} name the same file: {printable(str(path))}")
        options_by_file[file_id] = option


def write_text_atomically(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, line ends as they are.

    Raises:
        ResultsError: no such directory, no permission, a full disk, a directory in the way; in one line.
    """
    try:
        content = text.encode("utf-8")
    except UnicodeEncodeError as error:  # a lone surrogate
        raise _unwritable(path, error) from error
    write_bytes_atomically(path, content)


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path`.

    Raises:
        ResultsError: as `write_text_atomically`; or the way to it leads over a link inside a results directory.
    """
    refuse_links_in_path(path)
    try:
        mode = _mode(path)
        if mode is not None and stat.S_ISDIR(mode):
            raise OSError(EISDIR, os.strerror(EISDIR))
        if mode is not None and not os.access(path, os.W_OK):
            raise OSError(EACCES, os.strerror(EACCES))
        if mode is not None and not stat.S_ISREG(mode):
            path.write_bytes(content)
            return
        file = Path(os.path.realpath(path))
        write_atomically(file, content)
        if mode is not None:
            file.chmod(stat.S_IMODE(mode))
    except OSError as error:
        raise to_results_error(error, "write", path) from error
    except ValueError as error:  # a NUL in the path
        raise _unwritable(path, error) from error


def is_device(path: Path) -> bool:
    """Return whether a path is a device or a pipe, or the name of an open file, such as `/dev/stdout`."""
    mode = _mode(path)
    is_special = mode is not None and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)
    return is_special or _DEVICES.fullmatch(os.path.realpath(path.parent)) is not None


def _unwritable(path: Path, error: ValueError) -> ResultsError:
    return ResultsError(f"cannot write {printable(str(path))}: {printable(str(error))}")


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None
