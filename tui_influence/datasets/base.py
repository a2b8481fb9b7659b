"""Loaded datasets, and the protocol by which a kind of dataset is read.

The rest of the package uses `ImageSet`, `TargetSet`, `ImageShape` and `Groups`. A `DatasetReader` hands the images of
one kind of input (a folder, a file, a class of torchvision) to the packer, each as a `Sample`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tui_influence.datasets.errors import BadImageError
from tui_influence.errors import DatasetError
from tui_influence.text import pluralize

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]

MIN_CLASSES = 2


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Labelled images of one size.

    Attributes:
        images: (N, H, W, C) uint8, C is 1 or 3; memory-mapped, read-only.
        labels: (N,) class of each image.
        classes: names of the classes.
        names: (N,) what to call each image: its path below the dataset's directory, or "class/index" (the index
            counts the images of the file or dataset it comes from), or "class/font family" for the built-in glyphs.
        fingerprint: hash of pixels, labels, classes and names; it changes if and only if they do.
        skipped: names of the unreadable images that were left out.
        counts: (C, 256) pixels of each channel that have each value; None in entries of older versions.
    """

    images: Images
    labels: Labels
    classes: tuple[str, ...]
    names: tuple[str, ...]
    fingerprint: str
    skipped: tuple[str, ...] = ()
    counts: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class TargetSet:
    """A target's labelled training images, and the test images whose predictions are explained: same classes."""

    train: ImageSet
    test: ImageSet


@dataclass(frozen=True)
class ImageShape:
    """What a dataset's images look like: the shorter side in pixels, and 1 (grey) or 3 (colour) channels."""

    side: int
    channels: int


@dataclass(frozen=True, eq=False)
class Groups:
    """The units that are kept or left out.

    Attributes:
        names: (K,) names of the groups.
        of: (N,) int32, group of each image; -1: in no group, so in every model.
    """

    names: tuple[str, ...]
    group_of_image: NDArray[np.int32]

    @property
    def n_ungrouped(self) -> int:
        """How many images are in no group."""
        return int((self.group_of_image < 0).sum())


@dataclass(frozen=True, eq=False)
class Sample:
    """One image as its origin has it: a file to decode, pixels, a decoded image, or the reason there is none."""

    name: str
    label: int
    content: Path | Images | Image.Image | BadImageError

    @property
    def nbytes(self) -> int:
        """Memory that its pixels take while it waits to be packed; none if they are still in a file."""
        if isinstance(self.content, Image.Image):
            return self.content.width * self.content.height * len(self.content.getbands())
        return self.content.nbytes if isinstance(self.content, np.ndarray) else 0


class DatasetReader(Protocol):
    """Where images come from. Making one is free; what is wrong with it is said by the first method that looks."""

    @property
    def display_name(self) -> str:
        """What messages call it, safe to print."""

    def stamp(self) -> str:
        """Something cheap that changes when the data do, such as a hash of file sizes and times.

        Raises:
            DatasetError: the data are not there, or not laid out as they must be.
        """

    def shape(self) -> ImageShape:
        """The shape of the first image, without reading the others."""

    def count(self) -> int:
        """How many samples there are."""

    def samples(self) -> Iterator[Sample]:
        """All of them, in a fixed order."""

    def finalize_labels(self, labels: Labels) -> tuple[tuple[str, ...], Labels]:
        """Classes, and the labels in terms of them, of the samples that could be read.

        Raises:
            DatasetError: a class has no image, or there are too few classes.
        """

    def find(self, names: Iterable[str]) -> Iterator[Sample]:
        """The samples of these names (as `samples` gave them), in this order; their labels mean nothing."""


def check_classes(where: str, classes: tuple[str, ...]) -> None:
    """Refuse a dataset that no classifier can be trained on.

    Raises:
        DatasetError: fewer than two classes.
    """
    if len(classes) < MIN_CLASSES:
        has = pluralize(len(classes), "class", "classes")
        raise DatasetError(f"{where} has {has}: at least {MIN_CLASSES} are needed")
