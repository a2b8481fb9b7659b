"""The header of a .npy file, checked before the array is read."""

import math
from dataclasses import dataclass
from tokenize import TokenError
from typing import IO, Any, Literal

import numpy as np
from numpy.lib import format as npy

from tui_influence.text import printable

_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_HEADER_ERRORS = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, SyntaxError, TokenError, EOFError, OverflowError,
    MemoryError, RecursionError,
)  # fmt: skip
"""Exceptions of numpy for an invalid header."""


@dataclass(frozen=True)
class Header:
    """An array as its header declares it.

    Attributes:
        dtype: type of its elements.
        shape: shape of the array; no side is negative.
        order: "C" if the last axis varies fastest, "F" if the first does.
        offset: offset of the first element, in bytes.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: Literal["C", "F"]
    offset: int

    @property
    def nbytes(self) -> int:
        """Bytes of the elements."""
        return self.dtype.itemsize * math.prod(self.shape)

    @property
    def size(self) -> int:
        """Bytes of the header and the elements."""
        return self.offset + self.nbytes

    def __str__(self) -> str:
        comma = "," if len(self.shape) == 1 else ""
        return f"({', '.join(map(str, self.shape))}{comma}) {self.dtype}"


def read_header(file: IO[bytes]) -> Header:
    """Read the header at the start of a file, up to the first element.

    Raises:
        ValueError: it is invalid, or of an unsupported version.
        OSError: the file cannot be read.
    """
    try:
        version = npy.read_magic(file)
    except _HEADER_ERRORS as error:
        raise ValueError("no .npy header") from error
    try:
        if version not in _READERS:
            raise ValueError(f"written in version {version[0]}.{version[1]} of the npy format")
        shape, is_fortran, dtype = _READERS[version](file)
    except _HEADER_ERRORS as error:
        reason = printable(" ".join(str(error).split()), 60) or type(error).__name__
        raise ValueError(f"no .npy header: {reason}") from error
    if any(side < 0 or isinstance(side, bool) for side in shape):
        raise ValueError(f"the header declares a side that no array has: {printable(str(shape), 60)}")
    return Header(dtype, tuple(shape), "F" if is_fortran else "C", file.tell())
