"""No image that is read takes a gigabyte, in whatever format it comes: measured, at each format's own limit."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from image_files import image_folder, noise, save
from PIL import Image

from tests.requirements import require
from tui_influence.datasets import images as decoding_of_images
from tui_influence.datasets.base import Sample
from tui_influence.datasets.errors import BadImageError
from tui_influence.datasets.images import MAX_COSTLY_PIXELS, MAX_PIXELS, read_shape, render_sample

MOST_BYTES = 10**9
SIDES = (700, 1400)
COSTLY_SIDE = int(MAX_COSTLY_PIXELS**0.5)
LARGEST_SIDE = int(MAX_PIXELS**0.5)

PEAKS = """
import os, sys
from pathlib import Path
from tui_influence.datasets.images import render_sample
from tui_influence.datasets.base import Sample

def peak():
    return 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

for path in map(Path, sys.argv[1:]):
    if os.fork() == 0:
        render_sample(Sample("x", 0, path), 32, 3)
        print(path.name, peak(), flush=True)
        os._exit(0)
    assert os.wait()[1] == 0
"""


def _picture(side: int) -> Image.Image:
    return Image.fromarray(noise(0, 50, 50)).resize((side, side))


def _translucent(side: int) -> Image.Image:
    image = _picture(side)
    image.putalpha(Image.linear_gradient("L").resize((side, side)))
    return image


def _write_pgm(path: Path, side: int, most: int) -> None:
    path.write_bytes(b"P5\n%d %d\n%d\n" % (side, side, most) + bytes(2 * side * side))


COSTLIEST: dict[str, Callable[[Path, int], object]] = {
    "lossy.webp": lambda path, side: _picture(side).save(path, method=0),
    "lossless.webp": lambda path, side: _translucent(side).save(path, lossless=True, quality=0, method=0),
    "progressive.jpg": lambda path, side: _picture(side).convert("CMYK").save(path, progressive=True, subsampling=0),
    "translucent.png": lambda path, side: _translucent(side).save(path, compress_level=1),
    "palette.gif": lambda path, side: _picture(side).convert("L").convert("P").save(path, transparency=0),
    "deep.png": lambda path, side: Image.new("I;16", (side, side), 700).save(path, compress_level=1),
    "deep.pgm": lambda path, side: _write_pgm(path, side, 65535),
    "unusual.pgm": lambda path, side: _write_pgm(path, side, 300),
}
COSTLY = {"lossy.webp", "lossless.webp", "unusual.pgm"}


def _run(*command: object, **environment: str) -> str:
    done = subprocess.run(
        list(map(str, command)), env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_largest_image_of_each_format_takes_less_than_a_gigabyte(tmp_path: Path) -> None:
    """Extrapolated from two small ones."""
    require("Linux's /proc")
    paths = {(side, name): tmp_path / f"{side}-{name}" for side in SIDES for name in COSTLIEST}
    for (side, name), path in paths.items():
        COSTLIEST[name](path, side)
    lines = _run(sys.executable, "-c", PEAKS, *paths.values()).splitlines()
    peak_of = {name: int(peak) for name, peak in map(str.split, lines)}
    largest = {}
    for name in COSTLIEST:
        small, large = (peak_of[f"{side}-{name}"] for side in SIDES)
        bytes_per_pixel = (large - small) / (SIDES[1] ** 2 - SIDES[0] ** 2)
        assert bytes_per_pixel > 2  # measured at all
        limit = MAX_COSTLY_PIXELS if name in COSTLY else MAX_PIXELS
        largest[name] = round(large + bytes_per_pixel * (limit - SIDES[1] ** 2))
    assert {name: peak for name, peak in largest.items() if peak >= MOST_BYTES} == {}


CHECK = """
import sys
from pathlib import Path
from tui_influence.cli import main

try:
    main()
finally:
    print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


def test_checking_the_largest_webp_takes_less_than_a_gigabyte(tmp_path: Path) -> None:
    require("Linux's /proc")
    for part in ("source", "train", "test"):
        image_folder(tmp_path / part, "abcd")
    path = tmp_path / "source" / "a" / "large.webp"
    Image.new("RGB", (COSTLY_SIDE, COSTLY_SIDE), "teal").save(path, method=0)
    config = tmp_path / "sweep.toml"
    config.write_text(
        f'[run]\nname = "x"\n[source]\nkind = "folder"\npath = "{tmp_path}/source"\n'
        f'[[target]]\nname = "t"\nkind = "folder"\ntrain = "{tmp_path}/train"\ntest = "{tmp_path}/test"\n'
        "[design]\nmodels = 4\nheldout = 2\nprior = 0\n[model]\nresolution = 8\n"
    )
    command = (sys.executable, "-c", CHECK, "check", config, "--no-time")
    printed = _run(*command, TINFL_CACHE=str(tmp_path / "cache"))
    assert "13 images in 4 classes" in printed
    peak = 1024 * int(printed.split()[-1])
    assert 16 * COSTLY_SIDE**2 < peak < MOST_BYTES


def test_a_webp_beyond_its_limit_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.webp"
    Image.new("RGB", (1, 1)).save(path, lossless=True)
    data = bytearray(path.read_bytes())
    assert data[12:16] == b"VP8L"
    data[21:25] = (int.from_bytes(data[21:25], "little") >> 28 << 28 | 8999 << 14 | 8999).to_bytes(4, "little")
    path.write_bytes(data)
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(BadImageError) as caught:
        render_sample(Sample("x", 0, path), 16, 3)
    limit = "more than 40 million, the limit for a WebP"
    assert str(caught.value) == f"9000 x 9000 pixels, {limit}: save it as PNG or smaller"


def test_a_webp_file_beyond_its_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.webp", noise(0))
    monkeypatch.setattr(decoding_of_images, "_MAX_WEBP_BYTES", path.stat().st_size)
    render_sample(Sample("x", 0, path), 16, 3)
    with path.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(BadImageError, match=r"^larger than 0 MiB, the limit for a WebP: save it as PNG or smaller$"):
        render_sample(Sample("x", 0, path), 16, 3)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.gif"])
def test_a_file_that_may_be_nothing_but_metadata_is_not_opened_beyond_its_limit(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / name, noise(0))
    with path.open("r+b") as file:
        file.truncate(192 << 20)
    assert read_shape(Sample("x", 0, path)).side == 8
    with path.open("r+b") as file:
        file.truncate((192 << 20) + 1)
    with pytest.raises(BadImageError, match=r"^larger than 192 MiB$"):
        read_shape(Sample("x", 0, path))


@pytest.mark.parametrize("name", ["a.bmp", "a.ppm"])
def test_a_file_of_plain_pixels_may_be_larger(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / name, noise(0))
    with path.open("r+b") as file:
        file.truncate((192 << 20) + 1)
    assert read_shape(Sample("x", 0, path)).side == 8


@pytest.mark.parametrize("kind", [b"P1\n%d %d\n", b"P2\n%d %d\n255\n", b"P3\n%d %d\n255\n", b"P5\n%d %d\n300\n",
                                  b"P6\n%d %d\n100\n"])  # fmt: skip
def test_a_ppm_that_is_decoded_in_python_has_a_limit_of_its_own(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "a.ppm"
    path.write_bytes(kind % (COSTLY_SIDE, COSTLY_SIDE))
    assert read_shape(Sample("x", 0, path)).side == COSTLY_SIDE
    path.write_bytes(kind % (COSTLY_SIDE + 1, COSTLY_SIDE + 1))
    with pytest.raises(BadImageError, match="pixels, more than 40 million, the limit for a PPM that is text, or not"):
        read_shape(Sample("x", 0, path))


@pytest.mark.parametrize("kind", [b"P4\n%d %d\n", b"P5\n%d %d\n255\n", b"P5\n%d %d\n65535\n", b"P6\n%d %d\n255\n"])
def test_other_ppms_have_the_limit_of_all_images(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "a.ppm"
    path.write_bytes(kind % (LARGEST_SIDE, LARGEST_SIDE))
    assert read_shape(Sample("x", 0, path)).side == LARGEST_SIDE
