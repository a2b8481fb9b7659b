"""Rows of pictures on stdout: as many side by side as fit, by characters or by the terminal's own graphics."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from tui_influence.cli import diagnostics
from tui_influence.cli.canvas import Canvas
from tui_influence.errors import ResultsError
from tui_influence.reading import Reading
from tui_influence.store.examples import read_thumbnails

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COLUMNS = 16
"""Width of a picture, in cells."""
_GAP = 2
"""Cells between two of them."""


_WITHOUT = "imported without pictures"


def pictures_of(reading: Reading, examples: Sequence[int]) -> "NDArray[np.uint8]":
    """Return the pictures of some test examples, (len(examples), side, side, C) uint8.

    Raises:
        ResultsError: the run's pictures are missing, damaged, or not those of its examples.
    """
    if reading.info.is_imported and not reading.info.resolution:
        raise ResultsError(_WITHOUT)
    kept, n = read_thumbnails(reading.paths.target(reading.target)), reading.described.test
    if len(kept) != n:
        raise ResultsError(f"the run keeps {len(kept):,} pictures of {n:,} test examples: is it half copied?")
    found: NDArray[np.uint8] = kept[list(examples)]
    return found


def say_why_no_pictures(reading: Reading, problem: str) -> None:
    """Say why there are none, if so; of a run that was imported there is nothing to be mended."""
    if problem and reading.info.is_imported:
        diagnostics.dim(problem)
    elif problem:
        diagnostics.warn(f"no picture: {problem}")


def per_row(canvas: Canvas, wanted: int | None) -> int:
    """Return how many pictures stand side by side, each in `wanted` cells or, if None, in as many as is usual."""
    columns = min(wanted or COLUMNS, canvas.console.width)
    return max(1, (canvas.console.width + _GAP) // (columns + _GAP))


def print_pictures(canvas: Canvas, pictures: "NDArray[np.uint8]", wanted: int | None) -> None:
    """Show pictures, (s, side, side, C) uint8, in rows.

    Args:
        canvas: where to.
        pictures: at least one.
        wanted: cells that each takes; None for as many as is usual.
    """
    columns = min(wanted or COLUMNS, canvas.console.width)
    step = per_row(canvas, wanted)
    rows = [pictures[start : start + step] for start in range(0, len(pictures), step)]
    if canvas.protocol is None:
        _print_rows(canvas, rows, columns)
        return
    side = pictures.shape[1]
    sheet = _sheet(rows, gap=max(1, round(side * _GAP / columns)), background=0 if canvas.dark else 255)
    canvas.show(sheet, min(round(sheet.shape[1] * columns / side), canvas.console.width))


def _print_rows(canvas: Canvas, rows: "Sequence[NDArray[np.uint8]]", columns: int) -> None:
    for row in rows:
        grid = Table.grid(padding=(0, _GAP, 0, 0))
        grid.add_row(*(canvas.drawn(pixels, columns) for pixels in row))
        canvas.console.print(grid, Text(), sep="\n")


def _sheet(rows: "Sequence[NDArray[np.uint8]]", gap: int, background: int) -> "NDArray[np.uint8]":
    """Return rows of (s, side, side, C) pictures as one picture, with a gap of so many pixels between two."""
    import numpy as np

    side, channels = rows[0].shape[1], rows[0].shape[-1]
    step = side + gap
    sheet = np.full((len(rows) * step - gap, len(rows[0]) * step - gap, channels), background, dtype=np.uint8)
    for down, row in enumerate(rows):
        for across, pixels in enumerate(row):
            sheet[down * step : down * step + side, across * step : across * step + side] = pixels
    return sheet
