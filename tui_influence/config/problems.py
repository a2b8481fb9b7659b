"""What is wrong with a config, and how that is shown: place, reason, the line, a caret, a way out.

The text of `render` and `str` is safe to print: whatever the file holds is escaped. It carries no colour.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from tui_influence.errors import ConfigError
from tui_influence.text import printable

SHOWN_COLUMNS = 100
"""The widest excerpt of a source line; a longer line is cut around the caret."""


@dataclass(frozen=True)
class Problem:
    """One mistake. `line` and `column` count from 1; both are None when it stands nowhere (a missing section)."""

    message: str
    """In plain words and safe to print."""
    line: int | None = None
    column: int | None = None
    source_line: str = ""
    """The line as it is in the file: only `render` makes it safe."""
    hint: str | None = None
    key: str = ""
    """The dotted path of what is wrong, such as `target[1].train`, safe to print."""

    def place(self, name: str) -> str:
        """Return `name:line:column`, as far as they are known; compilers and editors agree on this form."""
        return printable(name) if self.line is None else f"{printable(name)}:{self.line}:{self.column}"

    def render(self, name: str) -> str:
        """Return the lines that explain this problem in the file called `name`."""
        lines = [f"{self.place(name)}: {self.message}"]
        if self.line is not None and self.column is not None:
            excerpt, caret = _excerpt(self.source_line, self.column - 1)
            number = f"{self.line:>5}"
            lines += [f"{number} | {excerpt}", f"{'':>5} | {' ' * caret}^"]
        if self.hint:
            lines.append(f"{'':>5} = {self.hint}")
        return "\n".join(line.rstrip() for line in lines)


class InvalidConfig(ConfigError):  # noqa: N818 - it says what the config is
    """A config that was read and is wrong; every problem in it, in the order of the file."""

    def __init__(self, path: str, problems: Sequence[Problem]) -> None:
        super().__init__(path, tuple(problems))
        self.path = path
        self.problems = tuple(problems)
        self.details = self._details()

    def __str__(self) -> str:
        """One line: the problem if there is one, else how many."""
        if len(self.problems) == 1:
            (problem,) = self.problems
            return f"{problem.place(self.path)}: {problem.message}"
        return f"{printable(self.path)}: {len(self.problems)} problems"

    def render(self) -> str:
        """Return all problems as plain text of several lines."""
        return "\n\n".join(problem.render(self.path) for problem in self.problems)

    def _details(self) -> tuple[str, ...]:
        """Return what `str` leaves out: each problem whole, or of a single one all but its first line."""
        if len(self.problems) > 1:
            return tuple(problem.render(self.path) for problem in self.problems)
        _, _, rest = self.problems[0].render(self.path).partition("\n")
        return (rest,) if rest else ()


def _excerpt(line: str, index: int) -> tuple[str, int]:
    """Return the line made safe, cut to `SHOWN_COLUMNS` around a character, and that character's screen column."""
    skipped = max(index - SHOWN_COLUMNS, 0)
    near = line[skipped : index + SHOWN_COLUMNS]
    cut_after = skipped + len(near) < len(line)
    index -= skipped
    cells = [" " if char == "\t" else printable(char) for char in near]
    widths = [sum(_width(char) for char in cell) for cell in cells]
    first, last = 0, len(cells)
    while sum(widths[first:last]) > SHOWN_COLUMNS:
        surplus_left = index - first > (last - first) * 2 // 3
        step = max((last - first) // 16, 1)
        first, last = (first + step, last) if surplus_left else (first, last - step)
    before = "…" if first or skipped else ""
    after = "…" if last < len(cells) or cut_after else ""
    return before + "".join(cells[first:last]) + after, len(before) + sum(widths[first:index])


def _width(char: str) -> int:
    """Return how many columns a terminal gives a printable character."""
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1
