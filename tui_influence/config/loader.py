"""Configs from files, from text and from results directories, and configs as JSON.

A mistake in a user's config is a `ConfigError`: an `InvalidConfigError`, which names every mistake, if the text could
be read, and one line with the reason if it could not. `tomllib` stops at the first mistake in the syntax, so of these
one at most is reported. A saved config is not the user's: a mistake in it is a `ResultsError`.

Reading a config does not touch the data it names, which may be on another machine: `check_data_paths` does.
"""

import os
import re
import stat
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tui_influence.config.errors import Document, InvalidConfigError, Problem, find_problems
from tui_influence.config.positions import Node, locate
from tui_influence.config.schema import Config, Section
from tui_influence.config.types import Location
from tui_influence.errors import ConfigError, ResultsError
from tui_influence.regular_files import expand_home
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
            reason = _absence(expand_home(value), location)
            if reason is not None:
                message = f"{table[0]}.{key} {reason}: {printable(value, 200)}"
                document.add(message, [*table, key], _hint(expand_home(value)), at_value=True)


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


MAX_BYTES = 256 << 10
"""A config of many targets has a few kilobytes; what is larger is some other file."""


def read_config_text(path: Path, *, missing: str = "") -> str:
    r"""Return the text of a file, its line ends as `\n`.

    Args:
        path: of the file.
        missing: what to say, besides, when there is none.

    Raises:
        ConfigError: it cannot be read as text.
    """
    shown = printable(str(path))
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise ConfigError(f"{shown}: not a regular file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{shown}: no such file{missing}") from None
    except IsADirectoryError:
        raise ConfigError(f"{shown}: is a directory, not a config file") from None
    except PermissionError:
        raise ConfigError(f"{shown}: no permission to read it") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(f"{shown}: cannot be read: {printable(reason)}") from None
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{shown}: larger than {MAX_BYTES >> 10} KiB; this is no config")
    try:
        return normalize_newlines(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{shown}: not UTF-8 text (line {line}); save it as UTF-8") from None


def normalize_newlines(text: str) -> str:
    r"""Return text without a byte order mark, its line ends as `\n`; given twice it returns the same.

    Carriage returns before a line feed belong to the line end, however many: some editors double them.
    """
    return re.sub(r"\r+\n", "\n", text.removeprefix("\ufeff"))


Tables = dict[str, Any]

_PLACE = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")
_FIRST_ONLY = "this is the first mistake in the syntax; what follows it was not checked"
_ADVICE = (
    ("Invalid value", 'text stands in quotes, as in name = "text"'),
    ("Expected '='", "a line is key = value, or [section]"),
    ("Cannot overwrite", "the same key stands further up"),
    ("Cannot declare", "the same section stands further up; only [[target]] may be repeated"),
    ("Cannot mutate", "the same section stands further up"),
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
    r"""Return the tables of a document, and where everything in them stands.

    Args:
        text: with line ends already made `\n`.

    Raises:
        TomlSyntaxError: it cannot be read.
    """
    try:
        data = _tables(text)
        return data, locate(text)
    except RecursionError:
        raise TomlSyntaxError(Problem("lists or tables are nested too deeply to be read")) from None


def _tables(text: str) -> Tables:
    try:
        return tomllib.loads(text)
    except ValueError as error:  # also what `int` says of a number of thousands of digits
        raise TomlSyntaxError(_explained(text, str(error))) from None


def _explained(text: str, reason: str) -> Problem:
    lines = text.split("\n")
    place = _PLACE.search(reason)
    plain = printable(_PLACE.sub("", reason), 200)
    advice = "".join(f"{said}; " for start, said in _ADVICE if reason.startswith(start))
    if place is None:
        return Problem(f"not valid TOML: {plain}", hint=f"{advice}{_FIRST_ONLY}")
    if place[1]:
        line, column = int(place[1]), int(place[2])
    else:
        line = max((number for number, content in enumerate(lines, 1) if content.strip()), default=1)
        column = len(lines[line - 1].rstrip()) + 1
    return Problem(
        f"not valid TOML: {plain[:1].lower()}{plain[1:]}", line, column, lines[line - 1], f"{advice}{_FIRST_ONLY}"
    )


def load_config(path: Path) -> Config:
    """Return the config in a file.

    Raises:
        InvalidConfigError: it is wrong; all of its problems at once.
        ConfigError: it cannot be read as text.
    """
    return parse_config(read_config_text(path, missing=" (tinfl init writes one to start from)"), str(path))


def check_data_paths(path: Path) -> None:
    """Check that the files and directories that the config in a file names are on this machine.

    Raises:
        InvalidConfigError: some are not, all of them at once; or the config itself is wrong.
        ConfigError: it cannot be read as text.
    """
    name = str(path)
    config, document = _parsed(read_config_text(path), name)
    note_absences(config, document)
    if document.problems:
        raise InvalidConfigError(name, document.problems)


def parse_config(text: str, name: str) -> Config:
    """Return the config that a text holds.

    Args:
        text: TOML.
        name: what the messages call it.

    Raises:
        InvalidConfigError: it is wrong; all of its problems at once.
    """
    return _parsed(text, name)[0]


def _parsed(text: str, name: str) -> tuple[Config, Document]:
    text = normalize_newlines(text)
    try:
        data, positions = read_toml(text)
    except TomlSyntaxError as error:
        raise InvalidConfigError(name, [error.problem]) from None
    try:
        return Config.model_validate(data), Document(data, positions, text)
    except ValidationError:
        raise InvalidConfigError(name, find_problems(data, positions, text)) from None


def config_to_json(config: Config) -> dict[str, Any]:
    """Return a config as JSON values, every default filled in; `config_from_json` gives back an equal one."""
    return config.model_dump(mode="json")


def config_from_json(data: dict[str, Any]) -> Config:
    """Return the config that a results directory or another process of ours holds.

    Raises:
        ResultsError: it is not one; these are nobody's typing errors, so the first reason is enough.
    """
    if not isinstance(data, dict):
        raise ResultsError("the saved config is damaged: it is no table")
    try:
        return Config.model_validate(data)
    except ValidationError:
        problems = find_problems(data, Node(), "")
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    raise ResultsError(f"the saved config is damaged, or of another version: {problems[0].message}{more}")
