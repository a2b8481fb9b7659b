"""A `.npy` file of plain numbers that anybody may have written: its header is checked before anything is allocated.

Nothing is unpickled, no archive is opened, and an array that its file is too short for does not exist.
"""

import io
import math
import os
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any, Literal

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from tui_influence.designs import Mask
from tui_influence.store.files import open_file
from tui_influence.text import printable

_DIMENSIONS = 4
_KINDS = "biuf"
_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_DAMAGE = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, SyntaxError, TokenError, EOFError, OverflowError,
    MemoryError, RecursionError,
)  # fmt: skip
"""What numpy's reading of a header that somebody made up may raise."""


@dataclass(frozen=True)
class Header:
    """What a `.npy` file says of its array.

    Attributes:
        dtype: of its elements: bool, integers or floats.
        shape: of the array.
        order: whether the last axis or the first varies fastest, in numpy's letters.
        offset: of the first element, in bytes.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: Literal["C", "F"]
    offset: int

    @property
    def nbytes(self) -> int:
        """Bytes of the elements."""
        return self.dtype.itemsize * math.prod(self.shape)

    def __str__(self) -> str:
        comma = "," if len(self.shape) == 1 else ""
        return f"({', '.join(map(str, self.shape))}{comma}) {self.dtype}"


def read_header(file: IO[bytes], size: int) -> Header:
    """Read the header at the beginning of a file.

    Args:
        file: at its beginning.
        size: of the file, in bytes.

    Raises:
        ValueError: it is no `.npy` file, not of plain numbers, or the file is shorter than it says.
    """
    try:
        read = _READERS[npy.read_magic(file)]
        shape, is_fortran, dtype = read(file)
    except _DAMAGE as error:
        raise ValueError(f"no .npy header: {_reason(error)}") from error
    header = Header(dtype, tuple(shape), "F" if is_fortran else "C", file.tell())
    if dtype.kind not in _KINDS or dtype.fields is not None or dtype.itemsize == 0:
        raise ValueError(f"its elements are no plain numbers, but {printable(str(dtype), 40)}")
    if len(header.shape) > _DIMENSIONS or any(length < 0 for length in header.shape):
        raise ValueError(f"a shape that no array of its kind has: {printable(str(header.shape), 60)}")
    if size < header.offset + header.nbytes:
        raise ValueError(f"{printable(str(header), 80)} needs {header.nbytes:,} bytes, and the file is too short")
    return header


def map_array(path: Path) -> NDArray[Any]:
    """Map the array in a file, read only.

    Raises:
        OSError: the file cannot be opened.
        ResultsError: it is no ordinary file.
        ValueError: see `read_header`.
    """
    with open_file(path) as file:
        return map_open(file, read_header(file, os.fstat(file.fileno()).st_size))


def map_open(file: IO[bytes], header: Header) -> NDArray[Any]:
    """Map the array in an open file whose header has been read."""
    return np.memmap(file, header.dtype, "r", header.offset, header.shape, header.order)


def array_in(content: bytes) -> NDArray[Any]:
    """Return the array in a file's content.

    Raises:
        ValueError: see `read_header`.
    """
    header = read_header(io.BytesIO(content), len(content))
    count = math.prod(header.shape)
    flat = np.frombuffer(content, header.dtype, count, header.offset)
    return flat.reshape(header.shape, order=header.order).copy()


def as_mask(array: NDArray[Any]) -> Mask:
    """Return an array of bool; in a file it may hold bytes that are neither true nor false.

    Raises:
        ValueError: it is of another type, or holds such bytes.
    """
    if array.dtype != np.bool_ or np.any(array.view(np.uint8) > 1):
        raise ValueError("not of true and false alone")
    return array


def _reason(error: BaseException) -> str:
    return printable(" ".join(str(error).split()), 60) or type(error).__name__
