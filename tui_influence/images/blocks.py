"""Coloured half blocks: term-image draws them, and what it wrote is read back as styled text.

term-image asks the terminal things and reads the answers from the keyboard's stream, which in an app ends in whatever
has the focus: queries are off before the first image, sizes are always given, and only `BlockImage` is used here. On
import it replaces `multiprocessing.Process.start`, so no process that trains may load this module.
"""

import re
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING

from rich.color import Color
from rich.segment import Segment
from rich.style import Style

if TYPE_CHECKING:
    from PIL.Image import Image

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "It seems this process is not running within a terminal", UserWarning)
    import term_image
    from term_image.image import BlockImage

term_image.disable_queries()

_RESET = "\x1b[m"
_RUN = re.compile(r"\x1b\[48;([25][;\d]+)m(?:\x1b\[38;([25][;\d]+)m)?([ ▀]+)")
"""Cells of the same two colours: background (the lower pixel), foreground (the upper one) if it differs."""


def blocks(image: "Image", *, indexed: bool) -> tuple[tuple[Segment, ...], ...]:
    """Draw a grid of pixels, grey or RGB, with two rows of them a row of text.

    Args:
        image: w x 2h pixels, mode L or RGB.
        indexed: with the 240 colours that all terminals of 256 colours share.

    Returns:
        h rows of w cells.
    """
    columns, rows = image.width, image.height // 2
    drawing = BlockImage(image, width=columns, height=rows)
    drawing.set_render_method("indexed" if indexed else "direct")
    drawn = tuple(_row(line, columns) for line in str(drawing).split("\n"))
    assert len(drawn) == rows
    return drawn


def _row(written: str, columns: int) -> tuple[Segment, ...]:
    segments = []
    at = cells = 0
    while run := _RUN.match(written, at):
        lower, upper, text = run.groups()
        segments.append(Segment(text, _style(lower, upper)))
        at, cells = run.end(), cells + len(text)
    if written[at:] != _RESET or cells != columns:
        raise ValueError(f"term-image {term_image.__version__} wrote what this version of tinfl cannot read")
    return tuple(segments)


@lru_cache(maxsize=1 << 14)
def _style(lower: str, upper: str | None) -> Style:
    return Style.from_color(_colour(upper) if upper else None, _colour(lower))


def _colour(written: str) -> Color:
    """Return the colour of an escape sequence: `2;RED;GREEN;BLUE` or `5;NUMBER`."""
    _, *parts = map(int, written.split(";"))
    return Color.from_ansi(*parts) if len(parts) == 1 else Color.from_rgb(*parts)
