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


def source_origin(section: Source) -> Origin:
    """Where the images of a source are."""
    match section:
        case BuiltinSource():
            return ShippedOrigin(section.name)
        case FolderSource():
            return FolderOrigin(section.path)
        case NpzSource():
            return NpzOrigin(section.path)
        case TorchvisionSource():
            return TorchvisionOrigin(section.dataset, section.root, section.arguments)


def target_origin(section: Target, part: Literal["train", "test"]) -> Origin:
    """Where a target's training or test images are."""
    match section:
        case BuiltinTarget():
            return ShippedOrigin(section.name, part)
        case FolderTarget():
            return FolderOrigin(section.train if part == "train" else section.test)
        case NpzTarget():
            return NpzOrigin(section.train if part == "train" else section.test, every_class=part == "train")
        case TorchvisionTarget():
            arguments = section.train if part == "train" else section.test
            return TorchvisionOrigin(section.dataset, section.root, arguments)


def origin_of(section: Source | Target, part: Part) -> Origin:
    """Where one part of a section's images is.

    Raises:
        ValueError: a source has no training or test part, a target no source part.
    """
    if isinstance(section, BuiltinTarget | FolderTarget | NpzTarget | TorchvisionTarget):
        if part == "source":
            raise ValueError("a target has a train and a test part")
        return target_origin(section, part)
    if part != "source":
        raise ValueError("a source has one part: source")
    return source_origin(section)
