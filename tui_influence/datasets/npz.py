"""NumPy files: `x` (N, H, W[, C]) uint8, `y` (N,) whole numbers and, if they have names, `classes` (K,) text.

The pixels are streamed out of the archive, a few rows at a time; nothing in it is ever unpickled. Without `classes`
the classes are the numbers that occur in `y`.
"""

import lzma
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from tui_influence.config.schema import NpzSource, NpzTarget
from tui_influence.datasets.base import (
    ImageShape,
    Labels,
    Part,
    Sample,
    check_classes,
    parse_index,
    require_every_class,
)
from tui_influence.datasets.errors import abbreviate_list, directory_problem, printable_path, reason_of
from tui_influence.datasets.images import MAX_PIXELS
from tui_influence.errors import DatasetError
from tui_influence.npy_header import Header, read_header
from tui_influence.regular_files import expand_home, open_regular
from tui_influence.text import pluralize, printable

_MAX_SMALL_BYTES = 1 << 28
"""Limit of `y` and `classes`."""

_MAX_FORTRAN_BYTES = 1 << 30
"""Limit of `x` in Fortran order, which has to be read as a whole."""


@dataclass(frozen=True, eq=False)
class _Contents:
    pixels: Header
    labels: Labels
    classes: tuple[str, ...]
    has_names: bool


def open_reader(section: NpzSource | NpzTarget, part: Part, *, trusted: bool) -> "NpzReader":
    """Return the reader of the file of one part; the test file may lack images of a class."""
    if isinstance(section, NpzSource):
        return NpzReader(section.path)
    return NpzReader(section.train) if part == "train" else NpzReader(section.test, every_class=False)


class NpzReader:
    """Reader of the images in one `.npz` file.

    Args:
        path: the file.
        every_class: refuse the file if it names a class and has no image of it.
    """

    def __init__(self, path: str, *, every_class: bool = True) -> None:
        self.path = expand_home(path)
        self.display_name = printable_path(path)
        self.every_class = every_class

    def stamp(self) -> str:
        """Path, size and time of the file, whose labels are checked first."""
        self._contents  # noqa: B018 - raises an error if the file is invalid
        stat = self.path.stat()
        return f"{self.path.resolve()} {stat.st_size} {stat.st_mtime_ns}"

    @property
    def declared_classes(self) -> tuple[str, ...] | None:
        """Names of the classes, if the file has an array of them."""
        return self._contents.classes if self._contents.has_names else None

    def shape(self) -> ImageShape:
        """Shape that the header declares."""
        shape = self._contents.pixels.shape
        return ImageShape(min(shape[1:3]), shape[3] if len(shape) == 4 else 1)

    def count(self) -> int:
        """Number of images."""
        return len(self._contents.labels)

    def samples(self, positions: Sequence[int]) -> Iterator[Sample]:
        """Images, which are in file order."""
        return self._read(positions)

    def finalize_labels(self, labels: Labels) -> tuple[tuple[str, ...], Labels]:
        """Return the classes of the file."""
        return self._contents.classes, labels

    def find(self, names: Iterable[str]) -> Iterator[Sample]:
        """Images by their index."""
        return self._read([parse_index(name, self.count(), self.display_name) for name in names])

    def _read(self, positions: Iterable[int]) -> Iterator[Sample]:
        contents = self._contents
        header = contents.pixels
        size = int(np.prod(header.shape[1:]))
        with self._open_archive() as archive, self._open_member(archive, "x") as file:
            all_pixels = npy.read_array(file, allow_pickle=False) if header.order == "F" else None
            for position in positions:
                if all_pixels is None:
                    if file.tell() != header.offset + position * size:
                        file.seek(header.offset + position * size)
                    pixels = np.frombuffer(file.read(size), np.uint8).reshape(header.shape[1:])
                else:
                    pixels = np.ascontiguousarray(all_pixels[position])
                label = int(contents.labels[position])
                yield Sample(f"{contents.classes[label]}/{position}", label, pixels)

    @cached_property
    def _contents(self) -> _Contents:
        with self._open_archive() as archive:
            missing = [name for name in ("x", "y") if f"{name}.npy" not in archive.namelist()]
            if missing:
                array_names = (
                    abbreviate_list([printable(name.removesuffix(".npy")) for name in archive.namelist()], 6)
                    or "nothing"
                )
                raise DatasetError(
                    f"{self.display_name} has no array {' and no array '.join(missing)} (it has: {array_names})"
                )
            pixels = self._header(archive, "x")
            self._check_pixels(pixels)
            labels = self._read_small(archive, "y")
            has_names = "classes.npy" in archive.namelist()
            classes = self._read_small(archive, "classes") if has_names else None
        if labels.dtype.kind not in "iu" or labels.ndim != 1:
            raise self._array_error(
                "y", f"{_describe_array(labels.shape, labels.dtype)}; it must be (N,) whole numbers"
            )
        if len(labels) != pixels.shape[0]:
            raise self._array_error("y", f"{len(labels)} long, but x has {pluralize(pixels.shape[0], 'image')}")
        return self._with_classes(pixels, labels, classes)

    def _with_classes(self, pixels: Header, labels: NDArray[Any], classes: NDArray[Any] | None) -> _Contents:
        if classes is None:
            values, numbers = np.unique(labels, return_inverse=True)
            names = tuple(str(value) for value in values)
            check_classes(self.display_name, names)
            return _Contents(pixels, numbers.astype(np.int64).reshape(-1), names, has_names=False)
        if classes.dtype.kind != "U" or classes.ndim != 1:
            raise self._array_error("classes", f"{_describe_array(classes.shape, classes.dtype)}; it must be (K,) text")
        names = tuple(classes.tolist())
        repeated = [printable(name) for name, times in Counter(names).items() if times > 1]
        if repeated:
            raise DatasetError(f"{self.display_name}: `classes` names {abbreviate_list(repeated)} more than once")
        outside = np.flatnonzero((labels < 0) | (labels >= len(names)))
        if len(outside):
            first = f"y[{outside[0]}] is {labels[outside[0]]}"
            raise DatasetError(
                f"{self.display_name}: {pluralize(len(outside), 'label')} outside the "
                f"{pluralize(len(names), 'class', 'classes')} of `classes`: {first}"
            )
        check_classes(self.display_name, names)
        numbers = labels.astype(np.int64)
        if self.every_class:
            require_every_class(self.display_name, names, numbers)
        return _Contents(pixels, numbers, names, has_names=True)

    def _check_pixels(self, header: Header) -> None:
        described = _describe_array(header.shape, header.dtype)
        if header.dtype != np.uint8:
            raise self._array_error("x", f"{described}; it must be uint8, 0 to 255")
        shape = header.shape
        if len(shape) not in {3, 4} or (len(shape) == 4 and shape[3] not in {1, 3}):
            hint = " (channels come last)" if len(shape) == 4 and shape[1] in {1, 3} else ""
            raise self._array_error("x", f"{described}; it must be (N, H, W), (N, H, W, 1) or (N, H, W, 3){hint}")
        if 0 in shape:
            raise DatasetError(f"{self.display_name} has no images: x is {described}")
        if shape[1] * shape[2] > MAX_PIXELS:
            raise self._array_error("x", f"{described}: images of more than {MAX_PIXELS:,} pixels")
        if header.order == "F" and header.size > _MAX_FORTRAN_BYTES:
            raise self._array_error(
                "x", f"{described} in Fortran order, too large for that: save np.ascontiguousarray(x)"
            )

    def _read_small(self, archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
        header = self._header(archive, name)
        if header.size > _MAX_SMALL_BYTES:
            raise self._array_error(name, f"{_describe_array(header.shape, header.dtype)}: too large")
        with self._open_member(archive, name) as file:
            array: NDArray[Any] = npy.read_array(file, allow_pickle=False)
            return array

    def _header(self, archive: zipfile.ZipFile, name: str) -> Header:
        with self._open_member(archive, name) as file:
            try:
                header = read_header(file)
            except ValueError as error:
                raise self._array_error(name, f"no array that can be read: {reason_of(error)}") from error
        if header.dtype.hasobject:
            raise self._array_error(
                name, "an array of Python objects, which are never loaded: save plain numbers or text"
            )
        if archive.getinfo(f"{name}.npy").file_size != header.size:
            raise self._array_error(name, "truncated")
        return header

    def _array_error(self, name: str, problem: str) -> DatasetError:
        return DatasetError(f"{self.display_name}: {name} is {problem}")

    @contextmanager
    def _open_archive(self) -> Iterator[zipfile.ZipFile]:
        """Open the file; any damage is reported in one line."""
        try:
            with open_regular(self.path) as file, zipfile.ZipFile(file) as archive:
                yield archive
        except zipfile.BadZipFile as error:
            raise DatasetError(f"{self.display_name} is not an .npz file, or is damaged: {reason_of(error)}") from error
        except OSError as error:
            raise directory_problem(self.path, error) from error
        except (ValueError, EOFError, zlib.error, lzma.LZMAError, struct.error, OverflowError) as error:
            raise DatasetError(f"{self.display_name} is damaged: {reason_of(error)}") from error
        except (RuntimeError, MemoryError) as error:  # encrypted, or an unsupported compression
            raise DatasetError(f"cannot read {self.display_name}: {reason_of(error)}") from error

    @contextmanager
    def _open_member(self, archive: zipfile.ZipFile, name: str) -> Iterator[IO[bytes]]:
        with archive.open(f"{name}.npy") as file:
            yield file


def _describe_array(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''}) {printable(str(dtype), 40)}"
