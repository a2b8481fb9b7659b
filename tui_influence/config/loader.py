"""A file that a user wrote, as text; what is wrong with it as a file leaves here as a one-line `ConfigError`.

From text to TOML tables, and what is said when the text is not TOML.

`tomllib` stops at the first mistake, so there is one problem at most here, and its hint says that the rest of the
file was not looked at.

A config from a file, from text, and from a results directory; and a config as JSON.

Everything that can be wrong with a user's config leaves here as a `ConfigError`: `InvalidConfig`, which names every
mistake, if it could be read, and one line that says why not, if it could not. A saved config is not the user's: what
is wrong with that is a `ResultsError`.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tui_influence.config.errors import Document, InvalidConfig, Problem, problems_of
from tui_influence.config.positions import Node, locate
from tui_influence.config.presence import note_absences
from tui_influence.config.schema import Config
from tui_influence.errors import ConfigError, ResultsError
from tui_influence.text import printable

MAX_BYTES = 256 << 10
"""A config of many targets has a few kilobytes; what is larger is some other file."""


def read_source(path: Path, *, missing: str = "") -> str:
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
        return unified(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{shown}: not UTF-8 text (line {line}); save it as UTF-8") from None


def unified(text: str) -> str:
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


class NotToml(Exception):  # noqa: N818 - it carries the problem, and never leaves this package
    """The text is not TOML; its only argument is the problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


def read_toml(text: str) -> tuple[Tables, Node]:
    r"""Return the tables of a document, and where everything in them stands.

    Args:
        text: with line ends already made `\n`.

    Raises:
        NotToml: it cannot be read.
    """
    try:
        data = _tables(text)
        return data, locate(text)
    except RecursionError:
        raise NotToml(Problem("lists or tables are nested too deeply to be read")) from None


def _tables(text: str) -> Tables:
    try:
        return tomllib.loads(text)
    except ValueError as error:  # also what `int` says of a number of thousands of digits
        raise NotToml(_explained(text, str(error))) from None


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
        InvalidConfig: it is wrong; all of its problems at once.
        ConfigError: it cannot be read as text.
    """
    return parse_config(read_source(path, missing=" (tinfl init writes one to start from)"), str(path))


def check_presence(path: Path) -> None:
    """Check that the files and directories that the config in a file names are on this machine.

    Raises:
        InvalidConfig: some are not, all of them at once; or the config itself is wrong.
        ConfigError: it cannot be read as text.
    """
    name = str(path)
    config, document = _parsed(read_source(path), name)
    note_absences(config, document)
    if document.problems:
        raise InvalidConfig(name, document.problems)


def parse_config(text: str, name: str) -> Config:
    """Return the config that a text holds.

    Args:
        text: TOML.
        name: what the messages call it.

    Raises:
        InvalidConfig: it is wrong; all of its problems at once.
    """
    return _parsed(text, name)[0]


def _parsed(text: str, name: str) -> tuple[Config, Document]:
    text = unified(text)
    try:
        data, positions = read_toml(text)
    except NotToml as error:
        raise InvalidConfig(name, [error.problem]) from None
    try:
        return Config.model_validate(data), Document(data, positions, text)
    except ValidationError:
        raise InvalidConfig(name, problems_of(data, positions, text)) from None


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
        problems = problems_of(data, Node(), "")
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    raise ResultsError(f"the saved config is damaged, or of another version: {problems[0].message}{more}")
