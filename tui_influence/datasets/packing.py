"""Packing: images of a reader, decoded and scaled in a few threads, streamed into the cache.

Only a few batches are in memory at any time, whatever the size of the dataset.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from tui_influence.config.schema import OnBadImage
from tui_influence.datasets.base import DatasetReader, Images, ImageSet, Labels, Sample
from tui_influence.datasets.cache import Cache, CachedImages, make_key
from tui_influence.datasets.errors import BadImageError, unreadable_images
from tui_influence.datasets.images import quiet_decoding, render_sample
from tui_influence.errors import DatasetError
from tui_influence.text import printable
from tui_influence.threads import Item, Result, map_ahead

Progress = Callable[[int, int], None]

_BATCH = 32
_BATCH_BYTES = 1 << 24
"""A batch with fewer samples is full if they are pixels already and take this many bytes."""
_MIN_THREADS, _MAX_THREADS = 2, 16


def thread_count() -> int:
    """Return the number of threads that decode: one for each core that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(max(cores, _MIN_THREADS), _MAX_THREADS)


def pack(
    reader: DatasetReader,
    *,
    resolution: int,
    channels: int,
    on_bad_image: OnBadImage,
    cache: Cache,
    progress: Progress | None = None,
) -> ImageSet:
    """Return the images of a reader at a resolution, from the cache if they have been packed before.

    Raises:
        DatasetError: the data are missing or malformed, images are unreadable (unless they are to be skipped), or the
            cache cannot be written.
    """
    key = make_key(type(reader).__name__, reader.stamp(), resolution, channels)
    packed = cache.find(key) or _pack_images(reader, resolution, channels, on_bad_image, cache, key, progress)
    if packed.unreadable and on_bad_image == "error":
        raise unreadable_images(reader.display_name, packed.unreadable)
    return replace(packed.images, skipped=tuple(name for name, _ in packed.unreadable))


def select(images: ImageSet, positions: Labels, labels: Labels, classes: tuple[str, ...], cache: Cache) -> ImageSet:
    """Return some images of a packed set, with labels in terms of `classes`: a separate entry of the cache.

    Args:
        images: the set.
        positions: (n,) indices of the images.
        labels: (n,) their labels.
        classes: names of the classes.
        cache: cache of the set.

    Raises:
        DatasetError: the cache cannot be written.
    """
    key = make_key("select", images.fingerprint, positions.tolist(), labels.tolist(), classes)
    cached = cache.find(key)
    if cached is not None:
        return replace(cached.images, skipped=images.skipped)
    height, width, channels = images.images.shape[1:]
    with cache.write_entry((len(positions), height, width, channels), "a subset") as writer:
        for start in range(0, len(positions), 1024):
            writer.append(images.images[positions[start : start + 1024]])
        names = tuple(images.names[position] for position in positions)
        selected = writer.finish(key, labels, classes, names)
    return replace(selected, skipped=images.skipped)


@dataclass
class _DecodedBatch:
    """A few samples, decoded or unreadable."""

    pixels: list[Images] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.names) + len(self.unreadable)


def _pack_images(
    reader: DatasetReader,
    resolution: int,
    channels: int,
    on_bad_image: OnBadImage,
    cache: Cache,
    key: str,
    progress: Progress | None,
) -> CachedImages:
    """Pack all readable images, even if unreadable ones are an error, so that skipping them later costs nothing."""
    total = reader.count()
    decoded = _DecodedBatch()

    def work(samples: list[Sample]) -> _DecodedBatch:
        return _render_all(samples, resolution, channels)

    with cache.write_entry((total, resolution, resolution, channels), reader.display_name) as writer:
        with quiet_decoding():
            for batch in map_in_threads(work, _batches(reader.samples())):
                if batch.pixels:
                    writer.append(np.stack(batch.pixels))
                decoded.labels += batch.labels
                decoded.names += batch.names
                decoded.unreadable += batch.unreadable
                if progress is not None:
                    progress(len(decoded), total)
        if decoded.unreadable and (on_bad_image == "error" and not decoded.names):
            raise unreadable_images(reader.display_name, decoded.unreadable)
        if not decoded.names:
            name, reason = decoded.unreadable[0] if decoded.unreadable else ("", "")
            reason_text = (
                f": all {total} are unreadable, such as {printable(name)} ({reason})" if decoded.unreadable else ""
            )
            raise DatasetError(f"{reader.display_name} has no images{reason_text}")
        try:
            classes, labels = reader.finalize_labels(np.array(decoded.labels, dtype=np.int64))
        except DatasetError:
            if decoded.unreadable and on_bad_image == "error":
                raise unreadable_images(reader.display_name, decoded.unreadable) from None
            raise
        images = writer.finish(key, labels, classes, tuple(decoded.names), decoded.unreadable)
    return CachedImages(images, tuple(decoded.unreadable))


def _render_all(samples: list[Sample], resolution: int, channels: int) -> _DecodedBatch:
    batch = _DecodedBatch()
    for sample in samples:
        try:
            pixels = render_sample(sample, resolution, channels)
        except BadImageError as error:
            batch.unreadable.append((sample.name, str(error)))
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


def map_in_threads(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield the results in order, worked on by all threads that decode."""
    return map_ahead(work, items, threads=thread_count(), ahead=2 * thread_count(), name="decode")
