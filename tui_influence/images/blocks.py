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
_RUN = re.compile(r"\x1b\[48;2;(\d+);(\d+);(\d+)m(?:\x1b\[38;2;(\d+);(\d+);(\d+)m)?([ ▀]+)")
"""Cells of the same two colours: background (the lower pixel), foreground (the upper one) if it differs."""


def blocks(image: "Image") -> tuple[tuple[Segment, ...], ...]:
    """Draw a grid of pixels, grey or RGB, with two rows of them a row of text.

    Args:
        image: w x 2h pixels, mode L or RGB.

    Returns:
        h rows of w cells.
    """
    columns, rows = image.width, image.height // 2
    written = str(BlockImage(image, width=columns, height=rows)).split("\n")
    drawn = tuple(_row(line, columns) for line in written)
    assert len(drawn) == rows
    return drawn


def _row(written: str, columns: int) -> tuple[Segment, ...]:
    segments = []
    at = cells = 0
    while run := _RUN.match(written, at):
        *colours, text = run.groups()
        segments.append(Segment(text, _style(*colours)))
        at, cells = run.end(), cells + len(text)
    if written[at:] != _RESET or cells != columns:
        raise ValueError(f"term-image {term_image.__version__} wrote what this version of tinfl cannot read")
    return tuple(segments)


@lru_cache(maxsize=1 << 14)
def _style(red: str, green: str, blue: str, *upper: str | None) -> Style:
    background = Color.from_rgb(int(red), int(green), int(blue))
    foreground = Color.from_rgb(*map(int, filter(None, upper))) if upper[0] else None
    return Style.from_color(foreground, background)
