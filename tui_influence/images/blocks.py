"""Coloured half blocks: a cell shows two pixels, the lower one as its background, the upper one as its foreground.

Neighbouring cells with the same two pixels are one segment, and a cell whose two pixels are equal is a space. These
are the segments that term-image's `BlockImage` draws; `tests/unit/images/test_blocks.py` compares them.
"""

from functools import lru_cache
from itertools import islice, product

import numpy as np
from PIL import Image
from rich.color import Color
from rich.segment import Segment
from rich.style import Style

_FIRST_SHARED_COLOUR = 16
"""Number of the first colour that all terminals of 256 colours share; those before it are set by the user."""
_CUBE = (0, 95, 135, 175, 215, 255)
_GREYS = range(8, 248, 10)
_COLOURS = (*product(_CUBE, repeat=3), *((level, level, level) for level in _GREYS))


def _palette_image() -> Image.Image:
    image = Image.new("P", (1, 1))
    image.putpalette([level for colour in _COLOURS for level in colour])
    return image


_PALETTE = _palette_image()


def draw_blocks(image: Image.Image, *, indexed: bool) -> tuple[tuple[Segment, ...], ...]:
    """Draw a grid of pixels, grey or RGB, with two rows of pixels in each row of text.

    Args:
        image: w x 2h pixels, mode L or RGB.
        indexed: whether to use only the 240 colours that all terminals of 256 colours share.

    Returns:
        h rows of w cells.
    """
    colours = image.convert("RGB")
    if indexed:
        quantized = colours.quantize(palette=_PALETTE, dither=Image.Dither.NONE)
        codes = np.asarray(quantized, dtype=np.int32) + _FIRST_SHARED_COLOUR
    else:
        red, green, blue = np.moveaxis(np.asarray(colours, dtype=np.int32), -1, 0)
        codes = red << 16 | green << 8 | blue
    upper, lower = codes[::2], codes[1::2]
    begins = np.ones(upper.shape, dtype=bool)
    begins[:, 1:] = (upper[:, 1:] != upper[:, :-1]) | (lower[:, 1:] != lower[:, :-1])
    lengths = np.diff(np.flatnonzero(begins), append=begins.size)  # the first cell of a row starts a run
    runs = zip(upper[begins].tolist(), lower[begins].tolist(), lengths.tolist(), strict=True)
    segments = (
        Segment((" " if above == below else "▀") * length, _style(above, below, indexed))
        for above, below, length in runs
    )
    return tuple(tuple(islice(segments, count)) for count in begins.sum(axis=1).tolist())


@lru_cache(maxsize=1 << 14)
def _style(upper: int, lower: int, indexed: bool) -> Style:
    return Style.from_color(None if upper == lower else _colour(upper, indexed), _colour(lower, indexed))


def _colour(code: int, indexed: bool) -> Color:
    """Return the colour of a code: the number of a terminal colour, or 0xRRGGBB."""
    return Color.from_ansi(code) if indexed else Color.from_rgb(code >> 16, code >> 8 & 0xFF, code & 0xFF)
