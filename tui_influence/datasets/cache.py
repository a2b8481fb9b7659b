"""The cache of packed datasets: raw arrays, found by what the data looked like, kept by what they are.

    <cache>/CACHEDIR.TAG
    <cache>/keys/<key>.json          key: hash of sizes, times and settings -> fingerprint, unreadable images
    <cache>/packed/<fingerprint>/    images.npy, labels.npy, manifest.json
    <cache>/tmp/<random>/            an entry being written

An entry is written under `tmp` and renamed, so it is whole or not there; two processes that pack the same data at
once leave one entry. A damaged entry is as good as none. Pixels are written with plain writes, not through a memory
map: a full disk is then an error instead of a signal that kills the process.
"""

import errno
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO

import numpy as np
import platformdirs
from numpy.lib import format as npy

from tui_influence.datasets.problems import reason_of, shown
from tui_influence.datasets.sets import Images, ImageSet, Labels
from tui_influence.errors import DatasetError

TAG = "CACHEDIR.TAG"
_TAG_TEXT = "Signature: 8a477f597d28d172789f06886806bc55\n# Packed datasets of tinfl; safe to delete.\n"
_FORMAT = 1
_STALE_SECONDS = 24 * 3600
_SLICE = 1 << 24
VERIFIED_BYTES = 128 * 2**20
"""The pixels of an entry up to this size are checked against their hash each time it is found: a tenth of a second.
A larger one is checked for its size, shape, labels and names only."""

_DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, SyntaxError, TokenError)
"""What reading a damaged entry may raise (JSON and UTF-8 errors are ValueErrors)."""


@dataclass(frozen=True, eq=False)
class Found:
    """An entry, and the (name, reason) of each image that could not be read when it was packed."""

    images: ImageSet
    bad: tuple[tuple[str, str], ...]


def default_cache() -> Path:
    """Return where packed datasets are kept: `$TINFL_CACHE`, else the user's cache directory."""
    chosen = os.environ.get("TINFL_CACHE")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("tinfl")


def key_of(*parts: object) -> str:
    """Return the name under which an entry is looked up."""
    return hashlib.sha256(json.dumps([_FORMAT, *parts], default=str).encode()).hexdigest()


class Cache:
    """One cache directory."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root if root is not None else default_cache()

    def find(self, key: str) -> Found | None:
        """Return the sound entry under a key, or None."""
        try:
            record = json.loads((self.root / "keys" / f"{key}.json").read_bytes())
            bad = tuple((str(name), str(reason)) for name, reason in record["bad"])
            fingerprint = str(record["fingerprint"])
        except _DAMAGE:
            return None
        images = self.open(fingerprint)
        return Found(images, bad) if images is not None else None

    def open(self, fingerprint: str, *, verify: bool = True) -> ImageSet | None:
        """Return the entry with this fingerprint if it is there and sound, else None.

        Args:
            fingerprint: of an `ImageSet` that was loaded through this cache.
            verify: check pixels against their hash, up to `VERIFIED_BYTES`.
        """
        if not (fingerprint.isascii() and fingerprint.isalnum()):
            return None
        folder = self.root / "packed" / fingerprint
        try:
            manifest = json.loads((folder / "manifest.json").read_bytes())
            classes, names = tuple(manifest["classes"]), tuple(manifest["names"])
            images: Images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
            labels: Labels = np.load(folder / "labels.npy", allow_pickle=False)
            digest = manifest["pixels"]
            sound = (
                images.dtype == np.uint8
                and images.ndim == 4
                and labels.dtype == np.int64
                and labels.shape == images.shape[:1] == (len(names),)
                and fingerprint == _fingerprint(digest, images.shape, labels, classes, names)
                and not (verify and images.nbytes <= VERIFIED_BYTES and _digest(images) != digest)
            )
        except _DAMAGE:
            return None
        return ImageSet(images, labels, classes, names, fingerprint) if sound else None

    @contextmanager
    def writing(self, shape: tuple[int, int, int, int], what: str) -> Iterator["Writer"]:
        """Write a new entry; whatever goes wrong, nothing of it stays behind.

        Args:
            shape: (N, H, W, C), where N is the most images there will be.
            what: the dataset, for messages.

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
            with (folder / "images.npy").open("wb") as file:
                yield Writer(self, folder, file, shape)
        except OSError as error:
            where = f"the dataset cache {shown(self.root)}"
            if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                raise DatasetError(
                    f"{where} is full: packing {what} needs {size / 1e6:,.0f} MB (TINFL_CACHE names another place)"
                ) from error
            raise DatasetError(f"cannot write {where}: {reason_of(error)} (TINFL_CACHE names another place)") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def remember(self, key: str, fingerprint: str, bad: Sequence[tuple[str, str]]) -> None:
        """Let `find` find an entry."""
        temporary = self.root / "tmp" / f"{secrets.token_hex(8)}.json"
        temporary.write_text(json.dumps({"fingerprint": fingerprint, "bad": list(bad)}))
        temporary.replace(self.root / "keys" / f"{key}.json")

    def install(self, folder: Path, fingerprint: str) -> None:
        """Move a finished entry to its place, where a sound one may stand already."""
        final = self.root / "packed" / fingerprint
        for _ in range(3):
            try:
                folder.rename(final)
            except OSError as error:
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                    raise
                if self.open(fingerprint) is not None:
                    return
                with suppress(FileNotFoundError):  # another process may be mending it too
                    aside = self.root / "tmp" / secrets.token_hex(8)
                    final.rename(aside)
                    shutil.rmtree(aside, ignore_errors=True)
            else:
                return

    def _prepare(self) -> None:
        """Make the directories; remove what processes that died long ago left behind."""
        for name in ("keys", "packed", "tmp"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        tag = self.root / TAG
        if not tag.exists():
            tag.write_text(_TAG_TEXT)
        for leftover in (self.root / "tmp").iterdir():
            pixels = leftover / "images.npy"
            with suppress(OSError):
                newest = (pixels if pixels.exists() else leftover).stat().st_mtime
                if time.time() - newest > _STALE_SECONDS:
                    shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()


class Writer:
    """An entry being written: `append` images, then `finish`."""

    def __init__(self, cache: Cache, folder: Path, file: BinaryIO, shape: tuple[int, int, int, int]) -> None:
        self._cache = cache
        self._folder = folder
        self._file = file
        self._shape = shape
        self._count = 0
        self._hash = hashlib.sha256()
        self._write_header(shape[0])

    def append(self, images: Images) -> None:
        """Write images, (n, H, W, C) uint8."""
        data = np.ascontiguousarray(images).data
        self._file.write(data)
        self._hash.update(data)
        self._count += len(images)

    def finish(
        self,
        key: str,
        labels: Labels,
        classes: tuple[str, ...],
        names: tuple[str, ...],
        bad: Sequence[tuple[str, str]] = (),
    ) -> ImageSet:
        """Close the entry and put it in its place.

        Args:
            key: the name under which it will be found.
            labels: (n,) of the images appended.
            classes: their names.
            names: (n,) of the images.
            bad: (name, reason) of those that could not be read.
        """
        shape = (self._count, *self._shape[1:])
        self._file.seek(0)
        self._write_header(self._count)
        _sync(self._file)
        digest = self._hash.hexdigest()
        fingerprint = _fingerprint(digest, shape, labels, classes, names)
        with (self._folder / "labels.npy").open("wb") as file:
            np.save(file, labels.astype(np.int64), allow_pickle=False)
            _sync(file)
        manifest: dict[str, Any] = {"format": _FORMAT, "fingerprint": fingerprint, "pixels": digest}
        with (self._folder / "manifest.json").open("wb") as file:
            file.write(json.dumps(manifest | {"classes": classes, "names": names}).encode())
            _sync(file)
        self._cache.install(self._folder, fingerprint)
        self._cache.remember(key, fingerprint, bad)
        images = self._cache.open(fingerprint, verify=False)
        if images is None:
            raise DatasetError(f"the dataset cache {shown(self._cache.root)} lost what was just written to it")
        return images

    def _write_header(self, count: int) -> None:
        """Write the .npy header; numpy pads it so that its length does not depend on the first axis."""
        shape = (count, *self._shape[1:])
        npy.write_array_header_2_0(self._file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _fingerprint(
    pixels: str, shape: Sequence[int], labels: Labels, classes: Sequence[str], names: Sequence[str]
) -> str:
    """Hash of everything a dataset is; `pixels` is the hash of its pixels."""
    numbers = hashlib.sha256(labels.astype("<i8").tobytes()).hexdigest()
    text = json.dumps([_FORMAT, pixels, list(shape), numbers, list(classes), list(names)])
    return hashlib.sha256(text.encode()).hexdigest()


def _digest(images: Images) -> str:
    flat = images.reshape(-1)
    digest = hashlib.sha256()
    for start in range(0, len(flat), _SLICE):
        digest.update(flat[start : start + _SLICE].data)
    return digest.hexdigest()


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
