"""Small pictures in text: a bar, a histogram, reliability against models. Pure functions of what they show."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from tui_influence.tui.theme import Look

if TYPE_CHECKING:
    from tui_influence.analysis.types import (
        ReliabilityCurve,
    )

_BARS = " ▁▂▃▄▅▆▇█"
_ASCII_BARS = " .:-=+*#@"
GOAL = 0.9


def progress_bar(done: float, failed: float, width: int, look: Look, style: str) -> Text:
    """Return a bar of `width` cells: what is done, what failed, what is left; shares of 1."""
    filled = min(int(done * width + 1e-9), width)
    lost = min(max(round(failed * width), 1 if failed else 0), width - filled)
    return Text.assemble(
        (look.sign("█", "#") * filled, style),
        (look.sign("▒", "x") * lost, look.error),
        (look.sign("░", ".") * (width - filled - lost), look.quiet),
    )


def histogram(values: Sequence[float], width: int, look: Look) -> tuple[Text, float, float]:
    """Return how values are distributed, and the ends of the scale; one value a cell at most."""
    low, high = min(values), max(values)
    if high - low < 1e-9:
        return Text(look.sign("█", "@")), low, high
    cells = max(min(width, len(values)), 1)
    counts = [0] * cells
    for value in values:
        counts[min(int((value - low) / (high - low) * cells), cells - 1)] += 1
    marks = look.sign(_BARS, _ASCII_BARS)
    top = max(counts)
    text = "".join(marks[0 if not count else max(round(count / top * 8), 1)] for count in counts)
    return Text(text, style=look.good), low, high


def reliability_chart(growth: "ReliabilityCurve", width: int, height: int, look: Look) -> list[Text]:
    """Return reliability, 0 to 1, against models: measured with intervals, then the forecast.

    Args:
        growth: what to show; it has at least one measurement.
        width: of the lines.
        height: of the plot, without the line below it.
        look: how to draw.
    """
    left = 4
    cells = max(width - left - 1, 8)
    last = growth.forecast[-1][0] if growth.forecast else growth.models
    grid = [[(" ", "")] * cells for _ in range(height)]

    def column(models: float) -> int:
        return min(round(models / last * (cells - 1)), cells - 1)

    def line(value: float) -> int:
        return height - 1 - min(max(round(value * (height - 1)), 0), height - 1)

    for x in range(cells):
        grid[line(GOAL)][x] = (look.sign("┄", "-"), look.quiet)
    for models, found in growth.measured:
        for y in range(line(found.high), line(max(found.low, 0.0)) + 1):
            grid[y][column(models)] = (look.sign("│", "|"), look.quiet)
    for models, value in growth.forecast:
        grid[line(value)][column(models)] = (look.sign("○", "o"), look.bad)
    for models, found in growth.measured:
        grid[line(found.value)][column(models)] = (look.sign("●", "*"), look.good)
    labels = {line(1.0): "1.0", line(GOAL): "0.9", line(0.5): "0.5", line(0.0): "0.0"}
    axis = [look.sign("┤" if y in labels else "│", "|") for y in range(height)]
    rows = [
        Text.assemble((f"{labels.get(y, ''):>{left - 1}} {axis[y]}", look.quiet), *cells_of)
        for y, cells_of in enumerate(grid)
    ]
    end = f"{last:,} models"
    below = [" "] * cells
    here = f"{growth.models:,}"
    start = min(max(column(growth.models) - len(here) // 2, 0), cells - len(here))
    below[start : start + len(here)] = here
    if growth.forecast and start + len(here) + 2 <= cells - len(end):
        below[cells - len(end) :] = end
    rows.append(Text(" " * (left + 1) + "".join(below), style=look.quiet))
    return rows
