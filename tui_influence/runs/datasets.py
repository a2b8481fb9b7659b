"""The datasets of a config: packed when a run is prepared, memory-mapped from the cache by every worker."""

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path

from tui_influence.config.identity import compute_identity
from tui_influence.config.schema import Config, ModelSection
from tui_influence.datasets import (
    Groups,
    ImageSet,
    TargetSet,
    assign_groups,
    load_source,
    load_target,
    native_shape,
    reopen,
)
from tui_influence.errors import ConfigError
from tui_influence.networks import is_weights_name
from tui_influence.regular_files import expand_home, open_regular
from tui_influence.store.run_info import RunInfo
from tui_influence.text import printable

ProgressCallback = Callable[[str, int, int], None]
"""Called with the present stage, the amount done, and the total."""


@dataclass(frozen=True, eq=False)
class Datasets:
    """Everything a config names, packed and memory-mapped.

    Attributes:
        source: the source dataset.
        groups: the group of each source image.
        targets: in the order of the config.
        resolution: side of all images as they are packed, in pixels.
        channels: of all images.
    """

    source: ImageSet
    groups: Groups
    targets: tuple[TargetSet, ...]
    resolution: int
    channels: int

    def fingerprints(self, config: Config) -> dict[str, str]:
        """Return the fingerprints, by name, of each packed part, the grouping, and what the network is made of.

        Raises:
            ConfigError: there is no such code, or no such weights.
        """
        grouping = hashlib.blake2b(self.groups.group_of_image.tobytes(), digest_size=16)
        # file names need not be valid text
        grouping.update("\0".join(self.groups.names).encode(errors="surrogatepass"))
        fingerprints = {"source": self.source.fingerprint, "groups": grouping.hexdigest()}
        for target, images in zip(config.target, self.targets, strict=True):
            fingerprints[f"{target.name}/train"] = images.train.fingerprint
            fingerprints[f"{target.name}/test"] = images.test.fingerprint
        if config.model.is_user_code:
            fingerprints["network"] = _source_hash(config.model.arch)
        if config.model.weights is not None:
            fingerprints["weights"] = weights_digest(config.model)
        return fingerprints


def open_datasets(
    config: Config,
    progress: ProgressCallback | None = None,
    shape: tuple[int, int] | None = None,
    *,
    trusted: bool = False,
) -> Datasets:
    """Open the source and every target, packing those that the cache does not hold yet.

    Args:
        config: the run's config.
        progress: called with the progress of packing.
        shape: resolution and channels of the packed images, instead of those that follow from the config.
        trusted: the config was read from the user's own file, not from a results directory: a dataset may be opened
            even if that could run code.

    Raises:
        UntrustedDatasetError: the config is not trusted, and a dataset that requires trust is not in the cache.
        DatasetError: a dataset is not as the config describes it.
    """
    if shape is None:
        shape = image_shape(config, trusted=trusted)
    resolution, channels = shape

    def stage_progress(what: str) -> Callable[[int, int], None] | None:
        return None if progress is None else lambda done, total: progress(what, done, total)

    seed = config.run.seed
    source = load_source(
        config.source,
        seed=seed,
        resolution=resolution,
        channels=channels,
        progress=stage_progress("packing the source"),
        trusted=trusted,
    )
    targets = tuple(
        load_target(
            target,
            seed=seed,
            resolution=resolution,
            channels=channels,
            progress=stage_progress(f"packing {target.name}"),
            trusted=trusted,
        )
        for target in config.target
    )
    return Datasets(source, assign_groups(config.source, source), targets, resolution, channels)


def image_shape(config: Config, *, trusted: bool = False) -> tuple[int, int]:
    """Return the side in pixels and the channels that images are packed with, from the first image of each dataset.

    Arguments and errors are those of `open_datasets`.
    """
    shapes = [native_shape(section, trusted=trusted) for section in (config.source, *config.target)]
    return config.model.packed_side or shapes[0].side, max(shape.channels for shape in shapes)


def reopen_datasets(config: Config, info: RunInfo, *, trusted: bool = False) -> Datasets:
    """Map the datasets of a prepared run from the cache, without reading the files that they were packed from.

    Args:
        config: of the run.
        info: of the run.
        trusted: as for `open_datasets`, where the cache no longer holds them.

    Raises:
        DatasetError: the cache no longer holds them, and they cannot be packed again.
        ConfigError: they differ from those that the run was prepared with.
    """
    source = reopen(info.source.fingerprint)
    halves = [[reopen(fingerprint) for fingerprint in target.fingerprints] for target in info.targets]
    targets = tuple(TargetSet(train, test) for train, test in halves if train is not None and test is not None)
    if source is None or len(targets) < len(info.targets):
        data = open_datasets(config, None, (info.resolution, info.channels), trusted=trusted)
    else:
        data = Datasets(source, assign_groups(config.source, source), targets, info.resolution, info.channels)
    if compute_identity(config, data.fingerprints(config)) != info.identity:
        also = "" if config.model.weights is None else ", or the weights that it starts from,"
        raise ConfigError(f"the datasets{also} changed since the run was prepared")
    return data


def _source_hash(arch: str) -> str:
    """Return the hash of the file that defines a user's network; the module is located, not imported.

    Raises:
        ConfigError: there is no such module.
    """
    path: list[str] | None = [*sys.path, str(Path.cwd())]
    spec = None
    for part in arch.partition(":")[0].split("."):
        spec = PathFinder.find_spec(part, path)
        path = list(spec.submodule_search_locations or []) if spec else []
    if spec is None or spec.origin is None:
        raise ConfigError(f"model.arch: no module {printable(arch.partition(':')[0])} here or on the Python path")
    return hashlib.blake2b(Path(spec.origin).read_bytes(), digest_size=16).hexdigest()


def weights_digest(model: ModelSection) -> str:
    """Return the SHA-256 of the file of weights that source training starts from.

    Raises:
        ConfigError: there is no such file.
    """
    assert model.weights is not None
    if is_weights_name(model.weights):
        from tui_influence.training.library_weights import locate_weights  # here, because it loads torch

        path = locate_weights(model).path
    else:
        path = expand_home(model.weights)
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"model.weights cannot be read: {error.strerror or error}: {printable(str(path))}") from error
