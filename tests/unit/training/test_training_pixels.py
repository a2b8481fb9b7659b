"""Images on the device: normalised, brought to one colour, and cut as their views say."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.requirements import require
from tests.unit.training.small_data import images_of
from tui_influence.config.schema import TrainSection
from tui_influence.pixel_counts import pixel_counts
from tui_influence.training import device_images as module
from tui_influence.training.augment import Views, draw_views
from tui_influence.training.device_images import source_images
from tui_influence.training.precision import seeded_generator

CPU = torch.device("cpu")


def held(images, resolution=None):
    return source_images(images, np.arange(len(images), dtype=np.int64), CPU, resolution)


def whole(pixels, views=None):
    """All images as one batch."""
    images, _ = next(pixels.batches(pixels.all_indices(), len(pixels), views))
    return images


def test_the_source_has_mean_zero_and_deviation_one():
    images, _ = images_of(3, 20, channels=3)
    pixels = held(images)
    batch = whole(pixels)
    assert batch.shape == (60, 3, 8, 8)
    torch.testing.assert_close(batch.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(batch.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-4, rtol=0)


def test_a_view_is_a_reflected_shift_and_then_a_mirror_image():
    images, _ = images_of(2, 3, channels=3)
    pixels = held(images)
    plain = whole(pixels).numpy()
    padded = np.pad(plain, ((0, 0), (0, 0), (2, 2), (2, 2)), mode="reflect")
    for down, right, mirrored in ((0, 0, 0), (2, -1, 0), (-2, 2, 0), (0, 0, 1), (1, 2, 1)):
        view = Views(8, torch.tensor([[down, right]], dtype=torch.int8).expand(6, 2), torch.tensor([mirrored > 0] * 6))
        expected = padded[:, :, 2 + down : 10 + down, :]
        start = slice(2 + right, 10 + right)
        expected = expected[..., start] if not mirrored else plain_mirror(expected, right)
        np.testing.assert_array_equal(whole(pixels, view).numpy(), expected)


def plain_mirror(padded_rows, right):
    """Mirrored first, then looked at from a shifted window: column c is the mirror image's reflected c + right."""
    width = padded_rows.shape[-1] - 4
    return padded_rows[..., 2 : 2 + width][..., [width - 1 - reflected(c + right, width) for c in range(width)]]


def reflected(position, size):
    return size - 1 - abs(size - 1 - abs(position))


def test_views_cover_every_shift_and_both_sides():
    views = draw_views(2000, 8, TrainSection(crop=2, flip=True), seeded_generator(0))
    drawn = {(*shift, mirrored) for shift, mirrored in zip(views.shifts.tolist(), views.mirrored.tolist(), strict=True)}
    assert drawn == {(a, b, m) for a in range(-2, 3) for b in range(-2, 3) for m in (False, True)}
    assert draw_views(5, 8, TrainSection(), seeded_generator(0)) == Views(8)
    assert not draw_views(500, 8, TrainSection(crop=1), seeded_generator(0)).mirrored.any()


def test_targets_take_the_sources_channels_and_normalisation():
    source = held(images_of(2, 4)[0], resolution=8)
    assert source.size == 8
    colour = np.zeros((1, 8, 8, 3), np.uint8)
    colour[..., 0], colour[..., 1], colour[..., 2] = 200, 100, 50
    grey = source.matching(colour, np.zeros(1, np.int64))
    assert grey.images.shape == (1, 8, 8, 1)
    assert grey.images.unique().tolist() == [round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)]
    assert grey.normalisation is source.normalisation
    three = held(images_of(1, 2, channels=3)[0]).matching(np.full((1, 8, 8, 1), 7, np.uint8), np.zeros(1, np.int64))
    assert torch.equal(three.images, torch.full((1, 8, 8, 3), 7, dtype=torch.uint8))


@pytest.mark.parametrize("shape", [(1, 16, 16, 1), (1, 8, 9, 1), (1, 9, 8, 1)])
def test_images_of_another_size_are_refused(shape):
    with pytest.raises(ValueError, match=f"images of {shape[1]} x {shape[2]} pixels, not packed at 8 x 8"):
        held(np.zeros((1, 8, 8, 1), np.uint8)).matching(np.zeros(shape, np.uint8), np.zeros(1, np.int64))
    with pytest.raises(ValueError, match="images of 8 pixels, packed too small for 9"):
        held(np.zeros((1, 8, 8, 1), np.uint8), 9)


def test_black_images_are_not_divided_by_nothing():
    pixels = held(np.zeros((3, 8, 8, 1), np.uint8))
    assert torch.equal(whole(pixels), torch.zeros(3, 1, 8, 8))


@pytest.mark.parametrize("pixels_at_once", [1, 7 * 64, 1 << 18])
def test_mean_and_deviation_are_those_of_all_pixels_however_many_at_a_time(monkeypatch, pixels_at_once):
    monkeypatch.setattr("tui_influence.pixel_counts._SLICE_PIXELS", pixels_at_once)
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    images[..., 1] //= 4
    pixels = held(images)
    np.testing.assert_allclose(pixels.normalisation.mean, images.mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(pixels.normalisation.deviation, images.std(axis=(0, 1, 2)), rtol=1e-6)
    assert (pixels.size, pixels.channels) == (8, 3)
    grey = held(images[..., :1]).matching(images, np.zeros(20, np.int64))
    expected = images.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    assert np.array_equal(grey.images[..., 0], np.round(expected).astype(np.uint8))


def test_images_that_hardly_vary_are_not_blown_up():
    flat = np.full((4, 8, 8, 1), 100, np.uint8)
    flat[0, 0, 0] = 102  # less than one grey level of deviation
    pixels = held(flat)
    assert pixels.normalisation.deviation.tolist() == [1.0]
    found = whole(pixels)
    assert float(found.max() - found.min()) == pytest.approx(2)


def test_a_batch_is_in_the_order_of_its_index_and_channels_last():
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    pixels = held(images)
    found, labels = next(pixels.batches(torch.tensor([3, 0, 3]), 3))
    assert labels.tolist() == [3, 0, 3]
    expected = (images[[3, 0, 3]] - pixels.normalisation.mean.numpy()) / pixels.normalisation.deviation.numpy()
    np.testing.assert_allclose(found.numpy(), expected.transpose(0, 3, 1, 2), rtol=1e-5)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_a_shift_is_at_most_the_image():
    pixels = held(images_of(1, 2)[0])
    views = draw_views(4000, 8, TrainSection(crop=64), seeded_generator(0))
    assert (views.shifts.min(), views.shifts.max()) == (-7, 7)
    assert next(pixels.batches(torch.zeros(4000, dtype=torch.int64), 4000, views))[0].isfinite().all()
    only_mirrored = draw_views(40, 8, TrainSection(flip=True), seeded_generator(0))
    assert only_mirrored.shifts.unique().tolist() == [0]
    assert only_mirrored.mirrored.unique().tolist() == [False, True]


@pytest.mark.parametrize(("have", "want"), [(2, 1), (2, 3), (3, 4)])
def test_other_channels_than_grey_and_colour_are_refused(have, want):
    with pytest.raises(ValueError, match=f"images of {have} channels cannot be made into {want}"):
        module._channels(torch.zeros(1, 8, 8, have, dtype=torch.uint8), want)


@pytest.mark.parametrize("channels", [1, 3])
def test_mean_and_deviation_are_those_of_the_pixels_to_the_last_bit(channels):
    images, _ = images_of(3, 50, channels=channels)
    exact = torch.from_numpy(images).double()
    mean = exact.mean((0, 1, 2))
    deviation = (exact.square().sum((0, 1, 2)) / (exact.numel() / channels) - mean.square()).sqrt()
    for counts in (None, pixel_counts(images)):
        pixels = source_images(images, np.zeros(len(images), np.int64), CPU, None, counts)
        assert torch.equal(pixels.normalisation.mean, mean.float())
        assert torch.equal(pixels.normalisation.deviation, deviation.float())


def test_mean_and_deviation_are_taken_from_counts_where_there_are_any():
    images, labels = images_of(3, 20)
    darker = source_images(images, labels, CPU, None, pixel_counts(images // 2))
    assert darker.normalisation.mean < held(images).normalisation.mean


PEAK = """
import sys
from pathlib import Path
import numpy as np, torch
from tui_influence.training.device_images import source_images

def hold(images):
    source_images(images, np.zeros(len(images), np.int64), torch.device("cpu"), None)
    return 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

images = np.load(sys.argv[1], mmap_mode="r")
before = hold(images[:1])
print((hold(images) - before) / images.nbytes)
"""


def test_holding_a_source_takes_no_multiple_of_its_size(tmp_path):
    """What is mapped counts once; widened to 8 bytes a value it would count eight times more."""
    require("Linux's /proc")
    path = tmp_path / "images.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (8192, 64, 64, 3), dtype=np.uint8))
    done = subprocess.run([sys.executable, "-c", PEAK, path], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 2


def test_images_of_many_pixels_are_made_grey_a_few_at_a_time(monkeypatch):
    images, labels = images_of(2, 4, channels=3)
    source = held(images_of(2, 4)[0])
    whole = source.matching(images, labels).images
    monkeypatch.setattr("tui_influence.training.device_images._SLICE_VALUES", 1)
    assert torch.equal(source.matching(images, labels).images, whole)
