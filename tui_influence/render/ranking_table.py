"""What the printed tables have in common above and below their rows.

A comparison of two rankings as a table for people, drawn with rich: the counterpart of `table`.

From top to bottom: what is compared; the groups, the most opposed first, each with its influence and interval in both
rankings; what the signs mean; how alike both orders are, and how far each can be trusted. Without `top`, all groups
where they fit, else as many as do.

A ranking as a table for people, drawn with rich.

From top to bottom: what it is about; a warning when the order is noise; the groups, each with its interval around
a common zero line; what the signs mean; how far the order can be trusted. Nothing is said by colour alone: sign is
▲ or ▼ and the side of zero, significance is `*`. Colours are Okabe-Ito; noise has none.

Which rows: with `top`, the first so many, as in every other format, and a line that names the other end. Without
it, all groups when they fit in `height` lines, else as many from both ends, and a line for those between.

Fits any width from 40 columns; the wider, the more columns. Names are made safe, measured in terminal cells and cut
with an ellipsis. With `ascii`, every character is ASCII, in names too (`\u4e2d`).
"""

from collections.abc import Sequence
from io import StringIO

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.text import Text

from tui_influence.analysis.types import (
    AnyReport,
    ComparisonReport,
    RankReport,
)
from tui_influence.influence.types import (
    SIGNIFICANCE_LEVEL,
)
from tui_influence.render.format import cut, plain
from tui_influence.render.interval_table import FEWEST, ComparisonLines, Lines, ShownRows, choose_rows
from tui_influence.render.ranking import (
    circumstances,
    comparison_labels,
    comparison_title,
    first,
    meaning,
    scope,
    verdict,
    with_interval,
)
from tui_influence.render.style import Style

_WARNING = "bold #F0E442"


def packed(parts: Sequence[str], style: Style, width: int) -> list[Text]:
    """Return parts with separators between, broken into lines only there."""
    lines: list[str] = []
    for part in parts:
        longer = style.separator.join([*lines[-1:], part])
        if lines and cell_len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(part)
    return [style.line(line, style.quiet) for line in lines]


def signs_explained(report: RankReport, style: Style) -> list[str]:
    """Return what the signs in the rows mean, a part each."""
    worse = f"than an average {report.noun}" if report.is_relative else ""
    words = (
        f"{style.helps} better, {style.hurts} worse {worse}" if worse else f"{style.helps} helps, {style.hurts} hurts"
    )
    whisker = style.whisker.line * 2 + style.whisker.dot + style.whisker.line * 2
    return [words, f"{whisker} 95% interval", f"* q < {SIGNIFICANCE_LEVEL:g} (FDR)"]


def paragraph(text: str, style: Style) -> Text:
    """Return sentences whose first word stands out."""
    made = style.line(text)
    made.highlight_regex(r"^\w+", "bold")
    return made


def noise_warning(report: RankReport, style: Style, what: str) -> list[Text]:
    """Return a line that says that the order of a ranking, called `what`, is noise; none where it is not."""
    found = report.ranking.reliability
    if not report.is_noise() or found is None:
        return []
    value = with_interval(found.value, found.low, found.high)
    return [style.line(f"NOISE, not a result: {what} cannot be told from chance (reliability {value}).", _WARNING)]


def note(text: str, style: Style, indent: int, width: int) -> Text:
    """Return a line about rows that are not shown as rows, below the names."""
    text = " " * indent + cut(plain(text, style.ascii), max(width - indent, 1), style.ellipsis)
    return Text(text, style=style.quiet, no_wrap=True, overflow="crop")


def height_of(texts: Sequence[Text], width: int) -> int:
    """Return how many lines these take, wrapped."""
    console = Console(width=width, file=StringIO())
    return sum(len(text.wrap(console, width)) for text in texts)


def comparison_table(
    report: ComparisonReport, *, top: int | None = None, width: int, height: int | None = None, ascii: bool = False
) -> RenderableType:
    """Return the comparison as a table.

    Args:
        report: the comparison and what it is about.
        top: show the first so many groups; None shows all, or as many as fit.
        width: of the terminal, in cells.
        height: of the terminal, in lines, which the whole table should not exceed; None if that does not matter.
        ascii: draw and write with ASCII characters only.
    """
    style = Style(ascii, dims=True)
    above, below = _above(report, style, width), _below(report, style, width)
    rows = report.comparison.rows
    if top is None and height is not None:
        room = max(height - height_of([*above, *below], width) - 1, FEWEST + 1)
        top = None if len(rows) <= room else room - 1
    return Constrain(Group(*above, *_body(report, style, top, width), *below), width)


def _above(report: ComparisonReport, style: Style, width: int) -> list[Text]:
    warnings = [
        line
        for side, label in zip((report.first, report.second), comparison_labels(report), strict=True)
        for line in noise_warning(side, style, f"the order for {label}")
    ]
    lines = [style.line(comparison_title(report), "bold"), *packed(circumstances(report.first), style, width), Text()]
    return [*lines, *warnings, Text()] if warnings else lines


def _below(report: ComparisonReport, style: Style, width: int) -> list[Text]:
    sentences = [f"Influence: {meaning(report)}.", verdict(report)]
    key = signs_explained(report.first, style)
    return [Text(), *packed(key, style, width), *(paragraph(text, style) for text in sentences)]


def _body(report: ComparisonReport, style: Style, top: int | None, width: int) -> list[Text]:
    rows = first(report.comparison.rows, top)
    lines = ComparisonLines(rows, report, width, style)
    texts = [lines.header(), *(lines.line(place) for place in range(len(rows)))]
    left_out = len(report.comparison.rows) - len(rows)
    if left_out:
        texts.append(note(f"{style.ellipsis} {left_out:,} more", style, lines.indent, width))
    return texts


def rank_table(
    report: AnyReport, *, top: int | None = None, width: int, height: int | None = None, ascii: bool = False
) -> RenderableType:
    """Return the ranking, or the comparison, as a table.

    Args:
        report: it, and what it is about.
        top: show the first so many groups; None shows all, or both ends.
        width: of the terminal, in cells.
        height: of the terminal, in lines, which the whole table should not exceed; None if that does not matter.
        ascii: draw and write with ASCII characters only.
    """
    if isinstance(report, ComparisonReport):
        return comparison_table(report, top=top, width=width, height=height, ascii=ascii)
    style = Style(ascii, dims=True).muted(report.is_noise())
    above, below = _table_above(report, style, width), _table_below(report, style, width)
    room = None if height is None else height - height_of([*above, *below], width) - 1
    rows = choose_rows(report, style, top, room)
    return Constrain(Group(*above, *body(report, style, rows, width), *below), width)


def _table_above(report: RankReport, style: Style, width: int) -> list[Text]:
    lines = [
        style.line(f"Influence of {len(report.ranking.rows):,} {report.nouns} on {scope(report)}", "bold"),
        *packed(circumstances(report), style, width),
        Text(),
    ]
    warning = noise_warning(report, style, "this order")
    return [*lines, *warning, Text()] if warning else lines


def _table_below(report: RankReport, style: Style, width: int) -> list[Text]:
    sentences = [f"Influence: {meaning(report)}.", verdict(report)]
    return [
        Text(),
        *packed(signs_explained(report, style), style, width),
        *(paragraph(text, style) for text in sentences),
    ]


def body(report: RankReport, style: Style, chosen: ShownRows, width: int) -> list[Text]:
    """Return some rows of a ranking, with their header and what is said of the others."""
    lines = Lines(chosen.rows, report.noun, width, style)
    texts = [lines.header()]
    for place in range(len(chosen.rows)):
        if place == len(chosen.head):
            texts.append(note(chosen.between, style, lines.indent, width))
        texts.append(lines.line(place))
    if chosen.below:
        texts.append(note(chosen.below, style, lines.indent, width))
    return texts
