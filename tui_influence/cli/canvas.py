"""What stdout can show of a picture: characters and colours, or the terminal's own graphics; and how large.

Nothing is asked of the terminal. Where stdout is no terminal, pictures are characters without colour, unless the
command line says otherwise.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.segment import Segment

from tui_influence.cli import output
from tui_influence.cli.parameters import ColorChoice, ProtocolChoice, ThemeChoice
from tui_influence.errors import ConfigError
from tui_influence.export.lines import Pen
from tui_influence.images.graphics import LIBRARY_REMEDY, Protocol, detect, library_problem
from tui_influence.images.pictures import Ink, Picture, picture

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

    def pen(self, *, coloured: bool) -> Pen:
        """Return what rankings are written with."""
        ascii_only = self.ink is Ink.ASCII
        return Pen(ascii_only, coloured) if self.dark else Pen(ascii_only, coloured, "#0072B2", "#B34A00")

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
        return Drawn(picture(pixels, columns, self.ink, dark=self.dark), columns)

    def show(self, pixels: "NDArray[np.uint8]", columns: int) -> None:
        """Show a picture above what is written next, by the terminal's own graphics if they are used."""
        if self.protocol is None:
            self.console.print(self.drawn(pixels, columns), end="")
        else:
            from tui_influence.images.escape_sequences import escape_sequence

            output.line(escape_sequence(pixels, columns, self.protocol))


@dataclass(frozen=True)
class Drawn:
    """A picture as something that rich lays out."""

    rows: Picture
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
        used = detect(os.environ).protocol
    return Canvas(console, ink, used, theme == "dark")
