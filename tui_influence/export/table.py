"""A ranking as a table for people, drawn with rich.

From top to bottom: what it is about; a warning when the order is noise; the groups, each with its interval around
a common zero line; what the signs mean; how far the order can be trusted. Nothing is said by colour alone: sign is
▲ or ▼ and the side of zero, significance is `*`. Colours are Okabe-Ito; noise has none.

Which rows: with `top`, the first so many, as in every other format, and a line that names the other end. Without
it, all groups when they fit in `height` lines, else as many from both ends, and a line for those between.

Fits any width from 40 columns; the wider, the more columns. Names are made safe, measured in terminal cells and cut
with an ellipsis. With `ascii`, every character is ASCII, in names too (`\\u4e2d`).
"""

from collections.abc import Sequence
from io import StringIO

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.text import Text

from tui_influence.export.columns import cut, plain
from tui_influence.export.lines import Lines, Pen
from tui_influence.export.report import SIGNIFICANT, RankReport, shown, with_interval
from tui_influence.export.rows import ShownRows, choose_rows

_WARNING = "bold #F0E442"


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
    pen = Pen(ascii, coloured=not report.is_noise())
    above, below = _above(report, pen, width), _below(report, pen, width)
    room = None if height is None else height - _lines([*above, *below], width) - 1
    rows = choose_rows(report, pen.signs, top, room)
    return Constrain(Group(*above, *_body(report, pen, rows, width), *below), width)


def _above(report: RankReport, pen: Pen, width: int) -> list[Text]:
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


def _below(report: RankReport, pen: Pen, width: int) -> list[Text]:
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


def _packed(parts: Sequence[str], pen: Pen, width: int) -> list[Text]:
    """Parts with separators between, broken into lines only there."""
    lines: list[str] = []
    for part in parts:
        longer = pen.signs.separator.join([*lines[-1:], part])
        if lines and cell_len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(part)
    return [pen.line(line, pen.quiet) for line in lines]


def _body(report: RankReport, pen: Pen, chosen: ShownRows, width: int) -> list[Text]:
    lines = Lines(chosen.rows, report.noun, width, pen)
    texts = [lines.header()]
    for place in range(len(chosen.rows)):
        if place == len(chosen.head):
            texts.append(_note(chosen.between, pen, lines.indent, width))
        texts.append(lines.line(place))
    if chosen.below:
        texts.append(_note(chosen.below, pen, lines.indent, width))
    return texts


def _note(text: str, pen: Pen, indent: int, width: int) -> Text:
    """A line about rows that are not shown as rows, below the names."""
    text = " " * indent + cut(plain(text, pen.ascii), max(width - indent, 1), pen.signs.ellipsis)
    return Text(text, style=pen.quiet, no_wrap=True, overflow="crop")


def _lines(texts: Sequence[Text], width: int) -> int:
    """How many lines these take, wrapped."""
    console = Console(width=width, file=StringIO())
    return sum(len(text.wrap(console, width)) for text in texts)
