"""Thumbnails: a few images at their original quality, to be shown. Models are never trained on these."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tui_influence.config.schema import Source, Target
from tui_influence.datasets.base import Images, ImageSet, Part, Sample
from tui_influence.datasets.errors import BadImageError, UntrustedDatasetError
from tui_influence.datasets.images import quiet_decoding, thumbnail
from tui_influence.datasets.load import open_reader
from tui_influence.datasets.packing import map_in_threads
from tui_influence.errors import DatasetError
from tui_influence.text import printable


def thumbnails(
    section: Source | Target,
    part: Part,
    images: ImageSet,
    positions: Sequence[int] | NDArray[np.int64],
    side: int,
    *,
    trusted: bool = False,
) -> Images:
    """Return squares of some images, made from the originals; only these are read.

    Originals that may not be opened, because a results directory names them, are replaced by the packed pixels.

    An image smaller than the rest is enlarged without smoothing, so that its pixels stay what they are; none is
    enlarged beyond the largest of them.

    Args:
        section: section of the config that `images` was loaded from.
        part: "source", or "train" or "test" of a target.
        images: the loaded images.
        positions: (n,) indices of the images to return.
        side: largest side, in pixels.
        trusted: whether the config is the user's own: see `open_reader`.

    Returns:
        (n, s, s, C) uint8: s is `side`, or the largest shorter side among the originals if that is less; C is 3 if
        any of them has colour, else 1.

    Raises:
        DatasetError: an original is no longer there, or no longer readable.
    """
    names = [images.names[int(position)] for position in positions]
    if not names:
        return np.zeros((0, side, side, images.images.shape[-1]), dtype=np.uint8)

    def work(sample: Sample) -> Images:
        try:
            return thumbnail(sample, side)
        except BadImageError as error:
            raise DatasetError(f"cannot read {printable(sample.name)}: {error}") from error

    with quiet_decoding():
        try:
            squares = list(map_in_threads(work, open_reader(section, part, trusted=trusted).find(names)))
        except UntrustedDatasetError:
            pixels = images.images[np.asarray(positions, dtype=np.int64)]
            squares = [work(Sample(name, 0, image)) for name, image in zip(names, pixels, strict=True)]
    size = max(pixels.shape[0] for pixels in squares)
    channels = max(pixels.shape[-1] for pixels in squares)
    return np.stack([_enlarged(pixels, size, channels) for pixels in squares])


def _enlarged(pixels: Images, side: int, channels: int) -> Images:
    if pixels.shape[0] != side:
        image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
        pixels = np.asarray(image.resize((side, side), Image.Resampling.NEAREST)).reshape(side, side, -1)
    return np.broadcast_to(pixels, (side, side, channels))
