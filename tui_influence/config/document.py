"""A config file while its mistakes are collected: its tables, where they stand, and the problems so far."""

from collections.abc import Sequence
from typing import Any

from tui_influence.config.positions import Node, line_and_column
from tui_influence.config.problems import Problem
from tui_influence.text import printable

Path = Sequence[str | int]
Table = dict[str, Any]

MOST_PROBLEMS = 100
"""Nobody mends more than this at a time; a file with more is probably not a config at all."""


class Document:
    """Tables that may be mended: what is changed here is a copy of the caller's as deep as the schema has names."""

    def __init__(self, data: Table, positions: Node, text: str) -> None:
        self.data: Table = {name: _copied(value) for name, value in data.items()}
        self.positions = positions
        self._lines = text.split("\n")
        self._text = text
        self._problems: list[Problem] = []

    @property
    def is_full(self) -> bool:
        """Whether no more problems are taken: many more than are shown, as they are not found in their order."""
        return len(self._problems) >= 10 * MOST_PROBLEMS

    @property
    def problems(self) -> list[Problem]:
        """The problems in the order of the file; those that stand nowhere come last."""
        ordered = sorted(self._problems, key=_order)
        if len(ordered) <= MOST_PROBLEMS:
            return ordered
        return [*ordered[:MOST_PROBLEMS], Problem(f"more than {MOST_PROBLEMS} problems; the others are not shown")]

    def line_of(self, path: Path) -> int | None:
        """Return the line of what is at a path, counted from 1."""
        node = self.positions.find(path)
        start = node.start if node else None
        return None if start is None else line_and_column(self._text, start)[0]

    def add(self, message: str, path: Path, hint: str | None = None, *, at_value: bool = False) -> None:
        """Note a problem with what is at `path`, or with what should be there: it stands at the nearest table then.

        Args:
            message: safe to print.
            path: of a key, a table or an item of a list; items are counted from 0.
            hint: safe to print.
            at_value: whether to point at the value, not at the key.
        """
        if self.is_full:
            return
        start = None
        for length in range(len(path), 0, -1):
            node = self.positions.find(path[:length])
            if node is not None:
                start = node.value_start if at_value and length == len(path) else node.start
            if start is not None:
                break
        if start is None:
            self._problems.append(Problem(message, hint=hint, key=_dotted(path)))
            return
        line, column = line_and_column(self._text, start)
        self._problems.append(Problem(message, line, column, self._lines[line - 1], hint, _dotted(path)))

    def move(self, old: Path, new: Path) -> None:
        """Put what is at one path at another, so that it is checked as what it was meant to be."""
        *old_table, old_name = old
        *new_table, new_name = new
        self.table(new_table)[new_name] = self.table(old_table).pop(old_name)
        source, goal = self.positions.find(old_table), self.positions.find(new_table)
        if source and goal and str(old_name) in source.children:
            goal.children[str(new_name)] = source.children.pop(str(old_name))

    def table(self, path: Path) -> Any:
        """Return the table at a path."""
        found: Any = self.data
        for step in path:
            found = found[step]
        return found


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: dict(inner) if isinstance(inner, dict) else inner for key, inner in value.items()}
    if isinstance(value, list):
        return [dict(item) if isinstance(item, dict) else item for item in value]
    return value


def _order(problem: Problem) -> tuple[bool, int, int]:
    return problem.line is None, problem.line or 0, problem.column or 0


def _dotted(path: Path) -> str:
    """Return a path as people write it, with items counted from 1."""
    parts = [f"[{step + 1}]" if isinstance(step, int) else f".{step}" for step in path]
    return printable("".join(parts).removeprefix("."), 200)
