"""Writing a generation of the compacted matrix row by row: its memory does not grow with the number of models."""

import hashlib
import os
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib.format import dtype_to_descr, write_array_header_2_0
from numpy.typing import NDArray

from tui_influence.designs import Mask
from tui_influence.store.files import write_json

ARRAYS = ("margins", "predicted", "masks", "indices", "clusters")
_ROWS = 256


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """What one model says, as a row of a generation: `margins` (n,), `predicted` (n,), `mask` (K,)."""

    margins: NDArray[np.float16]
    predicted: NDArray[np.uint16]
    mask: Mask
    index: int
    cluster: int
    metrics: dict[str, float]


def write_generation(directory: Path, entries: Iterable[Entry], n: int, groups: int, identity: str) -> int:
    """Write a generation into a new directory.

    Args:
        directory: does not exist yet.
        entries: ascending by index; each is asked for once, and let go.
        n: target examples.
        groups: K.
        identity: of the run.

    Returns:
        m, how many models it holds.

    Raises:
        OSError: the disk is full or refuses.
    """
    directory.mkdir()
    masks: list[Mask] = []
    indices: list[int] = []
    clusters: list[int] = []
    metrics: list[dict[str, float]] = []
    with ExitStack() as files:
        margins = _Rows(files.enter_context((directory / "margins.npy").open("wb")), np.dtype(np.float16), n)
        predicted = _Rows(files.enter_context((directory / "predicted.npy").open("wb")), np.dtype(np.uint16), n)
        for entry in entries:
            margins.append(entry.margins)
            predicted.append(entry.predicted)
            masks.append(np.array(entry.mask))
            indices.append(entry.index)
            clusters.append(entry.cluster)
            metrics.append(entry.metrics)
        margins.finish()
        predicted.finish()
    small = {
        "masks": np.array(masks, dtype=np.bool_).reshape(len(indices), groups),
        "indices": np.array(indices, dtype=np.int64),
        "clusters": np.array(clusters, dtype=np.int64),
    }
    for name, array in small.items():
        with (directory / f"{name}.npy").open("wb") as file:
            rows = _Rows(file, array.dtype, *array.shape[1:])
            for row in array:
                rows.append(row)
            rows.finish()
    written = {name: np.load(directory / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ARRAYS}
    manifest = {
        "identity": identity,
        "count": len(indices),
        "digests": {name: digest_of(array) for name, array in written.items()},
        "metrics": metrics,
    }
    write_json(directory / "manifest.json", manifest)
    return len(indices)


def digest_of(array: NDArray[Any]) -> str:
    """Return the hash of an array, with its type and shape."""
    digest = hashlib.blake2b(f"{array.dtype.str}{array.shape}".encode(), digest_size=16)
    for start in range(0, len(array), _ROWS):
        digest.update(np.ascontiguousarray(array[start : start + _ROWS]).data)
    return digest.hexdigest()


class _Rows:
    """An array written by plain writes: a full disk is then an error, where a memory map would end the process."""

    def __init__(self, file: BinaryIO, dtype: np.dtype[Any], *shape: int) -> None:
        self._file, self._dtype, self._shape = file, dtype, shape
        self._count = 0
        self._waiting: list[NDArray[Any]] = []
        self._header()

    def append(self, row: NDArray[Any]) -> None:
        self._waiting.append(np.array(row, dtype=self._dtype))
        self._count += 1
        if len(self._waiting) >= _ROWS:
            self._flush()

    def finish(self) -> None:
        self._flush()
        self._file.seek(0)
        self._header()  # numpy pads it so that its length does not depend on the number of rows
        self._file.flush()
        os.fsync(self._file.fileno())

    def _flush(self) -> None:
        if self._waiting:
            self._file.write(np.stack(self._waiting).data)
            self._waiting.clear()

    def _header(self) -> None:
        shape = (self._count, *self._shape)
        header = {"descr": dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape}
        write_array_header_2_0(self._file, header)
