"""Files from outside: paths with `~`, and files that are opened only if they are regular."""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path


class NotRegularError(OSError):
    """A pipe, a socket, a device or a directory, where a regular file is expected."""


def open_regular(path: str | Path, *, links: bool = True) -> BufferedReader:
    """Open a file for reading, unless it is a pipe, which would wait for a writer, or no regular file otherwise.

    Args:
        path: path of the file.
        links: whether it may be a symbolic link.

    Raises:
        NotRegularError: it is no regular file.
        OSError: it cannot be opened.
    """
    extra_flags = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | (0 if links else os.O_NOFOLLOW)

    def opener(name: str, flags: int) -> int:
        descriptor = os.open(name, flags | extra_flags)
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode):
            return descriptor
        os.close(descriptor)
        reason = "Is a directory" if stat.S_ISDIR(mode) else "not a regular file"
        raise NotRegularError(errno.EINVAL, reason, str(path))

    return open(path, "rb", opener=opener)


def read_regular(path: str | Path, limit: int, *, links: bool = True) -> bytes:
    """Return the content of a file.

    Args:
        path: path of the file.
        limit: largest size of the file, in bytes.
        links: whether it may be a symbolic link.

    Raises:
        OSError: it cannot be read, is no regular file, or is larger.
    """
    with open_regular(path, links=links) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(min(size, limit) + 1)  # memory is allocated for the whole request
        if size < len(content) <= limit:  # the file has grown
            content += file.read(limit + 1 - len(content))
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"larger than {limit >> 20} MiB", str(path))
    return content


def expand_home(path: str) -> Path:
    """Return a path with `~` at its start replaced by a home directory, if there is such a user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - `Path.expanduser` raises for a user that does not exist
