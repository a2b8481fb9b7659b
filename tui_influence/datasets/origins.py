"""From a section of the config to where its images are."""

from typing import Literal

from tui_influence.config.schema import (
    BuiltinSource,
    BuiltinTarget,
    FolderSource,
    FolderTarget,
    NpzSource,
    NpzTarget,
    Source,
    Target,
    TorchvisionSource,
    TorchvisionTarget,
)
from tui_influence.datasets.arrays import NpzOrigin
from tui_influence.datasets.folder import FolderOrigin
from tui_influence.datasets.sets import Origin
from tui_influence.datasets.shipped import ShippedOrigin
from tui_influence.datasets.torchvision_sets import TorchvisionOrigin

Part = Literal["source", "train", "test"]


def source_origin(section: Source, *, trusted: bool) -> Origin:
    """Where the images of a source are; see `origin_of`."""
    match section:
        case BuiltinSource():
            return ShippedOrigin(section.name)
        case FolderSource():
            return FolderOrigin(section.path)
        case NpzSource():
            return NpzOrigin(section.path)
        case TorchvisionSource():
            return TorchvisionOrigin(section.dataset, section.root, section.arguments, trusted=trusted)


def target_origin(section: Target, part: Literal["train", "test"], *, trusted: bool) -> Origin:
    """Where a target's training or test images are; see `origin_of`."""
    match section:
        case BuiltinTarget():
            return ShippedOrigin(section.name, part)
        case FolderTarget():
            return FolderOrigin(section.train if part == "train" else section.test)
        case NpzTarget():
            return NpzOrigin(section.train if part == "train" else section.test, every_class=part == "train")
        case TorchvisionTarget():
            arguments = section.train if part == "train" else section.test
            return TorchvisionOrigin(section.dataset, section.root, arguments, trusted=trusted)


def origin_of(section: Source | Target, part: Part, *, trusted: bool) -> Origin:
    """Where one part of a section's images is.

    Args:
        section: of the config.
        part: of its images.
        trusted: the config is read from the user's own file, not from a results directory, so a dataset in it may be
            opened even if that could run code.

    Raises:
        ValueError: a source has no training or test part, a target no source part.
    """
    if isinstance(section, BuiltinTarget | FolderTarget | NpzTarget | TorchvisionTarget):
        if part == "source":
            raise ValueError("a target has a train and a test part")
        return target_origin(section, part, trusted=trusted)
    if part != "source":
        raise ValueError("a source has one part: source")
    return source_origin(section, trusted=trusted)
