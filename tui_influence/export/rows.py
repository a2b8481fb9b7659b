"""Which rows of a ranking a table shows, and what it says of the others.

With `top`, the first so many and a line that names the other end; else all of them where they fit, or as many from
both ends. Groups without an influence come last, and are the first to make room. No widths and no colours here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from tui_influence.export.report import RankReport, first, shown
from tui_influence.influence.ranking import RankedGroup

FEWEST = 4
"""Rows that are shown however low the terminal is."""
OTHER_END = 3
"""How many groups the line after `top` names."""


@dataclass(frozen=True)
class Signs:
    """Marks of a table; text of one cell each, or none."""

    helps: str = "▲"
    hurts: str = "▼"
    unknown: str = "–"
    ellipsis: str = "…"
    separator: str = " · "

    def of(self, value: float) -> str:
        """The mark of an influence; a blank for zero."""
        if not self.helps:
            return ""
        return f"{self.helps if value > 0 else self.hurts if value < 0 else ' '} "


UNICODE_SIGNS = Signs()
ASCII_SIGNS = Signs(helps="", hurts="", unknown="-", ellipsis="...", separator=" | ")


@dataclass(frozen=True)
class ShownRows:
    """The rows of a table, and what is said of those it leaves out.

    Attributes:
        head: from the best on.
        between: the line after them, if any were left out there.
        tail: to the worst.
        below: the line after all; empty if there is nothing to say.
    """

    head: Sequence[RankedGroup]
    between: str = ""
    tail: Sequence[RankedGroup] = ()
    below: str = ""

    @property
    def rows(self) -> tuple[RankedGroup, ...]:
        """All rows that are shown."""
        return (*self.head, *self.tail)


def choose_rows(report: RankReport, signs: Signs, top: int | None, room: int | None) -> ShownRows:
    """Choose the rows of a table.

    Args:
        report: the ranking.
        signs: what the lines are written with.
        top: the first so many; None for as many as there is room for.
        room: lines for rows and what is said of the others; None if there is no limit. Ignored with `top`.
    """
    rows = report.ranking.rows
    if top is not None:
        return _first_rows(rows, signs, top)
    known = [row for row in rows if isfinite(row.influence)]
    note = _undefined([row for row in rows if not isfinite(row.influence)])
    if room is None or len(rows) + bool(note) <= room:
        return ShownRows(rows, below=note)
    room = max(room - bool(note), FEWEST + 1)
    if len(known) <= room:
        return ShownRows(known, below=note)
    tail = (room - 1) // 2
    head = room - 1 - tail
    between = f"{signs.ellipsis} {len(known) - head - tail:,} more {signs.ellipsis}"
    return ShownRows(known[:head], between, known[len(known) - tail :], note)


def _first_rows(rows: Sequence[RankedGroup], signs: Signs, top: int) -> ShownRows:
    head = first(rows, top)
    rest = rows[len(head) :]
    if not rest:
        return ShownRows(head, below=_undefined([row for row in rows if not isfinite(row.influence)]))
    ends = [row for row in rest if isfinite(row.influence)][-OTHER_END:]
    names = ", ".join(f"{shown(row.group)} ({_signed(row.influence, signs)})" for row in ends[::-1])
    other = f"; at the other end: {names}" if names else f": {_undefined(rest)}"
    return ShownRows(head, below=f"{signs.ellipsis} {len(rest):,} more{other}")


def _signed(value: float, signs: Signs) -> str:
    return f"{signs.of(value) if value else ''}{value:+.3g}"


def _undefined(rows: Sequence[RankedGroup]) -> str:
    if not rows:
        return ""
    constant = all(not row.n_with or not row.n_without for row in rows)
    return f"{len(rows):,} undefined ({'in every model or none' if constant else 'too few models to tell'})"
