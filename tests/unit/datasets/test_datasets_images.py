"""One image to a square of pixels."""

import io
from pathlib import Path

import numpy as np
import pytest
from image_files import bomb, noise, save
from PIL import Image

from tui_influence.datasets.base import Sample
from tui_influence.datasets.errors import BadImageError
from tui_influence.datasets.images import FORMATS, render_sample, to_square
from tui_influence.errors import DatasetError


def pixels(path: Path, side: int = 8, channels: int = 3) -> np.ndarray:
    return render_sample(Sample(path.name, 0, path), side, channels)


@pytest.mark.parametrize("extension", ["png", "bmp", "ppm", "webp", "gif"])
def test_lossless_images_of_the_right_size_keep_their_pixels(tmp_path: Path, extension: str) -> None:
    original = np.repeat(noise(0, 8, 8, 1)[..., None], 3, axis=2)
    path = save(tmp_path / f"a.{extension}", original, **({"lossless": True} if extension == "webp" else {}))
    assert np.array_equal(pixels(path), original)


def test_a_jpeg_is_close_to_its_pixels(tmp_path: Path) -> None:
    original = np.full((8, 8, 3), (200, 40, 90), np.uint8)
    assert np.abs(pixels(save(tmp_path / "a.jpg", original)).astype(int) - original).max() <= 3


def test_a_small_jpeg_of_a_large_image_is_its_average(tmp_path: Path) -> None:
    ramp = np.repeat(np.linspace(0, 255, 400).astype(np.uint8)[None], 300, axis=0)
    got = pixels(save(tmp_path / "a.jpg", ramp, quality=95), 8, 1)[..., 0]
    middle = ramp[0, 50:350].astype(float)
    averages = np.array([part.mean() for part in np.array_split(middle, 8)])
    assert np.abs(got - averages).max() < 4


@pytest.mark.parametrize(("height", "width"), [(8, 24), (24, 8)])
def test_the_shorter_side_is_scaled_and_the_middle_kept(height: int, width: int) -> None:
    image = np.zeros((height, width), np.uint8)
    image[height // 2 - 4 : height // 2 + 4, width // 2 - 4 : width // 2 + 4] = 255
    assert (to_square(Image.fromarray(image), 8, 1) == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    from PIL import ImageOps

    image = Image.fromarray(noise(3, 8, 12))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as saved:
        upright = np.asarray(ImageOps.exif_transpose(saved))
    top, left = (upright.shape[0] - 8) // 2, (upright.shape[1] - 8) // 2
    assert np.array_equal(pixels(tmp_path / "a.png"), upright[top : top + 8, left : left + 8])


def test_broken_exif_does_not_cost_the_image(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", noise(0, 16, 16), exif=b"Exif\0\0nonsense")
    assert pixels(path).shape == (8, 8, 3)


def test_transparency_becomes_white(tmp_path: Path) -> None:
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[:4, :, 3] = 255
    got = pixels(save(tmp_path / "a.png", rgba))
    assert (got[:4] == 0).all()
    assert (got[4:] == 255).all()


def test_transparency_of_a_palette_becomes_white(tmp_path: Path) -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((0, 0), 1)
    image.save(tmp_path / "a.gif", transparency=0)
    got = pixels(tmp_path / "a.gif")
    assert got[0, 0].tolist() == [40, 50, 60]
    assert got[5, 5].tolist() == [255, 255, 255]


@pytest.mark.parametrize("band", [1, 24, 1000])
def test_sixteen_bits_become_eight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, band: int) -> None:
    monkeypatch.setattr("tui_influence.datasets.images._BAND_PIXELS", band)
    deep = (np.arange(64, dtype=np.uint16) * 1000).reshape(8, 8)
    got = pixels(save(tmp_path / "a.png", deep), 8, 1)[..., 0]
    assert np.array_equal(got, deep >> 8)


def test_colour_and_grey_follow_the_channels_asked_for(tmp_path: Path) -> None:
    colour = save(tmp_path / "c.png", np.full((8, 8, 3), (255, 0, 0), np.uint8))
    grey = save(tmp_path / "g.png", noise(0, 8, 8, 1))
    assert (pixels(colour, 8, 1) == 76).all()
    got = pixels(grey, 8, 3)
    assert np.array_equal(got[..., 0], noise(0, 8, 8, 1))
    assert np.array_equal(got[..., 0], got[..., 2])


def test_cmyk_is_read(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 0, 0, 0)).save(tmp_path / "a.jpg")
    assert (pixels(tmp_path / "a.jpg") >= 250).all()


@pytest.mark.filterwarnings("ignore")  # Pillow's own warning is not what stops it
def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    for side in (9_500, 20_000):  # Pillow itself warns of the first, and refuses the second
        bomb(tmp_path / "a.png", side)
        with pytest.raises(BadImageError, match="decompression bomb"):
            pixels(tmp_path / "a.png")


@pytest.mark.parametrize("decoder", ["TGA", "TIFF"])
def test_decoders_outside_the_list_are_not_tried(tmp_path: Path, decoder: str) -> None:
    data = io.BytesIO()
    Image.fromarray(noise(0)).save(data, decoder)
    (tmp_path / "a.png").write_bytes(data.getvalue())
    assert decoder not in FORMATS
    with pytest.raises(BadImageError, match="not an image of a supported format"):
        pixels(tmp_path / "a.png")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(BadImageError, match="not a regular file"):
        pixels(tmp_path / "a.png")


def test_trouble_of_the_machine_is_not_blamed_on_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_many(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("PIL.Image.open", too_many)
    with pytest.raises(DatasetError, match="Too many open files"):
        pixels(save(tmp_path / "a.png", noise(0)))
