"""A comparison of two rankings as a table for people, drawn with rich: the counterpart of `table`.

From top to bottom: what is compared; the groups, the most opposed first, each with its influence and interval in both
rankings; what the signs mean; how alike both orders are, and how far each can be trusted. Without `top`, all groups
where they fit, else as many as do.
"""

from rich.console import Group, RenderableType
from rich.constrain import Constrain
from rich.text import Text

from tui_influence.export.comparison_lines import ComparisonLines
from tui_influence.export.comparison_report import ComparisonReport
from tui_influence.export.layout import height_of, noise_warning, note, packed, paragraph, signs_explained
from tui_influence.export.lines import Pen
from tui_influence.export.report import first
from tui_influence.export.rows import FEWEST


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
    pen = Pen(ascii)
    above, below = _above(report, pen, width), _below(report, pen, width)
    rows = report.comparison.rows
    if top is None and height is not None:
        room = max(height - height_of([*above, *below], width) - 1, FEWEST + 1)
        top = None if len(rows) <= room else room - 1
    return Constrain(Group(*above, *_body(report, pen, top, width), *below), width)


def _above(report: ComparisonReport, pen: Pen, width: int) -> list[Text]:
    warnings = [
        line
        for side, label in zip((report.first, report.second), report.labels, strict=True)
        for line in noise_warning(side, pen, f"the order for {label}")
    ]
    lines = [pen.line(report.title(), "bold"), *packed(report.first.circumstances(), pen, width), Text()]
    return [*lines, *warnings, Text()] if warnings else lines


def _below(report: ComparisonReport, pen: Pen, width: int) -> list[Text]:
    sentences = [f"Influence: {report.meaning()}.", report.verdict()]
    key = signs_explained(report.first, pen)
    return [Text(), *packed(key, pen, width), *(paragraph(text, pen) for text in sentences)]


def _body(report: ComparisonReport, pen: Pen, top: int | None, width: int) -> list[Text]:
    rows = first(report.comparison.rows, top)
    lines = ComparisonLines(rows, report, width, pen)
    texts = [lines.header(), *(lines.line(place) for place in range(len(rows)))]
    left_out = len(report.comparison.rows) - len(rows)
    if left_out:
        texts.append(note(f"{pen.signs.ellipsis} {left_out:,} more", pen, lines.indent, width))
    return texts
