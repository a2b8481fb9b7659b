"""The datasets inside the package: printed glyphs (a source) and handwritten digits (a target).

Their origin and licences are in `builtin/NOTICE.md`. The digits have no split of their own: of each class, in file
order, the first 100 are the pool of labelled training images and the remaining 400 the pool of test images. The
pools never change; `train_per_class` and `test_per_class` choose from them.
"""

import hashlib
import io
from collections.abc import Iterable, Iterator
from functools import cached_property
from importlib import resources
from typing import Literal

import numpy as np

from tui_influence.datasets.base import Images, ImageShape, Labels, Sample
from tui_influence.datasets.npz import index_of

TRAINING_POOL = 100
"""Handwritten digits a class that are labelled training images; the rest are test images."""

Part = Literal["all", "train", "test"]


class BuiltinReader:
    """One of the built-in datasets, or one of its pools."""

    def __init__(self, name: Literal["glyphs", "digits"], part: Part = "all") -> None:
        self.name = name
        self.part = part
        self.display_name = f"the built-in {name}"

    def stamp(self) -> str:
        """Hash of the file itself: it is small."""
        return f"{hashlib.sha256(self._file).hexdigest()} {self.part}"

    def shape(self) -> ImageShape:
        """28 pixels, grey."""
        return ImageShape(min(self._arrays["x"].shape[1:3]), 1)

    def count(self) -> int:
        """How many images the part has."""
        return len(self._positions)

    def samples(self) -> Iterator[Sample]:
        """The images of the part, in file order."""
        return (self._sample(position) for position in self._positions)

    def finalize_labels(self, labels: Labels) -> tuple[tuple[str, ...], Labels]:
        """The classes are what they are."""
        return tuple(self._arrays["classes"].tolist()), labels

    def find(self, names: Iterable[str]) -> Iterator[Sample]:
        """Glyphs by "character/family", digits by "class/index"."""
        if "group" not in self._arrays:
            return (self._sample(index_of(name, len(self._arrays["y"]), self.display_name)) for name in names)
        position_of = {self._sample(position).name: position for position in self._positions}
        return (self._sample(position_of[name]) for name in names)

    def _sample(self, position: int) -> Sample:
        label = int(self._arrays["y"][position])
        identity = str(self._arrays["group"][position]) if "group" in self._arrays else str(position)
        pixels: Images = self._arrays["x"][position]
        return Sample(f"{self._arrays['classes'][label]}/{identity}", label, pixels)

    @cached_property
    def _positions(self) -> list[int]:
        labels = self._arrays["y"]
        if self.part == "all":
            return list(range(len(labels)))
        first = np.zeros(len(labels), dtype=bool)
        for label in np.unique(labels):
            first[np.flatnonzero(labels == label)[:TRAINING_POOL]] = True
        return [int(position) for position in np.flatnonzero(first if self.part == "train" else ~first)]

    @cached_property
    def _file(self) -> bytes:
        return (resources.files("tui_influence.datasets") / "builtin" / f"{self.name}.npz").read_bytes()

    @cached_property
    def _arrays(self) -> dict[str, np.ndarray]:
        with np.load(io.BytesIO(self._file), allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
