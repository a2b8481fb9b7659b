"""Charts in text: a progress bar, a histogram, reliability against the number of models."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from tui_influence.render.style import Style

if TYPE_CHECKING:
    from tui_influence.analysis.types import ReliabilityCurve

_BARS = " ▁▂▃▄▅▆▇█"
_ASCII_BARS = " .:-=+*#@"
GOAL = 0.9


def progress_bar(done: float, failed: float, width: int, style: Style, text_style: str) -> Text:
    """Return a bar of `width` cells: the shares of 1 that are done, that failed and that are left."""
    filled = min(int(done * width + 1e-9), width)
    lost = min(max(round(failed * width), 1 if failed else 0), width - filled)
    return Text.assemble(
        (style.glyph("█", "#") * filled, text_style),
        (style.glyph("▒", "x") * lost, style.error),
        (style.glyph("░", ".") * (width - filled - lost), style.quiet),
    )


def histogram(values: Sequence[float], width: int, style: Style) -> tuple[Text, float, float]:
    """Return the distribution of values, and the ends of its scale; there are no more bars than values."""
    low, high = min(values), max(values)
    if high - low < 1e-9:
        return Text(style.glyph("█", "@")), low, high
    cells = max(min(width, len(values)), 1)
    counts = [0] * cells
    for value in values:
        counts[min(int((value - low) / (high - low) * cells), cells - 1)] += 1
    marks = style.glyph(_BARS, _ASCII_BARS)
    top = max(counts)
    text = "".join(marks[0 if not count else max(round(count / top * 8), 1)] for count in counts)
    return Text(text, style=style.good), low, high


def reliability_chart(curve: "ReliabilityCurve", width: int, height: int, style: Style) -> list[Text]:
    """Return reliability, 0 to 1, against models: measured with intervals, then the forecast.

    Args:
        curve: it has at least one measurement.
        width: of the lines.
        height: of the plot, without the line below it.
        style: colours and signs.
    """
    left = 4
    cells = max(width - left - 1, 8)
    last = curve.forecast[-1][0] if curve.forecast else curve.models
    grid = [[(" ", "")] * cells for _ in range(height)]

    def column(models: float) -> int:
        return min(round(models / last * (cells - 1)), cells - 1)

    def line(value: float) -> int:
        return height - 1 - min(max(round(value * (height - 1)), 0), height - 1)

    for x in range(cells):
        grid[line(GOAL)][x] = (style.glyph("┄", "-"), style.quiet)
    for models, reliability in curve.measured:
        for y in range(line(reliability.high), line(max(reliability.low, 0.0)) + 1):
            grid[y][column(models)] = (style.glyph("│", "|"), style.quiet)
    for models, value in curve.forecast:
        grid[line(value)][column(models)] = (style.glyph("○", "o"), style.bad)
    for models, reliability in curve.measured:
        grid[line(reliability.value)][column(models)] = (style.glyph("●", "*"), style.good)
    labels = {line(1.0): "1.0", line(GOAL): "0.9", line(0.5): "0.5", line(0.0): "0.0"}
    axis = [style.glyph("┤" if y in labels else "│", "|") for y in range(height)]
    rows = [
        Text.assemble((f"{labels.get(y, ''):>{left - 1}} {axis[y]}", style.quiet), *cells_of)
        for y, cells_of in enumerate(grid)
    ]
    end = f"{last:,} models"
    below = [" "] * cells
    here = f"{curve.models:,}"
    start = min(max(column(curve.models) - len(here) // 2, 0), cells - len(here))
    below[start : start + len(here)] = here
    if curve.forecast and start + len(here) + 2 <= cells - len(end):
        below[cells - len(end) :] = end
    rows.append(Text(" " * (left + 1) + "".join(below), style=style.quiet))
    return rows
