"""The copies of a target's test images among a run's source images: from its config to `duplicates`.

Needs the datasets, not only the results directory: all images at the run's resolution, from the cache of packed
datasets, and the originals of those few that are compared closely.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tui_influence.config.schema import Config, Source, Target
from tui_influence.datasets import ImageSet, UntrustedDatasetError, native_shape, thumbnails
from tui_influence.datasets.origins import Part
from tui_influence.errors import ConfigError
from tui_influence.probes.duplicates import Duplicate, Pixels, Progress, find_duplicates
from tui_influence.probes.likeness import Places
from tui_influence.runs.datasets import Datasets
from tui_influence.store.run_info import RunInfo

_LARGEST = 64
"""Side in pixels at which images are compared closely, unless they are smaller."""
_LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Copies:
    """Copies of a target's test images among the source images.

    Attributes:
        found: one a source image, positions as in the datasets; the nearest first.
        compared: source images that were compared.
        examples: test images that they were compared with.
        names: of the source images.
        source_classes: of the source images.
    """

    found: tuple[Duplicate, ...]
    compared: int
    examples: int
    names: tuple[str, ...]
    source_classes: tuple[str, ...]

    def of_class(self, name: str) -> "Copies":
        """The copies among the images of a source class."""
        found = tuple(copy for copy in self.found if self.source_classes[copy.source] == name)
        return replace(self, found=found)

    def proposed_for_removal(self) -> list[str]:
        """Names of the source images that are copies, in the dataset's order."""
        return [self.names[place] for place in sorted(copy.source for copy in self.found)]


def find_copies(
    config: Config,
    info: RunInfo,
    data: Datasets,
    target: int,
    progress: Progress | None = None,
    *,
    grouped: bool = False,
) -> Copies:
    """Compare all source images with all test images of a target.

    Args:
        config: of the run.
        info: of the run.
        data: its datasets.
        target: position of the target.
        progress: called with (source images compared, how many there are).
        grouped: compare only the source images that are in a group.

    Raises:
        ConfigError: the test images are not those of the run.
        DatasetError: an original is no longer there.
    """
    section, test = config.target[target], data.targets[target].test
    if test.fingerprint != info.targets[target].fingerprints[1]:
        raise ConfigError(f"the test images of target {section.name} changed since the run")
    side = min(_LARGEST, _side(config.source, data.source), _side(section, test))
    chosen = np.flatnonzero(data.groups.of >= 0) if grouped else np.arange(len(data.source))
    show_source = _shower(config.source, "source", data.source, side)
    found = find_duplicates(
        data.source.images[chosen] if grouped else data.source.images,
        test.images,
        lambda places: show_source(chosen[places]),
        _shower(section, "test", test, side),
        progress,
    )
    return Copies(
        found=tuple(replace(copy, source=int(chosen[copy.source])) for copy in found),
        compared=len(chosen),
        examples=len(test),
        names=data.source.names,
        source_classes=tuple(data.source.classes[label] for label in data.source.labels),
    )


def _side(section: Source | Target, images: ImageSet) -> int:
    """Return the side of the first original, or of the packed images where the originals may not be opened."""
    try:
        return native_shape(section).side
    except UntrustedDatasetError:
        return int(images.images.shape[1])


def _shower(section: Source | Target, part: Part, images: ImageSet, side: int) -> Pixels:
    """Shows originals in grey, each read once a call."""

    def show(places: Places) -> NDArray[np.uint8]:
        distinct, again = np.unique(places, return_inverse=True)
        if not distinct.size:
            return np.zeros((0, side, side, 1), np.uint8)
        pixels = thumbnails(section, part, images, distinct, side)
        return _grey(_at_side(pixels, side))[again.reshape(-1)]

    return show


def _grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if pixels.shape[-1] == 1:
        return pixels
    brightness: NDArray[np.uint8] = np.rint(pixels @ _LUMA).astype(np.uint8)
    return brightness[..., None]


def _at_side(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Enlarge (c, s, s, C) where all of them are smaller than the rest of their dataset."""
    if pixels.shape[1] == side:
        return pixels
    rows = np.arange(side) * pixels.shape[1] // side
    return pixels[:, rows][:, :, rows]
