"""Whether the files and directories that a config names are on this machine; which may not be the one it is written on.

So this is no part of reading a config: those ask who are about to open the data.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from tui_influence.config.errors import Document
from tui_influence.config.paths import expanded
from tui_influence.config.schema import Config, Section
from tui_influence.config.types import Location
from tui_influence.text import printable


def note_absences(config: Config, document: Document) -> None:
    """Note every path of a config that does not lead to what it must lead to.

    Args:
        config: whose relative paths start at the current directory.
        document: that it was read from; it takes the problems.
    """
    _note(config.source, ["source"], document)
    for index, target in enumerate(config.target):
        _note(target, ["target", index], document)


def _note(section: Section, table: Sequence[str | int], document: Document) -> None:
    for key, field in type(section).model_fields.items():
        for location in (mark for mark in field.metadata if isinstance(mark, Location)):
            value = getattr(section, key)
            if value is None or value in location.words:
                continue
            reason = _absence(expanded(value), location)
            if reason is not None:
                message = f"{table[0]}.{key} {reason}: {printable(value, 200)}"
                document.add(message, [*table, key], _hint(expanded(value)), at_value=True)


def _hint(path: Path) -> str | None:
    if path.is_absolute():
        return None
    return f"a relative path starts where tinfl does: {printable(str(Path.cwd() / path), 300)}"


def _absence(path: Path, location: Location) -> str | None:
    """Return what is wrong with a path, as a predicate; None if it leads to what can be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return "does not exist"
    except OSError as error:
        return f"cannot be read ({(error.strerror or str(error)).lower()})"
    try:
        mode = os.fstat(descriptor).st_mode
    finally:
        os.close(descriptor)
    if location.is_directory:
        return None if stat.S_ISDIR(mode) else "is not a directory"
    return (
        None if stat.S_ISREG(mode) else "is a directory, not a file" if stat.S_ISDIR(mode) else "is not a regular file"
    )
