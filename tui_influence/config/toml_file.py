"""TOML files that a user wrote, as tables with the position of everything in them.

A file that cannot be read as text is a `ConfigError` of one line. `tomllib` stops at the first mistake in the syntax,
so one mistake at most is reported, and its hint says that the rest of the file was not checked. Light to load, as the
app reads the user's own config before its first paint.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

from tui_influence.config.errors import Problem
from tui_influence.config.positions import Node, locate_keys
from tui_influence.errors import ConfigError
from tui_influence.text import printable

MAX_BYTES = 256 << 10
"""A config of many targets has a few kilobytes; a larger file is no config."""


def read_config_text(path: Path, *, missing: str = "") -> str:
    r"""Return the text of a file, its line ends as `\n`.

    Args:
        path: path of the file.
        missing: further words of the message if there is no such file.

    Raises:
        ConfigError: it cannot be read as text.
    """
    path_text = printable(str(path))
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise ConfigError(f"{path_text}: not a regular file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{path_text}: no such file{missing}") from None
    except IsADirectoryError:
        raise ConfigError(f"{path_text}: is a directory, not a config file") from None
    except PermissionError:
        raise ConfigError(f"{path_text}: no permission to read it") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(f"{path_text}: cannot be read: {printable(reason)}") from None
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{path_text}: larger than {MAX_BYTES >> 10} KiB; this is no config")
    try:
        return normalize_newlines(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path_text}: not UTF-8 text (line {line}); save it as UTF-8") from None


def normalize_newlines(text: str) -> str:
    r"""Return text without a byte order mark, its line ends as `\n`; applied twice it changes nothing.

    Carriage returns before a line feed belong to the line end, however many: some editors double them.
    """
    return re.sub(r"\r+\n", "\n", text.removeprefix("\ufeff"))


Tables = dict[str, Any]

_POSITION = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")
_NOT_CHECKED_HINT = "this is the first syntax error; the rest of the file was not checked"
_HINTS = (
    ("Invalid value", 'write text in quotes, as in name = "text"'),
    ("Expected '='", "a line is key = value, or [section]"),
    ("Cannot overwrite", "the key is already set above"),
    ("Cannot declare", "the section is already there above; only [[target]] may be repeated"),
    ("Cannot mutate", "the section is already there above"),
    ("Unescaped '\\'", r"write a path with backslashes in single quotes: 'C:\data'"),
    ("Unclosed array", "a list ends in ]"),
    ("Illegal character '\\n'", "the quotes that are opened on this line are not closed on it"),
)


class TomlSyntaxError(Exception):
    """The text is not TOML; its only argument is the problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


def read_toml(text: str) -> tuple[Tables, Node]:
    r"""Return the tables of a document, and the positions of everything in them.

    Args:
        text: TOML whose line ends are `\n`.

    Raises:
        TomlSyntaxError: the text is not TOML.
    """
    try:
        data = _tables(text)
        return data, locate_keys(text)
    except RecursionError:
        raise TomlSyntaxError(Problem("lists or tables are nested too deeply to be read")) from None


def _tables(text: str) -> Tables:
    try:
        return tomllib.loads(text)
    except ValueError as error:  # `int` raises it too, for a number of thousands of digits
        raise TomlSyntaxError(_syntax_problem(text, str(error))) from None


def _syntax_problem(text: str, reason: str) -> Problem:
    lines = text.split("\n")
    position = _POSITION.search(reason)
    message = printable(_POSITION.sub("", reason), 200)
    hint = "".join(f"{text}; " for start, text in _HINTS if reason.startswith(start))
    if position is None:
        return Problem(f"not valid TOML: {message}", hint=f"{hint}{_NOT_CHECKED_HINT}")
    if position[1]:
        line, column = int(position[1]), int(position[2])
    else:
        line = max((number for number, content in enumerate(lines, 1) if content.strip()), default=1)
        column = len(lines[line - 1].rstrip()) + 1
    return Problem(
        f"not valid TOML: {message[:1].lower()}{message[1:]}",
        line,
        column,
        lines[line - 1],
        f"{hint}{_NOT_CHECKED_HINT}",
    )
