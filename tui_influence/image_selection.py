"""Some images of an array, in an order of their own, without a copy of their pixels."""

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray


class ImageSelection:
    """Images of an array at some positions.

    It is read like an array of these images: `len`, `shape`, an index, a slice or an array of indices. What is read is
    copied; the rest stays where it is.

    Attributes:
        whole: (M, H, W, C) uint8, memory-mapped.
        positions: (N,) int64, indices of the images in `whole`.
        shape: (N, H, W, C).
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, whole: NDArray[np.uint8], positions: NDArray[np.int64]) -> None:
        self.whole = whole
        self.positions = positions
        height, width, channels = whole.shape[1:]
        self.shape = len(positions), height, width, channels

    @property
    def nbytes(self) -> int:
        """Bytes of the selected images."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        images: NDArray[np.uint8] = self.whole[self.positions[index]]
        return images

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (self.whole[position] for position in self.positions)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)


ImageArray: TypeAlias = NDArray[np.uint8] | ImageSelection
"""Images (N, H, W, C) uint8: an array, or a selection of an array."""


def read_images(images: ImageArray, index: NDArray[np.integer], out: NDArray[np.uint8]) -> None:
    """Copy some images into an array.

    Args:
        images: (N, H, W, C) uint8.
        index: (n,) of the images, all of which exist.
        out: (n, H, W, C) uint8.
    """
    if isinstance(images, ImageSelection):
        whole, positions = images.whole, images.positions[index]
    else:
        whole, positions = images, index
    np.take(whole, positions, axis=0, out=out, mode="clip")  # "raise" would take a second copy
