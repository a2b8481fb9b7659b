"""How many pixels of each channel have each of the 256 values: all that a mean and a deviation need of the images.

Counts are whole numbers, so what is derived from them does not depend on the order in which images are counted.
"""

import numpy as np
from numpy.typing import NDArray

VALUES = 256
"""Values of a uint8 pixel."""

_SLICE_PIXELS = 1 << 18
"""Pixels that are counted at a time: numpy widens what it counts to 8 bytes a value."""


def pixel_counts(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count the values of images, in memory that does not grow with their number.

    Args:
        images: (N, H, W, C) uint8.

    Returns:
        (C, 256) how many pixels of a channel have a value.
    """
    height, width, channels = images.shape[1:]
    counts = np.zeros((channels, VALUES), dtype=np.int64)
    step = max(1, _SLICE_PIXELS // max(1, height * width))
    for start in range(0, len(images), step):
        part = images[start : start + step]
        for channel in range(channels):
            counts[channel] += np.bincount(part[..., channel].reshape(-1), minlength=VALUES)
    return counts
