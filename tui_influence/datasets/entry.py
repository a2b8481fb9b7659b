"""An entry of the cache: a packed dataset as three files, and the detection of damage to them.

    images.npy      (N, H, W, C) uint8
    labels.npy      (N,) int64
    manifest.json   names of classes and images, hash of the pixels; hash of each block of them, and their counts

A selection of another entry's images has `positions.npy`, (n,) int64, in place of the pixels; its manifest names that
entry and has a hash of the positions. All else is as if the images had been packed alone.

The fingerprint, which is also the name of the entry's directory, is a hash of pixels, labels, classes and names. The
hashes of blocks and the counts have a digest of their own. Entries of older versions lack them; for a large one they
are measured when it is first opened, which compares all of its pixels.
"""

import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from pathlib import Path
from random import SystemRandom
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tui_influence.datasets.base import Images, ImageSet, Labels
from tui_influence.datasets.errors import printable_path, reason_of
from tui_influence.errors import DatasetError
from tui_influence.image_selection import ImageSelection
from tui_influence.npy_header import Header, read_header
from tui_influence.pixel_counts import VALUES, pixel_counts
from tui_influence.regular_files import open_regular, read_regular

FORMAT = 1
IMAGES, LABELS, MANIFEST, POSITIONS = "images.npy", "labels.npy", "manifest.json", "positions.npy"

VERIFIED_BYTES = 128 << 20
"""Entries up to this size are compared with their hash each time they are opened: a tenth of a second."""

BLOCK_BYTES = 1 << 18
SAMPLED_BLOCKS = VERIFIED_BYTES // BLOCK_BYTES
"""Number of blocks of a larger entry, drawn anew each time, that are compared with their hashes: as many bytes.

Damage to a fraction f of the blocks is detected with probability 1 - (1 - f)^512: to 1% with 99.4%, to 0.1% with 40%.
Blocks that the file system does not store (holes) are always compared, whatever their number.
"""

_OTHER_PIXELS = f"the pixels in {IMAGES} are not those that were packed"
_OUT_OF_RESOURCES = {errno.ENOMEM, errno.EMFILE, errno.ENFILE}
_SLICE_BYTES = 1 << 24
_DIGEST_BYTES = 8
_HASH_THREADS = 4
_SYNC_BYTES = 1 << 27
_MAX_MANIFEST_BYTES = 2 << 30
_MAX_LABEL_BYTES = 1 << 30


class Verification(Enum):
    """How many of an entry's pixels are compared with their hashes; all else is always compared."""

    NONE = "none"
    SAMPLE = "sample"
    """All of them up to `VERIFIED_BYTES`, else `SAMPLED_BLOCKS` blocks; all if there are no hashes of blocks."""
    WHOLE = "whole"


ReadEntry = Callable[[str, Verification], ImageSet]
"""Returns the entry of a fingerprint; raises `DamagedEntryError`."""


class DamagedEntryError(Exception):
    """An entry differs from the packed data; the message is the reason, in a few words, safe to print.

    Attributes:
        folder: directory of the entry.
    """

    folder: Path | None = None


@dataclass(frozen=True, eq=False)
class PixelMeasurements:
    """Hashes of the blocks of an entry's pixels, and counts of their values.

    Attributes:
        blocks: hashes of the blocks of `BLOCK_BYTES`, in hex, one after the other.
        counts: (C, 256) pixels of each channel that have each value.
    """

    blocks: str
    counts: NDArray[np.int64]

    def to_json(self, fingerprint: str) -> dict[str, Any]:
        """Return them as keys of a manifest."""
        content = {"block_bytes": BLOCK_BYTES, "blocks": self.blocks, "counts": self.counts.tolist()}
        return {"measured": content, "measured_hash": _hash_of_json([fingerprint, content])}


@dataclass(frozen=True, eq=False)
class VerifiedEntry:
    """An entry that is intact, as far as it was compared.

    Attributes:
        images: the dataset.
        new_manifest: manifest with the measurements that the file lacks; None if it lacks none.
    """

    images: ImageSet
    new_manifest: bytes | None


class PixelMeter:
    """Meter of the hash, the hashes of blocks and the counts of pixels that come a few images at a time.

    The hash of all pixels takes them one after the other; meanwhile, threads hash the blocks.
    """

    def __init__(self, channels: int) -> None:
        self._whole = hashlib.sha256()
        self._blocks: list[str] = []
        self._block, self._block_filled = block_hash(), 0
        self._counts = np.zeros((channels, VALUES), dtype=np.int64)
        self._threads = ThreadPoolExecutor(_HASH_THREADS, thread_name_prefix="hash")

    def add(self, images: Images, counts: NDArray[np.int64] | None = None) -> None:
        """Measure images, (n, H, W, C) uint8, that are contiguous; `counts` are theirs, if they have been counted."""
        if not len(images):
            return
        self._counts += pixel_counts(images) if counts is None else counts
        data = images.data.cast("B")
        whole = self._threads.submit(self._whole.update, data)
        first = min(len(data), BLOCK_BYTES - self._block_filled)
        self._fill_block(data[:first])
        last = first + (len(data) - first) // BLOCK_BYTES * BLOCK_BYTES
        blocks = [data[start : start + BLOCK_BYTES] for start in range(first, last, BLOCK_BYTES)]
        self._blocks += self._threads.map(_hash_of_block, blocks)
        self._fill_block(data[last:])
        whole.result()

    def _fill_block(self, part: memoryview) -> None:
        """Add bytes to the last block, which has room for them."""
        self._block.update(part)
        self._block_filled += len(part)
        if self._block_filled == BLOCK_BYTES:
            self._blocks.append(self._block.hexdigest())
            self._block, self._block_filled = block_hash(), 0

    def digest(self) -> str:
        """Return the hash of all pixels so far."""
        return self._whole.hexdigest()

    def measurements(self) -> PixelMeasurements:
        """Return the other measurements of the pixels so far."""
        last = [self._block.hexdigest()] if self._block_filled else []
        return PixelMeasurements("".join(self._blocks + last), self._counts.copy())


def read_entry(
    folder: Path, fingerprint: str, verification: Verification, read_whole: ReadEntry | None
) -> VerifiedEntry:
    """Return the dataset that is packed in a directory.

    Args:
        folder: the directory.
        fingerprint: of the dataset.
        verification: how many of its pixels are compared.
        read_whole: reads another entry, of which this may be a selection; None if it must not be one.

    Raises:
        DamagedEntryError: it is missing, or differs from the packed data.
        DatasetError: the machine is at fault, so the entry could not be compared.
    """
    try:
        return _read_entry(folder, fingerprint, verification, read_whole)
    except (KeyError, TypeError, AttributeError) as error:
        raise DamagedEntryError(f"{MANIFEST} is no manifest") from error
    except FileNotFoundError as error:
        raise DamagedEntryError(f"{Path(str(error.filename)).name} is missing") from error
    except (OSError, ValueError, OverflowError, MemoryError, RecursionError) as error:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _OUT_OF_RESOURCES):
            raise DatasetError(f"cannot read packed data in {printable_path(folder)}: {reason_of(error)}") from error
        raise DamagedEntryError(reason_of(error)) from error


def write_labels(folder: Path, labels: Labels) -> None:
    """Write the labels of an entry."""
    _write_whole_numbers(folder, LABELS, labels)


def write_manifest(
    folder: Path,
    fingerprint: str,
    digest: str,
    classes: Sequence[str],
    names: Sequence[str],
    measured: PixelMeasurements,
) -> None:
    """Write the manifest of an entry, whose pixels hash to `digest`."""
    _write_manifest(folder, fingerprint, digest, classes, names, measured.to_json(fingerprint))


def _write_manifest(
    folder: Path,
    fingerprint: str,
    digest: str,
    classes: Sequence[str],
    names: Sequence[str],
    further: dict[str, Any],
) -> None:
    manifest = {"format": FORMAT, "fingerprint": fingerprint, "pixels": digest, "classes": classes, "names": names}
    with (folder / MANIFEST).open("wb") as file:
        file.write(json.dumps(manifest | further).encode())
        sync_file(file)


def compute_fingerprint(
    digest: str, shape: Sequence[int], labels: Labels, classes: Sequence[str], names: Sequence[str]
) -> str:
    """Return the hash of a whole dataset; `digest` is the hash of its pixels."""
    return _hash_of_json([FORMAT, digest, list(shape), _hash_of_numbers(labels), list(classes), list(names)])


def block_hash(block: bytes | memoryview = b"") -> "hashlib.blake2b":
    """Return the hash of a block, which `update` continues."""
    return hashlib.blake2b(block, digest_size=_DIGEST_BYTES)


def _hash_of_block(block: memoryview) -> str:
    return block_hash(block).hexdigest()


def sync_file(file: BinaryIO) -> None:
    """Wait until the content of a file is on the disk."""
    file.flush()
    os.fsync(file.fileno())


class BackgroundSync:
    """Writes a growing file to the disk while more is added to it, so that little is left to wait for at its end.

    It also keeps the memory small that changed pages take until they are written.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._added = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sync")
        self._syncing: Future[None] | None = None

    def add(self, size: int) -> None:
        """Say that so many bytes were added to the file.

        Raises:
            OSError: earlier ones cannot be written.
        """
        self._added += size
        if self._added >= _SYNC_BYTES and (self._syncing is None or self._syncing.done()):
            self._wait()
            self._added = 0
            self._syncing = self._thread.submit(os.fsync, self._file.fileno())

    def finish(self) -> None:
        """Wait until all of the file is on the disk.

        Raises:
            OSError: it cannot be written.
        """
        self._wait()
        sync_file(self._file)

    def close(self) -> None:
        """End the thread; the file can be closed then."""
        self._thread.shutdown()

    def _wait(self) -> None:
        if self._syncing is not None:
            self._syncing.result()


def _read_entry(
    folder: Path, fingerprint: str, verification: Verification, read_whole: ReadEntry | None
) -> VerifiedEntry:
    try:
        manifest = json.loads(read_regular(folder / MANIFEST, _MAX_MANIFEST_BYTES, links=False))
    except (ValueError, RecursionError):
        raise DamagedEntryError(f"{MANIFEST} is not JSON") from None
    classes, names = tuple(manifest["classes"]), tuple(manifest["names"])
    labels = _whole_numbers(folder, LABELS)
    if "selection" in manifest:
        if read_whole is None:
            raise DamagedEntryError("a selection of a selection, which no entry is")
        images = _selected_images(folder, manifest, fingerprint, labels, classes, names, verification, read_whole)
        return VerifiedEntry(images, None)
    with open_regular(folder / IMAGES, links=False) as file:
        header = _header(file, IMAGES, np.dtype(np.uint8))
        if len(header.shape) != 4 or labels.shape != header.shape[:1] or len(names) != len(labels):
            raise DamagedEntryError("images, labels and names are not equally many")
        digest = str(manifest["pixels"])
        if fingerprint != compute_fingerprint(digest, header.shape, labels, classes, names):
            raise DamagedEntryError("labels or names are not those that were packed")
        measured = _saved_measurements(manifest, fingerprint, header)
        new_manifest = None
        is_large = header.nbytes > VERIFIED_BYTES
        if verification is Verification.WHOLE or (verification is Verification.SAMPLE and not is_large):
            _verify_whole(file, header, digest)
        elif verification is Verification.SAMPLE and measured is not None:
            sampled_blocks = set(SystemRandom().sample(range(_block_count(header)), SAMPLED_BLOCKS))
            _verify_blocks(file, header, measured.blocks, sorted(sampled_blocks | _blocks_in_holes(file, header)))
        elif verification is Verification.SAMPLE:
            measured = _measure_whole(file, header, digest)
            new_manifest = json.dumps(manifest | measured.to_json(fingerprint)).encode()
        pixels: Images = np.memmap(file, np.uint8, "r", header.offset, header.shape)
    counts = measured.counts if measured else None
    return VerifiedEntry(ImageSet(pixels, labels, classes, names, fingerprint, counts=counts), new_manifest)


def _selected_images(
    folder: Path,
    manifest: dict[str, Any],
    fingerprint: str,
    labels: Labels,
    classes: tuple[str, ...],
    names: tuple[str, ...],
    verification: Verification,
    read_whole: ReadEntry,
) -> ImageSet:
    """Return a selection of another entry's images."""
    content = manifest["selection"]
    if manifest["selection_hash"] != _hash_of_json([fingerprint, content]):
        raise DamagedEntryError(f"{MANIFEST} is not what was written")
    positions = _whole_numbers(folder, POSITIONS)
    if _hash_of_numbers(positions) != content["positions"]:
        raise DamagedEntryError(f"{POSITIONS} are not those that were written")
    if len(positions) != len(labels) or len(names) != len(labels):
        raise DamagedEntryError("positions, labels and names are not equally many")
    image_bytes = int(np.prod(content["shape"][1:]))
    is_large = len(positions) * image_bytes > VERIFIED_BYTES
    is_alone = verification is Verification.SAMPLE and not is_large  # then its pixels are compared, not all
    whole = read_whole(str(content["whole"]), Verification.NONE if is_alone else verification)
    assert not isinstance(whole.images, ImageSelection)
    if whole.images.shape[1:] != tuple(content["shape"][1:]):
        raise DamagedEntryError(f"{MANIFEST} is of other pixels")
    if len(positions) and not 0 <= positions.min() <= positions.max() < len(whole):
        raise DamagedEntryError(f"{POSITIONS} are not of this dataset")
    images = ImageSelection(whole.images, positions)
    digest, counts = str(manifest["pixels"]), np.array(content["counts"], dtype=np.int64)
    if fingerprint != compute_fingerprint(digest, images.shape, labels, classes, names):
        raise DamagedEntryError("labels or names are not those that were packed")
    if counts.shape != (images.shape[3], VALUES):
        raise DamagedEntryError(f"{MANIFEST} is of other pixels")
    if verification is Verification.WHOLE or (verification is Verification.SAMPLE and not is_large):
        hash_of_selected = hashlib.sha256()
        for part in read_selected(images, folder.parent / whole.fingerprint):
            hash_of_selected.update(part.data)
        if hash_of_selected.hexdigest() != digest:
            raise DamagedEntryError(_OTHER_PIXELS)
    return ImageSet(images, labels, classes, names, fingerprint, counts=counts)


def read_selected(images: ImageSelection, whole_folder: Path) -> Iterator[Images]:
    """Yield the selected images, a few at a time; they are read, not mapped, so that a broken disk is an error.

    Args:
        images: of an entry.
        whole_folder: directory of the entry that has their pixels.
    """
    sides = images.shape[1:]
    image_bytes = int(np.prod(sides))
    step = max(1, _SLICE_BYTES // image_bytes)
    with open_regular(whole_folder / IMAGES, links=False) as file:
        offset = _header(file, IMAGES, np.dtype(np.uint8)).offset
        for start in range(0, len(images), step):
            positions = images.positions[start : start + step]
            pixels = np.empty((len(positions), *sides), np.uint8)
            bounds = [0, *(np.flatnonzero(np.diff(positions) != 1) + 1), len(positions)]
            for first, end in pairwise(bounds):  # images that are stored one after the other
                part, at = pixels[first:end], offset + int(positions[first]) * image_bytes
                if os.preadv(file.fileno(), [part.data.cast("B")], at) != part.nbytes:
                    raise DamagedEntryError(f"{IMAGES} is too short")
            yield pixels


def write_selection(
    folder: Path, images: ImageSelection, whole: ImageSet, whole_folder: Path, labels: Labels, classes: Sequence[str]
) -> str:
    """Write an entry that selects images of another; return its fingerprint.

    Args:
        folder: directory of the new entry.
        images: images of `whole`.
        whole: images of the other entry.
        whole_folder: its directory.
        labels: (n,) labels of the selected images.
        classes: names of the classes.

    Raises:
        DamagedEntryError: the other entry is too short.
    """
    names = [whole.names[position] for position in images.positions]
    pixels, counts = hashlib.sha256(), np.zeros((images.shape[3], VALUES), dtype=np.int64)
    for part in read_selected(images, whole_folder):
        pixels.update(part.data)
        counts += pixel_counts(part)
    digest = pixels.hexdigest()
    fingerprint = compute_fingerprint(digest, images.shape, labels, classes, names)
    content = {
        "whole": whole.fingerprint,
        "positions": _hash_of_numbers(images.positions),
        "shape": images.shape,
        "counts": counts.tolist(),
    }
    selection = {"selection": content, "selection_hash": _hash_of_json([fingerprint, content])}
    _write_whole_numbers(folder, POSITIONS, images.positions)
    write_labels(folder, labels)
    _write_manifest(folder, fingerprint, digest, classes, names, selection)
    return fingerprint


def _whole_numbers(folder: Path, name: str) -> Labels:
    """Return an array (N,) int64 of an entry."""
    with open_regular(folder / name, links=False) as file:
        header = _header(file, name, np.dtype(np.int64))
        if header.size > _MAX_LABEL_BYTES or len(header.shape) != 1:
            raise DamagedEntryError(f"{name} is no list of numbers")
        return np.frombuffer(file.read(), np.int64).copy()


def _write_whole_numbers(folder: Path, name: str, numbers: Labels) -> None:
    with (folder / name).open("wb") as file:
        np.save(file, numbers.astype(np.int64), allow_pickle=False)
        sync_file(file)


def _hash_of_numbers(numbers: Labels) -> str:
    return hashlib.sha256(numbers.astype("<i8").tobytes()).hexdigest()


def _header(file: BinaryIO, name: str, dtype: np.dtype[Any]) -> Header:
    header = read_header(file)
    if header.dtype != dtype or header.order == "F":
        raise DamagedEntryError(f"{name} is not an array of {dtype}")
    size = os.fstat(file.fileno()).st_size
    if header.size != size:
        raise DamagedEntryError(f"{name} has {size:,} bytes instead of {header.size:,}")
    return header


def _saved_measurements(manifest: dict[str, Any], fingerprint: str, header: Header) -> PixelMeasurements | None:
    """Return the measurements in a manifest; None if an older version wrote it."""
    if "measured" not in manifest:
        return None
    content = manifest["measured"]
    if manifest["measured_hash"] != _hash_of_json([fingerprint, content]):
        raise DamagedEntryError(f"{MANIFEST} is not what was written")
    if content["block_bytes"] != BLOCK_BYTES:  # a version with blocks of another size
        return None
    measured = PixelMeasurements(str(content["blocks"]), np.array(content["counts"], dtype=np.int64))
    blocks = len(measured.blocks) // (2 * _DIGEST_BYTES)
    if measured.counts.shape != (header.shape[3], VALUES) or blocks != _block_count(header):
        raise DamagedEntryError(f"{MANIFEST} is of other pixels")
    return measured


def _verify_whole(file: BinaryIO, header: Header, digest: str) -> None:
    """Compare all pixels with their hash; they are read, not mapped, so that a broken disk is an error."""
    whole = hashlib.sha256()
    for start in range(0, header.nbytes, _SLICE_BYTES):
        whole.update(os.pread(file.fileno(), min(_SLICE_BYTES, header.nbytes - start), header.offset + start))
    if whole.hexdigest() != digest:
        raise DamagedEntryError(_OTHER_PIXELS)


def _measure_whole(file: BinaryIO, header: Header, digest: str) -> PixelMeasurements:
    """Compare all pixels with their hash, and measure them."""
    measurement = PixelMeter(header.shape[3])
    image_bytes = header.nbytes // header.shape[0]
    step = max(1, _SLICE_BYTES // image_bytes)
    for first in range(0, header.shape[0], step):
        count = min(step, header.shape[0] - first)
        content = os.pread(file.fileno(), count * image_bytes, header.offset + first * image_bytes)
        measurement.add(np.frombuffer(content, np.uint8).reshape(count, *header.shape[1:]))
    if measurement.digest() != digest:
        raise DamagedEntryError(_OTHER_PIXELS)
    return measurement.measurements()


def _verify_blocks(file: BinaryIO, header: Header, blocks: str, positions: Iterable[int]) -> None:
    digits = 2 * _DIGEST_BYTES
    for position in positions:
        start = header.offset + position * BLOCK_BYTES
        content = os.pread(file.fileno(), min(BLOCK_BYTES, header.size - start), start)
        if block_hash(content).hexdigest() != blocks[position * digits : (position + 1) * digits]:
            raise DamagedEntryError(_OTHER_PIXELS)


def _blocks_in_holes(file: BinaryIO, header: Header) -> set[int]:
    """Return the blocks that are at least partly in holes of a sparse file, such as a crash leaves."""
    blocks: set[int] = set()
    if not hasattr(os, "SEEK_HOLE"):
        return blocks
    end = header.offset
    try:
        while (start := os.lseek(file.fileno(), end, os.SEEK_HOLE)) < header.size:
            try:
                end = os.lseek(file.fileno(), start, os.SEEK_DATA)
            except OSError:  # the hole reaches to the end
                end = header.size
            start = max(start, header.offset)
            blocks.update(range((start - header.offset) // BLOCK_BYTES, -(-(end - header.offset) // BLOCK_BYTES)))
    except OSError:  # a file system without holes
        return blocks
    return blocks


def _block_count(header: Header) -> int:
    return -(-(header.size - header.offset) // BLOCK_BYTES)


def _hash_of_json(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
