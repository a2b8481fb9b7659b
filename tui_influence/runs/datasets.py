"""The datasets of a config, opened the same way by whoever prepares a run and by every worker."""

from collections.abc import Callable
from dataclasses import dataclass

from tui_influence.config.schema import Config
from tui_influence.datasets import (
    Groups,
    ImageSet,
    TargetSet,
    groups_of,
    load_source,
    load_target,
    native_shape,
)

Progress = Callable[[str, int, int], None]
"""Told what is being done, and how much of how much is done."""


@dataclass(frozen=True, eq=False)
class Datasets:
    """Everything a config names, packed and memory-mapped.

    Attributes:
        source: the source dataset.
        groups: which group each source image is in.
        targets: in the order of the config.
        resolution: side of all images, in pixels.
        channels: of all images.
    """

    source: ImageSet
    groups: Groups
    targets: tuple[TargetSet, ...]
    resolution: int
    channels: int

    def fingerprints(self, config: Config) -> dict[str, str]:
        """Return the fingerprint of each packed part, by name."""
        found = {"source": self.source.fingerprint}
        for target, images in zip(config.target, self.targets, strict=True):
            found[f"{target.name}/train"] = images.train.fingerprint
            found[f"{target.name}/test"] = images.test.fingerprint
        return found


def open_datasets(config: Config, progress: Progress | None = None) -> Datasets:
    """Open the source and every target, packing what the cache does not hold yet.

    Raises:
        DatasetError: a dataset is not as the config describes it.
    """
    shapes = [native_shape(config.source), *(native_shape(target) for target in config.target)]
    resolution = config.model.resolution or shapes[0].side
    channels = max(shape.channels for shape in shapes)

    def told(what: str) -> Callable[[int, int], None] | None:
        return None if progress is None else lambda done, total: progress(what, done, total)

    seed = config.run.seed
    source = load_source(
        config.source, seed=seed, resolution=resolution, channels=channels, progress=told("packing the source")
    )
    targets = tuple(
        load_target(
            target, seed=seed, resolution=resolution, channels=channels, progress=told(f"packing {target.name}")
        )
        for target in config.target
    )
    return Datasets(source, groups_of(config.source, source), targets, resolution, channels)
