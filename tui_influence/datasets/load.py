"""Sources and targets as packed images: the reader of a section, the seeded choice per class, and matching classes."""

from importlib import import_module
from pathlib import Path

import numpy as np

from tui_influence.config.schema import Source, SourceSection, Target
from tui_influence.datasets.base import MIN_CLASSES, DatasetReader, ImageSet, ImageShape, Part, TargetSet
from tui_influence.datasets.cache import Cache
from tui_influence.datasets.errors import abbreviate_list
from tui_influence.datasets.groups import read_class_list, read_image_list
from tui_influence.datasets.images import quiet_decoding
from tui_influence.datasets.packing import Progress, pack, select
from tui_influence.designs import choose_per_class
from tui_influence.errors import DatasetError
from tui_influence.regular_files import expand_home
from tui_influence.text import printable


def open_reader(section: Source | Target, part: Part, *, trusted: bool) -> DatasetReader:
    """Return the reader of one part of a section: `open_reader` in the module that is named like the section's kind.

    Args:
        section: section of the config.
        part: part of its images.
        trusted: the config is read from the user's own file, not from a results directory, so a dataset in it may be
            opened even if that could run code.

    Raises:
        ValueError: a source has no training or test part, a target no source part.
    """
    is_source = isinstance(section, SourceSection)
    if is_source != (part == "source"):
        raise ValueError("a source has one part: source" if is_source else "a target has a train and a test part")
    module = import_module(f"tui_influence.datasets.{section.kind}")
    reader: DatasetReader = module.open_reader(section, part, trusted=trusted)
    return reader


MAX_NATIVE_SIDE = 64
_SOURCE_STREAM, _TRAIN_STREAM, _TEST_STREAM = 0, 1, 2


def native_shape(section: Source | Target, *, trusted: bool = False) -> ImageShape:
    """Return the shape of a section's first image (of a target: its first training image), at most 64 pixels a side.

    Args:
        section: section of the config.
        trusted: whether the config is the user's own: see `open_reader`.

    Raises:
        DatasetError: no image can be read.
    """
    part: Part = "source" if isinstance(section, SourceSection) else "train"
    with quiet_decoding():
        shape = open_reader(section, part, trusted=trusted).shape()
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
        seed: seed of the run; it chooses the images if `per_class` limits them.
        resolution: side that images are scaled to, in pixels.
        channels: 1 (grey) or 3 (colour).
        cache: directory of packed datasets; `default_cache()` by default.
        progress: called with (images done, images in all) while packing.
        trusted: whether the config is the user's own: see `open_reader`.

    Raises:
        DatasetError: the data cannot be read, or the cache cannot be written; a `DatasetProblemsError` with `details`
            if there are several problems.
    """
    store = Cache(cache)
    images = pack(
        open_reader(section, "source", trusted=trusted),
        resolution=resolution,
        channels=channels,
        on_bad_image=section.on_bad_image,
        cache=store,
        progress=progress,
    )
    images_of_run = _choose_per_class(images, section.per_class, seed, _SOURCE_STREAM, store)
    if section.keep is not None:
        images_of_run = _keep_classes(images_of_run, expand_home(section.keep), store)
    if section.exclude is None:
        return images_of_run
    partial = section.per_class is not None or section.keep is not None
    return _exclude_images(images_of_run, expand_home(section.exclude), store, partial=partial)


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
    readers = open_reader(section, "train", trusted=trusted), open_reader(section, "test", trusted=trusted)
    _check_declared_classes(section.name, *readers)
    train, test = (
        pack(
            reader,
            resolution=resolution,
            channels=channels,
            on_bad_image=section.on_bad_image,
            cache=store,
            progress=progress,
        )
        for reader in readers
    )
    test = _relabel(section.name, test, train.classes, store)
    return TargetSet(
        train=_choose_per_class(train, section.train_per_class, seed, _TRAIN_STREAM, store),
        test=_choose_per_class(test, section.test_per_class, seed, _TEST_STREAM, store),
    )


def reopen(fingerprint: str, cache: Path | None = None) -> ImageSet | None:
    """Return a set that was loaded before, by its fingerprint, without reading the original data.

    For worker processes: the supervisor loads once, and its workers map the same pages. `skipped` is empty here.
    None if the entry is no longer in the cache, or is damaged.
    """
    return Cache(cache).open(fingerprint)


def _choose_per_class(images: ImageSet, per_class: int | None, seed: int, stream: int, cache: Cache) -> ImageSet:
    """Return at most `per_class` images of each class."""
    if per_class is None:
        return images
    positions = choose_per_class(images.labels, per_class, seed, stream)
    if len(positions) == len(images):
        return images
    return select(images, positions, images.labels[positions], images.classes, cache)


def _keep_classes(images: ImageSet, path: Path, cache: Cache) -> ImageSet:
    """Return the images of the classes that a file lists, chosen as if all classes were used."""
    listed_classes = set(read_class_list(path, images.classes))
    classes = tuple(name for name in images.classes if name in listed_classes)
    if len(classes) < MIN_CLASSES:
        raise DatasetError(f"{printable(str(path))} keeps {len(classes)} classes: at least {MIN_CLASSES} must stay")
    if classes == images.classes:
        return images
    new_label = np.array(
        [classes.index(name) if name in listed_classes else -1 for name in images.classes], dtype=np.int64
    )
    labels = new_label[images.labels]
    positions = np.flatnonzero(labels >= 0)
    return select(images, positions, labels[positions], classes, cache)


def _exclude_images(images: ImageSet, path: Path, cache: Cache, *, partial: bool) -> ImageSet:
    """Return the images that a file does not list, chosen as if none were left out."""
    excluded = set(read_image_list(path, [*images.names, *images.skipped], partial=partial))
    is_included = np.array([name not in excluded for name in images.names])
    empty_classes = np.flatnonzero(np.bincount(images.labels[is_included], minlength=len(images.classes)) == 0)
    if empty_classes.size:
        names = abbreviate_list([printable(images.classes[label], 60) for label in empty_classes])
        raise DatasetError(f"{printable(str(path))} leaves no image of {names}; `keep` leaves classes out")
    if is_included.all():
        return images
    positions = np.flatnonzero(is_included)
    return select(images, positions, images.labels[positions], images.classes, cache)


def _check_declared_classes(target: str, train: DatasetReader, test: DatasetReader) -> None:
    """Compare the classes that both parts declare, before the work of packing them."""
    train_classes, test_classes = train.declared_classes, test.declared_classes
    if train_classes is not None and test_classes is not None:
        _check_same_classes(target, train_classes, test_classes)


def _relabel(target: str, test: ImageSet, classes: tuple[str, ...], cache: Cache) -> ImageSet:
    """Return test images with labels in terms of the training images' classes, some of which they may lack."""
    if test.classes == classes:
        return test
    label_of = {name: label for label, name in enumerate(classes)}
    if not set(test.classes) <= set(label_of):
        _check_same_classes(target, classes, test.classes)
    labels = np.array([label_of[name] for name in test.classes], dtype=np.int64)[test.labels]
    return select(test, np.arange(len(test), dtype=np.int64), labels, classes, cache)


def _check_same_classes(target: str, train: tuple[str, ...], test: tuple[str, ...]) -> None:
    if train == test:
        return
    parts = [
        f"only in {part}: {abbreviate_list([printable(name) for name in mine if name not in set(other)])}"
        for part, mine, other in (("training", train, test), ("test", test, train))
        if set(mine) - set(other)
    ] or ["they are in a different order"]
    name = printable(target)
    raise DatasetError(f'target "{name}": the classes of its training and test images differ ({"; ".join(parts)})')
