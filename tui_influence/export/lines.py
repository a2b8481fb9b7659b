"""A ranking's rows as lines of styled text, one at a time: what the printed table and the app's table share.

`Lines` fixes the columns, the numbers' digits and the whiskers' scale once for a set of rows; a line then costs the
same whether there are ten of them or ten thousand. Nothing is said by colour alone: sign is ▲ or ▼ and the side of
zero, significance is `*`. Colours are Okabe-Ito; noise has none.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from rich.cells import cell_len
from rich.text import Text

from tui_influence.export.columns import Column, choose, fit, plain, value_format
from tui_influence.export.report import SIGNIFICANT
from tui_influence.export.rows import ASCII_SIGNS, UNICODE_SIGNS, Signs
from tui_influence.export.whisker import ASCII, UNICODE, Glyphs, Interval, common_scale, draw
from tui_influence.influence.ranking import RankedGroup


@dataclass(frozen=True)
class Pen:
    """How to write a ranking.

    Attributes:
        ascii: with ASCII characters only.
        coloured: whether sign has a colour; noise has none.
        helps: colour of what helps.
        hurts: colour of what hurts.
        quiet: style of what matters less.
        zero: style of the zero line.
    """

    ascii: bool
    coloured: bool = True
    helps: str = "#56B4E9"
    hurts: str = "#E69F00"
    quiet: str = "dim"
    zero: str = "not dim bright_black"

    @property
    def signs(self) -> Signs:
        """Marks in text."""
        return ASCII_SIGNS if self.ascii else UNICODE_SIGNS

    @property
    def glyphs(self) -> Glyphs:
        """What whiskers are made of."""
        return ASCII if self.ascii else UNICODE

    def line(self, text: str, style: str = "") -> Text:
        """Return text as it may be shown."""
        return Text(plain(text, self.ascii), style=style)

    def clipped(self, line: Text, width: int) -> Text:
        """Return a line that is never broken: in more than `width` cells it ends in an ellipsis."""
        clipped, ellipsis = line.copy(), self.signs.ellipsis
        if line.cell_len > width:
            clipped.truncate(max(width - len(ellipsis), 0), overflow="crop")
            clipped.append(ellipsis)
        clipped.no_wrap, clipped.overflow = True, "crop"
        return clipped

    def colour(self, value: float) -> str:
        """Return the style of an influence."""
        if not isfinite(value) or not value or not self.coloured:
            return self.quiet
        return self.helps if value > 0 else self.hurts


class Whiskers:
    """A column of intervals, drawn on one scale."""

    def __init__(self, rows: Sequence[RankedGroup], pen: Pen) -> None:
        """Fix the scale for these rows."""
        self._pen = pen
        self._scale = common_scale(Interval(row.influence, row.low, row.high) for row in rows)

    def cell(self, row: RankedGroup, cells: int) -> Text:
        """Return the whisker of a row in so many cells; nothing in none."""
        if not cells:
            return Text()
        whisker = draw(Interval(row.influence, row.low, row.high), self._scale, cells, self._pen.glyphs)
        text = Text(whisker, style=self._pen.colour(row.influence))
        text.highlight_regex(re.escape(self._pen.glyphs.zero), self._pen.zero)
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

    def __init__(self, rows: Sequence[RankedGroup], noun: str, width: int, pen: Pen) -> None:
        """Fix columns, digits and scale.

        Args:
            rows: those that the lines are for.
            noun: what a group is called.
            width: of a line, in cells.
            pen: how to write.
        """
        self._rows, self._noun, self._pen = rows, noun, pen
        self._names = [plain(row.group, pen.ascii) for row in rows]
        longest = max(cell_len(name) for name in (noun, *self._names))
        self._layout = choose(_columns(rows, pen), longest, width)
        self._whiskers = Whiskers(rows, pen)

    @property
    def indent(self) -> int:
        """Cells before a name."""
        return self._layout.kept[0].width + self._layout.gap

    def header(self) -> Text:
        """Return the line above the rows."""
        axis = Text(self._whiskers.axis(self._layout.whisker))
        line = self._line([column.header for column in self._layout.kept], self._noun, axis)
        line.stylize(self._pen.quiet)
        return line

    def line(self, place: int) -> Text:
        """Return the line of the row at `place`: rank, name, influence, whisker, and what else fits."""
        row = self._rows[place]
        colour = self._pen.colour(row.influence)
        whisker = self._whiskers.cell(row, self._layout.whisker)
        return self._line([column.cells[place] for column in self._layout.kept], self._names[place], whisker, colour)

    def _line(self, cells: Sequence[str], name: str, whisker: Text, colour: str = "") -> Text:
        layout, pen = self._layout, self._pen
        texts = [fit(text, column.width, right=True) for text, column in zip(cells, layout.kept, strict=True)]
        parts = [
            Text(texts[0], style=pen.quiet),
            Text(fit(name, layout.name, ellipsis=pen.signs.ellipsis)),
            Text(texts[1], style=colour),
            *([whisker] if layout.whisker else []),
            *(Text(text, style=pen.quiet) for text in texts[2:]),
        ]
        return one_line(parts, layout.gap)


def one_line(parts: Sequence[Text], gap: int) -> Text:
    """Return cells with blanks between, as a line that is never broken."""
    line = Text(" " * gap).join(parts)
    line.no_wrap, line.overflow = True, "crop"
    return line


def influence_cells(rows: Sequence[RankedGroup], pen: Pen) -> tuple[str, ...]:
    """Return the influence of each row with its sign, in digits that suit all, and `*` where it is significant."""
    number = value_format((row.influence for row in rows), (row.se for row in rows))

    def cell(row: RankedGroup) -> str:
        if not isfinite(row.influence):
            return f"{pen.signs.unknown} "
        return f"{pen.signs.of(row.influence)}{row.influence:{number}}{'*' if row.q < SIGNIFICANT else ' '}"

    return tuple(cell(row) for row in rows)


def _columns(rows: Sequence[RankedGroup], pen: Pen) -> list[Column]:
    unknown = pen.signs.unknown
    return [
        Column("#", tuple(f"{row.rank}" if isfinite(row.influence) else unknown for row in rows)),
        Column("influence ", influence_cells(rows, pen)),
        Column("q", tuple(q_text(row.q, unknown) for row in rows), keep=1),
        Column("with/without", tuple(f"{row.n_with:,}/{row.n_without:,}" for row in rows), keep=2),
    ]


def q_text(q: float, unknown: str) -> str:
    """Return a false discovery rate in the digits that matter, or what is said of one that is unknown."""
    if not isfinite(q):
        return unknown
    return "<0.001" if q < 0.001 else f"{q:.3f}" if q < 0.1 else f"{q:.2f}"
