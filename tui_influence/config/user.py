"""The user's own config: what holds for the program and not for one run. There need not be one.

It lies where this system keeps a user's configs, or where TINFL_CONFIG says; set but empty, that says that there is
none. Light to load, as the app reads it before it paints.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_influence.config.errors import Document, InvalidConfigError
from tui_influence.regular_files import expand_home
from tui_influence.text import printable

ENVIRONMENT = "TINFL_CONFIG"


@dataclass(frozen=True)
class KeyLine:
    """A line of `[keys]`, before anything in it is looked up.

    Attributes:
        action: id of an action, or what is meant to be one.
        keys: that do it, with commas between.
        place: path in the document.
    """

    action: str
    keys: str
    path: tuple[str, ...]


@dataclass(frozen=True)
class UserConfig:
    """What a user's config says.

    Attributes:
        path: of the file; None if there is to be none.
        keys: lines of `[keys]`.
        document: where everything stands, and what is wrong; None if there is no file.
    """

    path: Path | None
    keys: tuple[KeyLine, ...] = ()
    document: Document | None = None

    def add(self, message: str, line: KeyLine) -> None:
        """Note a problem with a line."""
        assert self.document is not None
        self.document.add(message, line.path)

    def raise_problems(self) -> None:
        """Refuse a config in which there are problems.

        Raises:
            InvalidConfigError: all of them, in the order of the file.
        """
        if self.document is not None and self.document.problems:
            raise InvalidConfigError(str(self.path), self.document.problems)


def user_config_path() -> Path | None:
    """Return where the user's config is, or would be; None if there is to be none."""
    named = os.environ.get(ENVIRONMENT)
    if named is not None:
        return expand_home(named) if named else None
    import platformdirs

    return platformdirs.user_config_path("tinfl") / "config.toml"


def read_user_config() -> UserConfig:
    """Read the user's config.

    Raises:
        InvalidConfigError: it is not TOML.
        ConfigError: it cannot be read as text, or TINFL_CONFIG names no file.
    """
    path = user_config_path()
    if path is None or (ENVIRONMENT not in os.environ and not path.exists()):
        return UserConfig(path)
    from tui_influence.config.loader import TomlSyntaxError, read_config_text, read_toml

    text = read_config_text(path, missing=f" ({ENVIRONMENT} names it)")
    try:
        data, positions = read_toml(text)
    except TomlSyntaxError as error:
        raise InvalidConfigError(str(path), [error.problem]) from None
    document = Document(data, positions, text)
    return UserConfig(path, _keys(document), document)


def _keys(document: Document) -> tuple[KeyLine, ...]:
    """Return the lines of `[keys]`, and note what else there is."""
    for name in document.data:
        if name != "keys":
            document.add(f'unknown section "{printable(name, 60)}"; the user\'s config has [keys]', [name])
    table = document.data.get("keys", {})
    if not isinstance(table, dict):
        document.add('[keys] is a section with lines such as "rank.filter" = "f"', ["keys"])
        return ()
    lines: dict[str, KeyLine] = {}
    for place, value in _leaves(table, ("keys",)):
        action = ".".join(place[1:])
        if not isinstance(value, str):
            shown = printable(action, 60)
            document.add(f'the keys of {shown} are a text: "f", or "f,slash" for two', place, at_value=True)
        elif action in lines:
            document.add(f"{printable(action, 60)} stands here twice", place)
        else:
            lines[action] = KeyLine(action, value, place)
    return tuple(lines.values())


def _leaves(table: dict[str, Any], place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Return what a table holds, also without quotes around an id: `rank.filter = "f"` is a table in a table."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*place, name))
        else:
            yield (*place, name), value
