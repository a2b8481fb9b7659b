"""Loaded datasets, and the protocol by which a kind of dataset is read.

The rest of the package uses `ImageSet`, `TargetSet`, `ImageShape` and `Groups`. A `DatasetReader` gives the images of
one kind of input (a folder, a file, a class of torchvision) to the packer, each as a `Sample`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tui_influence.datasets.errors import BadImageError, abbreviate_list
from tui_influence.errors import DatasetError
from tui_influence.image_selection import ImageArray
from tui_influence.text import pluralize, printable

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]

Part = Literal["source", "train", "test"]
"""A source has one part, a target has a training and a test part."""

MIN_CLASSES = 2


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Labelled images of one size.

    Attributes:
        images: (N, H, W, C) uint8, C is 1 or 3; memory-mapped, read-only; all images of an array, or some of them.
        labels: (N,) class of each image.
        classes: names of the classes.
        names: (N,) name of each image: its path below the dataset's directory, or "class/index" (the index
            counts the images of the file or dataset it comes from), or "class/font family" for the built-in glyphs.
        fingerprint: hash of pixels, labels, classes and names; it changes if and only if they do.
        skipped: names of unreadable images, which are not part of the set.
        counts: (C, 256) pixels of each channel that have each value; None in entries of older versions.
    """

    images: ImageArray
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
    """The labelled training images of a target and its test images, whose predictions are explained.

    Both have the same classes.
    """

    train: ImageSet
    test: ImageSet


@dataclass(frozen=True)
class ImageShape:
    """The shorter side of an image in pixels, and its channels: 1 (grey) or 3 (colour)."""

    side: int
    channels: int


@dataclass(frozen=True, eq=False)
class Groups:
    """The units of the source that models are trained with or without.

    Attributes:
        names: (K,) names of the groups.
        group_of_image: (N,) int32, index of the group of each image; -1: no group, so every model is trained on it.
    """

    names: tuple[str, ...]
    group_of_image: NDArray[np.int32]

    @property
    def n_ungrouped(self) -> int:
        """Number of images in no group."""
        return int((self.group_of_image < 0).sum())


@dataclass(frozen=True, eq=False)
class Sample:
    """One image as a reader returns it: a file to decode, its bytes, pixels, a decoded image, or why it is none."""

    name: str
    label: int
    content: Path | bytes | Images | Image.Image | BadImageError

    @property
    def nbytes(self) -> int:
        """Memory that its content takes until it is packed; 0 if it is still in a file."""
        if isinstance(self.content, Image.Image):
            return self.content.width * self.content.height * len(self.content.getbands())
        if isinstance(self.content, bytes):
            return len(self.content)
        return self.content.nbytes if isinstance(self.content, np.ndarray) else 0


class DatasetReader(Protocol):
    """Reader of one part of a dataset. Its constructor reads nothing: the methods do, and report what is wrong.

    The readers of a dataset kind are made by `open_reader` in the module of this package that is named like the kind.
    """

    @property
    def display_name(self) -> str:
        """Name of the data in messages, safe to print."""

    @property
    def declared_classes(self) -> tuple[str, ...] | None:
        """Classes that the data name before an image is read; None if the classes are those of the labels.

        Raises:
            DatasetError: the data are not there, or not laid out as they must be.
        """

    def stamp(self) -> str:
        """Text that is cheap to compute and changes when the data do, such as a hash of file sizes and times.

        Raises:
            DatasetError: the data are not there, or not laid out as they must be.
        """

    def shape(self) -> ImageShape:
        """Shape of the first image, without reading the others."""

    def count(self) -> int:
        """Number of samples."""

    def samples(self, positions: Sequence[int]) -> Iterator[Sample]:
        """The samples at some positions below `count`, in this order; no others are read."""

    def finalize_labels(self, labels: Labels) -> tuple[tuple[str, ...], Labels]:
        """Return the classes of the samples that could be read, and their labels in terms of these classes.

        Args:
            labels: (n,) `Sample.label` of each sample that could be read.

        Raises:
            DatasetError: a class has no image, or there are too few classes.
        """

    def find(self, names: Iterable[str]) -> Iterator[Sample]:
        """The samples with these names, in this order, as `samples` names them; their labels mean nothing."""


def check_classes(display_name: str, classes: tuple[str, ...]) -> None:
    """Refuse a dataset that no classifier can be trained on.

    Raises:
        DatasetError: fewer than two classes.
    """
    if len(classes) < MIN_CLASSES:
        number = pluralize(len(classes), "class", "classes")
        raise DatasetError(f"{display_name} has {number}: at least {MIN_CLASSES} are needed")


def occurring_classes(display_name: str, classes: tuple[str, ...], labels: Labels) -> tuple[tuple[str, ...], Labels]:
    """Return the classes that have an image, and the labels in terms of these.

    Args:
        display_name: name of the dataset.
        classes: names that the labels stand for.
        labels: (n,) of all images.

    Raises:
        DatasetError: fewer than two classes have an image.
    """
    present, numbers = np.unique(labels, return_inverse=True)
    names = tuple(classes[label] for label in present)
    check_classes(display_name, names)
    return names, numbers.astype(np.int64).reshape(-1)


def require_every_class(display_name: str, classes: tuple[str, ...], labels: Labels) -> None:
    """Refuse a dataset that declares a class without images.

    Raises:
        DatasetError: naming the classes.
    """
    missing = np.flatnonzero(np.bincount(labels, minlength=len(classes)) == 0)
    if len(missing):
        names = [printable(classes[label]) for label in missing]
        raise DatasetError(f"{display_name} has no readable image of {abbreviate_list(names)}")


def parse_index(name: str, count: int, display_name: str) -> int:
    """Return the index in a "class/index" name.

    Raises:
        DatasetError: there is none, or it is out of range.
    """
    digits = name.rpartition("/")[2]
    if digits.isascii() and digits.isdigit() and int(digits) < count:
        return int(digits)
    raise DatasetError(f"{printable(name)} is not an image of {display_name}")
