"""Packing: images of a reader, decoded and scaled on up to 16 cores, streamed into the cache.

Only a few batches are in memory at any time, whatever the size of the dataset. What an interrupted process has packed
is not decoded again.
"""

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np

from tui_influence.config.schema import OnBadImage
from tui_influence.datasets.base import DatasetReader, ImageSet, Labels, Sample
from tui_influence.datasets.cache import Cache, CachedImages, EntryWriter, make_key
from tui_influence.datasets.choice import Choice
from tui_influence.datasets.decoder_pool import make_decoder
from tui_influence.datasets.errors import unreadable_images
from tui_influence.datasets.images import quiet_decoding
from tui_influence.errors import DatasetError
from tui_influence.text import printable
from tui_influence.threads import Item, Result, map_ahead

Progress = Callable[[int, int], None]

_BATCH = 32
_BATCH_BYTES = 1 << 24
"""A batch with fewer samples is full if they are pixels already and take this many bytes."""
_MIN_THREADS, _MAX_THREADS = 2, 16


def thread_count() -> int:
    """Return the number of threads, or processes, that decode: one for each core of this process, up to 16."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(max(cores, _MIN_THREADS), _MAX_THREADS)


def pack(
    reader: DatasetReader,
    key: str,
    *,
    resolution: int,
    channels: int,
    on_bad_image: OnBadImage,
    cache: Cache,
    progress: Progress | None = None,
) -> ImageSet:
    """Return the images of a reader at a resolution, from the cache if they have been packed before.

    Args:
        reader: of the dataset.
        key: `key_of_whole`.
        resolution: side of the packed images, in pixels.
        channels: of the packed images.
        on_bad_image: whether an unreadable image is an error.
        cache: of packed datasets.
        progress: called with (images done, images in all) while packing.

    Raises:
        DatasetError: the data are missing or malformed, images are unreadable (unless they are to be skipped), or the
            cache cannot be written.
    """
    packed = cache.find(key) or _pack_images(reader, resolution, channels, on_bad_image, cache, key, progress)
    if packed.unreadable and on_bad_image == "error":
        raise unreadable_images(reader.display_name, packed.unreadable)
    return replace(packed.images, skipped=tuple(name for name, _ in packed.unreadable))


def key_of_whole(reader: DatasetReader, resolution: int, channels: int) -> str:
    """Return the key of all images of a reader at a resolution."""
    return make_key(type(reader).__name__, reader.stamp(), resolution, channels)


def pack_part(
    reader: DatasetReader,
    choice: Choice,
    key: str,
    *,
    resolution: int,
    channels: int,
    cache: Cache,
    progress: Progress | None = None,
) -> ImageSet:
    """Return chosen images of a reader, without packing the others.

    Args:
        reader: of the dataset.
        choice: of its samples.
        key: of the choice.
        resolution: side of the packed images, in pixels.
        channels: of the packed images.
        cache: of packed datasets.
        progress: called with (images done, images in all) while packing.

    Raises:
        DatasetError: as `pack`; a chosen image is unreadable.
    """
    shape = resolution, channels
    packed = cache.find(key)
    if packed is not None:
        return packed.images
    with cache.write_entry((len(choice), resolution, resolution, channels), reader.display_name, key) as writer:
        _write_images(writer, reader, choice.positions.tolist(), shape, progress)
        if writer.unreadable:
            writer.discard()
            raise unreadable_images(reader.display_name, writer.unreadable)
        return writer.finish(key, choice.labels, choice.classes)


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
    with cache.write_entry((total, resolution, resolution, channels), reader.display_name, key) as writer:
        _write_images(writer, reader, range(total), (resolution, channels), progress)
        try:
            classes, labels = _final_labels(reader, writer, on_bad_image)
        except DatasetError:
            writer.discard()
            raise
        images = writer.finish(key, labels, classes)
    return CachedImages(images, tuple(writer.unreadable))


def _final_labels(
    reader: DatasetReader, writer: EntryWriter, on_bad_image: OnBadImage
) -> tuple[tuple[str, ...], Labels]:
    """Return the classes of all written images, and their labels.

    Raises:
        DatasetError: there are no images, or none of a class.
    """
    unreadable = writer.unreadable
    if not writer.names:
        if unreadable and on_bad_image == "error":
            raise unreadable_images(reader.display_name, unreadable)
        name, reason = unreadable[0] if unreadable else ("", "")
        total = len(unreadable)
        reason_text = f": all {total} are unreadable, such as {printable(name)} ({reason})" if unreadable else ""
        raise DatasetError(f"{reader.display_name} has no images{reason_text}")
    try:
        return reader.finalize_labels(np.array(writer.labels, dtype=np.int64))
    except DatasetError:
        if unreadable and on_bad_image == "error":
            raise unreadable_images(reader.display_name, unreadable) from None
        raise


def _write_images(
    writer: EntryWriter,
    reader: DatasetReader,
    positions: Sequence[int],
    shape: tuple[int, int],
    progress: Progress | None,
) -> None:
    """Write the samples at some positions, after those that an interrupted process has written.

    Args:
        writer: of the entry.
        reader: of the dataset.
        positions: of all samples of the entry.
        shape: resolution and channels of the images.
        progress: called with (images done, images in all).
    """
    left = positions[len(writer) :]
    with (
        quiet_decoding(),
        make_decoder(len(left), thread_count(), *shape) as decode,
        closing(map_in_threads(decode, _batches(reader.samples(left)))) as batches,
    ):
        for batch in batches:
            writer.append(batch)
            if progress is not None:
                progress(len(writer), len(positions))


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


def map_in_threads(work: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result, None, None]:
    """Yield the results in order, worked on by all threads that decode; close it if it is left before its end."""
    return map_ahead(work, items, threads=thread_count(), ahead=2 * thread_count(), name="decode")
