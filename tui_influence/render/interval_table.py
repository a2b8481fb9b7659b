"""Which rows of a ranking a table shows, and what it says of the others.

With `top`, the first so many and a line that names the other end; else all of them where they fit, or as many from
both ends. Groups without an influence come last, and are the first to make room. No widths and no colours here.

A ranking's rows as lines of styled text, one at a time: what the printed table and the app's table share.

`Lines` fixes the columns, the numbers' digits and the whiskers' scale once for a set of rows; a line then costs the
same whether there are ten of them or ten thousand. Nothing is said by colour alone: sign is ▲ or ▼ and the side of
zero, significance is `*`. Colours are Okabe-Ito; noise has none.

A comparison's rows as lines of styled text, one at a time: the counterpart of `lines`.

Each ranking has a column of influences and, where there is room for two, a column of whiskers on a scale of its own:
outputs of different targets need not be of the same size. A ranking that is noise has no colour.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from rich.cells import cell_len
from rich.text import Text

from tui_influence.analysis.types import (
    ComparisonReport,
    RankReport,
)
from tui_influence.influence.types import (
    SIGNIFICANCE_LEVEL,
    ComparedGroup,
    RankedGroup,
)
from tui_influence.render.format import Column, choose, cut, fit, plain, value_format
from tui_influence.render.ranking import (
    comparison_labels,
    first,
    shown,
)
from tui_influence.render.style import Style
from tui_influence.render.whisker import Interval, common_scale, draw

FEWEST = 4
"""Rows that are shown however low the terminal is."""
OTHER_END = 3
"""How many groups the line after `top` names."""


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


def choose_rows(report: RankReport, style: Style, top: int | None, room: int | None) -> ShownRows:
    """Choose the rows of a table.

    Args:
        report: the ranking.
        style: colours and style.
        top: the first so many; None for as many as there is room for.
        room: lines for rows and what is said of the others; None if there is no limit. Ignored with `top`.
    """
    rows = report.ranking.rows
    if top is not None:
        return _first_rows(rows, style, top)
    known = [row for row in rows if isfinite(row.influence)]
    note = _undefined([row for row in rows if not isfinite(row.influence)])
    if room is None or len(rows) + bool(note) <= room:
        return ShownRows(rows, below=note)
    room = max(room - bool(note), FEWEST + 1)
    if len(known) <= room:
        return ShownRows(known, below=note)
    tail = (room - 1) // 2
    head = room - 1 - tail
    between = f"{style.ellipsis} {len(known) - head - tail:,} more {style.ellipsis}"
    return ShownRows(known[:head], between, known[len(known) - tail :], note)


def _first_rows(rows: Sequence[RankedGroup], style: Style, top: int) -> ShownRows:
    head = first(rows, top)
    rest = rows[len(head) :]
    if not rest:
        return ShownRows(head, below=_undefined([row for row in rows if not isfinite(row.influence)]))
    ends = [row for row in rest if isfinite(row.influence)][-OTHER_END:]
    names = ", ".join(f"{shown(row.group)} ({_signed(row.influence, style)})" for row in ends[::-1])
    other = f"; at the other end: {names}" if names else f": {_undefined(rest)}"
    return ShownRows(head, below=f"{style.ellipsis} {len(rest):,} more{other}")


def _signed(value: float, style: Style) -> str:
    return f"{style.before(value) if value else ''}{value:+.3g}"


def _undefined(rows: Sequence[RankedGroup]) -> str:
    if not rows:
        return ""
    constant = all(not row.n_with or not row.n_without for row in rows)
    return f"{len(rows):,} undefined ({'in every model or none' if constant else 'too few models to tell'})"


class Whiskers:
    """A column of intervals, drawn on one scale."""

    def __init__(self, rows: Sequence[RankedGroup], style: Style) -> None:
        """Fix the scale for these rows."""
        self._style = style
        self._scale = common_scale(Interval(row.influence, row.low, row.high) for row in rows)

    def cell(self, row: RankedGroup, cells: int) -> Text:
        """Return the whisker of a row in so many cells; nothing in none."""
        if not cells:
            return Text()
        whisker = draw(Interval(row.influence, row.low, row.high), self._scale, cells, self._style.whisker)
        text = Text(whisker, style=self._style.effect(row.influence))
        text.highlight_regex(re.escape(self._style.whisker.zero), self._style.zero)
        return text

    def zero(self, cells: int) -> int:
        """Return the cell of zero."""
        return self._scale.zero(cells)

    def axis(self, cells: int) -> str:
        """Return what stands above: both ends of the scale where there is room, and its zero."""
        axis = [" "] * cells
        if not cells:
            return ""
        zero = self.zero(cells)
        low, high = (f"{end:+.2g}" if end else "" for end in (self._scale.low, self._scale.high))
        if len(low) < max(zero, 1) and len(high) < max(cells - 1 - zero, 1):
            axis[: len(low)] = low
            axis[cells - len(high) :] = high
        axis[zero] = "0"
        return "".join(axis)


class Lines:
    """Rows of a ranking as lines of one width, with a header."""

    def __init__(self, rows: Sequence[RankedGroup], noun: str, width: int, style: Style) -> None:
        """Fix columns, digits and scale.

        Args:
            rows: those that the lines are for.
            noun: what a group is called.
            width: of a line, in cells.
            style: colours and style.
        """
        self._rows, self._noun, self._style = rows, noun, style
        self._names = [plain(row.group, style.ascii) for row in rows]
        longest = max(cell_len(name) for name in (noun, *self._names))
        self._layout = choose(_columns(rows, style), longest, width)
        self._whiskers = Whiskers(rows, style)

    @property
    def indent(self) -> int:
        """Cells before a name."""
        return self._layout.kept[0].width + self._layout.gap

    def header(self) -> Text:
        """Return the line above the rows."""
        axis = Text(self._whiskers.axis(self._layout.whisker))
        line = self._line([column.header for column in self._layout.kept], self._noun, axis)
        line.stylize(self._style.quiet)
        return line

    def line(self, place: int) -> Text:
        """Return the line of the row at `place`: rank, name, influence, whisker, and what else fits."""
        row = self._rows[place]
        colour = self._style.effect(row.influence)
        whisker = self._whiskers.cell(row, self._layout.whisker)
        return self._line([column.cells[place] for column in self._layout.kept], self._names[place], whisker, colour)

    def _line(self, cells: Sequence[str], name: str, whisker: Text, colour: str = "") -> Text:
        layout, style = self._layout, self._style
        texts = [fit(text, column.width, right=True) for text, column in zip(cells, layout.kept, strict=True)]
        parts = [
            Text(texts[0], style=style.quiet),
            Text(fit(name, layout.name, ellipsis=style.ellipsis)),
            Text(texts[1], style=colour),
            *([whisker] if layout.whisker else []),
            *(Text(text, style=style.quiet) for text in texts[2:]),
        ]
        return one_line(parts, layout.gap)


def one_line(parts: Sequence[Text], gap: int) -> Text:
    """Return cells with blanks between, as a line that is never broken."""
    line = Text(" " * gap).join(parts)
    line.no_wrap, line.overflow = True, "crop"
    return line


def influence_cells(rows: Sequence[RankedGroup], style: Style) -> tuple[str, ...]:
    """Return the influence of each row with its sign, in digits that suit all, and `*` where it is significant."""
    number = value_format((row.influence for row in rows), (row.se for row in rows))

    def cell(row: RankedGroup) -> str:
        if not isfinite(row.influence):
            return f"{style.unknown} "
        return f"{style.before(row.influence)}{row.influence:{number}}{'*' if row.q < SIGNIFICANCE_LEVEL else ' '}"

    return tuple(cell(row) for row in rows)


def _columns(rows: Sequence[RankedGroup], style: Style) -> list[Column]:
    unknown = style.unknown
    return [
        Column("#", tuple(f"{row.rank}" if isfinite(row.influence) else unknown for row in rows)),
        Column("influence ", influence_cells(rows, style)),
        Column("q", tuple(q_text(row.q, unknown) for row in rows), keep=1),
        Column("with/without", tuple(f"{row.n_with:,}/{row.n_without:,}" for row in rows), keep=2),
    ]


def q_text(q: float, unknown: str) -> str:
    """Return a false discovery rate in the digits that matter, or what is said of one that is unknown."""
    if not isfinite(q):
        return unknown
    return "<0.001" if q < 0.001 else f"{q:.3f}" if q < 0.1 else f"{q:.2f}"


_LABEL = 12
"""Cells that a column of influences may take for the sake of the name above it."""


class ComparisonLines:
    """Rows of a comparison as lines of one width, with a header."""

    def __init__(self, rows: Sequence[ComparedGroup], report: ComparisonReport, width: int, style: Style) -> None:
        """Fix columns, digits and scales.

        Args:
            rows: those that the lines are for.
            report: what they are about.
            width: of a line, in cells.
            style: colours and style.
        """
        self._rows, self._style, self._noun = rows, style, report.first.noun
        self._names = [plain(row.group, style.ascii) for row in rows]
        self._sides = (
            _Side([row.first for row in rows], report.first, comparison_labels(report)[0], style),
            _Side([row.second for row in rows], report.second, comparison_labels(report)[1], style),
        )
        longest = max(cell_len(name) for name in (self._noun, *self._names))
        columns = [_places(rows, style), *(side.numbers for side in self._sides), *_further(rows, style)]
        self._layout = choose(columns, longest, width, whiskers=2)

    @property
    def indent(self) -> int:
        """Cells before a name."""
        return self._layout.kept[0].width + self._layout.gap

    def header(self) -> Text:
        """Return the line above the rows."""
        layout = self._layout
        parts = [
            Text(fit(layout.kept[0].header, layout.kept[0].width, right=True)),
            Text(fit(self._noun, layout.name)),
            *(Text(side.header(layout.whisker, layout.gap)) for side in self._sides),
            *(Text(fit(column.header, column.width, right=column.right)) for column in layout.kept[3:]),
        ]
        line = one_line(parts, layout.gap)
        line.stylize(self._style.quiet)
        return line

    def line(self, place: int) -> Text:
        """Return the line of the row at `place`: place, name, influence and whisker in both, and what else fits."""
        layout, style = self._layout, self._style
        number, *_ = layout.kept
        sides = [part for side in self._sides for part in side.cells(place, layout.whisker)]
        parts = [
            Text(fit(number.cells[place], number.width, right=True), style=style.quiet),
            Text(fit(self._names[place], layout.name, ellipsis=style.ellipsis)),
            *sides,
            *(
                Text(fit(column.cells[place], column.width, right=column.right), style=style.quiet)
                for column in layout.kept[3:]
            ),
        ]
        return one_line(parts, layout.gap)


class _Side:
    """One of the two rankings: its column of numbers and its whiskers."""

    def __init__(self, rows: Sequence[RankedGroup], report: RankReport, label: str, style: Style) -> None:
        self._rows, self._style = rows, style.muted(report.is_noise())
        self._label = plain(label, style.ascii)
        self._whiskers = Whiskers(rows, self._style)
        cells = influence_cells(rows, self._style)
        needed = min(cell_len(self._label), _LABEL)
        self.numbers = Column(" " * needed, tuple(cells))

    def header(self, whisker: int, gap: int) -> str:
        """The label; a long one goes on over the whiskers, up to their zero."""
        width, ellipsis = self.numbers.width, self._style.ellipsis
        if not whisker:
            return fit(self._label, width, ellipsis=ellipsis)
        axis = " " * (width + gap) + self._whiskers.axis(whisker)
        zero = width + gap + self._whiskers.zero(whisker)
        label = cut(self._label, zero - 1, ellipsis)
        taken = cell_len(label)
        return label + (axis[taken:] if taken <= width else " " * (zero - taken) + axis[zero:])

    def cells(self, place: int, whisker: int) -> list[Text]:
        """The number and, where there is room, the whisker of a row."""
        row, numbers = self._rows[place], self.numbers
        colour = self._style.effect(row.influence)
        number = Text(fit(numbers.cells[place], numbers.width, right=True), style=colour)
        return [number, self._whiskers.cell(row, whisker)] if whisker else [number]


def _places(rows: Sequence[ComparedGroup], style: Style) -> Column:
    known = [isfinite(row.difference) for row in rows]
    return Column(
        "#", tuple(f"{row.rank}" if is_known else style.unknown for row, is_known in zip(rows, known, strict=True))
    )


def _further(rows: Sequence[ComparedGroup], style: Style) -> list[Column]:
    number = value_format((row.difference for row in rows), ((row.high - row.low) / 4 for row in rows))
    number = number.replace("+", "+z")  # no minus before a zero
    differences = (f"{row.difference:{number}}" if isfinite(row.difference) else style.unknown for row in rows)
    return [
        Column("difference", tuple(differences), keep=1),
        Column("shown", tuple(str(row.kind) for row in rows), right=False, keep=2),
    ]
