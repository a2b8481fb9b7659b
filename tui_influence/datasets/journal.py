"""The journal of an entry that is being written, by which packing continues after an interruption.

A line describes a batch of the images in the file of pixels. It begins with a hash of itself, and has one of all pixels
up to the end of the batch: a line or pixels that did not reach the disk, or only in part, are noticed. What comes after
them counts as not written.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import PIL

from tui_influence.datasets.batch import ImageBatch, batch_from_json

JOURNAL = "journal"
_VERSION = 3
_HASH_DIGITS = 64
_MAX_LINE_BYTES = 1 << 24


def head_line(shape: tuple[int, int, int, int]) -> bytes:
    """Return the first line, which says how images are decoded: those of another Pillow may differ.

    Args:
        shape: (N, H, W, C), where N is the largest possible number of images.
    """
    return _line({"version": _VERSION, "pillow": PIL.__version__, "shape": shape})


def batch_line(batch: ImageBatch, digest: str) -> bytes:
    """Return the line of a batch.

    Args:
        batch: to describe.
        digest: hash of all pixels up to the end of the batch, `PixelMeter.digest`.
    """
    return _line(batch.to_json() | {"digest": digest})


def read_batches(
    journal: BinaryIO, pixels: BinaryIO, offset: int, shape: tuple[int, int, int, int]
) -> Iterator[tuple[ImageBatch, int]]:
    """Yield the batches that were written whole, each with the end of its line in the journal.

    Args:
        journal: at its start.
        pixels: the file of pixels.
        offset: of the first image in it, in bytes.
        shape: as for `head_line`; nothing is yielded if the journal is of another.
    """
    if journal.readline(_MAX_LINE_BYTES) != head_line(shape):
        return
    end, hashed = journal.tell(), hashlib.sha256()
    while line := journal.readline(_MAX_LINE_BYTES):
        batch = _batch(line, pixels, offset, shape[1:], hashed)
        if batch is None:
            return
        end += len(line)
        offset += batch.pixels.nbytes
        yield batch, end


def _line(content: object) -> bytes:
    text = json.dumps(content).encode()
    return hashlib.sha256(text).hexdigest().encode() + b" " + text + b"\n"


def _batch(
    line: bytes, file: BinaryIO, offset: int, sides: tuple[int, int, int], hashed: "hashlib._Hash"
) -> ImageBatch | None:
    """Return the batch of a line; None if the line or its pixels are not as they were written.

    `hashed` is the hash of all pixels before the batch; those of the batch are added to it.
    """
    text = line[_HASH_DIGITS + 1 : -1]
    if line != hashlib.sha256(text).hexdigest().encode() + b" " + text + b"\n":
        return None
    content = json.loads(text)
    names = content["names"]
    if os.fstat(file.fileno()).st_size < offset + len(names) * int(np.prod(sides)):
        return None
    pixels = np.empty((len(names), *sides), dtype=np.uint8)
    if pixels.size and os.preadv(file.fileno(), [pixels.data.cast("B")], offset) != pixels.nbytes:
        return None
    hashed.update(pixels.data.cast("B") if pixels.size else b"")
    return batch_from_json(content, pixels) if hashed.hexdigest() == content["digest"] else None
