"""From a section of the config to where its images are.

Loading a source and a target: packed images, the seeded choice of so many a class, classes that agree.
"""

from pathlib import Path
from typing import Literal

import numpy as np

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
from tui_influence.datasets.base import MIN_CLASSES, DatasetReader, ImageSet, ImageShape, TargetSet
from tui_influence.datasets.builtin import BuiltinReader
from tui_influence.datasets.cache import Cache
from tui_influence.datasets.errors import abbreviate_list
from tui_influence.datasets.folder import FolderReader
from tui_influence.datasets.groups import read_class_list, read_image_list
from tui_influence.datasets.images import quiet_decoding
from tui_influence.datasets.npz import NpzReader
from tui_influence.datasets.packing import Progress, pack, select
from tui_influence.datasets.torchvision import TorchvisionReader
from tui_influence.designs import choose_per_class
from tui_influence.errors import DatasetError
from tui_influence.regular_files import expand_home
from tui_influence.text import printable

Part = Literal["source", "train", "test"]


def source_origin(section: Source, *, trusted: bool) -> DatasetReader:
    """Where the images of a source are; see `origin_of`."""
    match section:
        case BuiltinSource():
            return BuiltinReader(section.name)
        case FolderSource():
            return FolderReader(section.path)
        case NpzSource():
            return NpzReader(section.path)
        case TorchvisionSource():
            return TorchvisionReader(section.dataset, section.root, section.arguments, trusted=trusted)


def target_origin(section: Target, part: Literal["train", "test"], *, trusted: bool) -> DatasetReader:
    """Where a target's training or test images are; see `origin_of`."""
    match section:
        case BuiltinTarget():
            return BuiltinReader(section.name, part)
        case FolderTarget():
            return FolderReader(section.train if part == "train" else section.test)
        case NpzTarget():
            return NpzReader(section.train if part == "train" else section.test, every_class=part == "train")
        case TorchvisionTarget():
            arguments = section.train if part == "train" else section.test
            return TorchvisionReader(section.dataset, section.root, arguments, trusted=trusted)


def origin_of(section: Source | Target, part: Part, *, trusted: bool) -> DatasetReader:
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


MAX_NATIVE_SIDE = 64
_SOURCE_STREAM, _TRAIN_STREAM, _TEST_STREAM = 0, 1, 2


def native_shape(section: Source | Target, *, trusted: bool = False) -> ImageShape:
    """Return the shape of a section's first image (of a target: its first training image), at most 64 pixels a side.

    Args:
        section: of the config.
        trusted: whether the config is the user's own: see `origin_of`.

    Raises:
        DatasetError: there is none.
    """
    part: Part = "train" if hasattr(section, "transfer") else "source"
    with quiet_decoding():
        shape = origin_of(section, part, trusted=trusted).shape()
    return ImageShape(min(shape.side, MAX_NATIVE_SIDE), shape.channels)


def load_source(
    section: Source,
    *,
    seed: int,
    resolution: int,
    channels: int,
    cache: Path | None = None,
    progress: Progress | None = None,
    trusted: bool = False,
) -> ImageSet:
    """Return the source's images, memory-mapped from the cache; packed first if they have changed or are new.

    Args:
        section: `[source]` of the config.
        seed: of the run; chooses the images if `per_class` limits them.
        resolution: side that images are scaled to, in pixels.
        channels: 1 (grey) or 3 (colour).
        cache: where packed datasets are kept; `default_cache()` if left out.
        progress: called with (images done, images in all) while packing.
        trusted: whether the config is the user's own: see `origin_of`.

    Raises:
        DatasetError: one line that says what is wrong with the data, or with the cache; with `details` where several
            things are (`problems.DatasetProblemsError`).
    """
    store = Cache(cache)
    images = pack(
        source_origin(section, trusted=trusted),
        resolution=resolution,
        channels=channels,
        on_bad_image=section.on_bad_image,
        cache=store,
        progress=progress,
    )
    chosen = _chosen(images, section.per_class, seed, _SOURCE_STREAM, store)
    if section.keep is not None:
        chosen = _kept(chosen, expand_home(section.keep), store)
    if section.exclude is None:
        return chosen
    partial = section.per_class is not None or section.keep is not None
    return _without(chosen, expand_home(section.exclude), store, partial=partial)


def load_target(
    section: Target,
    *,
    seed: int,
    resolution: int,
    channels: int,
    cache: Path | None = None,
    progress: Progress | None = None,
    trusted: bool = False,
) -> TargetSet:
    """Return a target's training and test images, with the same classes; as `load_source`.

    `progress` is called for the training images, then for the test images.

    Raises:
        DatasetError: as `load_source`, or the classes of the two differ.
    """
    store = Cache(cache)
    origins = target_origin(section, "train", trusted=trusted), target_origin(section, "test", trusted=trusted)
    _check_declared(section.name, *origins)
    train, test = (
        pack(
            origin,
            resolution=resolution,
            channels=channels,
            on_bad_image=section.on_bad_image,
            cache=store,
            progress=progress,
        )
        for origin in origins
    )
    test = _relabelled(section.name, test, train.classes, store)
    return TargetSet(
        train=_chosen(train, section.train_per_class, seed, _TRAIN_STREAM, store),
        test=_chosen(test, section.test_per_class, seed, _TEST_STREAM, store),
    )


def reopen(fingerprint: str, cache: Path | None = None) -> ImageSet | None:
    """Return a set that was loaded before, by its fingerprint, without looking at the data it was made from.

    For worker processes: the supervisor loads once, its workers map the same pages. `skipped` is empty here.
    None if the cache no longer has it, or what it has is damaged.
    """
    return Cache(cache).open(fingerprint)


def _chosen(images: ImageSet, per_class: int | None, seed: int, stream: int, cache: Cache) -> ImageSet:
    """At most so many images of each class."""
    if per_class is None:
        return images
    positions = choose_per_class(images.labels, per_class, seed, stream)
    if len(positions) == len(images):
        return images
    return select(images, positions, images.labels[positions], images.classes, cache)


def _kept(images: ImageSet, path: Path, cache: Cache) -> ImageSet:
    """The images of the classes that a file lists, chosen as if all classes were used."""
    listed_there = set(read_class_list(path, images.classes))
    classes = tuple(name for name in images.classes if name in listed_there)
    if len(classes) < MIN_CLASSES:
        raise DatasetError(f"{printable(str(path))} keeps {len(classes)} classes: at least {MIN_CLASSES} must stay")
    if classes == images.classes:
        return images
    number = np.array([classes.index(name) if name in listed_there else -1 for name in images.classes], dtype=np.int64)
    labels = number[images.labels]
    positions = np.flatnonzero(labels >= 0)
    return select(images, positions, labels[positions], classes, cache)


def _without(images: ImageSet, path: Path, cache: Cache, *, partial: bool) -> ImageSet:
    """The images that a file does not list, chosen as if none were left out."""
    left_out = set(read_image_list(path, [*images.names, *images.skipped], partial=partial))
    stays = np.array([name not in left_out for name in images.names])
    emptied = np.flatnonzero(np.bincount(images.labels[stays], minlength=len(images.classes)) == 0)
    if emptied.size:
        names = abbreviate_list([printable(images.classes[label], 60) for label in emptied])
        raise DatasetError(f"{printable(str(path))} leaves no image of {names}; `keep` leaves classes out")
    if stays.all():
        return images
    positions = np.flatnonzero(stays)
    return select(images, positions, images.labels[positions], images.classes, cache)


def _check_declared(target: str, train: DatasetReader, test: DatasetReader) -> None:
    """Compare what both say their classes are, before the work of packing them."""
    declared = [
        origin.classes
        for origin in (train, test)
        if isinstance(origin, FolderReader) or (isinstance(origin, NpzReader) and origin.named)
    ]
    if len(declared) == 2:
        _check_same(target, *declared)


def _relabelled(target: str, test: ImageSet, classes: tuple[str, ...], cache: Cache) -> ImageSet:
    """Test images with labels in terms of the training images' classes, some of which they may lack."""
    if test.classes == classes:
        return test
    number = {name: label for label, name in enumerate(classes)}
    if not set(test.classes) <= set(number):
        _check_same(target, classes, test.classes)
    labels = np.array([number[name] for name in test.classes], dtype=np.int64)[test.labels]
    return select(test, np.arange(len(test), dtype=np.int64), labels, classes, cache)


def _check_same(target: str, train: tuple[str, ...], test: tuple[str, ...]) -> None:
    if train == test:
        return
    parts = [
        f"only in {part}: {abbreviate_list([printable(name) for name in mine if name not in set(other)])}"
        for part, mine, other in (("training", train, test), ("test", test, train))
        if set(mine) - set(other)
    ] or ["they are in a different order"]
    name = printable(target)
    raise DatasetError(f'target "{name}": the classes of its training and test images differ ({"; ".join(parts)})')
