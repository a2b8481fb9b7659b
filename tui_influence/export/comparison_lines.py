"""A comparison's rows as lines of styled text, one at a time: the counterpart of `lines`.

Each ranking has a column of influences and, where there is room for two, a column of whiskers on a scale of its own:
outputs of different targets need not be of the same size. A ranking that is noise has no colour.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite

from rich.cells import cell_len
from rich.text import Text

from tui_influence.export.columns import Column, choose, cut, fit, plain, value_format
from tui_influence.export.comparison_report import ComparisonReport
from tui_influence.export.lines import Pen, Whiskers, influence_cells, one_line
from tui_influence.export.report import RankReport
from tui_influence.influence.comparison import ComparedGroup
from tui_influence.influence.ranking import RankedGroup

_LABEL = 12
"""Cells that a column of influences may take for the sake of the name above it."""


class ComparisonLines:
    """Rows of a comparison as lines of one width, with a header."""

    def __init__(self, rows: Sequence[ComparedGroup], report: ComparisonReport, width: int, pen: Pen) -> None:
        """Fix columns, digits and scales.

        Args:
            rows: those that the lines are for.
            report: what they are about.
            width: of a line, in cells.
            pen: how to write.
        """
        self._rows, self._pen, self._noun = rows, pen, report.first.noun
        self._names = [plain(row.group, pen.ascii) for row in rows]
        self._sides = (
            _Side([row.first for row in rows], report.first, report.labels[0], pen),
            _Side([row.second for row in rows], report.second, report.labels[1], pen),
        )
        longest = max(cell_len(name) for name in (self._noun, *self._names))
        columns = [_places(rows, pen), *(side.numbers for side in self._sides), *_further(rows, pen)]
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
        line.stylize(self._pen.quiet)
        return line

    def line(self, place: int) -> Text:
        """Return the line of the row at `place`: place, name, influence and whisker in both, and what else fits."""
        layout, pen = self._layout, self._pen
        number, *_ = layout.kept
        sides = [part for side in self._sides for part in side.cells(place, layout.whisker)]
        parts = [
            Text(fit(number.cells[place], number.width, right=True), style=pen.quiet),
            Text(fit(self._names[place], layout.name, ellipsis=pen.signs.ellipsis)),
            *sides,
            *(
                Text(fit(column.cells[place], column.width, right=column.right), style=pen.quiet)
                for column in layout.kept[3:]
            ),
        ]
        return one_line(parts, layout.gap)


class _Side:
    """One of the two rankings: its column of numbers and its whiskers."""

    def __init__(self, rows: Sequence[RankedGroup], report: RankReport, label: str, pen: Pen) -> None:
        self._rows, self._pen = rows, replace(pen, coloured=pen.coloured and not report.is_noise())
        self._label = plain(label, pen.ascii)
        self._whiskers = Whiskers(rows, self._pen)
        cells = influence_cells(rows, self._pen)
        needed = min(cell_len(self._label), _LABEL)
        self.numbers = Column(" " * needed, tuple(cells))

    def header(self, whisker: int, gap: int) -> str:
        """The label; a long one goes on over the whiskers, up to their zero."""
        width, ellipsis = self.numbers.width, self._pen.signs.ellipsis
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
        colour = self._pen.colour(row.influence)
        number = Text(fit(numbers.cells[place], numbers.width, right=True), style=colour)
        return [number, self._whiskers.cell(row, whisker)] if whisker else [number]


def _places(rows: Sequence[ComparedGroup], pen: Pen) -> Column:
    known = [isfinite(row.difference) for row in rows]
    return Column(
        "#", tuple(f"{row.place}" if is_known else pen.signs.unknown for row, is_known in zip(rows, known, strict=True))
    )


def _further(rows: Sequence[ComparedGroup], pen: Pen) -> list[Column]:
    number = value_format((row.difference for row in rows), ((row.high - row.low) / 4 for row in rows))
    number = number.replace("+", "+z")  # no minus before a zero
    differences = (f"{row.difference:{number}}" if isfinite(row.difference) else pen.signs.unknown for row in rows)
    return [
        Column("difference", tuple(differences), keep=1),
        Column("shown", tuple(str(row.kind) for row in rows), right=False, keep=2),
    ]
