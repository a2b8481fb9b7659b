"""Half blocks are those that term-image draws, segment by segment, and need nothing of it."""

import re
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from rich.color import Color
from rich.segment import Segment
from rich.style import Style

from tests.requirements import require
from tui_influence.images.blocks import draw_blocks

_RUN = re.compile(r"\x1b\[48;([25][;\d]+)m(?:\x1b\[38;([25][;\d]+)m)?([ ▀]+)")
"""Cells of the same two colours: background (the lower pixel), foreground (the upper one) if it differs."""


@pytest.fixture(scope="module")
def block_image():
    """term-image's half blocks, with what keeps it from asking the terminal."""
    require("term-image")
    from tui_influence.images import escape_sequences  # noqa: F401
    from term_image.image import BlockImage  # isort: skip

    return BlockImage


def drawn_by_term_image(block_image, image: Image.Image, *, indexed: bool) -> tuple[tuple[Segment, ...], ...]:
    drawing = block_image(image, width=image.width, height=image.height // 2)
    drawing.set_render_method("indexed" if indexed else "direct")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        lines = str(drawing).split("\n")
    return tuple(tuple(segments_of(line)) for line in lines)


def segments_of(line: str) -> list[Segment]:
    segments, at = [], 0
    while run := _RUN.match(line, at):
        lower, upper, text = run.groups()
        segments.append(Segment(text, Style.from_color(colour_of(upper) if upper else None, colour_of(lower))))
        at = run.end()
    assert line[at:] == "\x1b[m"
    return segments


def colour_of(parameters: str) -> Color:
    """The colour of an escape sequence: `2;RED;GREEN;BLUE` or `5;NUMBER`."""
    _, *parts = map(int, parameters.split(";"))
    return Color.from_ansi(*parts) if len(parts) == 1 else Color.from_rgb(*parts)


@st.composite
def images(draw) -> Image.Image:
    """Grey or RGB, of any colours, or of so few that neighbours are often alike."""
    width, rows, grey = draw(st.integers(1, 12)), draw(st.integers(1, 6)), draw(st.booleans())
    shape = (2 * rows, width) if grey else (2 * rows, width, 3)
    levels = st.integers(0, 255) if draw(st.booleans()) else st.sampled_from((0, 1, 128, 255))
    return Image.fromarray(draw(arrays(np.uint8, shape, elements=levels)))


@given(image=images(), indexed=st.booleans())
@settings(deadline=None, max_examples=300)
def test_segments_are_those_of_term_image(block_image, image, indexed):
    assert draw_blocks(image, indexed=indexed) == drawn_by_term_image(block_image, image, indexed=indexed)


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize("grey", [False, True])
def test_segments_of_noise_in_all_colours_are_those_of_term_image(block_image, grey, indexed):
    pixels = np.random.default_rng(0).integers(0, 256, (128, 96) if grey else (128, 96, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)

    assert draw_blocks(image, indexed=indexed) == drawn_by_term_image(block_image, image, indexed=indexed)


def test_threads_draw_256_colours_as_one_does():
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 32, 3), dtype=np.uint8)
    drawings = [Image.fromarray(pixels) for pixels in noise]

    with ThreadPoolExecutor(8) as pool:
        drawn = list(pool.map(lambda image: draw_blocks(image, indexed=True), drawings))

    assert drawn == [draw_blocks(image, indexed=True) for image in drawings]
