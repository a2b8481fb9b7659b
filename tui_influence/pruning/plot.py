"""The removal curve as text: accuracy against the number of groups dropped, lowest, random and highest first."""

from dataclasses import dataclass
from math import isfinite

from tui_influence.pruning.measured import Measured
from tui_influence.store.arms_file import ArmKind

_MARKS = {ArmKind.LOWEST: ("●", "o"), ArmKind.RANDOM: ("◇", "x"), ArmKind.HIGHEST: ("▲", "^")}
_HEIGHT = 12
_AXIS = 8
"""Cells left of the plot."""
_LINE = {False: ("│", "└", "─"), True: ("|", "+", "-")}


@dataclass(frozen=True)
class _Point:
    kind: ArmKind
    k: int
    value: float
    low: float
    high: float


def removal_curve(measured: Measured, width: int, *, ascii_only: bool = False) -> list[str]:
    """Return the plot, a line of text each; nothing where there are no two points to compare.

    Args:
        measured: a pruning.
        width: cells.
        ascii_only: without other characters.
    """
    points = _points(measured)
    if len({point.k for point in points}) < 2:
        return []
    ends = [value for point in points for value in (point.low, point.high)]
    bottom, top = min(ends), max(ends)
    span = top - bottom or 0.01
    most = max(point.k for point in points)
    columns = max(min(width, 100) - _AXIS - 2, 10)
    grid = [[" "] * columns for _ in range(_HEIGHT)]

    def row(value: float) -> int:
        return round((top - value) / span * (_HEIGHT - 1))

    bar, corner, floor = _LINE[ascii_only]
    for point in points:
        # Three arms at one k stand side by side.
        column = round(point.k / most * (columns - 3)) + list(_MARKS).index(point.kind)
        for place in range(row(point.high), row(point.low) + 1):
            grid[place][column] = bar
    for point in points:
        column = round(point.k / most * (columns - 3)) + list(_MARKS).index(point.kind)
        grid[row(point.value)][column] = _MARKS[point.kind][ascii_only]
    labels = {0: top, _HEIGHT // 2: top - span * (_HEIGHT // 2) / (_HEIGHT - 1), _HEIGHT - 1: bottom}
    lines = [
        f"{f'{labels[place]:.1%}' if place in labels else '':>{_AXIS - 1}} {bar}{''.join(cells).rstrip()}"
        for place, cells in enumerate(grid)
    ]
    ticks = [" "] * (columns + 4)
    for k in sorted({point.k for point in points}):
        start = round(k / most * (columns - 3)) + 1
        if not "".join(ticks[max(start - 1, 0) : start + len(str(k)) + 1]).strip():
            ticks[start : start + len(str(k))] = str(k)
    key = "   ".join(f"{marks[ascii_only]} {kind} first" for kind, marks in _MARKS.items())
    return [
        "accuracy on the evaluate half, with 95% intervals",
        *lines,
        f"{'':>{_AXIS}}{corner}{floor * columns}",
        f"{'':>{_AXIS}} {''.join(ticks).rstrip()}",
        f"{'':>{_AXIS}} dropped   {key}",
    ]


def _points(measured: Measured) -> list[_Point]:
    points = []
    for result in measured.results:
        kinds = tuple(_MARKS) if result.arm.kind is ArmKind.ALL else (result.arm.kind,)
        mean = result.accuracy.mean
        if not isfinite(mean.value):
            continue
        low, high = (end if isfinite(end) else mean.value for end in (mean.low, mean.high))
        points += [
            _Point(kind, result.arm.k, mean.value, max(low, 0.0), min(high, 1.0)) for kind in kinds if kind in _MARKS
        ]
    return points
