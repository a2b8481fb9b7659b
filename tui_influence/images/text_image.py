"""An image as rows of styled text, in a width that the caller chooses.

A cell is twice as high as it is wide, so it shows two pixels, one above the other. An image is resized to exactly that
grid: enlarged by nearest neighbour, so that its pixels keep their values, or reduced by Lanczos. `blocks` and `glyphs`
draw the grid without resampling. May be called from any thread.
"""

from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from rich.segment import Segment

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

TextImage: TypeAlias = tuple[tuple[Segment, ...], ...]
"""Rows of segments, each of the same number of cells."""


class Ink(StrEnum):
    """Characters and colours to draw an image with."""

    BLOCKS = "blocks"
    """Half blocks in 24-bit colour."""
    BLOCKS_256 = "blocks-256"
    """Half blocks in the colours of a terminal of 256, the nearest of them for each pixel."""
    SHADES = "shades"
    """Shades and half blocks without a colour."""
    ASCII = "ascii"
    """ASCII characters without a colour."""


def text_rows(shape: tuple[int, ...], columns: int) -> int:
    """Return the number of text rows of an image in a width.

    Args:
        shape: shape of the image, (h, w, C).
        columns: width in cells.
    """
    height, width = shape[:2]
    # Rounded up, so that an image which grows in width never shrinks in height.
    return max(1, -(-columns * height // (2 * width)))


def draw_image(pixels: "NDArray[np.uint8]", columns: int, ink: Ink, *, dark: bool = True) -> TextImage:
    """Draw an image.

    Args:
        pixels: (h, w, C) uint8; C is 1 (grey) or 3 (RGB); neither h nor w is 0.
        columns: width of the result, in cells; at least 1.
        ink: characters and colours to draw with.
        dark: whether the background is dark; it matters only without colour, where text is lighter or darker than the
            background.

    Returns:
        `text_rows(pixels.shape, columns)` rows, each exactly `columns` cells wide.
    """
    image = _on_grid(pixels, columns)
    if ink in (Ink.BLOCKS, Ink.BLOCKS_256):
        from tui_influence.images.blocks import draw_blocks  # here, because it loads numpy

        return draw_blocks(image, indexed=ink is Ink.BLOCKS_256)
    from tui_influence.images.glyphs import ASCII, SHADES, draw_glyphs  # here, because it loads numpy

    return draw_glyphs(image, ASCII if ink is Ink.ASCII else SHADES, dark=dark)


def _on_grid(pixels: "NDArray[np.uint8]", columns: int) -> "Image":
    """Return the image with `columns` pixels a row, and two rows of pixels for each row of text."""
    from PIL import Image

    height, width, channels = pixels.shape
    size = (columns, 2 * text_rows(pixels.shape, columns))
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    grows = size[0] >= width and size[1] >= height
    return image.resize(size, Image.Resampling.NEAREST if grows else Image.Resampling.LANCZOS)
