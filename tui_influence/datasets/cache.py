"""The cache of packed datasets, and its copy on the disk of a node.

    <cache>/CACHEDIR.TAG
    <cache>/keys/<key>.json          key: hash of sizes, times and settings -> fingerprint, unreadable images
    <cache>/packed/<fingerprint>/    an entry: see `entry`
    <cache>/tmp/<key>/               an entry that is being written, with its journal: see `journal`
    <cache>/tmp/<random>/            another that is being written: a second one of a key, or a short task

A key depends on how the data look from outside, a fingerprint on their content. An entry is written under `tmp` and
renamed, so it is complete or does not exist; two processes that pack the same data at once leave one entry. What an
interrupted process wrote under a key stays for the next, as far as the journal vouches for it. A damaged entry counts
as missing. Pixels are written with plain writes, not through a memory map: a full disk is then an error
instead of a signal that kills the process.

A new cache is accessible to its user alone; an existing one, which several users may share, keeps its modes.
"""

import errno
import fcntl
import hashlib
import json
import math
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import platformdirs
from numpy.lib import format as npy

from tui_influence.datasets.base import ImageSet, Labels
from tui_influence.datasets.batch import ImageBatch, make_batch
from tui_influence.datasets.entry import (
    FORMAT,
    IMAGES,
    MANIFEST,
    BackgroundSync,
    DamagedEntryError,
    PixelMeter,
    ReadEntry,
    Verification,
    compute_fingerprint,
    read_entry,
    sync_file,
    write_labels,
    write_manifest,
    write_selection,
)
from tui_influence.datasets.errors import printable_path, reason_of
from tui_influence.datasets.journal import JOURNAL, batch_line, head_line, read_batches
from tui_influence.errors import DatasetError
from tui_influence.image_selection import ImageSelection
from tui_influence.regular_files import NotRegularError, expand_home, read_regular

CACHE_TAG = "CACHEDIR.TAG"
_TAG_TEXT = "Signature: 8a477f597d28d172789f06886806bc55\n# Packed datasets of tinfl; safe to delete.\n"
_STALE_SECONDS = 24 * 3600
_UNFINISHED_SECONDS = 7 * 24 * 3600
"""How long an entry with a journal waits to be continued."""
_MAX_KEY_BYTES = 1 << 30
_COPIED_IMAGES = 256


@dataclass(frozen=True, eq=False)
class CachedImages:
    """An entry, and the (name, reason) of each image that could not be read when the data were packed."""

    images: ImageSet
    unreadable: tuple[tuple[str, str], ...]


def default_cache() -> Path:
    """Return the directory of packed datasets: `$TINFL_CACHE`, else the user's cache directory."""
    directory = os.environ.get("TINFL_CACHE")
    return expand_home(directory) if directory else platformdirs.user_cache_path("tinfl")


def make_key(*parts: object) -> str:
    """Return the key of an entry."""
    return hashlib.sha256(json.dumps([FORMAT, *parts], default=str).encode()).hexdigest()


class Cache:
    """One cache directory."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root if root is not None else default_cache()

    def find(self, key: str) -> CachedImages | None:
        """Return the intact entry under a key, or None.

        Raises:
            DatasetError: the machine is at fault.
        """
        record = self._read_key(key)
        images = self.open(record[0]) if record is not None else None
        return CachedImages(images, record[1]) if images is not None and record is not None else None

    def has(self, key: str) -> bool:
        """Return whether there is an entry under a key; it may be damaged."""
        record = self._read_key(key)
        return record is not None and (self.root / "packed" / record[0] / MANIFEST).is_file()

    def _read_key(self, key: str) -> tuple[str, tuple[tuple[str, str], ...]] | None:
        """Return the fingerprint under a key, and the name and reason of each unreadable image; None without one."""
        try:
            record = json.loads(read_regular(self.root / "keys" / f"{key}.json", _MAX_KEY_BYTES))
            bad = tuple((str(name), str(reason)) for name, reason in record["bad"])
            return str(record["fingerprint"]), bad
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def open(self, fingerprint: str, *, verify: bool = True) -> ImageSet | None:
        """Return the entry with this fingerprint if it exists and is intact, else None.

        Args:
            fingerprint: fingerprint of an `ImageSet` that was loaded through this cache.
            verify: compare pixels with their hash: all of them up to `entry.VERIFIED_BYTES`, of a larger entry a
                sample. Sizes, labels and names are compared in any case.

        Raises:
            DatasetError: the machine is at fault (too little memory, too many open files).
        """
        try:
            return self._read(fingerprint, Verification.SAMPLE if verify else Verification.NONE, self._read)
        except DamagedEntryError:
            return None

    def check(self, fingerprint: str) -> tuple[Path, str] | None:
        """Read all of an entry, and of the one that it selects images of.

        Returns:
            the directory that is damaged, and how it differs from the packed data, safe to print; None if both are
            intact.

        Raises:
            DatasetError: the machine is at fault.
        """
        try:
            self._read(fingerprint, Verification.WHOLE, self._read)
        except DamagedEntryError as error:
            return error.folder or self.root / "packed" / fingerprint, str(error)
        return None

    def _read(self, fingerprint: str, verification: Verification, read_whole: ReadEntry | None = None) -> ImageSet:
        """Return an entry; one that may be a selection of another needs the function that reads the other."""
        if not (fingerprint.isascii() and fingerprint.isalnum()):
            raise DamagedEntryError("not the fingerprint of a dataset")
        folder = self.root / "packed" / fingerprint
        if folder.is_symlink():
            raise DamagedEntryError("a link, which no entry is")
        try:
            entry = read_entry(folder, fingerprint, verification, read_whole)
        except DamagedEntryError as error:
            error.folder = error.folder or folder
            raise
        if entry.new_manifest is not None:
            self._replace_manifest(folder, entry.new_manifest)
        return entry.images

    def _replace_manifest(self, folder: Path, content: bytes) -> None:
        """Replace the manifest of an entry, if the cache can be written.

        Processes that do it at the same time write the same content.
        """
        temporary = self.root / "tmp" / f"{secrets.token_hex(8)}.json"
        with suppress(OSError):
            try:
                with temporary.open("xb") as file:
                    file.write(content)
                    sync_file(file)
                temporary.replace(folder / MANIFEST)
            finally:
                temporary.unlink(missing_ok=True)

    @contextmanager
    def write_entry(
        self, shape: tuple[int, int, int, int], name: str, key: str | None = None
    ) -> Iterator["EntryWriter"]:
        """Write a new entry.

        After an error, what has been written under a key remains, and the next writer of the key begins with it. Only
        one process writes under a key at a time; another one writes an entry of its own.

        Args:
            shape: (N, H, W, C), where N is the largest possible number of images.
            name: name of the dataset in messages.
            key: its key; None if an interrupted writer is of no use to the next.

        Raises:
            DatasetError: the disk is full, or the cache cannot be written.
        """
        size, written = int(np.prod(shape)), 0
        with self._naming_full_disk(name, lambda: _megabytes(size - written) + (" more" if written else "")):
            self._prepare()
            writer = self._writer_of_key(key, shape) if key is not None else None
            if writer is None:
                writer = self._writer_of_folder(self.root / "tmp" / secrets.token_hex(8), shape)
            try:
                if shutil.disk_usage(self.root).free < size - writer.nbytes:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                yield writer
            finally:
                written = writer.nbytes
                writer.close()

    @contextmanager
    def _naming_full_disk(self, name: str, needed: Callable[[], str]) -> Iterator[None]:
        """Give errors of the file system their reason and remedy.

        Args:
            name: name of the dataset in messages.
            needed: returns the room that is needed, in words.

        Raises:
            DatasetError: instead of the error.
        """
        cache_name = f"the dataset cache {printable_path(self.root)}"
        try:
            yield
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                raise DatasetError(
                    f"{cache_name} is full: packing {name} needs {needed()} (TINFL_CACHE sets another directory)"
                ) from error
            raise DatasetError(
                f"cannot write {cache_name}: {reason_of(error)} (TINFL_CACHE sets another directory)"
            ) from error

    def select(
        self, key: str, whole: ImageSet, positions: Labels, labels: Labels, classes: tuple[str, ...]
    ) -> ImageSet:
        """Return some images of an entry as an entry under a key, without a copy of their pixels.

        Args:
            key: its key.
            whole: images of this cache that are not a selection themselves.
            positions: (n,) indices of the images.
            labels: (n,) their labels in terms of `classes`.
            classes: names of the classes.

        Raises:
            DatasetError: the disk is full, the cache cannot be written, or `whole` is damaged.
        """
        cached = self.find(key)
        if cached is not None:
            return cached.images
        assert not isinstance(whole.images, ImageSelection)
        images = ImageSelection(whole.images, positions)
        folder = self.root / "tmp" / secrets.token_hex(8)
        with self._naming_full_disk("a selection", lambda: _megabytes(positions.nbytes + labels.nbytes)):
            self._prepare()
            try:
                folder.mkdir()
                whole_folder = self.root / "packed" / whole.fingerprint
                fingerprint = write_selection(folder, images, whole, whole_folder, labels, classes)
                before = self._read_key(key)
                if before is not None and before[0] != fingerprint:  # which had the same positions of the same images
                    raise DatasetError(f"{printable_path(whole_folder)} is damaged; remove it to pack the data again")
                self.save_key(key, fingerprint, ())
                return self._adopt(folder, fingerprint)
            except DamagedEntryError as error:
                raise self._lost_entry() from error
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def _writer_of_key(self, key: str, shape: tuple[int, int, int, int]) -> "EntryWriter | None":
        """Return the writer of the unfinished entry of a key, or of a new one; None if another process has it."""
        folder = self.root / "tmp" / key
        folder.mkdir(exist_ok=True)
        try:
            file = _open_to_change(folder / IMAGES)
        except FileNotFoundError:  # another process has just finished it
            return None
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(file.fileno()), (folder / IMAGES).lstat()):
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        except OSError:  # another process has it, or has just finished it, or this file system has no locks
            file.close()
            return None
        return EntryWriter(self, folder, file, shape, _open_to_change(folder / JOURNAL))

    def _writer_of_folder(self, folder: Path, shape: tuple[int, int, int, int]) -> "EntryWriter":
        folder.mkdir()
        return EntryWriter(self, folder, _open_to_change(folder / IMAGES), shape, None)

    def _lost_entry(self) -> DatasetError:
        return DatasetError(f"the dataset cache {printable_path(self.root)} lost an entry that was just written")

    def _adopt(self, folder: Path, fingerprint: str) -> ImageSet:
        """Move a complete entry into the cache and return its images."""
        self.install(folder, fingerprint)
        images = self.open(fingerprint, verify=False)
        if images is None:
            raise self._lost_entry()
        return images

    def save_key(self, key: str, fingerprint: str, unreadable: Sequence[tuple[str, str]]) -> None:
        """Save the key of an entry, which may not be in the cache yet."""
        temporary = self.root / "tmp" / f"{secrets.token_hex(8)}.json"
        try:
            temporary.write_text(json.dumps({"fingerprint": fingerprint, "bad": list(unreadable)}))
            temporary.replace(self.root / "keys" / f"{key}.json")
        finally:
            temporary.unlink(missing_ok=True)

    def install(self, folder: Path, fingerprint: str) -> None:
        """Move a complete entry into the cache, or remove it if the cache has an intact one already.

        Images take the place of a selection of the same ones, so that others can be selected from them.
        """
        final = self.root / "packed" / fingerprint
        for _ in range(3):
            try:
                folder.rename(final)
            except OSError as error:
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
                    raise
                existing, has_pixels = self.open(fingerprint), (folder / IMAGES).exists()
                if existing is not None and not (isinstance(existing.images, ImageSelection) and has_pixels):
                    _remove(folder)
                    return
                with suppress(FileNotFoundError):  # another process may be replacing it too
                    aside = self.root / "tmp" / secrets.token_hex(8)
                    final.rename(aside)
                    _remove(aside)
            else:
                return

    def _prepare(self) -> None:
        """Make the directories; remove entries that processes left unfinished long ago."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("keys", "packed", "tmp"):
            (self.root / name).mkdir(exist_ok=True)
        with suppress(FileExistsError), (self.root / CACHE_TAG).open("x") as tag:
            tag.write(_TAG_TEXT)
        for leftover in (self.root / "tmp").iterdir():
            pixels = leftover / IMAGES
            limit = _UNFINISHED_SECONDS if (leftover / JOURNAL).exists() else _STALE_SECONDS
            with suppress(OSError):
                newest = (pixels if pixels.exists() else leftover).stat().st_mtime
                if time.time() - newest > limit:
                    _remove(leftover)


class EntryWriter:
    """A new entry: `append` batches, then `finish`.

    Attributes:
        labels: labels of the images so far, as their reader gives them.
        names: names of the images so far.
        unreadable: (name, reason) of the images so far that cannot be read.
    """

    def __init__(
        self,
        cache: Cache,
        folder: Path,
        file: BinaryIO,
        shape: tuple[int, int, int, int],
        journal: BinaryIO | None,
    ) -> None:
        self._cache = cache
        self._folder = folder
        self._file = file
        self._journal = journal
        self._shape = shape
        self._measurement = PixelMeter(shape[3])
        self._sync = BackgroundSync(file)
        self._is_kept = False
        self.labels: list[int] = []
        self.names: list[str] = []
        self.unreadable: list[tuple[str, str]] = []
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        """Number of samples so far, readable or not."""
        return len(self.names) + len(self.unreadable)

    @property
    def nbytes(self) -> int:
        """Bytes of the pixels so far."""
        return len(self.names) * int(np.prod(self._shape[1:]))

    def append(self, batch: ImageBatch) -> None:
        """Write a batch of images."""
        self._file.write(batch.pixels.data.cast("B") if batch.pixels.size else b"")
        if self._journal is not None:
            self._file.flush()
        self._add(batch)
        if self._journal is not None:
            self._journal.write(batch_line(batch, self._measurement.digest()))
            self._journal.flush()
            self._is_kept = True
        self._sync.add(batch.pixels.nbytes)

    def finish(self, key: str | None, labels: Labels, classes: tuple[str, ...]) -> ImageSet:
        """Complete the entry and add it to the cache.

        Args:
            key: its key; None to save none.
            labels: (n,) labels of the appended images in terms of `classes`.
            classes: names of the classes.
        """
        shape = (len(self.names), *self._shape[1:])
        self._file.seek(0)
        self._write_header(shape[0])
        self._sync.finish()
        digest = self._measurement.digest()
        fingerprint = compute_fingerprint(digest, shape, labels, classes, self.names)
        write_labels(self._folder, labels)
        write_manifest(self._folder, fingerprint, digest, classes, self.names, self._measurement.measurements())
        if key is not None:  # before the journal is gone: if the disk is full, nothing is lost
            self._cache.save_key(key, fingerprint, self.unreadable)
        (self._folder / JOURNAL).unlink(missing_ok=True)
        self._is_kept = False
        images = self._cache._adopt(self._folder, fingerprint)
        self._is_kept = True  # nothing is left to remove, and another writer may have a folder of this name by now
        return images

    def discard(self) -> None:
        """Leave nothing to continue from."""
        self._is_kept = False

    def close(self) -> None:
        """Close the files; remove what no other writer continues."""
        if not self._is_kept:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._sync.close()
        for file in (self._file, self._journal):
            if file is not None:
                with suppress(OSError):  # a full disk, which was an error before
                    file.close()

    def _begin(self) -> None:
        """Read what an interrupted writer left, and cut off what it did not write whole."""
        self._write_header(self._shape[0])
        self._file.flush()
        offset, end = self._file.tell(), 0
        if self._journal is not None:
            for batch, line_end in read_batches(self._journal, self._file, offset, self._shape):
                self._add(batch)
                end = line_end
            self._journal.seek(end)
            self._journal.truncate()
            if not end:
                self._journal.write(head_line(self._shape))
                self._journal.flush()
            self._is_kept = bool(end)
        self._file.seek(offset + self.nbytes)
        self._file.truncate()

    def _add(self, batch: ImageBatch) -> None:
        self._measurement.add(batch.pixels, batch.counts)
        self.labels += batch.labels
        self.names += batch.names
        self.unreadable += batch.unreadable

    def _write_header(self, count: int) -> None:
        """Write the .npy header; numpy pads it so that its length does not depend on the first axis."""
        shape = (count, *self._shape[1:])
        npy.write_array_header_2_0(self._file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _megabytes(size: int) -> str:
    return f"{math.ceil(size / 1e6):,} MB"


def _open_to_change(path: Path) -> BinaryIO:
    """Open a regular file to read and write it, or make it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
    file = os.fdopen(descriptor, "r+b")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise NotRegularError(errno.EINVAL, "not a regular file", str(path))
    return file


def _remove(path: Path) -> None:
    """Remove an entry, or whatever has its name."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def use_stage(stage: str | None, fingerprints: Sequence[str], warn: Callable[[str], None]) -> Iterator[None]:
    """Copy packed datasets to a directory of this node, so that this process and its children read them from there.

    The copies remain for later tasks; entries are identified by their content, so an old copy is never wrong. If they
    cannot be copied, the shared cache is used, more slowly.

    Args:
        stage: the directory, in which `$NAME` is replaced by an environment variable; nothing is copied for None.
        fingerprints: fingerprints of the datasets; those that the shared cache lacks are ignored.
        warn: called with the reason if the datasets cannot be copied.
    """
    stage_root = _fill_stage(stage, fingerprints, warn) if stage is not None else None
    if stage_root is None:
        yield
        return
    before = os.environ.get("TINFL_CACHE")
    os.environ["TINFL_CACHE"] = str(stage_root)
    try:
        yield
    finally:
        if before is None:
            del os.environ["TINFL_CACHE"]
        else:
            os.environ["TINFL_CACHE"] = before


def _fill_stage(stage: str, fingerprints: Sequence[str], warn: Callable[[str], None]) -> Path | None:
    """Return the root of a cache on this node that has the datasets; None if it cannot be made."""
    directory = os.path.expandvars(stage)
    if "$" in directory:
        warn(f"compute.slurm.stage: {printable_path(stage)} names a variable that is not set on this node")
        return None
    stage_cache, shared_root = Cache(Path(directory) / f"tinfl-{os.getuid()}"), default_cache()
    try:
        stage_cache.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if stage_cache.root.lstat().st_uid != os.getuid():  # any user may have made it in a shared directory
            raise PermissionError(errno.EPERM, "it belongs to another user")
        for fingerprint in fingerprints:
            _copy_entry(stage_cache, shared_root, fingerprint)
    except (OSError, DatasetError, DamagedEntryError) as error:
        reason = error.__cause__ if isinstance(error.__cause__, OSError) else error  # not the remedy for a shared cache
        warn(
            f"cannot copy packed data to {printable_path(stage_cache.root)}: {reason_of(reason)}; "
            f"they are read from {printable_path(shared_root)}"
        )
        return None
    return stage_cache.root


def _copy_entry(stage_cache: Cache, shared_root: Path, fingerprint: str) -> None:
    """Copy a dataset, unless it is there; of tasks that start together on a node, one copy remains."""
    if stage_cache.open(fingerprint) is not None:
        return
    images = Cache(shared_root).open(fingerprint, verify=False)
    if images is None:
        return
    if isinstance(images.images, ImageSelection):
        _copy_selection(stage_cache, images, images.images)
        return
    for name in ("packed", "tmp"):
        (stage_cache.root / name).mkdir(parents=True, exist_ok=True)
    folder = stage_cache.root / "tmp" / secrets.token_hex(8)
    try:
        shutil.copytree(shared_root / "packed" / fingerprint, folder)
        stage_cache.install(folder, fingerprint)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy_selection(stage_cache: Cache, images: ImageSet, selection: ImageSelection) -> None:
    """Copy the selected images alone."""
    with stage_cache.write_entry(selection.shape, "a copy") as writer:
        for start in range(0, len(images), _COPIED_IMAGES):
            part = slice(start, start + _COPIED_IMAGES)
            writer.append(make_batch(selection[part], images.labels[part].tolist(), list(images.names[part])))
        writer.finish(None, images.labels, images.classes)
