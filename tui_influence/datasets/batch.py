"""A batch of images as it is packed: pixels of one size with their labels, names and counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.datasets.base import Images, Sample
from tui_influence.datasets.errors import BadImageError
from tui_influence.datasets.images import render_sample
from tui_influence.pixel_counts import VALUES, pixel_counts


@dataclass(frozen=True, eq=False)
class ImageBatch:
    """Some images of a dataset, and those among them that cannot be read.

    Attributes:
        pixels: (n, H, W, C) uint8, contiguous.
        labels: n labels, as the reader of the dataset gives them.
        names: n names.
        unreadable: (name, reason) of the images that cannot be read.
        counts: (C, 256) pixels of each channel that have each value.
    """

    pixels: Images
    labels: list[int]
    names: list[str]
    unreadable: list[tuple[str, str]]
    counts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.names) + len(self.unreadable)

    def to_json(self) -> dict[str, Any]:
        """Return all but the pixels, as values of JSON."""
        return {
            "labels": self.labels,
            "names": self.names,
            "unreadable": self.unreadable,
            "counts": self.counts.tolist(),
        }


def batch_from_json(content: Mapping[str, Any], pixels: Images) -> ImageBatch:
    """Return a batch of pixels (n, H, W, C) that was described by `ImageBatch.to_json`."""
    unreadable = [(str(name), str(reason)) for name, reason in content["unreadable"]]
    counts = np.array(content["counts"], dtype=np.int64).reshape(pixels.shape[3], VALUES)
    return ImageBatch(pixels, content["labels"], content["names"], unreadable, counts)


def make_batch(
    pixels: Images, labels: list[int], names: list[str], unreadable: list[tuple[str, str]] | None = None
) -> ImageBatch:
    """Return a batch of images (n, H, W, C) uint8, measured."""
    contiguous = np.ascontiguousarray(pixels)
    return ImageBatch(contiguous, labels, names, unreadable or [], pixel_counts(contiguous))


def decode_batch(samples: Sequence[Sample], resolution: int, channels: int) -> ImageBatch:
    """Return samples as a batch of images, each scaled to (resolution, resolution, channels).

    Raises:
        DatasetError: the machine is at fault.
    """
    pixels = np.empty((len(samples), resolution, resolution, channels), dtype=np.uint8)
    labels: list[int] = []
    names: list[str] = []
    unreadable: list[tuple[str, str]] = []
    for sample in samples:
        try:
            pixels[len(names)] = render_sample(sample, resolution, channels)
        except BadImageError as error:
            unreadable.append((sample.name, str(error)))
        else:
            labels.append(sample.label)
            names.append(sample.name)
    return make_batch(pixels[: len(names)], labels, names, unreadable)
