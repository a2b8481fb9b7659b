"""One image, from a file or from memory, to a square of pixels.

Every kind of dataset goes through `square`, so that source and target are scaled alike: the shorter side is scaled to
the resolution (antialiased, Lanczos) and the middle is kept. Files are decoded with a fixed list of Pillow's decoders.
An image that declares more than `MAX_PIXELS` is never decoded, nor one of more than `MAX_COSTLY_PIXELS` whose decoder
takes more memory than others. All threads share one budget of pixels, so that memory does not grow with their number.
"""

import math
import warnings
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from io import SEEK_END, BytesIO
from pathlib import Path
from threading import Condition
from typing import BinaryIO

import numpy as np
from PIL import Image, TiffImagePlugin, WebPImagePlugin  # noqa: F401 - registered before any thread needs them

from tui_influence.datasets.base import Images, ImageShape, Sample
from tui_influence.datasets.errors import BadImageError, image_reason
from tui_influence.errors import DatasetError
from tui_influence.regular_files import open_regular

MAX_PIXELS_IN_FLIGHT = 1 << 25
"""Limit of the pixels that all threads together decode at a time.

Decoding takes up to 16 bytes a pixel (WebP; most formats 4 to 9): 0.6 GB in all. Photographs have 1 to 24 million
pixels, and a JPEG is decoded at a fraction of its size, so threads rarely wait for each other. A larger image is no
error: it is decoded when no other is.
"""


class PixelBudget:
    """A number of pixels that threads may decode at a time."""

    def __init__(self, pixels: int) -> None:
        self._pixels = pixels
        self._in_flight = 0
        self._changed = Condition()

    @contextmanager
    def take(self, pixels: int) -> Iterator[None]:
        """Take pixels from the budget while the context lasts; wait for them unless no other image is decoded."""
        with self._changed:
            self._changed.wait_for(lambda: not self._in_flight or self._in_flight + pixels <= self._pixels)
            self._in_flight += pixels
        try:
            yield
        finally:
            with self._changed:
                self._in_flight -= pixels
                self._changed.notify_all()


class OverShareError(DatasetError):
    """An image has more pixels than the share of a process that decodes images for another."""


class PixelShare(PixelBudget):
    """The part of another process's budget that this process has; a larger image is an error."""

    @contextmanager
    def take(self, pixels: int) -> Iterator[None]:
        """Take pixels while the context lasts.

        Raises:
            OverShareError: they are more than the share.
        """
        if pixels > self._pixels:
            raise OverShareError(f"{pixels:,} pixels are more than the share of this process")
        with super().take(pixels):
            yield


PIXEL_BUDGET = PixelBudget(MAX_PIXELS_IN_FLIGHT)
"""The budget of this process."""


def set_budget(budget: PixelBudget) -> None:
    """Replace the budget of this process, before it decodes an image."""
    global PIXEL_BUDGET
    PIXEL_BUDGET = budget


FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "PPM")
"""The decoders in use. The content of a file chooses among them, not its name. Images come from strangers, so only
necessary decoders are used. TIFF is not: it is a container of a dozen codecs, libtiff has the longest list of memory
errors of all decoders, hardly any dataset is published in it, and PNG stores the same pixels."""

_JPEG = {".jpg", ".jpeg", ".jpe", ".jfif"}
_OTHERS = {".png", ".webp", ".bmp", ".gif", ".ppm", ".pgm", ".pbm", ".pnm"}
_NOT_READ = {".avif", ".heic", ".heif", ".jp2", ".jxl", ".ico", ".tga", ".tif", ".tiff", ".psd", ".svg"}
EXTENSIONS = frozenset(_JPEG | _OTHERS | _NOT_READ)
"""Files with other extensions are ignored. Images of formats that are not read are listed and reported: leaving them
out silently would change the data."""

MAX_PIXELS = 89_478_485
"""Pillow's limit for one image: a quarter of a gigabyte in RGB. ImageNet's largest image has two thirds of it."""

MAX_COSTLY_PIXELS = 40_000_000
"""The limit for one WebP, whose decoder takes 16 bytes a pixel plus the size of the file, and for one PPM that is
decoded in Python, which takes up to 12; the others take up to 9. So no image takes more than 0.9 GB."""

MAX_BYTES = 1 << 30
"""Limit of an encoded image: more than any of `MAX_PIXELS` takes."""

_MAX_COMPRESSED_BYTES = 192 << 20
"""Limit of a file with metadata of any size, which a decoder stores when it opens the file, in part twice."""

_MAX_WEBP_BYTES = 96 << 20
"""Limit of a WebP, which is read as a whole."""

_WEBP_BYTES_AS_A_PIXEL = 8
"""Bytes of a WebP that take as much memory as a pixel: metadata are stored twice, and a pixel takes 16 bytes."""

_DEEP = frozenset({"I;16", "I;16B", "I;16L", "I;16N", "I"})
_GREY = frozenset({"1", "L", "LA", "La", "F"}) | _DEEP
_BAND_PIXELS = 1 << 18
_REDUCING_GAP = 3.0
_JPEG_GAP = 2
_ORIENTATION = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PLAIN_MAGIC = {b"BM", b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"}
_WEBP, _UNUSUAL_PPM = "a WebP", "a PPM that is text, or not of 256 values"
_EXIF_KEYS = ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")


@contextmanager
def quiet_decoding() -> Iterator[None]:
    """Suppress warnings about odd metadata; a decompression bomb is an error, whichever code opens the image."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def render_sample(sample: Sample, side: int, channels: int) -> Images:
    """Return a sample as (side, side, channels) uint8.

    Raises:
        BadImageError: it cannot be read.
        DatasetError: the machine is at fault.
    """
    try:
        with _open_sample(sample) as image:
            return to_square(image, side, channels)
    except OverShareError:
        raise
    except Exception as error:  # decoders of foreign data raise any exception
        raise BadImageError(image_reason(error)) from error


def thumbnail(sample: Sample, side: int) -> Images:
    """Return a sample as (s, s, C) uint8: s is its shorter side, at most `side`, and C its number of channels.

    Raises:
        BadImageError: it cannot be read.
        DatasetError: the machine is at fault.
    """
    try:
        with _open_sample(sample) as image:
            return to_square(image, min(side, *image.size), shape_of(image).channels)
    except Exception as error:
        raise BadImageError(image_reason(error)) from error


def read_shape(sample: Sample) -> ImageShape:
    """Return the shape of a sample's image, from its header.

    Raises:
        BadImageError: it cannot be read.
        DatasetError: the machine is at fault.
    """
    try:
        with _open_sample(sample) as image:
            return shape_of(image)
    except Exception as error:
        raise BadImageError(image_reason(error)) from error


def first_shape(samples: Iterable[Sample], display_name: str) -> ImageShape:
    """Return the shape of the first sample that can be read; those after it are not.

    Raises:
        DatasetError: there is none.
    """
    for sample in samples:
        try:
            return read_shape(sample)
        except BadImageError:
            continue
    raise DatasetError(f"{display_name} has no readable image")


def read_colour(path: str | Path) -> Image.Image:
    """Return an image file in RGB, as torchvision's reader of images does, with the decoders in use here."""
    with _open_image(Path(path)) as image, _budget_of(image, image.width * image.height):
        colour: Image.Image = image.convert("RGB")
        return colour


def shape_of(image: Image.Image) -> ImageShape:
    """Return the shorter side of an image, and whether it is grey."""
    return ImageShape(min(image.size), 1 if image.mode in _GREY else 3)


def to_square(image: Image.Image, side: int, channels: int) -> Images:
    """Scale the shorter side to `side`, keep the middle, turn as EXIF says, put transparency on white.

    The middle is cut and scaled in one step, before turning: a centred square stays where it is.

    Returns:
        (side, side, channels) uint8.
    """
    mode = "L" if channels == 1 else "RGB"
    # All coefficients of a progressive JPEG are held until the last is read, whatever the size of the result.
    held = image.width * image.height // 2 if "progressive" in image.info else 0
    if image.format in {"JPEG", "MPO"}:  # the decoder can halve, quarter, ... at almost no cost
        scale = _JPEG_GAP * side / min(image.size)
        if scale < 1:
            image.draft(mode, (math.ceil(image.width * scale), math.ceil(image.height * scale)))
    with _budget_of(image, max(image.width * image.height, held)):
        return _scaled(image, side, channels, mode)


def _scaled(image: Image.Image, side: int, channels: int, mode: str) -> Images:
    image.load()
    turn = _turn(image)
    flat = _eight_bit(image, mode)
    width, height = flat.size
    short = min(width, height)
    if (width, height) != (side, side):
        left, top = (width - short) / 2, (height - short) / 2
        flat = flat.resize(
            (side, side),
            Image.Resampling.LANCZOS,
            box=(left, top, left + short, top + short),
            reducing_gap=_REDUCING_GAP,
        )
    if flat.mode != mode:
        flat = _on_white(flat, mode)
    if turn is not None:
        flat = flat.transpose(turn)
    return np.asarray(flat, dtype=np.uint8).reshape(side, side, channels)


@contextmanager
def _open_sample(sample: Sample) -> Iterator[Image.Image]:
    """The image of a sample, not yet decoded if it is a file."""
    content = sample.content
    if isinstance(content, BadImageError):
        raise content
    if isinstance(content, Path | bytes):
        with _open_image(content) as image:
            yield image
    elif isinstance(content, Image.Image):
        yield _check_image(content)
    else:
        yield Image.fromarray(content[..., 0] if content.ndim == 3 and content.shape[-1] == 1 else content)


@contextmanager
def _open_image(encoded: Path | bytes) -> Iterator[Image.Image]:
    """An image file, or its bytes, not yet decoded. The memory to open it is taken from the budget."""
    with (
        _open_encoded(encoded) as file,
        PIXEL_BUDGET.take(_pixels_at_once(file)),
        Image.open(file, formats=FORMATS) as image,
    ):
        yield _check_image(image)


def _budget_of(image: Image.Image, pixels: int) -> AbstractContextManager[None]:
    """Take the pixels to decode an image from the budget, unless that was done when it was opened."""
    return nullcontext() if image.format == "WEBP" else PIXEL_BUDGET.take(pixels)


def _pixels_at_once(file: BinaryIO) -> int:
    """Return the pixels for which a decoder takes memory when it opens a file: those of a WebP's canvas.

    The bytes of the file count as pixels, too.

    Raises:
        BadImageError: it is too large for its decoder.
    """
    head = file.read(30)
    file.seek(0)
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP" or len(head) < 30:
        return 0
    if head[12:16] == b"VP8X":
        width, height = (1 + int.from_bytes(head[start : start + 3], "little") for start in (24, 27))
    elif head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        width, height = (int.from_bytes(head[start : start + 2], "little") & 0x3FFF for start in (26, 28))
    _check_size(width, height, _WEBP)
    size = _byte_count(file)
    if size > _MAX_WEBP_BYTES:
        raise BadImageError(
            f"larger than {_MAX_WEBP_BYTES >> 20} MiB, the limit for {_WEBP}: save it as PNG or smaller"
        )
    return width * height + size // _WEBP_BYTES_AS_A_PIXEL


def _open_encoded(encoded: Path | bytes) -> BinaryIO:
    """Open a regular file, or its bytes, that is neither empty nor too large."""
    file = BytesIO(encoded) if isinstance(encoded, bytes) else open_regular(encoded)
    size = _byte_count(file)
    is_plain = file.read(2) in _PLAIN_MAGIC
    file.seek(0)
    limit = MAX_BYTES if is_plain else _MAX_COMPRESSED_BYTES
    if 0 < size <= limit:
        return file
    file.close()
    raise BadImageError(f"larger than {limit >> 20} MiB" if size else "empty file")


def _byte_count(file: BinaryIO) -> int:
    """Return the size of an open file, which is read from its start afterwards."""
    size = file.seek(0, SEEK_END)
    file.seek(0)
    return size


def _check_image(image: Image.Image) -> Image.Image:
    _check_size(image.width, image.height, _costly_format(image))
    if not image.width or not image.height:
        raise BadImageError("no pixels")
    return image


def _check_size(width: int, height: int, costly_format: str | None) -> None:
    if width * height > MAX_PIXELS:
        raise BadImageError(f"decompression bomb: {width} x {height} pixels")
    if costly_format and width * height > MAX_COSTLY_PIXELS:
        limit = f"{MAX_COSTLY_PIXELS / 1e6:g} million, the limit for {costly_format}"
        raise BadImageError(f"{width} x {height} pixels, more than {limit}: save it as PNG or smaller")


def _costly_format(image: Image.Image) -> str | None:
    """Return the format of an image whose decoder takes more memory than others, in words."""
    if image.format == "WEBP":
        return _WEBP
    decoders = {tile[0] for tile in getattr(image, "tile", ())}  # those that have not run yet
    return _UNUSUAL_PPM if decoders & {"ppm", "ppm_plain"} else None


def _turn(image: Image.Image) -> Image.Transpose | None:
    """Return the transposition that turns the image upright. Broken metadata are ignored."""
    if image.format == "TIFF" or not any(key in image.info for key in _EXIF_KEYS):
        return None  # Pillow turns a TIFF itself, and torchvision may have opened one
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except Exception:  # noqa: BLE001 - then there is no orientation
        return None
    return _TRANSPOSE.get(orientation) if isinstance(orientation, int) else None


def _eight_bit(image: Image.Image, mode: str) -> Image.Image:
    """Return the image in `mode`, or with an alpha channel if it has transparency."""
    if image.mode in _DEEP:
        return _from_sixteen_bit(image).convert(mode)
    if image.mode == "F":
        raise BadImageError("floating-point pixels")
    if image.has_transparency_data:
        return image if image.mode in {"RGBA", "LA"} else image.convert("RGBA")
    return image if image.mode == mode else image.convert(mode)


def _from_sixteen_bit(image: Image.Image) -> Image.Image:
    """Return a grey image of 16 bits a pixel with 8 bits: 65535 is white, whatever range is used."""
    eight_bit = np.empty((image.height, image.width), np.uint8)
    rows = max(1, _BAND_PIXELS // image.width)  # Pillow copies twice what it gives to numpy
    for top in range(0, image.height, rows):
        values = np.asarray(image.crop((0, top, image.width, min(top + rows, image.height))))
        if values.min() < 0 or values.max() > 0xFFFF:
            raise BadImageError("pixels of more than 16 bits")
        eight_bit[top : top + rows] = values >> 8
    return Image.fromarray(eight_bit)


def _on_white(image: Image.Image, mode: str) -> Image.Image:
    colour = image.convert("RGBA")
    white = Image.new("RGBA", colour.size, "white")
    white.alpha_composite(colour)
    return white.convert(mode)
