"""Images on stdout, as characters or by the terminal's own graphics: alone, beside text, or in rows.

The terminal is not queried. If stdout is not a terminal, images are characters without colour, unless the command
line asks for something else.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

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


Images = TypeVar("Images")

MAX_COLUMNS = 64
"""Width of an image, at most, unless the command line asks for more."""
MIN_COLUMNS = 16
"""Width of an image, at least, even if it then scrolls: a smaller one cannot be recognised."""
_COLOURED = {"truecolor": Ink.BLOCKS, "256": Ink.BLOCKS_256}
"""How images are drawn, by the colours that rich detects."""
_PIPED = 32
"""Width of an image if stdout is not a terminal."""
_COLUMNS = 16
"""Width of an image in a row."""
_GAP = 2
"""Cells between two of them."""


@dataclass(frozen=True)
class ImageOutput:
    """Stdout and how images are drawn on it.

    Attributes:
        console: on stdout.
        ink: how images are drawn as text.
        protocol: the terminal's own graphics, if they are used instead.
        dark: for a dark background.
        requested_columns: cells of an image by the command line; None for the usual number.
    """

    console: Console
    ink: Ink
    protocol: Protocol | None
    dark: bool
    requested_columns: int | None = None

    @property
    def style(self) -> Style:
        """Colours and signs of text."""
        return Style(self.ink is Ink.ASCII, self.dark, dims=True)

    @property
    def columns(self) -> int:
        """Width of an image in a row, in cells."""
        return min(self.requested_columns or _COLUMNS, self.console.width)

    @property
    def images_per_row(self) -> int:
        """Images that stand side by side, each in `columns` cells."""
        return max(1, (self.console.width + _GAP) // (self.columns + _GAP))

    def fit_columns(self, side: int, room: int, lines: int) -> int:
        """Return the width of a square image, in cells; by default every pixel is equally large, where possible.

        Args:
            side: its pixels.
            room: cells that there are.
            lines: lines of the terminal that text needs.
        """
        if self.requested_columns is not None:
            return min(self.requested_columns, self.console.width)
        if output.is_terminal():
            room = min(room, MAX_COLUMNS, max(2 * (self.console.height - lines), MIN_COLUMNS))
        else:
            room = min(room, _PIPED)
        return room - room % side if side <= room and self.protocol is None else room

    def draw(self, pixels: "NDArray[np.uint8]", columns: int) -> "Drawn":
        """Return an image, (h, w, C) uint8, as text of some columns that can stand beside other text."""
        return Drawn(draw_image(pixels, columns, self.ink, dark=self.dark), columns)

    def show(self, pixels: "NDArray[np.uint8]", columns: int) -> None:
        """Print an image, by the terminal's own graphics if they are used."""
        if self.protocol is None:
            self.console.print(self.draw(pixels, columns), end="")
        else:
            from tui_influence.images.escape_sequences import escape_sequence  # here, because it loads Pillow

            output.write_line(escape_sequence(pixels, columns, self.protocol))


@dataclass(frozen=True)
class Drawn:
    """An image as something that rich lays out."""

    rows: TextImage
    columns: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for row in self.rows:
            yield from row
            yield Segment.line()

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(self.columns, self.columns)


def make_image_output(
    color: ColorChoice, protocol: ProtocolChoice, theme: ThemeChoice, *, ascii_only: bool, columns: int | None = None
) -> ImageOutput:
    """Find out what stdout can show, as far as the command line leaves it open.

    Raises:
        ConfigError: the command line asks for the terminal's own graphics, and term-image is not here.
    """
    console = output.console(color)
    color_system = None if console.no_color else console.color_system
    ink = Ink.ASCII if ascii_only else _COLOURED.get(color_system or "", Ink.SHADES)
    graphics_protocol = None
    if protocol in tuple(Protocol):
        if problem := library_problem():
            raise ConfigError(f"--protocol {protocol}: {problem}; remedy: {LIBRARY_REMEDY}")
        graphics_protocol = Protocol(protocol)
    elif protocol == "auto" and ink in _COLOURED.values() and output.is_terminal() and not library_problem():
        graphics_protocol = detect_protocol(os.environ).protocol
    return ImageOutput(console, ink, graphics_protocol, theme == "dark", columns)


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


_WITHOUT = "imported without images"


def example_images(snapshot: RunSnapshot, examples: Sequence[int]) -> "NDArray[np.uint8]":
    """Return the stored images of some test examples, (len(examples), side, side, C) uint8.

    Raises:
        ResultsError: the run's images are missing, damaged, or not those of its examples.
    """
    if snapshot.info.is_imported and not snapshot.info.resolution:
        raise ResultsError(_WITHOUT)
    thumbnails, n = read_thumbnails(snapshot.paths.target(snapshot.target)), snapshot.target_info.test
    if len(thumbnails) != n:
        raise ResultsError(
            f"the run stores {len(thumbnails):,} images of {n:,} test examples; was it copied completely?"
        )
    images: NDArray[np.uint8] = thumbnails[list(examples)]
    return images


def source_images(snapshot: RunSnapshot, group: int) -> "NDArray[np.uint8]":
    """Return the stored images of a source group, (s, side, side, C) uint8.

    Raises:
        ResultsError: the run's images are missing or damaged, or there is none of this group.
    """
    if snapshot.info.is_imported:
        raise ResultsError("imported without images of the source")
    images, groups = read_source_thumbnails(snapshot.paths)
    of_group: NDArray[np.uint8] = images[groups == group]
    if not len(of_group):
        raise ResultsError(f"the run stores no image of {printable(snapshot.info.source.groups[group], 60)}")
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
            diagnostics.warn(f"no image: {error}")

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


def print_beside(
    canvas: ImageOutput, images: "Sequence[NDArray[np.uint8]]", lines_of_width: Callable[[int], Sequence[Text]]
) -> None:
    """Print images side by side, and lines beside them, or below them where there is no room; then a blank line."""
    width = canvas.console.width
    columns = min(canvas.columns, max(width // max(len(images), 2) - _GAP, 2))
    room = width - len(images) * (columns + _GAP)
    if canvas.protocol is not None or room < _MIN_ROOM:
        room = width
    lines = [canvas.style.clipped(line, room) for line in lines_of_width(room)]
    if not images:
        canvas.console.print(*lines, Text(), sep="\n")
    elif canvas.protocol is not None:
        for pixels in images:
            canvas.show(pixels, columns)
        canvas.console.print(*lines, Text(), sep="\n")
    else:
        grid = Table.grid(padding=(0, _GAP, 0, 0))
        drawn = [canvas.draw(pixels, columns) for pixels in images]
        below = room == width
        grid.add_row(*drawn, *([] if below else [Group(*lines)]))
        canvas.console.print(grid, *(lines if below else []), Text(), sep="\n")


def print_large(
    canvas: ImageOutput,
    pixels: "NDArray[np.uint8] | None",
    lines: Callable[[int, int | None], list[Text]],
    below: list[Text],
) -> None:
    """Print one image as large as fits, with lines beside it where there is room, else below it.

    Args:
        canvas: the output.
        pixels: the image, (side, side, C) uint8; None prints the lines only.
        lines: returns the lines for a width and, on a terminal, a height.
        below: further lines, below both.
    """
    console, width = canvas.console, canvas.console.width
    height = console.height - height_of(below, width) - _PROMPT if output.is_terminal() else None
    if pixels is None:
        console.print(*lines(width, height), *below, sep="\n")
        return
    room = width - _GAP - _LARGE_ROOM
    columns = canvas.fit_columns(pixels.shape[1], room, _LARGE_MARGIN)
    if canvas.protocol is None and _MIN_LARGE <= room >= columns:
        grid = Table.grid(padding=(0, _GAP, 0, 0))
        grid.add_row(canvas.draw(pixels, columns), Group(*lines(width - columns - _GAP, height)))
        console.print(grid, *below, sep="\n")
        return
    text = [*lines(width, None if height is None else height - _LARGE_HEIGHT), *below]
    canvas.show(pixels, canvas.fit_columns(pixels.shape[1], width, height_of(text, width) + _PROMPT))
    console.print(*text, sep="\n")


def images_or_problem(read: Callable[[], Images]) -> tuple[Images | None, str]:
    """Return images, or None and the reason why there are none: the text can be shown without them."""
    try:
        return read(), ""
    except ResultsError as error:
        return None, str(error)


def report_missing_images(snapshot: RunSnapshot, problem: str) -> None:
    """Report why there are no images, if there are none; an imported run never has any, so that is a note."""
    if problem and snapshot.info.is_imported:
        diagnostics.note(problem)
    elif problem:
        diagnostics.warn(f"no image: {problem}")


def print_images(canvas: ImageOutput, images: "NDArray[np.uint8]") -> None:
    """Print images, (s, side, side, C) uint8 with s > 0, in rows."""
    columns, step = canvas.columns, canvas.images_per_row
    rows = [images[start : start + step] for start in range(0, len(images), step)]
    if canvas.protocol is None:
        _print_rows(canvas, rows, columns)
        return
    side = images.shape[1]
    sheet = _sheet(rows, gap=max(1, round(side * _GAP / columns)), background=0 if canvas.dark else 255)
    canvas.show(sheet, min(round(sheet.shape[1] * columns / side), canvas.console.width))


def print_captioned(
    canvas: ImageOutput, images: "Sequence[NDArray[np.uint8] | None]", captions: Sequence[Sequence[Text]]
) -> None:
    """Print images with lines below each, in rows; of a missing image, the lines only."""
    columns, step = canvas.columns, canvas.images_per_row
    cells = [
        Group(*([] if pixels is None else [canvas.draw(pixels, columns)]), *lines)
        for pixels, lines in zip(images, captions, strict=True)
    ]
    for start in range(0, len(cells), step):
        grid = Table.grid(padding=(0, _GAP, 0, 0))
        grid.add_row(*cells[start : start + step])
        canvas.console.print(grid, Text(), sep="\n")


def _print_rows(canvas: ImageOutput, rows: "Sequence[NDArray[np.uint8]]", columns: int) -> None:
    for row in rows:
        grid = Table.grid(padding=(0, _GAP, 0, 0))
        grid.add_row(*(canvas.draw(pixels, columns) for pixels in row))
        canvas.console.print(grid, Text(), sep="\n")


def _sheet(rows: "Sequence[NDArray[np.uint8]]", gap: int, background: int) -> "NDArray[np.uint8]":
    """Return rows of (s, side, side, C) images as one image, `gap` pixels apart."""
    import numpy as np

    side, channels = rows[0].shape[1], rows[0].shape[-1]
    step = side + gap
    sheet = np.full((len(rows) * step - gap, len(rows[0]) * step - gap, channels), background, dtype=np.uint8)
    for down, row in enumerate(rows):
        for across, pixels in enumerate(row):
            sheet[down * step : down * step + side, across * step : across * step + side] = pixels
    return sheet
