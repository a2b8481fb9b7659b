"""Arms of a pruning, or target classes under one of them, as lines of a table: what each gained, as a whisker.

Loads numpy with what it is made of, so it is imported where there is something measured.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isfinite

from rich.cells import cell_len
from rich.text import Text

from tui_influence.export.columns import Column, choose_for_names, fit, plain
from tui_influence.export.lines import Pen, one_line
from tui_influence.export.report import SIGNIFICANT
from tui_influence.export.whisker import Interval as Ends
from tui_influence.export.whisker import common_scale, draw
from tui_influence.pruning.curve import Quantity
from tui_influence.pruning.measured import ArmResult, ClassGain, Interval, Measured
from tui_influence.store.arms_file import ArmKind
from tui_influence.tui.theme import Look


@dataclass(frozen=True)
class GainRow:
    """A line.

    Attributes:
        index: of the arm, or of the class among those of its arm.
        group: its name.
        gain: over keeping everything, in points or nats; all NaN for keeping everything itself.
        told: the gain is told from zero.
    """

    index: int
    group: str
    gain: Interval
    told: bool


@dataclass(frozen=True, eq=False)
class GainSheet:
    """Lines with what stands beside them: what a `Table` shows.

    Attributes:
        noun: what a line is.
        unit: of the gains.
        digits: after the point.
        rows: the lines.
        before: columns left of the gain.
        after: columns right of it.
    """

    noun: str
    unit: str
    digits: int
    rows: tuple[GainRow, ...]
    before: tuple[Column, ...]
    after: tuple[Column, ...]

    @property
    def written(self) -> "Callable[[int, Look], GainLines]":
        """All rows as lines of a width."""
        return lambda width, look: GainLines(self, width, look.pen())


class GainLines:
    """A sheet's rows as lines of one width, with a header."""

    def __init__(self, sheet: GainSheet, width: int, pen: Pen) -> None:
        """Fix columns and scale.

        Args:
            sheet: what is written.
            width: of a line, in cells.
            pen: how to write.
        """
        self._sheet, self._pen = sheet, pen
        self._names = [plain(row.group, pen.ascii) for row in sheet.rows]
        gains = Column(sheet.unit, tuple(_gain(row, sheet.digits, pen) for row in sheet.rows))
        ends = Column("95% interval", tuple(_ends(row.gain, sheet.digits) for row in sheet.rows), keep=1)
        longest = max(cell_len(name) for name in (sheet.noun, *self._names))
        self._layout = choose_for_names([*sheet.before, gains, ends, *sheet.after], longest, width)
        self._gains = gains
        self._scale = common_scale(Ends(row.gain.value, row.gain.low, row.gain.high) for row in sheet.rows)

    def header(self) -> Text:
        """Return the line above the rows."""
        cells = self._layout.whisker
        axis = list(" " * cells)
        if cells:
            axis[self._scale.zero(cells)] = "0"
        line = self._line([column.header for column in self._layout.kept], self._sheet.noun, Text("".join(axis)), "")
        line.stylize(self._pen.quiet)
        return line

    def line(self, place: int) -> Text:
        """Return the line of the row at `place`."""
        row, pen = self._sheet.rows[place], self._pen
        colour = pen.colour(row.gain.value) if row.told else pen.quiet
        whisker = self._whisker(row.gain, colour)
        return self._line([column.cells[place] for column in self._layout.kept], self._names[place], whisker, colour)

    def _whisker(self, gain: Interval, colour: str) -> Text:
        cells, pen = self._layout.whisker, self._pen
        if not cells:
            return Text()
        drawn = Text(draw(Ends(gain.value, gain.low, gain.high), self._scale, cells, pen.glyphs), colour)
        drawn.highlight_regex(re.escape(pen.glyphs.zero), pen.zero)
        return drawn

    def _line(self, cells: Sequence[str], name: str, whisker: Text, colour: str) -> Text:
        layout, pen = self._layout, self._pen
        parts = [Text(fit(name, layout.name, ellipsis=pen.signs.ellipsis))]
        for column, cell in zip(layout.kept, cells, strict=True):
            is_gain = column is self._gains
            parts.append(Text(fit(cell, column.width, right=True), colour if is_gain else pen.quiet))
            if is_gain and layout.whisker:
                parts.append(whisker)
        return one_line(parts, layout.gap)


def arm_sheet(measured: Measured, quantity: Quantity) -> GainSheet:
    """Return all arms, with what each gained over keeping everything."""
    percent = quantity == "accuracy"
    scores = [result.accuracy if percent else result.margin for result in measured.results]
    nothing = Interval(float("nan"), float("nan"), float("nan"))
    gains = [
        nothing if result.arm.kind is ArmKind.ALL else scaled(score.gain, percent=percent)
        for result, score in zip(measured.results, scores, strict=True)
    ]
    return GainSheet(
        noun="arm",
        unit="gain, points " if percent else "gain, nats ",
        digits=1 if percent else 3,
        rows=tuple(
            GainRow(place, result.arm.label, gain, gain.sign != 0)
            for place, (result, gain) in enumerate(zip(measured.results, gains, strict=True))
        ),
        before=(
            Column("models", tuple(f"{one.models}/{len(one.arm.rows)}" for one in measured.results), keep=2),
            Column(quantity, tuple(_mean(score.mean, percent=percent) for score in scores)),
        ),
        after=(),
    )


def class_sheet(measured: Measured, result: ArmResult, quantity: Quantity) -> GainSheet:
    """Return what an arm changed for each target class, those that lost most first."""
    percent = quantity == "accuracy"
    several = len(measured.info.targets) > 1
    found = [
        (place, one, scaled(one.accuracy if percent else one.margin, percent=percent))
        for place, one in enumerate(result.by_class)
    ]
    found.sort(key=lambda one: one[2].value if isfinite(one[2].value) else 0.0)
    return GainSheet(
        noun="target class",
        unit="gain, points " if percent else "gain, nats ",
        digits=1 if percent else 3,
        rows=tuple(
            GainRow(
                place,
                f"{one.target}/{one.name}" if several else one.name,
                gain,
                one.q < SIGNIFICANT if percent else gain.sign != 0,
            )
            for place, one, gain in found
        ),
        before=(),
        after=(Column("q", tuple(_q(one) for _, one, _ in found)),) if percent else (),
    )


def scaled(interval: Interval, *, percent: bool) -> Interval:
    """Return an interval in points where it is of fractions."""
    factor = 100 if percent else 1
    return replace(interval, value=factor * interval.value, low=factor * interval.low, high=factor * interval.high)


def shown_gain(gain: Interval, digits: int) -> str:
    """Return a gain with its interval, or a hyphen where it is unknown."""
    if not isfinite(gain.value):
        return "-"
    return f"{gain.value:+.{digits}f} {_ends(gain, digits)}".rstrip()


def _gain(row: GainRow, digits: int, pen: Pen) -> str:
    value = row.gain.value
    if not isfinite(value):
        return ""
    return f"{pen.signs.of(value)}{value:+.{digits}f}{'*' if row.told else ' '}"


def _ends(gain: Interval, digits: int) -> str:
    return f"[{gain.low:+.{digits}f}, {gain.high:+.{digits}f}]" if isfinite(gain.low) and isfinite(gain.high) else ""


def _mean(mean: Interval, *, percent: bool) -> str:
    if not isfinite(mean.value):
        return "-"
    return f"{mean.value:.1%}" if percent else f"{mean.value:.3f}"


def _q(gain: ClassGain) -> str:
    if not isfinite(gain.q):
        return "-"
    return "<0.001" if gain.q < 0.001 else f"{gain.q:.3f}" if gain.q < 0.1 else f"{gain.q:.2f}"
