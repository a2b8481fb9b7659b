"""Images without colour: each cell gets the character whose ink is most similar to its two pixels.

A character's ink is measured in its upper and its lower half, so edges are finer than a cell. Brightness is relative
without colour: the darkest and the lightest pixel of an image are the ends of the scale (an image of one brightness
keeps it).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from rich.segment import Segment

if TYPE_CHECKING:
    from PIL.Image import Image

SHADES: Mapping[str, tuple[float, float]] = {
    " ": (0.0, 0.0),
    "░": (0.25, 0.25),
    "▒": (0.5, 0.5),
    "▓": (0.75, 0.75),
    "█": (1.0, 1.0),
    "▀": (1.0, 0.0),
    "▄": (0.0, 1.0),
}
"""Ink in the upper and in the lower half of a cell."""

ASCII: Mapping[str, tuple[float, float]] = {
    " ": (0.0, 0.0),
    ".": (0.0, 0.2),
    "'": (0.25, 0.0),
    ":": (0.2, 0.2),
    "_": (0.0, 0.45),
    '"': (0.5, 0.0),
    "=": (0.45, 0.45),
    "+": (0.25, 0.6),
    "*": (0.7, 0.05),
    "o": (0.5, 0.8),
    "%": (0.7, 0.7),
    "a": (0.4, 1.0),
    "Y": (0.8, 0.4),
    "P": (1.0, 0.5),
    "#": (0.9, 0.9),
    "@": (1.0, 1.0),
}
"""The ink of DejaVu Sans Mono, relative to its fullest characters (which cover about 27% of half a cell)."""


def draw_glyphs(
    image: "Image", glyphs: Mapping[str, tuple[float, float]], *, dark: bool
) -> tuple[tuple[Segment, ...], ...]:
    """Draw a grid of pixels, grey or RGB, with two rows of pixels in each row of text.

    Args:
        image: w x 2h pixels, mode L or RGB.
        glyphs: characters to draw with, and their ink.
        dark: whether the background is dark and ink is light.

    Returns:
        h rows of w cells, one segment each.
    """
    light = np.asarray(image.convert("L"), dtype=np.float32)
    darkest, lightest = light.min(), light.max()
    ink = (light - darkest) / (lightest - darkest) if lightest > darkest else light / 255
    halves = (ink if dark else 1 - ink).reshape(image.height // 2, 2, image.width)
    table = np.array(list(glyphs.values()), dtype=np.float32)
    distance = ((halves[..., None] - table.T[:, None]) ** 2).sum(axis=1)
    characters = list(glyphs)
    return tuple((Segment("".join(characters[best] for best in row)),) for row in distance.argmin(axis=-1))
