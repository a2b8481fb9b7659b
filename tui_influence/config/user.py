"""The user's own config: settings of the program rather than of a run. It is optional.

Its path is that of the operating system for a user's configs, or TINFL_CONFIG; if that is set but empty, there is no
config. Light to load, as the app reads it before its first paint.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_influence.config.errors import Document, InvalidConfigError
from tui_influence.config.toml_file import TomlSyntaxError, read_config_text, read_toml
from tui_influence.regular_files import expand_home
from tui_influence.text import printable

ENVIRONMENT = "TINFL_CONFIG"


@dataclass(frozen=True)
class KeyLine:
    """A line of `[keys]`, before it is checked.

    Attributes:
        action: id of an action, if there is one.
        keys: keys for it, separated by commas.
        path: path in the document.
    """

    action: str
    keys: str
    path: tuple[str, ...]


@dataclass(frozen=True)
class UserConfig:
    """The content of a user's config.

    Attributes:
        path: path of the file; None if there is no config.
        keys: lines of `[keys]`.
        document: positions and problems; None if there is no file.
    """

    path: Path | None
    keys: tuple[KeyLine, ...] = ()
    document: Document | None = None

    def add(self, message: str, line: KeyLine) -> None:
        """Add a problem with a line."""
        assert self.document is not None
        self.document.add(message, line.path)

    def raise_problems(self) -> None:
        """Raise an error if there are problems.

        Raises:
            InvalidConfigError: all of them, in the order of the file.
        """
        if self.document is not None and self.document.problems:
            raise InvalidConfigError(str(self.path), self.document.problems)


def user_config_path() -> Path | None:
    """Return the path of the user's config, which need not exist; None if TINFL_CONFIG is empty."""
    environment_path = os.environ.get(ENVIRONMENT)
    if environment_path is not None:
        return expand_home(environment_path) if environment_path else None
    import platformdirs  # here, as few commands need it

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
    text = read_config_text(path, missing=f" ({ENVIRONMENT} names it)")
    try:
        data, positions = read_toml(text)
    except TomlSyntaxError as error:
        raise InvalidConfigError(str(path), [error.problem]) from None
    document = Document(data, positions, text)
    return UserConfig(path, _key_lines(document), document)


def _key_lines(document: Document) -> tuple[KeyLine, ...]:
    """Return the lines of `[keys]`; anything else is a problem."""
    for name in document.data:
        if name != "keys":
            document.add(f'unknown section "{printable(name, 60)}"; the user\'s config has [keys]', [name])
    table = document.data.get("keys", {})
    if not isinstance(table, dict):
        document.add('[keys] is a section with lines such as "rank.filter" = "f"', ["keys"])
        return ()
    lines: dict[str, KeyLine] = {}
    for path, value in _leaves(table, ("keys",)):
        action = ".".join(path[1:])
        if not isinstance(value, str):
            action_name = printable(action, 60)
            document.add(f'the keys of {action_name} must be text: "f", or "f,slash" for two', path, at_value=True)
        elif action in lines:
            document.add(f"{printable(action, 60)} is set twice", path)
        else:
            lines[action] = KeyLine(action, value, path)
    return tuple(lines.values())


def _leaves(table: dict[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield path and value of each key. Without quotes, `rank.filter = "f"` is a table in a table."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name), value
