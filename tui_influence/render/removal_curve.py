"""The removal curve as text: accuracy against the number of groups dropped, a column of its own for every arm.

Keeping everything stands at k = 0; the arms of one k stand side by side. Lists of the user's are in the table, not
here: they are no point of a curve.
"""

from collections.abc import Sequence

from rich.cells import cell_len

from tui_influence.pruning.curve import (
    ARM_STYLES,
    KEEP_EVERYTHING,
    ArmStyle,
    drop_axis_label,
    removal_curves,
)
from tui_influence.pruning.types import (
    Point,
    PruningResults,
    Quantity,
    RemovalCurves,
)

_HEIGHT = 12
_AXIS = 8
"""Cells left of the plot."""
_WIDEST = 100
_LINE = {False: ("│", "└", "─"), True: ("|", "+", "-")}


def removal_curve(
    measured: PruningResults,
    width: int,
    *,
    ascii_only: bool = False,
    quantity: Quantity = "accuracy",
    height: int = _HEIGHT,
) -> list[str]:
    """Return the plot, a line of text each; nothing where there are no two points to compare.

    Args:
        measured: a pruning.
        width: cells.
        ascii_only: without other characters.
        quantity: what is drawn.
        height: lines of the plot, without what is above and below it; three at least.
    """
    curves = removal_curves(measured, quantity)
    by_k = _by_k(curves)
    if len(by_k) < 2:
        return []
    ends = [end for arms in by_k.values() for _, point in arms for end in point.ends]
    bottom, top = min(ends), max(ends)
    span = top - bottom or 0.01
    columns = max(min(width, _WIDEST) - _AXIS - 2, 10)
    columns_of_k = _arm_columns(list(by_k), [len(arms) for arms in by_k.values()], columns)
    grid = [[" "] * columns for _ in range(height)]

    def row(value: float) -> int:
        return round((top - value) / span * (height - 1))

    bar, corner, floor = _LINE[ascii_only]
    for arms, taken in zip(by_k.values(), columns_of_k, strict=True):
        for (arm_style, point), column in zip(arms, taken, strict=True):
            low, high = point.ends
            for line in range(row(high), row(low) + 1):
                grid[line][column] = bar
            grid[row(point.mean.value)][column] = _mark(arm_style, ascii_only)
    labels = {0: top, height // 2: top - span * (height // 2) / (height - 1), height - 1: bottom}
    number, what = (".1%", "accuracy") if quantity == "accuracy" else (".3f", "margin in nats")
    lines = [
        f"{f'{labels[line]:{number}}' if line in labels else '':>{_AXIS - 1}} {bar}{''.join(cells).rstrip()}"
        for line, cells in enumerate(grid)
    ]
    arm_styles = [KEEP_EVERYTHING] * (curves.everything is not None) + [ARM_STYLES[kind] for kind in curves.by_kind]
    key = _wrapped([f"{_mark(arm_style, ascii_only)} {arm_style.label}" for arm_style in arm_styles], columns)
    return [
        f"{what} on the evaluate half, with 95% intervals",
        *lines,
        f"{'':>{_AXIS}}{corner}{floor * columns}",
        f"{'':>{_AXIS}} {_ticks(list(by_k), columns_of_k, columns)}",
        f"{'':>{_AXIS}} {drop_axis_label(measured)}",
        *(f"{'':>{_AXIS}} {line}" for line in key),
    ]


def _by_k(curves: RemovalCurves) -> dict[int, list[tuple[ArmStyle, Point]]]:
    """Return the arms of each k, ascending, and of one k in the order of the key."""
    arms: dict[int, list[tuple[ArmStyle, Point]]] = {}
    if curves.everything is not None:
        arms[0] = [(KEEP_EVERYTHING, curves.everything)]
    points = [(ARM_STYLES[kind], point) for kind, curve in curves.by_kind.items() for point in curve]
    for arm_style, point in sorted(points, key=lambda arm: arm[1].k):
        arms.setdefault(point.k, []).append((arm_style, point))
    return arms


def _arm_columns(ks: Sequence[int], arms: Sequence[int], columns: int) -> list[list[int]]:
    """Return the column of every arm: k to scale, as far as the arms of neighbouring k leave room for that.

    Args:
        ks: ascending.
        arms: how many there are of each k.
        columns: of the plot.
    """
    # With a blank between arms, else without, else also without one between neighbouring k.
    for stride, gap in ((2, 2), (1, 1), (1, 0)):
        widths = [(count - 1) * stride + 1 for count in arms]
        if sum(widths) + gap * (len(ks) - 1) <= columns:
            break
    starts: list[int] = []
    free = 0
    for k, width in zip(ks, widths, strict=True):
        starts.append(max(round(k / ks[-1] * (columns - 1) - width / 2), free))
        free = starts[-1] + width + gap
    free = columns
    for index in reversed(range(len(ks))):
        # Arms that cannot all have a column of their own share the first ones.
        starts[index] = max(min(starts[index], free - widths[index]), 0)
        free = starts[index] - gap
    return [[start + stride * arm for arm in range(count)] for start, count in zip(starts, arms, strict=True)]


def _ticks(ks: Sequence[int], columns_of_k: Sequence[Sequence[int]], columns: int) -> str:
    """Return k under the middle of its arms, where there is room."""
    cells = [" "] * columns
    for k, taken in zip(ks, columns_of_k, strict=True):
        text = str(k)
        start = min(max((taken[0] + taken[-1] + 1 - len(text)) // 2, 0), columns - len(text))
        if not "".join(cells[max(start - 1, 0) : start + len(text) + 1]).strip():
            cells[start : start + len(text)] = text
    return "".join(cells).rstrip()


def _mark(arm_style: ArmStyle, ascii_only: bool) -> str:
    return arm_style.ascii if ascii_only else arm_style.mark


def _wrapped(parts: Sequence[str], width: int) -> list[str]:
    """Return the parts, three blanks between them, on as many lines as they need."""
    lines = [""]
    for part in parts:
        joined = f"{lines[-1]}   {part}" if lines[-1] else part
        if lines[-1] and cell_len(joined) > width:
            lines.append(part)
        else:
            lines[-1] = joined
    return lines
