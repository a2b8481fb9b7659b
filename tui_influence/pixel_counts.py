"""Counts of pixel values per channel, from which mean and standard deviation of the images are computed.

Counts are whole numbers, so the results do not depend on the order in which images are counted. Pillow counts uint8
twice as fast as numpy, which converts them to 8 bytes a value.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tui_influence.image_selection import ImageArray

VALUES = 256
"""Number of values of a uint8 pixel."""

_SLICE_PIXELS = 1 << 18
"""Pixels that are counted at a time: Pillow stores 4 bytes for each that has colour."""
_MODES = {1: "L", 3: "RGB"}


def pixel_counts(images: ImageArray) -> NDArray[np.int64]:
    """Count the pixel values of images, in memory that does not grow with the number of images.

    Args:
        images: (N, H, W, C) uint8, C is 1 or 3.

    Returns:
        (C, 256) number of pixels of each channel that have each value.
    """
    height, width, channels = images.shape[1:]
    counts = np.zeros((channels, VALUES), dtype=np.int64)
    step = max(1, _SLICE_PIXELS // max(1, height * width))
    for start in range(0, len(images), step):
        part = np.ascontiguousarray(images[start : start + step])
        size = width, len(part) * height
        image = Image.frombuffer(_MODES[channels], size, part, "raw", _MODES[channels], 0, 1)
        counts += np.array(image.histogram(), dtype=np.int64).reshape(channels, VALUES)
    return counts
