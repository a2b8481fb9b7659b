"""The problems of a config: their position, reason, source line and hint, and the error that lists all of them.

Texts of `render` and `str` are safe to print: control characters of the file are escaped. They carry no colour. Light
to load, as the app reads the user's own config before its first paint.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tui_influence.config.positions import Node, line_and_column
from tui_influence.errors import ConfigError
from tui_influence.text import printable

EXCERPT_COLUMNS = 100
"""The widest excerpt of a source line; a longer line is cut around the caret."""


@dataclass(frozen=True)
class Problem:
    """One mistake. `line` and `column` count from 1; both are None if it has no position (a missing section)."""

    message: str
    """In plain words and safe to print."""
    line: int | None = None
    column: int | None = None
    source_line: str = ""
    """The line as it is in the file: only `render` makes it safe."""
    hint: str | None = None
    key: str = ""
    """The dotted path of the key, such as `target[1].train`, safe to print."""
    setting: str = ""
    """The option of the command line that sets the key, safe to print; empty if the file does."""

    def location(self, name: str) -> str:
        """Return `name:line:column`, or the name alone without a position; editors recognize this form."""
        if self.setting:
            return self.setting
        return printable(name) if self.line is None else f"{printable(name)}:{self.line}:{self.column}"

    def render(self, name: str) -> str:
        """Return the lines that explain this problem in the file called `name`."""
        lines = [f"{self.location(name)}: {self.message}"]
        if self.line is not None and self.column is not None:
            excerpt, caret = _excerpt(self.source_line, self.column - 1)
            number = f"{self.line:>5}"
            lines += [f"{number} | {excerpt}", f"{'':>5} | {' ' * caret}^"]
        if self.hint:
            lines.append(f"{'':>5} = {self.hint}")
        return "\n".join(line.rstrip() for line in lines)


class InvalidConfigError(ConfigError):
    """A config with mistakes; all of its problems, in the order of the file."""

    def __init__(self, path: str, problems: Sequence[Problem]) -> None:
        super().__init__(path, tuple(problems))
        self.path = path
        self.problems = tuple(problems)
        self.details = self._details()

    def __str__(self) -> str:
        """One line: the problem if there is a single one, else the number of problems."""
        if len(self.problems) == 1:
            (problem,) = self.problems
            return f"{problem.location(self.path)}: {problem.message}"
        return f"{printable(self.path)}: {len(self.problems)} problems"

    def render(self) -> str:
        """Return all problems as plain text of several lines."""
        return "\n\n".join(problem.render(self.path) for problem in self.problems)

    def _details(self) -> tuple[str, ...]:
        """Return the lines that `str` omits: each whole problem, or all but the first line of a single one."""
        if len(self.problems) > 1:
            return tuple(problem.render(self.path) for problem in self.problems)
        _, _, lines_after_first = self.problems[0].render(self.path).partition("\n")
        return (lines_after_first,) if lines_after_first else ()


def _excerpt(line: str, index: int) -> tuple[str, int]:
    """Return the line made safe, cut to `EXCERPT_COLUMNS` around a character, and that character's screen column."""
    excerpt_start = max(index - EXCERPT_COLUMNS, 0)
    excerpt = line[excerpt_start : index + EXCERPT_COLUMNS]
    cut_after = excerpt_start + len(excerpt) < len(line)
    index -= excerpt_start
    cells = [" " if char == "\t" else printable(char) for char in excerpt]
    widths = [sum(_width(char) for char in cell) for cell in cells]
    first, last = 0, len(cells)
    while sum(widths[first:last]) > EXCERPT_COLUMNS:
        surplus_left = index - first > (last - first) * 2 // 3
        step = max((last - first) // 16, 1)
        first, last = (first + step, last) if surplus_left else (first, last - step)
    before = "…" if first or excerpt_start else ""
    after = "…" if last < len(cells) or cut_after else ""
    return before + "".join(cells[first:last]) + after, len(before) + sum(widths[first:index])


def _width(char: str) -> int:
    """Return the terminal columns of a printable character."""
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1


KeyPath = Sequence[str | int]
TomlTable = dict[str, Any]

MAX_PROBLEMS = 100
"""A file with more problems is probably no config at all."""


class Document:
    """The tables of a config, their positions and the problems so far.

    The tables may be corrected: they are copied from the caller's, as deep as the schema has names.
    """

    def __init__(self, data: TomlTable, positions: Node, text: str) -> None:
        self.data: TomlTable = {name: _copy_tables(value) for name, value in data.items()}
        self.positions = positions
        self._lines = text.split("\n")
        self._text = text
        self._problems: list[Problem] = []

    @property
    def is_full(self) -> bool:
        """Whether no more problems are accepted; the limit exceeds `MAX_PROBLEMS`, as they come in any order."""
        return len(self._problems) >= 10 * MAX_PROBLEMS

    @property
    def problems(self) -> list[Problem]:
        """The problems in the order of the file; those without a position come last."""
        ordered = sorted(self._problems, key=_position_in_file)
        if len(ordered) <= MAX_PROBLEMS:
            return ordered
        return [*ordered[:MAX_PROBLEMS], Problem(f"more than {MAX_PROBLEMS} problems; the others are not shown")]

    def line_of(self, path: KeyPath) -> int | None:
        """Return the line of a key, counted from 1."""
        node = self.positions.find(path)
        start = node.start if node else None
        return None if start is None else line_and_column(self._text, start)[0]

    def add(self, message: str, path: KeyPath, hint: str | None = None, *, at_value: bool = False) -> None:
        """Add a problem with the key at `path`. If the document lacks it, its nearest table gives the position.

        Args:
            message: safe to print.
            path: path of a key, a table or an item of a list; items are counted from 0.
            hint: how to correct it, safe to print.
            at_value: whether to point at the value, not at the key.
        """
        if self.is_full:
            return
        start = None
        for length in range(len(path), 0, -1):
            node = self.positions.find(path[:length])
            if node is not None and node.setting:
                self._problems.append(Problem(message, hint=hint, key=_dotted(path), setting=node.setting))
                return
            if node is not None:
                start = node.value_start if at_value and length == len(path) else node.start
            if start is not None:
                break
        if start is None:
            self._problems.append(Problem(message, hint=hint, key=_dotted(path)))
            return
        line, column = line_and_column(self._text, start)
        self._problems.append(Problem(message, line, column, self._lines[line - 1], hint, _dotted(path)))

    def move(self, old: KeyPath, new: KeyPath) -> None:
        """Move a value to another path, so that it is checked under the name that was meant."""
        *old_table, old_name = old
        *new_table, new_name = new
        self.table(new_table)[new_name] = self.table(old_table).pop(old_name)
        old_node, new_node = self.positions.find(old_table), self.positions.find(new_table)
        if old_node and new_node and str(old_name) in old_node.children:
            new_node.children[str(new_name)] = old_node.children.pop(str(old_name))

    def table(self, path: KeyPath) -> Any:
        """Return the table at a path."""
        table: Any = self.data
        for step in path:
            table = table[step]
        return table


def _copy_tables(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: dict(inner) if isinstance(inner, dict) else inner for key, inner in value.items()}
    if isinstance(value, list):
        return [dict(item) if isinstance(item, dict) else item for item in value]
    return value


def _position_in_file(problem: Problem) -> tuple[bool, int, int]:
    return problem.line is None, problem.line or 0, problem.column or 0


def _dotted(path: KeyPath) -> str:
    """Return a path as people write it, with items counted from 1."""
    parts = [f"[{step + 1}]" if isinstance(step, int) else f".{step}" for step in path]
    return printable("".join(parts).removeprefix("."), 200)
