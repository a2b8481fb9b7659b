"""What stdout can show of a picture: characters and colours, or the terminal's own graphics; and how large.

Nothing is asked of the terminal. Where stdout is no terminal, pictures are characters without colour, unless the
command line says otherwise.

Rows of pictures on stdout: as many side by side as fit, by characters or by the terminal's own graphics.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, Group
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.cli import diagnostics, output
from tui_influence.cli.options.shared import ColorChoice, ProtocolChoice, ThemeChoice
from tui_influence.errors import ConfigError, ResultsError
from tui_influence.images.graphics import LIBRARY_REMEDY, Protocol, detect_protocol, library_problem
from tui_influence.images.text_image import Ink, TextImage, draw_image
from tui_influence.render.ranking_table import height_of
from tui_influence.render.style import Style
from tui_influence.store.examples import read_source_thumbnails, read_thumbnails
from tui_influence.text import printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


LARGEST = 64
"""Columns that a picture takes at most, unless it is asked for more."""
SMALLEST = 16
"""Columns that a picture takes at least, also where it then scrolls: one can still tell what it shows."""
_COLOURED = {"truecolor": Ink.BLOCKS, "256": Ink.BLOCKS_256}
"""What pictures are drawn with by the colours that rich finds."""
_PIPED = 32
"""Columns of a picture on no terminal."""


@dataclass(frozen=True)
class Canvas:
    """Where pictures and words go.

    Attributes:
        console: on stdout.
        ink: what pictures are drawn with as text.
        protocol: the terminal's own graphics, if they are used instead.
        dark: for a dark background.
    """

    console: Console
    ink: Ink
    protocol: Protocol | None
    dark: bool

    @property
    def style(self) -> Style:
        """Colours and signs of text."""
        return Style(self.ink is Ink.ASCII, self.dark, dims=True)

    def columns(self, side: int, wanted: int | None, most: int, lines: int) -> int:
        """Return how wide a square picture is shown.

        Args:
            side: its pixels.
            wanted: what was asked for; None finds a size at which, if it can be, every pixel is equally large.
            most: cells that there are.
            lines: of the terminal that are left for words.
        """
        if wanted is not None:
            return min(wanted, self.console.width)
        if output.is_terminal():
            most = min(most, LARGEST, max(2 * (self.console.height - lines), SMALLEST))
        else:
            most = min(most, _PIPED)
        return most - most % side if side <= most and self.protocol is None else most

    def drawn(self, pixels: "NDArray[np.uint8]", columns: int) -> "Drawn":
        """Return a picture as text that can stand beside other text: (h, w, C) uint8 in so many columns."""
        return Drawn(draw_image(pixels, columns, self.ink, dark=self.dark), columns)

    def show(self, pixels: "NDArray[np.uint8]", columns: int) -> None:
        """Show a picture above what is written next, by the terminal's own graphics if they are used."""
        if self.protocol is None:
            self.console.print(self.drawn(pixels, columns), end="")
        else:
            from tui_influence.images.escape_sequences import escape_sequence  # here, because it loads Pillow

            output.write_line(escape_sequence(pixels, columns, self.protocol))


@dataclass(frozen=True)
class Drawn:
    """A picture as something that rich lays out."""

    rows: TextImage
    columns: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for row in self.rows:
            yield from row
            yield Segment.line()

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(self.columns, self.columns)


def canvas(color: ColorChoice, protocol: ProtocolChoice, theme: ThemeChoice, *, ascii_only: bool) -> Canvas:
    """Find out what stdout can show, as far as the command line leaves it open.

    Raises:
        ConfigError: the command line asks for the terminal's own graphics, and term-image is not here.
    """
    console = output.console(color)
    colours = None if console.no_color else console.color_system
    ink = Ink.ASCII if ascii_only else _COLOURED.get(colours or "", Ink.SHADES)
    used = None
    if protocol in tuple(Protocol):
        if problem := library_problem():
            raise ConfigError(f"--protocol {protocol}: {problem}; remedy: {LIBRARY_REMEDY}")
        used = Protocol(protocol)
    elif protocol == "auto" and ink in _COLOURED.values() and output.is_terminal() and not library_problem():
        used = detect_protocol(os.environ).protocol
    return Canvas(console, ink, used, theme == "dark")


COLUMNS = 16
"""Width of a picture, in cells."""
_GAP = 2
"""Cells between two of them."""
_MIN_ROOM = 30
"""Cells that lines beside images need at least."""
_MIN_LARGE = 24
"""Cells of a large image with lines beside it at least; else they are below it."""
_LARGE_ROOM = 46
"""Cells that lines beside a large image need at least."""
_LARGE_MARGIN = 8
"""Lines of a terminal that a large image with lines beside it leaves for those below."""
_LARGE_HEIGHT = 16
"""Lines of a terminal that are for a large image with all lines below it, before more groups are listed."""
_PROMPT = 2
"""Lines that a terminal needs for its prompt."""


_WITHOUT = "imported without pictures"


def pictures_of(reading: RunSnapshot, examples: Sequence[int]) -> "NDArray[np.uint8]":
    """Return the pictures of some test examples, (len(examples), side, side, C) uint8.

    Raises:
        ResultsError: the run's pictures are missing, damaged, or not those of its examples.
    """
    if reading.info.is_imported and not reading.info.resolution:
        raise ResultsError(_WITHOUT)
    kept, n = read_thumbnails(reading.paths.target(reading.target)), reading.target_info.test
    if len(kept) != n:
        raise ResultsError(f"the run keeps {len(kept):,} pictures of {n:,} test examples: is it half copied?")
    found: NDArray[np.uint8] = kept[list(examples)]
    return found


def source_images(snapshot: RunSnapshot, group: int) -> "NDArray[np.uint8]":
    """Return the stored images of a source group, (s, side, side, C) uint8.

    Raises:
        ResultsError: the run's images are missing or damaged, or there is none of this group.
    """
    if snapshot.info.is_imported:
        raise ResultsError("imported, so without pictures of the source")
    images, groups = read_source_thumbnails(snapshot.paths)
    of_group: NDArray[np.uint8] = images[groups == group]
    if not len(of_group):
        raise ResultsError(f"the run keeps no picture of {printable(snapshot.info.source.groups[group], 60)}")
    return of_group


class StoredImages:
    """The images that a run stores of its test examples and of its source groups; a warning says which are missing."""

    def __init__(self, snapshot: RunSnapshot) -> None:
        """Read the images."""
        self._test: NDArray[np.uint8] | None = None
        self._source: tuple[NDArray[np.uint8], NDArray[np.int32]] | None = None
        try:
            self._test = read_thumbnails(snapshot.paths.target(snapshot.target))
            self._source = read_source_thumbnails(snapshot.paths)
        except ResultsError as error:
            diagnostics.warn(f"no picture: {error}")

    def of_example(self, example: int) -> "NDArray[np.uint8] | None":
        """Return the image of a test example; None if it is missing."""
        return self._test[example] if self._test is not None and example < len(self._test) else None

    def of_group(self, group: int) -> "NDArray[np.uint8] | None":
        """Return the first image of a source group; None if it is missing."""
        if self._source is None:
            return None
        images, groups = self._source
        indices = (groups == group).nonzero()[0]
        return images[indices[0]] if len(indices) else None


def room_beside(canvas: Canvas, images: int, wanted: int | None) -> tuple[int, int]:
    """Return how wide each of some images is, and how wide lines beside them are, or below them if there is no room.

    Args:
        canvas: the output.
        images: side by side.
        wanted: cells of an image; None for the usual number.
    """
    width = canvas.console.width
    columns = min(wanted or COLUMNS, max(width // max(images, 2) - _GAP, 2))
    room = width - images * (columns + _GAP)
    return columns, width if canvas.protocol is not None or room < _MIN_ROOM else room


def print_beside(
    canvas: Canvas, images: "Sequence[NDArray[np.uint8]]", lines: Sequence[Text], wanted: int | None
) -> None:
    """Print images side by side, and lines beside them, or below them where there is no room; then a blank line."""
    columns, room = room_beside(canvas, len(images), wanted)
    lines = [canvas.style.clipped(line, room) for line in lines]
    if not images:
        canvas.console.print(*lines, Text(), sep="\n")
    elif canvas.protocol is not None:
        for pixels in images:
            canvas.show(pixels, columns)
        canvas.console.print(*lines, Text(), sep="\n")
    else:
        grid = Table.grid(padding=(0, _GAP, 0, 0))
        drawn = [canvas.drawn(pixels, columns) for pixels in images]
        below = room == canvas.console.width
        grid.add_row(*drawn, *([] if below else [Group(*lines)]))
        canvas.console.print(grid, *(lines if below else []), Text(), sep="\n")


def print_large(
    canvas: Canvas,
    pixels: "NDArray[np.uint8] | None",
    lines: Callable[[int, int | None], list[Text]],
    below: list[Text],
    wanted: int | None,
) -> None:
    """Print one image as large as fits, with lines beside it where there is room, else below it.

    Args:
        canvas: the output.
        pixels: the image, (side, side, C) uint8; None prints the lines only.
        lines: returns the lines for a width and, on a terminal, a height.
        below: further lines, below both.
        wanted: cells of the image; None for as many as fit.
    """
    console, width = canvas.console, canvas.console.width
    height = console.height - height_of(below, width) - _PROMPT if output.is_terminal() else None
    if pixels is None:
        console.print(*lines(width, height), *below, sep="\n")
        return
    room = width - _GAP - _LARGE_ROOM
    columns = canvas.columns(pixels.shape[1], wanted, room, _LARGE_MARGIN)
    if canvas.protocol is None and _MIN_LARGE <= room >= columns:
        grid = Table.grid(padding=(0, _GAP, 0, 0))
        grid.add_row(canvas.drawn(pixels, columns), Group(*lines(width - columns - _GAP, height)))
        console.print(grid, *below, sep="\n")
        return
    text = [*lines(width, None if height is None else height - _LARGE_HEIGHT), *below]
    canvas.show(pixels, canvas.columns(pixels.shape[1], wanted, width, height_of(text, width) + _PROMPT))
    console.print(*text, sep="\n")


def say_why_no_pictures(reading: RunSnapshot, problem: str) -> None:
    """Say why there are none, if so; of a run that was imported there is nothing to be mended."""
    if problem and reading.info.is_imported:
        diagnostics.note(problem)
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


def print_captioned(
    canvas: Canvas,
    images: "Sequence[NDArray[np.uint8] | None]",
    captions: Sequence[Sequence[Text]],
    wanted: int | None,
) -> None:
    """Print images with lines below each, in rows; of a missing image, the lines only."""
    columns, step = min(wanted or COLUMNS, canvas.console.width), per_row(canvas, wanted)
    cells = [
        Group(*([] if pixels is None else [canvas.drawn(pixels, columns)]), *lines)
        for pixels, lines in zip(images, captions, strict=True)
    ]
    for start in range(0, len(cells), step):
        grid = Table.grid(padding=(0, _GAP, 0, 0))
        grid.add_row(*cells[start : start + step])
        canvas.console.print(grid, Text(), sep="\n")


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
