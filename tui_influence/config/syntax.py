"""From text to TOML tables, and what is said when the text is not TOML.

`tomllib` stops at the first mistake, so there is one problem at most here, and its hint says that the rest of the
file was not looked at.
"""

import re
import tomllib
from typing import Any

from tui_influence.config.positions import Node, locate
from tui_influence.config.problems import Problem
from tui_influence.text import printable

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
