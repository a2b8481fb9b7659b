"""The datasets inside the package: printed glyphs (a source) and handwritten digits (a target).

Their origin and licences are in `builtin/NOTICE.md`. The digits have no split of their own: of each class, in file
order, the first 100 are the pool of labelled training images and the remaining 400 the pool of test images. The
pools never change; `train_per_class` and `test_per_class` choose from them.
"""

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from importlib import resources
from typing import Literal

import numpy as np

from tui_influence.config.schema import BuiltinSource, BuiltinTarget
from tui_influence.datasets.base import Images, ImageShape, Labels, Part, Sample, parse_index

TRAINING_POOL = 100
"""Handwritten digits of each class that are labelled training images; the others are test images."""


def open_reader(section: BuiltinSource | BuiltinTarget, part: Part, *, trusted: bool) -> "BuiltinReader":
    """Return the reader of one part of a built-in dataset."""
    return BuiltinReader(section.name, part)


class BuiltinReader:
    """Reader of a built-in dataset: all of it as a source, one of its pools as part of a target."""

    declared_classes = None
    """They are the same in every part."""

    def __init__(self, name: Literal["glyphs", "digits"], part: Part = "source") -> None:
        self.name = name
        self.part = part
        self.display_name = f"the built-in {name}"

    def stamp(self) -> str:
        """Hash of the file, which is small."""
        return f"{hashlib.sha256(self._file).hexdigest()} {self.part}"

    def shape(self) -> ImageShape:
        """28 pixels, grey."""
        return ImageShape(min(self._arrays["x"].shape[1:3]), 1)

    def count(self) -> int:
        """Number of images of the part."""
        return len(self._positions)

    def samples(self, positions: Sequence[int]) -> Iterator[Sample]:
        """Images of the part, which are in file order."""
        return (self._sample(self._positions[position]) for position in positions)

    def finalize_labels(self, labels: Labels) -> tuple[tuple[str, ...], Labels]:
        """Return the classes of the dataset, all of which have images."""
        return tuple(self._arrays["classes"].tolist()), labels

    def find(self, names: Iterable[str]) -> Iterator[Sample]:
        """Glyphs by "character/family", digits by "class/index"."""
        if "group" not in self._arrays:
            return (self._sample(parse_index(name, len(self._arrays["y"]), self.display_name)) for name in names)
        position_of = {self._sample(position).name: position for position in self._positions}
        return (self._sample(position_of[name]) for name in names)

    def _sample(self, position: int) -> Sample:
        label = int(self._arrays["y"][position])
        image_name = str(self._arrays["group"][position]) if "group" in self._arrays else str(position)
        pixels: Images = self._arrays["x"][position]
        return Sample(f"{self._arrays['classes'][label]}/{image_name}", label, pixels)

    @cached_property
    def _positions(self) -> list[int]:
        labels = self._arrays["y"]
        if self.part == "source":
            return list(range(len(labels)))
        in_training_pool = np.zeros(len(labels), dtype=bool)
        for label in np.unique(labels):
            in_training_pool[np.flatnonzero(labels == label)[:TRAINING_POOL]] = True
        return [
            int(position)
            for position in np.flatnonzero(in_training_pool if self.part == "train" else ~in_training_pool)
        ]

    @cached_property
    def _file(self) -> bytes:
        return (resources.files("tui_influence.datasets") / "builtin" / f"{self.name}.npz").read_bytes()

    @cached_property
    def _arrays(self) -> dict[str, np.ndarray]:
        with np.load(io.BytesIO(self._file), allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
