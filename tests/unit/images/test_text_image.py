"""Pictures are read back from their cells: their size is exact and their pixels are the image's."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from rich.cells import cell_len
from rich.color import Color, ColorSystem

from tui_influence.images.text_image import Ink, TextImage, draw_image, text_rows

SHAPES = [
    (1, 1, 1),
    (1, 1, 3),
    (14, 14, 1),
    (32, 32, 3),
    (28, 28, 1),
    (512, 512, 3),
    (7, 90, 3),
    (90, 7, 1),
    (1, 400, 1),
]


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def pixels_of(drawn: TextImage) -> np.ndarray:
    """Return the (2h, w, 3) pixels that coloured half blocks show."""
    rows = []
    for row in drawn:
        upper, lower = [], []
        for text, style, _ in row:
            background = style.bgcolor.get_truecolor()
            foreground = style.color.get_truecolor() if style.color else None
            lower += [background] * len(text)
            upper += [foreground if character == "▀" else background for character in text]
        rows += [upper, lower]
    return np.array(rows, dtype=np.uint8)


def colours_of(drawn: TextImage) -> list[Color]:
    styles = [segment.style for row in drawn for segment in row]
    return [colour for style in styles for colour in (style.color, style.bgcolor) if colour]


def text_of(drawn: TextImage) -> list[str]:
    return ["".join(segment.text for segment in row) for row in drawn]


@pytest.mark.parametrize("ink", Ink)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("columns", [1, 2, 15, 16, 33])
def test_every_row_is_exactly_as_wide_as_asked(shape, columns, ink):
    drawn = draw_image(noise(shape), columns, ink)

    assert len(drawn) == text_rows(shape, columns)
    assert {cell_len(row) for row in text_of(drawn)} == {columns}


def test_a_square_is_half_as_many_rows_as_columns():
    assert text_rows((32, 32, 3), 32) == 16
    assert text_rows((28, 28, 1), 15) == 8
    assert text_rows((10, 40, 3), 16) == 2
    assert text_rows((1, 400, 1), 16) == 1


def test_a_small_checker_stays_a_checker_when_it_grows():
    checker = np.array([[0, 255], [255, 0]], dtype=np.uint8)[..., None]

    shown = pixels_of(draw_image(checker, 8, Ink.BLOCKS))

    expected = np.kron(checker[..., 0], np.ones((4, 4), dtype=np.uint8))
    assert np.array_equal(shown, np.repeat(expected[..., None], 3, axis=-1))


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_of_the_grids_size_is_shown_pixel_for_pixel(channels):
    image = noise((28, 28, channels))

    shown = pixels_of(draw_image(image, 28, Ink.BLOCKS))

    assert np.array_equal(shown, np.broadcast_to(image, (28, 28, 3)))


def test_growing_invents_no_colour():
    image = noise((14, 14, 3))

    shown = pixels_of(draw_image(image, 31, Ink.BLOCKS))

    assert {tuple(colour) for colour in shown.reshape(-1, 3)} <= {tuple(colour) for colour in image.reshape(-1, 3)}


def test_256_colours_are_those_that_terminals_share_and_nearer_than_what_rich_would_take():
    image = noise((32, 32, 3)) // 3 + 20  # dull, where rich takes greens and blues

    drawn = draw_image(image, 32, Ink.BLOCKS_256)

    assert {colour.type.name for colour in colours_of(drawn)} == {"EIGHT_BIT"}
    assert all(16 <= colour.number <= 255 for colour in colours_of(drawn))
    downgraded = [Color.from_rgb(*pixel).downgrade(ColorSystem.EIGHT_BIT) for pixel in image.reshape(-1, 3).tolist()]
    taken = np.array([colour.get_truecolor() for colour in downgraded]).reshape(image.shape)
    assert np.abs(pixels_of(drawn) - image.astype(float)).mean() < 0.8 * np.abs(taken - image.astype(float)).mean()


def test_a_large_gradient_shrinks_to_a_gradient():
    gradient = np.broadcast_to(np.linspace(0, 255, 512).astype(np.uint8)[None, :, None], (512, 512, 1))

    shown = pixels_of(draw_image(gradient, 16, Ink.BLOCKS))[..., 0].astype(int)

    assert (shown == shown[0]).all()
    assert (np.diff(shown[0]) > 0).all()
    assert np.abs(shown[0] - (np.arange(16) + 0.5) * 255 / 16).max() <= 3


def test_fine_lines_shrink_to_their_mean_and_not_to_some_of_them():
    lines = np.tile(np.array([0, 0, 0, 255], dtype=np.uint8), 64)
    image = np.broadcast_to(lines[None, :, None], (256, 256, 1))

    shown = pixels_of(draw_image(image, 20, Ink.BLOCKS))[:, 2:-2, 0]

    assert np.abs(shown.astype(int) - 64).max() <= 12


def test_an_array_that_is_a_strided_view_is_shown_as_what_it_is():
    image = noise((40, 40, 3))

    assert draw_image(image[::2, ::2], 20, Ink.BLOCKS) == draw_image(image[::2, ::2].copy(), 20, Ink.BLOCKS)


@pytest.mark.parametrize("ink", [Ink.SHADES, Ink.ASCII])
def test_without_colour_there_is_no_style_and_light_is_ink_on_dark_and_none_on_light(ink):
    image = np.zeros((8, 8, 1), dtype=np.uint8)
    image[:4] = 255
    full = "█" if ink is Ink.SHADES else "@"

    dark, light = draw_image(image, 8, ink), draw_image(image, 8, ink, dark=False)

    assert text_of(dark) == [full * 8] * 2 + [" " * 8] * 2
    assert text_of(light) == [" " * 8] * 2 + [full * 8] * 2
    assert not any(segment.style for row in (*dark, *light) for segment in row)


def test_without_colour_an_edge_inside_a_cell_is_still_seen():
    image = np.zeros((8, 8, 1), dtype=np.uint8)
    image[3:] = 255

    assert text_of(draw_image(image, 8, Ink.SHADES)) == [" " * 8, "▄" * 8, "█" * 8, "█" * 8]


def test_ascii_is_ascii():
    assert all(row.isascii() for row in text_of(draw_image(noise((64, 64, 3)), 32, Ink.ASCII)))


def test_little_contrast_takes_the_whole_scale_and_one_brightness_stays_what_it_is():
    faint = np.full((4, 4, 1), 100, dtype=np.uint8)
    faint[:2] = 120

    assert text_of(draw_image(faint, 4, Ink.SHADES)) == ["████", "    "]
    assert text_of(draw_image(np.full((4, 4, 1), 255, dtype=np.uint8), 4, Ink.SHADES)) == ["████", "████"]
    assert text_of(draw_image(np.full((4, 4, 1), 128, dtype=np.uint8), 4, Ink.SHADES)) == ["▒▒▒▒", "▒▒▒▒"]


def test_threads_draw_the_same_as_one():
    images = [noise((32, 32, 3), seed) for seed in range(32)]

    with ThreadPoolExecutor(8) as pool:
        drawn = list(pool.map(lambda image: draw_image(image, 16, Ink.BLOCKS), images))

    assert drawn == [draw_image(image, 16, Ink.BLOCKS) for image in images]
