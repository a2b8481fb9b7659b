"""Files of somebody else's, opened to be read: regular ones alone."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_regular(path: str | Path, *, links: bool = True) -> BinaryIO:
    """Open a file to be read; to open a pipe would be to wait for someone who writes to it.

    Args:
        path: of the file.
        links: whether it may be reached through a symbolic link.

    Raises:
        OSError: it cannot be opened, or is no regular file.
    """
    more = os.O_NONBLOCK | os.O_CLOEXEC | (0 if links else os.O_NOFOLLOW)
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | more))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return file


def read_regular(path: str | Path, limit: int, *, links: bool = True) -> bytes:
    """Return the content of a file.

    Args:
        path: of the file.
        limit: the largest that it may be, in bytes.
        links: whether it may be reached through a symbolic link.

    Raises:
        OSError: it cannot be read, is no regular file, or is larger.
    """
    with open_regular(path, links=links) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"larger than {limit >> 20} MiB", str(path))
    return content
