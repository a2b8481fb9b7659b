"""The most helpful and the most harmful single images of a source class for `tinfl leaks --source`, as grids."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich.console import Group
from rich.table import Table
from rich.text import Text

from tui_influence.analysis.leakage import rows_of_groups
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import rank
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.cli.images import Canvas
from tui_influence.cli.show_leaks import COLUMNS, Album
from tui_influence.influence.types import (
    SIGNIFICANCE_LEVEL,
    RankedGroup,
)
from tui_influence.render.format import cut, plain
from tui_influence.render.numbers import value_format
from tui_influence.render.ranking import circumstances, meaning, scope, trust
from tui_influence.render.ranking_table import noise_warning, packed, paragraph
from tui_influence.render.style import Style

_ROWS = 2
_GAP = 2


def print_images(
    canvas: Canvas, reading: RunSnapshot, question: Question, groups: NDArray[np.intp], name: str, wanted: int | None
) -> None:
    """Show the images of a source class that help a target most, and those that hurt it most, with intervals."""
    console = canvas.console
    report = rank(reading, question).report
    style = canvas.style.muted(report.is_noise())
    rows = rows_of_groups(report.ranking, groups)
    columns = min(wanted or COLUMNS, console.width)
    count = _ROWS * max(1, (console.width + _GAP) // (columns + _GAP))
    album = Album(reading)
    console.print(style.line(f'Images of source class "{name}" by their influence on {scope(report)}', "bold"))
    console.print(*packed(circumstances(report), style, console.width), sep="\n")
    console.print(*noise_warning(report, style, "this order"), sep="\n", end="\n" if report.is_noise() else "")
    written = value_format([row.influence for row in rows], [row.se for row in rows])
    helpful = [row for row in rows if row.influence > 0][:count]
    harmful = [row for row in rows[::-1] if row.influence < 0][:count]
    for words, chosen in (("most helpful", helpful), ("most harmful", harmful)):
        console.print(Text(), style.line(f"{words} ({len(rows):,} images in all)", "bold"), sep="\n")
        _print_grid(canvas, style, album, chosen, columns, written)
    console.print(paragraph(f"Influence: {meaning(report)}. {trust(report)}", style), Text(), sep="\n")


def _print_grid(
    canvas: Canvas, style: Style, album: Album, rows: Sequence[RankedGroup], columns: int, written: str
) -> None:
    per_row = max(1, (canvas.console.width + _GAP) // (columns + _GAP))
    for start in range(0, len(rows), per_row):
        grid = Table.grid(padding=(0, _GAP, 0, 0))
        grid.add_row(*(_cell(canvas, style, album, row, columns, written) for row in rows[start : start + per_row]))
        canvas.console.print(grid, Text(), sep="\n")


def _cell(canvas: Canvas, style: Style, album: Album, row: RankedGroup, columns: int, written: str) -> Group:
    pixels = album.of_group(row.index)
    mark = "*" if row.q < SIGNIFICANCE_LEVEL else ""
    words = [
        Text(cut(plain(row.group, style.ascii), columns, style.ellipsis), no_wrap=True),
        Text(f"{style.before(row.influence)}{row.influence:{written}}{mark}", style=style.effect(row.influence)),
        Text(f"{row.low:{written}} {row.high:{written}}", style=style.quiet),
    ]
    return Group(*([canvas.drawn(pixels, columns)] if pixels is not None else []), *words)
