"""Packing: an origin's images, decoded and scaled in a few threads, streamed into the cache; once.

No more than a few batches are in memory at any time, whatever the size of the dataset.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from tui_influence.config.schema import OnBadImage
from tui_influence.datasets.base import DatasetReader, Images, ImageSet, Labels, Sample
from tui_influence.datasets.cache import Cache, CachedImages, key_of
from tui_influence.datasets.errors import BadImageError, unreadable_images
from tui_influence.datasets.images import quiet_decoding, render
from tui_influence.errors import DatasetError
from tui_influence.text import printable

Progress = Callable[[int, int], None]
Taken = TypeVar("Taken")
Made = TypeVar("Made")

_BATCH = 32
_BATCH_BYTES = 1 << 24
"""A batch is full before it has so many samples, if they are pixels already and take this many bytes."""
_MIN_THREADS, _MAX_THREADS = 2, 16


def threads() -> int:
    """Return how many threads decode: one a core that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(max(cores, _MIN_THREADS), _MAX_THREADS)


def pack(
    origin: DatasetReader,
    *,
    resolution: int,
    channels: int,
    on_bad_image: OnBadImage,
    cache: Cache,
    progress: Progress | None = None,
) -> ImageSet:
    """Return an origin's images at a resolution, from the cache if they have been packed before.

    Raises:
        DatasetError: the data are missing or malformed, images are unreadable (unless they are to be skipped), or the
            cache cannot be written.
    """
    key = key_of(type(origin).__name__, origin.stamp(), resolution, channels)
    found = cache.find(key) or _packed(origin, resolution, channels, on_bad_image, cache, key, progress)
    if found.unreadable and on_bad_image == "error":
        raise unreadable_images(origin.display_name, found.unreadable)
    return replace(found.images, skipped=tuple(name for name, _ in found.unreadable))


def select(images: ImageSet, positions: Labels, labels: Labels, classes: tuple[str, ...], cache: Cache) -> ImageSet:
    """Return some images of a packed set, with labels in terms of `classes`: an entry of the cache of its own.

    Args:
        images: the set.
        positions: (n,) which of them.
        labels: (n,) their labels.
        classes: what the labels mean.
        cache: where the set comes from.

    Raises:
        DatasetError: the cache cannot be written.
    """
    key = key_of("select", images.fingerprint, positions.tolist(), labels.tolist(), classes)
    found = cache.find(key)
    if found is not None:
        return replace(found.images, skipped=images.skipped)
    height, width, channels = images.images.shape[1:]
    with cache.writing((len(positions), height, width, channels), "a subset") as writer:
        for start in range(0, len(positions), 1024):
            writer.append(images.images[positions[start : start + 1024]])
        names = tuple(images.names[position] for position in positions)
        chosen = writer.finish(key, labels, classes, names)
    return replace(chosen, skipped=images.skipped)


@dataclass
class _Batch:
    """What became of a few samples."""

    pixels: list[Images] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    bad: list[tuple[str, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.names) + len(self.bad)


def _packed(
    origin: DatasetReader,
    resolution: int,
    channels: int,
    on_bad_image: OnBadImage,
    cache: Cache,
    key: str,
    progress: Progress | None,
) -> CachedImages:
    """Pack, whether or not bad images are an error, so that skipping them later costs nothing."""
    total = origin.count()
    whole = _Batch()

    def work(samples: list[Sample]) -> _Batch:
        return _render_all(samples, resolution, channels)

    with cache.writing((total, resolution, resolution, channels), origin.display_name) as writer:
        with quiet_decoding():
            for batch in in_threads(work, _batches(origin.samples())):
                if batch.pixels:
                    writer.append(np.stack(batch.pixels))
                whole.labels += batch.labels
                whole.names += batch.names
                whole.bad += batch.bad
                if progress is not None:
                    progress(len(whole), total)
        if whole.bad and (on_bad_image == "error" and not whole.names):
            raise unreadable_images(origin.display_name, whole.bad)
        if not whole.names:
            name, reason = whole.bad[0] if whole.bad else ("", "")
            why = f": all {total} are unreadable, such as {printable(name)} ({reason})" if whole.bad else ""
            raise DatasetError(f"{origin.display_name} has no images{why}")
        try:
            classes, labels = origin.finalize_labels(np.array(whole.labels, dtype=np.int64))
        except DatasetError:
            if whole.bad and on_bad_image == "error":
                raise unreadable_images(origin.display_name, whole.bad) from None
            raise
        images = writer.finish(key, labels, classes, tuple(whole.names), whole.bad)
    return CachedImages(images, tuple(whole.bad))


def _render_all(samples: list[Sample], resolution: int, channels: int) -> _Batch:
    batch = _Batch()
    for sample in samples:
        try:
            pixels = render(sample, resolution, channels)
        except BadImageError as error:
            batch.bad.append((sample.name, str(error)))
        else:
            batch.pixels.append(pixels)
            batch.labels.append(sample.label)
            batch.names.append(sample.name)
    return batch


def _batches(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    batch: list[Sample] = []
    size = 0
    for sample in samples:
        batch.append(sample)
        size += sample.nbytes
        if len(batch) == _BATCH or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def in_threads(work: Callable[[Taken], Made], items: Iterable[Taken]) -> Iterator[Made]:
    """The results, in order. No more items are taken than keep the threads busy: `Executor.map` takes all at once."""
    waiting: deque[Future[Made]] = deque()
    pool = ThreadPoolExecutor(threads(), thread_name_prefix="decode")
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 2 * threads():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
