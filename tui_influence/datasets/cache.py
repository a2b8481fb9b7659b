"""The cache of packed datasets, and its copy on the disk of a node.

    <cache>/CACHEDIR.TAG
    <cache>/keys/<key>.json          key: hash of sizes, times and settings -> fingerprint, unreadable images
    <cache>/packed/<fingerprint>/    an entry: see `entry`
    <cache>/tmp/<random>/            an entry that is being written

A key depends on how the data look from outside, a fingerprint on their content. An entry is written under `tmp` and
renamed, so it is complete or does not exist; two processes that pack the same data at once leave one entry. A damaged
entry counts as missing. Pixels are written with plain writes, not through a memory map: a full disk is then an error
instead of a signal that kills the process.

A new cache is accessible to its user alone; an existing one, which several users may share, keeps its modes.
"""

import errno
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import platformdirs
from numpy.lib import format as npy

from tui_influence.datasets.base import Images, ImageSet, Labels
from tui_influence.datasets.entry import (
    FORMAT,
    IMAGES,
    MANIFEST,
    DamagedEntryError,
    PixelMeter,
    Verification,
    compute_fingerprint,
    read_entry,
    sync_file,
    write_labels,
    write_manifest,
)
from tui_influence.datasets.errors import printable_path, reason_of
from tui_influence.errors import DatasetError
from tui_influence.regular_files import expand_home, read_regular

CACHE_TAG = "CACHEDIR.TAG"
_TAG_TEXT = "Signature: 8a477f597d28d172789f06886806bc55\n# Packed datasets of tinfl; safe to delete.\n"
_STALE_SECONDS = 24 * 3600
_MAX_KEY_BYTES = 1 << 30


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
        try:
            record = json.loads(read_regular(self.root / "keys" / f"{key}.json", _MAX_KEY_BYTES))
            bad = tuple((str(name), str(reason)) for name, reason in record["bad"])
            fingerprint = str(record["fingerprint"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        images = self.open(fingerprint)
        return CachedImages(images, bad) if images is not None else None

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
            return self._read(fingerprint, Verification.SAMPLE if verify else Verification.NONE)
        except DamagedEntryError:
            return None

    def check(self, fingerprint: str) -> str | None:
        """Read all of an entry; return how it differs from the packed data, safe to print, or None if it is intact.

        Raises:
            DatasetError: the machine is at fault.
        """
        try:
            self._read(fingerprint, Verification.WHOLE)
        except DamagedEntryError as error:
            return str(error)
        return None

    def _read(self, fingerprint: str, verification: Verification) -> ImageSet:
        if not (fingerprint.isascii() and fingerprint.isalnum()):
            raise DamagedEntryError("not the fingerprint of a dataset")
        folder = self.root / "packed" / fingerprint
        if folder.is_symlink():
            raise DamagedEntryError("a link, which no entry is")
        entry = read_entry(folder, fingerprint, verification)
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
    def write_entry(self, shape: tuple[int, int, int, int], name: str) -> Iterator["EntryWriter"]:
        """Write a new entry; after an error nothing of it remains.

        Args:
            shape: (N, H, W, C), where N is the largest possible number of images.
            name: name of the dataset in messages.

        Raises:
            DatasetError: the disk is full, or the cache cannot be written.
        """
        size = int(np.prod(shape))
        folder = self.root / "tmp" / secrets.token_hex(8)
        try:
            self._prepare()
            free = shutil.disk_usage(self.root).free
            if free < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            folder.mkdir()
            with (folder / IMAGES).open("wb") as file:
                yield EntryWriter(self, folder, file, shape)
        except OSError as error:
            cache_name = f"the dataset cache {printable_path(self.root)}"
            if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                raise DatasetError(
                    f"{cache_name} is full: packing {name} needs {size / 1e6:,.0f} MB "
                    "(TINFL_CACHE sets another directory)"
                ) from error
            raise DatasetError(
                f"cannot write {cache_name}: {reason_of(error)} (TINFL_CACHE sets another directory)"
            ) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def save_key(self, key: str, fingerprint: str, unreadable: Sequence[tuple[str, str]]) -> None:
        """Save the key of an entry."""
        temporary = self.root / "tmp" / f"{secrets.token_hex(8)}.json"
        temporary.write_text(json.dumps({"fingerprint": fingerprint, "bad": list(unreadable)}))
        temporary.replace(self.root / "keys" / f"{key}.json")

    def install(self, folder: Path, fingerprint: str) -> None:
        """Move a complete entry into the cache, which may have an intact one already."""
        final = self.root / "packed" / fingerprint
        for _ in range(3):
            try:
                folder.rename(final)
            except OSError as error:
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
                    raise
                if self.open(fingerprint) is not None:
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
            with suppress(OSError):
                newest = (pixels if pixels.exists() else leftover).stat().st_mtime
                if time.time() - newest > _STALE_SECONDS:
                    _remove(leftover)


class EntryWriter:
    """A new entry: `append` images, then `finish`."""

    def __init__(self, cache: Cache, folder: Path, file: BinaryIO, shape: tuple[int, int, int, int]) -> None:
        self._cache = cache
        self._folder = folder
        self._file = file
        self._shape = shape
        self._count = 0
        self._measurement = PixelMeter(shape[3])
        self._write_header(shape[0])

    def append(self, images: Images) -> None:
        """Write images, (n, H, W, C) uint8."""
        if not len(images):
            return
        contiguous = np.ascontiguousarray(images)
        self._file.write(contiguous.data.cast("B"))
        self._measurement.add(contiguous)
        self._count += len(images)

    def finish(
        self,
        key: str,
        labels: Labels,
        classes: tuple[str, ...],
        names: tuple[str, ...],
        unreadable: Sequence[tuple[str, str]] = (),
    ) -> ImageSet:
        """Complete the entry and add it to the cache.

        Args:
            key: its key.
            labels: (n,) labels of the appended images.
            classes: names of the classes.
            names: (n,) names of the images.
            unreadable: (name, reason) of the images that could not be read.
        """
        shape = (self._count, *self._shape[1:])
        self._file.seek(0)
        self._write_header(self._count)
        sync_file(self._file)
        digest = self._measurement.digest()
        fingerprint = compute_fingerprint(digest, shape, labels, classes, names)
        write_labels(self._folder, labels)
        write_manifest(self._folder, fingerprint, digest, classes, names, self._measurement.measurements())
        self._cache.install(self._folder, fingerprint)
        self._cache.save_key(key, fingerprint, unreadable)
        images = self._cache.open(fingerprint, verify=False)
        if images is None:
            raise DatasetError(
                f"the dataset cache {printable_path(self._cache.root)} lost an entry that was just written"
            )
        return images

    def _write_header(self, count: int) -> None:
        """Write the .npy header; numpy pads it so that its length does not depend on the first axis."""
        shape = (count, *self._shape[1:])
        npy.write_array_header_2_0(self._file, {"descr": "|u1", "fortran_order": False, "shape": shape})


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
    except OSError as error:
        warn(
            f"cannot copy packed data to {printable_path(stage_cache.root)}: {reason_of(error)}; "
            f"they are read from {printable_path(shared_root)}"
        )
        return None
    return stage_cache.root


def _copy_entry(stage_cache: Cache, shared_root: Path, fingerprint: str) -> None:
    """Copy a dataset, unless it is there; of tasks that start together on a node, one copy remains."""
    if stage_cache.open(fingerprint) is not None or Cache(shared_root).open(fingerprint, verify=False) is None:
        return
    for name in ("packed", "tmp"):
        (stage_cache.root / name).mkdir(parents=True, exist_ok=True)
    folder = stage_cache.root / "tmp" / secrets.token_hex(8)
    try:
        shutil.copytree(shared_root / "packed" / fingerprint, folder)
        stage_cache.install(folder, fingerprint)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
