"""Images on the device: normalised, shifted, mirrored, brought to one colour; their size is the packer's."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.unit.training.small_data import images_of
from tui_influence.pixel_counts import pixel_counts
from tui_influence.training.numerics import generator
from tui_influence.training.pixels import resident

CPU = torch.device("cpu")


def held(images, resolution=None):
    return resident(images, np.arange(len(images), dtype=np.int64), CPU, resolution)


def test_the_source_has_mean_zero_and_deviation_one():
    images, _ = images_of(3, 20, channels=3)
    pixels = held(images)
    batch = pixels.batch(pixels.everything())
    assert batch.shape == (60, 3, 8, 8)
    torch.testing.assert_close(batch.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(batch.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-4, rtol=0)


def test_a_view_is_a_reflected_shift_and_then_a_mirror_image():
    images, _ = images_of(2, 3, channels=3)
    pixels = held(images)
    plain = pixels.batch(pixels.everything()).numpy()
    padded = np.pad(plain, ((0, 0), (0, 0), (2, 2), (2, 2)), mode="reflect")
    for down, right, mirrored in ((0, 0, 0), (2, -1, 0), (-2, 2, 0), (0, 0, 1), (1, 2, 1)):
        view = torch.tensor([[down, right, mirrored]]).expand(6, 3)
        expected = padded[:, :, 2 + down : 10 + down, :]
        start = slice(2 + right, 10 + right)
        expected = expected[..., start] if not mirrored else plain_mirror(expected, right)
        np.testing.assert_array_equal(pixels.batch(pixels.everything(), view).numpy(), expected)


def plain_mirror(padded_rows, right):
    """Mirrored first, then looked at from a shifted window: column c is the mirror image's reflected c + right."""
    width = padded_rows.shape[-1] - 4
    return padded_rows[..., 2 : 2 + width][..., [width - 1 - reflected(c + right, width) for c in range(width)]]


def reflected(position, size):
    return size - 1 - abs(size - 1 - abs(position))


def test_views_cover_every_shift_and_both_sides():
    pixels = held(images_of(1, 2)[0])
    views = pixels.draw_views(torch.Size((50, 40)), 2, True, generator(0))
    assert views.shape == (50, 40, 3)
    assert {tuple(v) for v in views.reshape(-1, 3).tolist()} == {
        (a, b, m) for a in range(-2, 3) for b in range(-2, 3) for m in (0, 1)
    }
    assert pixels.draw_views(torch.Size((5,)), 0, False, generator(0)) is None
    assert not pixels.draw_views(torch.Size((500,)), 1, False, generator(0))[:, 2].any()


def test_targets_take_the_sources_channels_and_normalisation():
    source = held(images_of(2, 4)[0], resolution=8)
    assert source.size == 8
    colour = np.zeros((1, 8, 8, 3), np.uint8)
    colour[..., 0], colour[..., 1], colour[..., 2] = 200, 100, 50
    grey = source.like(colour, np.zeros(1, np.int64))
    assert grey.images.shape == (1, 8, 8, 1)
    assert grey.images.unique().tolist() == [round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)]
    assert grey.mean is source.mean
    three = held(images_of(1, 2, channels=3)[0]).like(np.full((1, 8, 8, 1), 7, np.uint8), np.zeros(1, np.int64))
    assert torch.equal(three.images, torch.full((1, 8, 8, 3), 7, dtype=torch.uint8))


@pytest.mark.parametrize(("shape", "resolution"), [((1, 16, 16, 1), 8), ((1, 8, 9, 1), None), ((1, 9, 8, 1), 8)])
def test_images_of_another_size_are_refused(shape, resolution):
    with pytest.raises(ValueError, match=f"images of {shape[1]} x {shape[2]} pixels, not packed at 8 x 8"):
        held(np.zeros(shape, np.uint8), resolution)
    with pytest.raises(ValueError, match="not packed at 8 x 8"):
        held(np.zeros((1, 8, 8, 1), np.uint8)).like(np.zeros(shape, np.uint8), np.zeros(1, np.int64))


def test_black_images_are_not_divided_by_nothing():
    pixels = held(np.zeros((3, 8, 8, 1), np.uint8))
    assert torch.equal(pixels.batch(pixels.everything()), torch.zeros(3, 1, 8, 8))


@pytest.mark.parametrize("channels", [1, 3])
def test_mean_and_deviation_are_those_of_the_pixels_to_the_last_bit(channels):
    images, _ = images_of(3, 50, channels=channels)
    exact = torch.from_numpy(images).double()
    mean = exact.mean((0, 1, 2))
    deviation = (exact.square().sum((0, 1, 2)) / (exact.numel() / channels) - mean.square()).sqrt()
    for counts in (None, pixel_counts(images)):
        pixels = resident(images, np.zeros(len(images), np.int64), CPU, None, counts)
        assert torch.equal(pixels.mean, mean.float())
        assert torch.equal(pixels.deviation, deviation.float())


def test_mean_and_deviation_are_taken_from_counts_where_there_are_any():
    images, labels = images_of(3, 20)
    darker = resident(images, labels, CPU, None, pixel_counts(images // 2))
    assert darker.mean < held(images).mean


PEAK = """
import sys
from pathlib import Path
import numpy as np, torch
from tui_influence.training.pixels import resident

def hold(images):
    resident(images, np.zeros(len(images), np.int64), torch.device("cpu"), None)
    return 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

images = np.load(sys.argv[1], mmap_mode="r")
before = hold(images[:1])
print((hold(images) - before) / images.nbytes)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="a process's own peak of memory is told there")
def test_holding_a_source_takes_no_multiple_of_its_size(tmp_path):
    """What is mapped counts once; widened to 8 bytes a value it would count eight times more."""
    path = tmp_path / "images.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (8192, 64, 64, 3), dtype=np.uint8))
    done = subprocess.run([sys.executable, "-c", PEAK, path], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 2


def test_images_of_many_pixels_are_made_grey_a_few_at_a_time(monkeypatch):
    images, labels = images_of(2, 4, channels=3)
    source = held(images_of(2, 4)[0])
    whole = source.like(images, labels).images
    monkeypatch.setattr("tui_influence.training.pixels._SLICE_VALUES", 1)
    assert torch.equal(source.like(images, labels).images, whole)
