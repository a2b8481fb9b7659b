"""A ranking as a table for people, drawn with rich.

From top to bottom: what it is about; a warning when the order is noise; the groups, each with its interval around
a common zero line; what the signs mean; how far the order can be trusted. Nothing is said by colour alone: sign is
▲ or ▼ and the side of zero, significance is `*`. Colours are Okabe-Ito; noise has none.

Which rows: with `top`, the first so many, as in every other format, and a line that names the other end. Without
it, all groups when they fit in `height` lines, else as many from both ends, and a line for those between.

Fits any width from 40 columns; the wider, the more columns. Names are made safe, measured in terminal cells and cut
with an ellipsis. With `ascii`, every character is ASCII, in names too (`\\u4e2d`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from math import isfinite

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.text import Text

from tui_influence.export.columns import Column, Layout, choose, cut, fit, plain, value_format
from tui_influence.export.report import SIGNIFICANT, RankReport, shown, with_interval
from tui_influence.export.rows import ASCII_SIGNS, UNICODE_SIGNS, ShownRows, Signs, choose_rows
from tui_influence.export.whisker import ASCII, UNICODE, Glyphs, Interval, Scale, common_scale, draw
from tui_influence.influence.ranking import RankedGroup

_HELPS, _HURTS, _WARNING = "#56B4E9", "#E69F00", "bold #F0E442"
_QUIET, _ZERO = "dim", "not dim bright_black"


@dataclass(frozen=True)
class _Pen:
    """How to write in this table.

    Attributes:
        ascii: with ASCII characters only.
        signs: marks in text.
        glyphs: what whiskers are made of.
        coloured: whether sign has a colour; noise has none.
    """

    ascii: bool
    signs: Signs
    glyphs: Glyphs
    coloured: bool

    def line(self, text: str, style: str = "") -> Text:
        return Text(plain(text, self.ascii), style=style)

    def colour(self, value: float) -> str:
        if not isfinite(value) or not value or not self.coloured:
            return _QUIET
        return _HELPS if value > 0 else _HURTS


def rank_table(
    report: RankReport, *, top: int | None = None, width: int, height: int | None = None, ascii: bool = False
) -> RenderableType:
    """Return the ranking as a table.

    Args:
        report: the ranking and what it is about.
        top: show the first so many groups; None shows all, or both ends.
        width: of the terminal, in cells.
        height: of the terminal, in lines, which the whole table should not exceed; None if that does not matter.
        ascii: draw and write with ASCII characters only.
    """
    pen = _Pen(
        ascii, ASCII_SIGNS if ascii else UNICODE_SIGNS, ASCII if ascii else UNICODE, coloured=not report.is_noise()
    )
    above, below = _above(report, pen, width), _below(report, pen, width)
    room = None if height is None else height - _lines([*above, *below], width) - 1
    rows = choose_rows(report, pen.signs, top, room)
    return Constrain(Group(*above, *_body(report, pen, rows, width), *below), width)


def _above(report: RankReport, pen: _Pen, width: int) -> list[Text]:
    ranking = report.ranking
    failed = f" ({report.n_failed:,} failed)" if report.n_failed else ""
    half = "all test examples" if report.split == "all" else f"{report.split} half"
    facts = [
        f"run {shown(report.run)}",
        f"{ranking.n_models:,} model{'' if ranking.n_models == 1 else 's'}{failed}",
        shown(report.design),
        report.unit,
        f"by {ranking.estimator}",
        f"example {report.example}" if report.example is not None else half,
    ]
    lines = [
        pen.line(f"Influence of {len(ranking.rows):,} {report.nouns} on {report.scope()}", "bold"),
        *_packed(facts, pen, width),
        Text(),
    ]
    if report.is_noise() and ranking.reliability is not None:
        found = ranking.reliability
        value = with_interval(found.value, found.low, found.high)
        warning = f"NOISE, not a result: this order cannot be told from chance (reliability {value})."
        lines += [pen.line(warning, _WARNING), Text()]
    return lines


def _below(report: RankReport, pen: _Pen, width: int) -> list[Text]:
    signs = pen.signs
    helps, hurts = (signs.helps, signs.hurts) if signs.helps else ("+", "-")
    worse = f"than an average {report.noun}" if report.is_relative else ""
    words = f"{helps} better, {hurts} worse {worse}" if worse else f"{helps} helps, {hurts} hurts"
    whisker = pen.glyphs.line * 2 + pen.glyphs.dot + pen.glyphs.line * 2
    paragraphs = [pen.line(f"Influence: {report.meaning()}."), pen.line(report.verdict())]
    for paragraph in paragraphs:
        paragraph.highlight_regex(r"^\w+", "bold")
    key = [words, f"{whisker} 95% interval", f"* q < {SIGNIFICANT:g} (FDR)"]
    return [Text(), *_packed(key, pen, width), *paragraphs]


def _packed(parts: Sequence[str], pen: _Pen, width: int) -> list[Text]:
    """Parts with separators between, broken into lines only there."""
    lines: list[str] = []
    for part in parts:
        longer = pen.signs.separator.join([*lines[-1:], part])
        if lines and cell_len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(part)
    return [pen.line(line, _QUIET) for line in lines]


def _body(report: RankReport, pen: _Pen, chosen: ShownRows, width: int) -> list[Text]:
    rows = chosen.rows
    names = [plain(row.group, pen.ascii) for row in rows]
    number = value_format((row.influence for row in rows), (row.se for row in rows))
    layout = choose(_columns(rows, pen, number), max(cell_len(name) for name in (report.noun, *names)), width)
    intervals = [Interval(row.influence, row.low, row.high) for row in rows]
    scale = common_scale(intervals)
    axis = Text(_axis(scale, layout.whisker))
    lines = [_row([column.header for column in layout.kept], report.noun, axis, layout, pen)]
    lines[0].stylize(_QUIET)
    for place, (row, name, interval) in enumerate(zip(rows, names, intervals, strict=True)):
        if place == len(chosen.head):
            lines.append(_note(chosen.between, pen, layout, width))
        whisker = _whisker(interval, scale, layout.whisker, pen)
        cells = [column.cells[place] for column in layout.kept]
        lines.append(_row(cells, name, whisker, layout, pen, pen.colour(row.influence)))
    if chosen.below:
        lines.append(_note(chosen.below, pen, layout, width))
    return lines


def _columns(rows: Sequence[RankedGroup], pen: _Pen, number: str) -> list[Column]:
    unknown = pen.signs.unknown

    def influence(row: RankedGroup) -> str:
        if not isfinite(row.influence):
            return f"{unknown} "
        return f"{pen.signs.of(row.influence)}{row.influence:{number}}{'*' if row.q < SIGNIFICANT else ' '}"

    return [
        Column("#", tuple(f"{row.rank}" if isfinite(row.influence) else unknown for row in rows)),
        Column("influence ", tuple(influence(row) for row in rows)),
        Column("q", tuple(_q(row.q, unknown) for row in rows), keep=1),
        Column("with/without", tuple(f"{row.n_with:,}/{row.n_without:,}" for row in rows), keep=2),
    ]


def _q(q: float, unknown: str) -> str:
    if not isfinite(q):
        return unknown
    return "<0.001" if q < 0.001 else f"{q:.3f}" if q < 0.1 else f"{q:.2f}"


def _row(cells: Sequence[str], name: str, whisker: Text, layout: Layout, pen: _Pen, colour: str = "") -> Text:
    """One line: rank, name, influence in the colour of its sign, whisker, and what else fits."""
    texts = [fit(text, column.width, right=True) for text, column in zip(cells, layout.kept, strict=True)]
    parts = [
        Text(texts[0], style=_QUIET),
        Text(fit(name, layout.name, ellipsis=pen.signs.ellipsis)),
        Text(texts[1], style=colour),
        *([whisker] if layout.whisker else []),
        *(Text(text, style=_QUIET) for text in texts[2:]),
    ]
    line = Text(" " * layout.gap).join(parts)
    line.no_wrap, line.overflow = True, "crop"
    return line


def _whisker(interval: Interval, scale: Scale, cells: int, pen: _Pen) -> Text:
    if not cells:
        return Text()
    text = Text(draw(interval, scale, cells, pen.glyphs), style=pen.colour(interval.value))
    text.highlight_regex(re.escape(pen.glyphs.zero), _ZERO)
    return text


def _axis(scale: Scale, cells: int) -> str:
    """The header of the whiskers: both ends of the scale where there is room, and its zero."""
    axis = [" "] * cells
    if not cells:
        return ""
    zero = scale.zero(cells)
    low, high = (f"{end:+.2g}" if end else "" for end in (scale.low, scale.high))
    if len(low) < max(zero, 1) and len(high) < max(cells - 1 - zero, 1):
        axis[: len(low)] = low
        axis[cells - len(high) :] = high
    axis[zero] = "0"
    return "".join(axis)


def _note(text: str, pen: _Pen, layout: Layout, width: int) -> Text:
    """A line about rows that are not shown as rows, below the names."""
    indent = layout.kept[0].width + layout.gap
    text = " " * indent + cut(plain(text, pen.ascii), max(width - indent, 1), pen.signs.ellipsis)
    return Text(text, style=_QUIET, no_wrap=True, overflow="crop")


def _lines(texts: Sequence[Text], width: int) -> int:
    """How many lines these take, wrapped."""
    console = Console(width=width, file=StringIO())
    return sum(len(text.wrap(console, width)) for text in texts)
