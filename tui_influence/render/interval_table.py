"""A table whose rows have a name and one or more estimates, each with its interval drawn as a whisker.

Columns, digits and the whiskers' scales are fixed once for all rows; a line then costs the same in a table of ten rows
or of ten thousand. Columns give way by priority where the table is narrow. Sign is the arrow and the side of zero,
significance is `*`: no meaning rests on colour alone.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import Protocol

from rich.cells import cell_len
from rich.text import Text

from tui_influence.influence.types import SIGNIFICANCE_LEVEL
from tui_influence.render.format import cut, fit, plain, unbroken
from tui_influence.render.numbers import value_format
from tui_influence.render.style import Style
from tui_influence.render.whisker import PointEstimate, common_scale, draw

NAME = (8, 48)
"""Cells of the names' column, at least and at most (less if no name needs as much)."""
FULL_NAME = 16
"""Cells that names have before whiskers take more than their least: names may differ only at their ends."""
ROOMY_NAME = 20
"""Cells that names have before columns that can be done without, unless a table says otherwise."""
WHISKER = (11, 61)
"""Cells of a column of whiskers, at least and at most."""
_LABEL = 12
"""Cells that a column of estimates may take for the sake of its header."""
_WIDE = 60
"""Cells from which on there are two blanks between columns."""


class Influence(Protocol):
    """The influence of a group, as every result has it."""

    @property
    def influence(self) -> float:
        """The estimate."""

    @property
    def se(self) -> float:
        """Its standard error."""

    @property
    def low(self) -> float:
        """Lower end of the 95% interval."""

    @property
    def high(self) -> float:
        """Upper end of the 95% interval."""

    @property
    def q(self) -> float:
        """False discovery rate."""


def point_estimate(row: Influence) -> PointEstimate:
    """Return an influence as an estimate of a table."""
    return PointEstimate(row.influence, row.low, row.high, row.se, row.q < SIGNIFICANCE_LEVEL)


@dataclass(frozen=True)
class Column:
    """A column whose cells are text already.

    Attributes:
        header: above it.
        cells: one a row.
        right: aligned to the right.
        keep: 0 always; else it is left out when it does not fit, the highest number first.
    """

    header: str
    cells: tuple[str | Text, ...]
    right: bool = True
    keep: int = 0

    @cached_property
    def width(self) -> int:
        """Cells that it needs."""
        return max(text.cell_len if isinstance(text, Text) else cell_len(text) for text in (self.header, *self.cells))


@dataclass(frozen=True)
class Estimates:
    """A column of estimates, with digits and a scale of its own.

    Attributes:
        header: above it.
        values: one a row.
        digits: format of the numbers; None for digits that suit all.
        unknown: what stands for an unknown estimate.
        colour_all: colour every estimate by its sign, not only significant ones.
        is_noise: colour none.
    """

    header: str
    values: Sequence[PointEstimate]
    digits: str | None = None
    unknown: str = ""
    colour_all: bool = False
    is_noise: bool = False


@dataclass(frozen=True)
class Layout:
    """Cells of a table's columns.

    Attributes:
        columns: those that fit.
        name: cells of the names.
        whisker: cells of a whisker; 0 leaves them out.
        gap: blanks between columns.
    """

    columns: tuple[Column, ...]
    name: int
    whisker: int
    gap: int


def lay_out(
    columns: Sequence[Column], longest_name: int, width: int, whiskers: int = 1, min_name: int = NAME[0]
) -> Layout:
    """Share the cells of a line between names, whiskers and the other columns.

    Args:
        columns: all but names and whiskers.
        longest_name: cells of the longest name.
        width: of the table.
        whiskers: columns of whiskers, all alike.
        min_name: cells that names are given before columns that can be done without.
    """
    fitting = list(columns)
    while True:
        layout = _share(fitting, longest_name, width, whiskers)
        optional = [column for column in fitting if column.keep]
        if not optional or (layout.name >= min(longest_name, min_name) and (layout.whisker or not whiskers)):
            return layout
        fitting.remove(max(optional, key=lambda column: column.keep))


def _share(columns: Sequence[Column], longest_name: int, width: int, whiskers: int) -> Layout:
    gap = 2 if width >= _WIDE else 1
    narrow_name = min(longest_name, NAME[0])
    narrow, wide = (whiskers * cells for cells in WHISKER)
    free = width - sum(column.width + gap for column in columns) - whiskers * gap
    if not whiskers or free < narrow_name + narrow:
        return Layout(tuple(columns), max(min(longest_name, free + whiskers * gap), 1), 0, gap)
    share = min(max(free * 2 // 5, FULL_NAME), free - narrow)
    name = min(longest_name, max(narrow_name, share, free - wide), NAME[1])
    return Layout(tuple(columns), name, min((free - name) // whiskers, WHISKER[1]), gap)


def estimate_text(estimate: PointEstimate, digits: str, style: Style, unknown: str = "") -> str:
    """Return an estimate after its arrow, and `*` where it is significant; `unknown` where it is unknown."""
    if not isfinite(estimate.value):
        return unknown
    mark = "*" if estimate.is_significant else " "
    return f"{style.before(estimate.value)}{estimate.value:{digits}}{mark}"


def digits_of(estimates: Sequence[PointEstimate]) -> str:
    """Return the format of numbers that suits all."""
    return value_format([estimate.value for estimate in estimates], [estimate.se for estimate in estimates])


class _EstimateColumns:
    """Estimates as a column of numbers and one of whiskers."""

    def __init__(self, estimates: Estimates, style: Style, *, is_only: bool) -> None:
        self._estimates, self._style, self._is_only = estimates, style.muted(estimates.is_noise), is_only
        self._header = plain(estimates.header, style.ascii)
        values = estimates.values
        digits = estimates.digits or digits_of(values)
        blank = " " * min(cell_len(self._header), _LABEL)
        cells = tuple(estimate_text(value, digits, style, estimates.unknown) for value in values)
        self.numbers = Column(self._header if is_only else blank, cells)
        self._scale = common_scale(values)

    def header(self, whisker: int, gap: int) -> Text:
        """Return the header over the numbers, and the axis; one that is long goes on over the axis, up to its zero."""
        width, ellipsis = self.numbers.width, self._style.ellipsis
        if not whisker:
            return Text(fit(self._header, width, ellipsis=ellipsis, right=self._is_only))
        axis = " " * gap + self._axis(whisker)
        if self._is_only:
            return Text(fit(self._header, width, right=True) + axis)
        zero = gap + self._scale.zero(whisker)
        label = cut(self._header, width + zero - 1, ellipsis)
        over = cell_len(label) - width  # cells over the axis
        return Text(fit(label, width) + axis if over <= 0 else label + " " * (zero - over) + axis[zero:])

    def cells(self, row: int, whisker: int) -> list[Text]:
        """Return the number and, where there is room, the whisker of a row."""
        value, glyphs, number = self._estimates.values[row], self._style.whisker, self.numbers.cells[row]
        significant = value.is_significant or self._estimates.colour_all
        colour = self._style.effect(value.value, significant=significant)
        cells = [Text(fit(str(number), self.numbers.width, right=True), colour)]
        if whisker:
            line = Text(draw(value, self._scale, whisker, glyphs), colour)
            line.highlight_regex(re.escape(glyphs.zero), self._style.zero)
            cells.append(line)
        return cells

    def _axis(self, cells: int) -> str:
        """Return both ends of the scale where there is room, and its zero."""
        axis = [" "] * cells
        zero = self._scale.zero(cells)
        low, high = (_end_text(end) for end in (self._scale.low, self._scale.high))
        if len(low) < max(zero, 1) and len(high) < max(cells - 1 - zero, 1):
            axis[: len(low)] = low
            axis[cells - len(high) :] = high
        axis[zero] = "0"
        return "".join(axis)


def _end_text(end: float) -> str:
    if not end:
        return ""
    return f"{end:+.0f}" if 100 <= abs(end) < 1e5 else f"{end:+.2g}"


class IntervalTable:
    """Rows with a name and estimates, as lines of one width."""

    def __init__(
        self,
        header: str,
        names: Sequence[str],
        estimates: Sequence[Estimates],
        style: Style,
        width: int,
        *,
        rank: Column | None = None,
        before: Sequence[Column] = (),
        after: Sequence[Column] = (),
        min_name: int = ROOMY_NAME,
    ) -> None:
        """Fix columns, digits and scales.

        Args:
            header: above the names.
            names: one a row.
            estimates: none, one or several columns of them; all whiskers are equally wide.
            style: colours and signs.
            width: of a line.
            rank: column left of the names.
            before: columns between names and estimates; those of words are not quiet.
            after: columns right of the estimates. Without estimates, the last takes the cells that are left.
            min_name: cells that names are given before columns that can be done without.
        """
        self._style, self._header = style, header
        plain_names = {name: plain(name, style.ascii) for name in set(names)}
        self._names = [plain_names[name] for name in names]
        self._estimates = [_EstimateColumns(column, style, is_only=len(estimates) == 1) for column in estimates]
        self._rest = None if estimates or not after else after[-1]
        after = after[:-1] if self._rest is not None else after
        first = [rank] if rank is not None else []
        numbers = [column.numbers for column in self._estimates]
        longest = max(cell_len(name) for name in (header, *self._names))
        layout = lay_out([*first, *before, *numbers, *after], longest, width, len(estimates), min_name)
        fitting = {id(column) for column in layout.columns}
        self._rank, self._layout, self._width = rank, layout, width
        self._before = [column for column in before if id(column) in fitting]
        self._after = [column for column in after if id(column) in fitting]

    @property
    def indent(self) -> int:
        """Cells before a name."""
        return 0 if self._rank is None else self._rank.width + self._layout.gap

    def header(self) -> Text:
        """Return the line above the rows."""
        layout = self._layout
        estimates = [column.header(layout.whisker, layout.gap) for column in self._estimates]
        line = self._line(None, self._header, estimates)
        line.stylize(self._style.quiet)
        return line

    def line(self, row: int) -> Text:
        """Return the line of a row."""
        estimates = [cell for column in self._estimates for cell in column.cells(row, self._layout.whisker)]
        return self._line(row, self._names[row], estimates)

    def _line(self, row: int | None, name: str, estimates: Sequence[Text]) -> Text:
        layout, style = self._layout, self._style
        rank = [] if self._rank is None else [_cell(self._rank, row, style.quiet)]
        before = [_cell(column, row, style.quiet if column.right else "") for column in self._before]
        after = [_cell(column, row, style.quiet) for column in self._after]
        name = fit(name, layout.name, ellipsis=style.ellipsis)
        line = unbroken([*rank, Text(name), *before, *estimates, *after], layout.gap)
        if self._rest is not None:
            rest = str(self._rest.header if row is None else self._rest.cells[row])
            room = max(self._width - line.cell_len - layout.gap, 0)
            line.append(" " * layout.gap + cut(rest, room, style.ellipsis))
        return line


def _cell(column: Column, row: int | None, style: str) -> Text:
    cell = column.header if row is None else column.cells[row]
    if isinstance(cell, Text):
        return cell
    return Text(fit(cell, column.width, right=column.right), style)
