"""A ranking as a table for people, drawn with rich.

From top to bottom: what it is about; a warning when the order is noise; the groups, each with its interval around
a common zero line; what the signs mean; how far the order can be trusted. Nothing is said by colour alone: sign is
▲ or ▼ and the side of zero, significance is `*`. Colours are Okabe-Ito; noise has none.

Which rows: with `top`, the first so many, as in every other format, and a line that names the other end. Without
it, all groups when they fit in `height` lines, else as many from both ends, and a line for those between.

Fits any width from 40 columns; the wider, the more columns. Names are made safe, measured in terminal cells and cut
with an ellipsis. With `ascii`, every character is ASCII, in names too (`\\u4e2d`).
"""

from rich.console import Group, RenderableType
from rich.constrain import Constrain
from rich.text import Text

from tui_influence.export.comparison_report import AnyReport, ComparisonReport
from tui_influence.export.comparison_table import comparison_table
from tui_influence.export.layout import height_of, noise_warning, note, packed, paragraph, signs_explained
from tui_influence.export.lines import Lines, Pen
from tui_influence.export.report import RankReport
from tui_influence.export.rows import ShownRows, choose_rows


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
    pen = Pen(ascii, coloured=not report.is_noise())
    above, below = _above(report, pen, width), _below(report, pen, width)
    room = None if height is None else height - height_of([*above, *below], width) - 1
    rows = choose_rows(report, pen.signs, top, room)
    return Constrain(Group(*above, *body(report, pen, rows, width), *below), width)


def _above(report: RankReport, pen: Pen, width: int) -> list[Text]:
    lines = [
        pen.line(f"Influence of {len(report.ranking.rows):,} {report.nouns} on {report.scope()}", "bold"),
        *packed(report.circumstances(), pen, width),
        Text(),
    ]
    warning = noise_warning(report, pen, "this order")
    return [*lines, *warning, Text()] if warning else lines


def _below(report: RankReport, pen: Pen, width: int) -> list[Text]:
    sentences = [f"Influence: {report.meaning()}.", report.verdict()]
    return [Text(), *packed(signs_explained(report, pen), pen, width), *(paragraph(text, pen) for text in sentences)]


def body(report: RankReport, pen: Pen, chosen: ShownRows, width: int) -> list[Text]:
    """Return some rows of a ranking, with their header and what is said of the others."""
    lines = Lines(chosen.rows, report.noun, width, pen)
    texts = [lines.header()]
    for place in range(len(chosen.rows)):
        if place == len(chosen.head):
            texts.append(note(chosen.between, pen, lines.indent, width))
        texts.append(lines.line(place))
    if chosen.below:
        texts.append(note(chosen.below, pen, lines.indent, width))
    return texts
