"""A selection is read like the array of its images, and none of them is copied before."""

import numpy as np
import pytest

from tui_influence.image_selection import ImageSelection, read_images
from tui_influence.pixel_counts import pixel_counts

WHOLE = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 3), dtype=np.uint8)
POSITIONS = np.array([7, 3, 4, 19, 3])
COPY = WHOLE[POSITIONS]


@pytest.fixture
def selection() -> ImageSelection:
    return ImageSelection(WHOLE, POSITIONS)


@pytest.mark.parametrize(
    "index", [0, -1, slice(None), slice(1, 4), np.array([2, 0, 2]), [4, 1], np.arange(5) % 2 == 0, np.int64(3)]
)
def test_an_index_reads_what_it_reads_of_an_array(selection, index):
    assert np.array_equal(selection[index], COPY[index])


def test_it_has_the_shape_and_the_values_of_an_array(selection):
    assert (selection.shape, len(selection), selection.nbytes) == (COPY.shape, len(COPY), COPY.nbytes)
    assert np.array_equal(np.asarray(selection), COPY)
    assert np.array_equal(np.stack(list(selection)), COPY)
    assert np.array_equal(pixel_counts(selection), pixel_counts(COPY))


def test_an_index_beyond_its_end_is_an_error(selection):
    with pytest.raises(IndexError):
        selection[5]


@pytest.mark.parametrize("images", [COPY, ImageSelection(WHOLE, POSITIONS)], ids=["array", "selection"])
def test_images_are_read_into_an_array(images):
    out = np.zeros((2, 4, 4, 3), np.uint8)
    read_images(images, np.array([3, 1]), out)
    assert np.array_equal(out, COPY[[3, 1]])
