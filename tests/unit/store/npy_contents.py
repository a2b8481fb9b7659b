"""Contents of `.npy` files, sound and made up."""

import io

import numpy as np
from numpy.lib import format as npy


def content_of(array, *, allow_pickle: bool = False) -> bytes:
    """The file of an array."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


def claiming(shape, descr="<f4", body=b"") -> bytes:
    """A file whose header claims an array that the file need not hold."""
    buffer = io.BytesIO()
    npy.write_array_header_2_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue() + body


def with_header(text: str) -> bytes:
    """A file with this text for a header."""
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("latin-1")
