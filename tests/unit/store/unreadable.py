"""Ways in which a file can be there and not be read."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tui_influence.store import files

Spoil = Callable[[Path, pytest.MonkeyPatch], None]


def refusing(number: int) -> Spoil:
    """A file that the system refuses to open, with this error."""

    def spoil(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        open_any = os.open

        def refuse(name, *rest, **more):
            if Path(name) == path:
                raise OSError(number, os.strerror(number), str(path))
            return open_any(name, *rest, **more)

        monkeypatch.setattr(files.os, "open", refuse)

    return spoil


def failing_in_the_middle(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that can be opened, on a disk that cannot read it."""
    content = files._content

    def fail(name, limit):
        if name == path:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return content(name, limit)

    monkeypatch.setattr(files, "_content", fail)


def _directory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.unlink()
    path.mkdir()
    (path / "file").touch()


def _pipe(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.unlink()
    os.mkfifo(path)


def _dangling_link(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.unlink()
    path.symlink_to(path.with_name("gone"))


def _circle(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.unlink()
    path.symlink_to(path)


def _sparse(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.truncate(path, 1 << 40)


UNREADABLE: dict[str, Spoil] = {
    "input/output error": failing_in_the_middle,
    "permission denied": refusing(errno.EACCES),
    "a directory": _directory,
    "a pipe": _pipe,
    "a link to nothing": _dangling_link,
    "a link to itself": _circle,
    "a terabyte of nothing": _sparse,
}
