"""The header of a .npy file: what it declares, before a byte of the array is believed."""

import math
from dataclasses import dataclass
from tokenize import TokenError
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy


@dataclass(frozen=True)
class Header:
    """An array as its header declares it.

    Attributes:
        shape: of the array; no side is negative.
        fortran: whether the first axis is the fastest.
        dtype: of its values.
        offset: of the first value, in bytes.
    """

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    offset: int

    @property
    def size(self) -> int:
        """Bytes of header and values together."""
        return self.offset + self.dtype.itemsize * math.prod(self.shape)


def read_header(file: IO[bytes]) -> Header:
    """Read the header at the start of a file, up to the first value.

    Raises:
        ValueError: it is none, or of a version that is not read here.
        OSError: the file cannot be read.
    """
    version = npy.read_magic(file)
    if version not in {(1, 0), (2, 0)}:
        raise ValueError(f"written in version {version[0]}.{version[1]} of the npy format")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    try:
        shape, fortran, dtype = read(file)
    except (SyntaxError, TokenError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError("the header of the array cannot be read") from error
    if any(side < 0 for side in shape):
        raise ValueError("the header of the array declares a negative side")
    return Header(shape, fortran, dtype, file.tell())
