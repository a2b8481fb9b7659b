"""Counts of pixel values are those of numpy, whatever the shape and however the images are stored."""

import numpy as np
import pytest

from tui_influence import pixel_counts as counting
from tui_influence.pixel_counts import pixel_counts


def expected(images):
    return np.stack([np.bincount(images[..., channel].ravel(), minlength=256) for channel in range(images.shape[3])])


@pytest.mark.parametrize("shape", [(5, 7, 3, 1), (5, 3, 7, 3), (1, 1, 1, 3), (40, 8, 8, 3), (0, 8, 8, 1)])
@pytest.mark.parametrize("pixels_at_once", [1, 100, 1 << 18])
def test_all_images_are_counted(monkeypatch, shape, pixels_at_once):
    monkeypatch.setattr(counting, "_SLICE_PIXELS", pixels_at_once)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert np.array_equal(pixel_counts(images), expected(images))


def test_images_that_are_not_contiguous_or_writable_are_counted(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (12, 6, 5, 3), dtype=np.uint8)
    images.tofile(tmp_path / "images")
    mapped = np.memmap(tmp_path / "images", np.uint8, "r", shape=images.shape)
    for part in (images[::2], images[:, ::2], images[..., ::-1], mapped, mapped[3:9]):
        assert np.array_equal(pixel_counts(part), expected(part))
