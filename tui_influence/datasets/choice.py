"""The images that a section chooses from a dataset, by their labels and names alone."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tui_influence.datasets.base import MIN_CLASSES, Labels
from tui_influence.datasets.errors import abbreviate_list
from tui_influence.datasets.groups import read_class_list, read_image_list
from tui_influence.designs import choose_per_class
from tui_influence.errors import DatasetError
from tui_influence.text import printable


@dataclass(frozen=True, eq=False)
class Choice:
    """Some images of a dataset, in order.

    Attributes:
        positions: (n,) of the images in the dataset.
        labels: (n,) their labels in terms of `classes`.
        classes: names of the classes.
        all_names: names of all images of the dataset.
        skipped: names of its unreadable images.
        is_all: whether the choice is the whole dataset as it is.
    """

    positions: Labels
    labels: Labels
    classes: tuple[str, ...]
    all_names: Sequence[str]
    skipped: Sequence[str] = ()
    is_all: bool = False

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def names(self) -> list[str]:
        """Names of the chosen images."""
        return [self.all_names[position] for position in self.positions]

    def digest(self) -> str:
        """Return a hash of the choice, without the names, which are the dataset's."""
        content = hashlib.sha256(json.dumps(self.classes).encode())
        for numbers in (self.positions, self.labels):
            content.update(numbers.astype("<i8").tobytes())
        return content.hexdigest()

    def per_class(self, count: int | None, seed: int, stream: int) -> "Choice":
        """Return at most `count` images of each class, chosen with a seed; see `designs.choose_per_class`."""
        if count is None:
            return self
        indices = choose_per_class(self.labels, count, seed, stream)
        return self if len(indices) == len(self) else self._part(indices)

    def keep(self, path: Path) -> "Choice":
        """Return the images of the classes that a file lists.

        Raises:
            DatasetError: the file cannot be read, lists unknown classes, or too few.
        """
        listed_classes = set(read_class_list(path, self.classes))
        classes = tuple(name for name in self.classes if name in listed_classes)
        if len(classes) < MIN_CLASSES:
            raise DatasetError(f"{printable(str(path))} keeps {len(classes)} classes: at least {MIN_CLASSES} must stay")
        if classes == self.classes:
            return self
        new_label = np.array(
            [classes.index(name) if name in listed_classes else -1 for name in self.classes], dtype=np.int64
        )
        labels = new_label[self.labels]
        indices = np.flatnonzero(labels >= 0)
        return replace(self._part(indices), labels=labels[indices], classes=classes)

    def exclude(self, path: Path, *, partial: bool) -> "Choice":
        """Return the images that a file does not list.

        Args:
            path: of the file.
            partial: whether it may list images that were not chosen.

        Raises:
            DatasetError: the file cannot be read, lists unknown images, or all images of a class.
        """
        names = self.names
        excluded = set(read_image_list(path, [*names, *self.skipped], partial=partial))
        is_included = np.array([name not in excluded for name in names])
        empty_classes = np.flatnonzero(np.bincount(self.labels[is_included], minlength=len(self.classes)) == 0)
        if empty_classes.size:
            empty_names = abbreviate_list([printable(self.classes[label], 60) for label in empty_classes])
            raise DatasetError(f"{printable(str(path))} leaves no image of {empty_names}; `keep` leaves classes out")
        return self if is_included.all() else self._part(np.flatnonzero(is_included))

    def relabel(self, classes: tuple[str, ...]) -> "Choice":
        """Return the same images with labels in terms of other classes, which are these and perhaps more."""
        if classes == self.classes:
            return self
        label_of = {name: label for label, name in enumerate(classes)}
        labels = np.array([label_of[name] for name in self.classes], dtype=np.int64)[self.labels]
        return replace(self, labels=labels, classes=classes, is_all=False)

    def _part(self, indices: Labels) -> "Choice":
        return replace(self, positions=self.positions[indices], labels=self.labels[indices], is_all=False)


def everything(labels: Labels, classes: tuple[str, ...], names: Sequence[str], skipped: Sequence[str] = ()) -> Choice:
    """Return the choice of a whole dataset."""
    return Choice(np.arange(len(labels), dtype=np.int64), labels, classes, names, skipped, is_all=True)
