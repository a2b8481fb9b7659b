"""Sources and targets as packed images: the reader of a section, the seeded choice per class, and matching classes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

import numpy as np

from tui_influence.config.schema import OnBadImage, Source, SourceSection, Target
from tui_influence.datasets.base import DatasetReader, ImageSet, ImageShape, Part, TargetSet
from tui_influence.datasets.cache import Cache, make_key
from tui_influence.datasets.choice import Choice, everything
from tui_influence.datasets.errors import abbreviate_list
from tui_influence.datasets.images import quiet_decoding
from tui_influence.datasets.packing import Progress, key_of_whole, pack, pack_part
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
MIN_SHARE = 0.25
"""Share of the images of a dataset from which on all of it is packed, though some are chosen."""
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

    def choose(choice: Choice) -> Choice:
        choice = choice.per_class(section.per_class, seed, _SOURCE_STREAM)
        if section.keep is not None:
            choice = choice.keep(expand_home(section.keep))
        if section.exclude is None:
            return choice
        partial = section.per_class is not None or section.keep is not None
        return choice.exclude(expand_home(section.exclude), partial=partial)

    loading = _Loading(resolution, channels, section.on_bad_image, Cache(cache), progress)
    return loading.load(open_reader(section, "source", trusted=trusted), choose)


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
    train_reader, test_reader = (open_reader(section, part, trusted=trusted) for part in ("train", "test"))
    _check_declared_classes(section.name, train_reader, test_reader)
    loading = _Loading(resolution, channels, section.on_bad_image, Cache(cache), progress)
    train = loading.load(train_reader, lambda choice: choice.per_class(section.train_per_class, seed, _TRAIN_STREAM))

    def choose_test(choice: Choice) -> Choice:
        if not set(choice.classes) <= set(train.classes):
            check_same_classes(section.name, train.classes, choice.classes)
        return choice.relabel(train.classes).per_class(section.test_per_class, seed, _TEST_STREAM)

    return TargetSet(train, loading.load(test_reader, choose_test))


def reopen(fingerprint: str, cache: Path | None = None) -> ImageSet | None:
    """Return a set that was loaded before, by its fingerprint, without reading the original data.

    For worker processes: the supervisor loads once, and its workers map the same pages. `skipped` is empty here.
    None if the entry is no longer in the cache, or is damaged.
    """
    return Cache(cache).open(fingerprint)


@dataclass(frozen=True)
class _Loading:
    """How images are loaded.

    Attributes:
        resolution: side of the packed images, in pixels.
        channels: of the packed images.
        on_bad_image: what an unreadable image is.
        cache: of packed datasets.
        progress: called with (images done, images in all) while packing.
    """

    resolution: int
    channels: int
    on_bad_image: OnBadImage
    cache: Cache
    progress: Progress | None

    def load(self, reader: DatasetReader, choose: Callable[[Choice], Choice]) -> ImageSet:
        """Return the images of a reader that `choose` chooses.

        The whole dataset is packed once, and any choice from it takes no more disk. If the choice is a small part of
        image files that have not been packed, only that part is packed.
        """
        key = key_of_whole(reader, self.resolution, self.channels)
        part = self._small_part(reader, key, choose)
        if part is not None:
            return pack_part(
                reader,
                part,
                make_key("part", key, part.digest()),
                resolution=self.resolution,
                channels=self.channels,
                cache=self.cache,
                progress=self.progress,
            )
        images = pack(
            reader,
            key,
            resolution=self.resolution,
            channels=self.channels,
            on_bad_image=self.on_bad_image,
            cache=self.cache,
            progress=self.progress,
        )
        choice = choose(everything(images.labels, images.classes, images.names, images.skipped))
        if choice.is_all:
            return images
        key_of_choice = make_key("select", images.fingerprint, choice.digest())
        selected = self.cache.select(key_of_choice, images, choice.positions, choice.labels, choice.classes)
        return replace(selected, skipped=images.skipped)

    def _small_part(self, reader: DatasetReader, key: str, choose: Callable[[Choice], Choice]) -> Choice | None:
        """Return the choice if only its images are to be packed; None if the whole dataset is, or has been.

        Which images are readable decides about the others where unreadable ones are skipped: then all are packed.
        """
        if self.on_bad_image == "skip" or self.cache.has(key):
            return None
        listing = _list_files(reader)
        choice = choose(listing) if listing is not None else None
        is_small = choice is not None and len(choice) < MIN_SHARE * len(choice.all_names)
        return choice if is_small else None


def _list_files(reader: DatasetReader) -> Choice | None:
    """Return all samples of a reader of image files, as if all could be read; None for other readers."""
    total = reader.count()
    first = next(reader.samples(range(min(total, 1))), None)
    if first is None or not isinstance(first.content, Path):
        return None
    samples = list(reader.samples(range(total)))
    classes, labels = reader.finalize_labels(np.array([sample.label for sample in samples], dtype=np.int64))
    return everything(labels, classes, [sample.name for sample in samples])


def _check_declared_classes(target: str, train: DatasetReader, test: DatasetReader) -> None:
    """Compare the classes that both parts declare, before the work of packing them."""
    train_classes, test_classes = train.declared_classes, test.declared_classes
    if train_classes is not None and test_classes is not None:
        check_same_classes(target, train_classes, test_classes)


def check_same_classes(target: str, train: tuple[str, ...], test: tuple[str, ...]) -> None:
    """Compare the classes of both parts of a target.

    Raises:
        DatasetError: they differ.
    """
    if train == test:
        return
    parts = [
        f"only in {part}: {abbreviate_list([printable(name) for name in mine if name not in set(other)])}"
        for part, mine, other in (("training", train, test), ("test", test, train))
        if set(mine) - set(other)
    ] or ["they are in a different order"]
    name = printable(target)
    raise DatasetError(f'target "{name}": the classes of its training and test images differ ({"; ".join(parts)})')
