"""Untrusted `.npy` files of plain numbers: the header is checked before memory is allocated; nothing is unpickled."""

import io
import math
import os
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.designs import Mask
from tui_influence.npy_header import Header, read_header
from tui_influence.store.files import open_file
from tui_influence.text import printable

_MAX_DIMENSIONS = 4
_KINDS = "biuf"


def read_plain_header(file: IO[bytes], size: int) -> Header:
    """Read the header of a file, and check its type and shape against the size of the file.

    Args:
        file: positioned at its beginning.
        size: of the file, in bytes.

    Raises:
        ValueError: it is not a `.npy` file, not of plain numbers, or too short.
    """
    header = read_header(file)
    if header.dtype.kind not in _KINDS or header.dtype.fields is not None or header.dtype.itemsize == 0:
        raise ValueError(f"its elements are no plain numbers, but {printable(str(header.dtype), 40)}")
    if len(header.shape) > _MAX_DIMENSIONS:
        raise ValueError(f"a shape that no array of its kind has: {printable(str(header.shape), 60)}")
    if size < header.size:
        raise ValueError(f"{printable(str(header), 80)} needs {header.nbytes:,} bytes, and the file is too short")
    return header


def map_array(path: Path) -> NDArray[Any]:
    """Map the array in a file, read only.

    Raises:
        OSError: the file cannot be opened.
        ResultsError: it is no regular file.
        ValueError: see `read_plain_header`.
    """
    with open_file(path) as file:
        return map_open_file(file, read_plain_header(file, os.fstat(file.fileno()).st_size))


def map_open_file(file: IO[bytes], header: Header) -> NDArray[Any]:
    """Map the array in an open file whose header has been read."""
    return np.memmap(file, header.dtype, "r", header.offset, header.shape, header.order)


def decode_array(content: bytes) -> NDArray[Any]:
    """Return the array in a file's content.

    Raises:
        ValueError: see `read_plain_header`.
    """
    header = read_plain_header(io.BytesIO(content), len(content))
    count = math.prod(header.shape)
    flat = np.frombuffer(content, header.dtype, count, header.offset)
    return flat.reshape(header.shape, order=header.order).copy()


def as_mask(array: NDArray[Any]) -> Mask:
    """Return an array of bool after a check that its bytes are 0 or 1.

    Raises:
        ValueError: it is of another type, or has other bytes.
    """
    if array.dtype != np.bool_ or np.any(array.view(np.uint8) > 1):
        raise ValueError("not of true and false alone")
    return array
