"""What is kept of the datasets: labels, the estimate/evaluate split, names and thumbnails of a target's examples.

Enough to rank by class and to show images where the dataset is not. Everything a number depends on has its digest in
`run.json`.
"""

import hashlib
import io
import json
import stat
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.designs import Mask
from tui_influence.errors import ResultsError
from tui_influence.store.files import make_directory, read_bytes, refusal, write_atomically
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo
from tui_influence.text import printable

_LABELS = "labels.npy"
_SPLIT = "estimate.npy"
_NAMES = "names.json"
_THUMBNAILS = "thumbnails.npy"
_GROUPS = "groups.npy"
_LARGEST = 1024
"""Pixels of a thumbnail's side, at most: many times what is ever written."""


@dataclass(frozen=True)
class Examples:
    """A target's test examples.

    Attributes:
        labels: (n,) int64, class of each.
        estimate: (n,) bool, the half that influences are estimated on; the rest is for evaluation.
        names: (n,) where each came from.
    """

    labels: NDArray[np.int64]
    estimate: Mask
    names: tuple[str, ...]


def write_examples(
    paths: Paths, target: int, examples: Examples, thumbnails: NDArray[np.uint8] | None
) -> dict[str, str]:
    """Write what is kept of one target's test set.

    Args:
        paths: of the run.
        target: its position in the config.
        examples: labels, split and names.
        thumbnails: (n, side, side, C) uint8; None where there are none.

    Returns:
        the digests of the files that numbers depend on.
    """
    directory = paths.target(target)
    make_directory(directory)
    contents = {
        _LABELS: _npy(examples.labels.astype(np.int64)),
        _SPLIT: _npy(examples.estimate.astype(np.bool_)),
        _NAMES: json.dumps(examples.names).encode(),
    }
    for name, content in contents.items():
        write_atomically(directory / name, content)
    if thumbnails is not None:
        write_atomically(directory / _THUMBNAILS, _npy(thumbnails))
    return {name: _digest(content) for name, content in contents.items()}


def read_examples(paths: Paths, info: RunInfo, target: int) -> Examples:
    """Read one target's labels, split and names.

    Raises:
        ResultsError: a file is missing (half copied) or damaged.
    """
    expected = info.targets[target]
    directory = paths.target(target)
    labels = _array(directory / _LABELS, expected.digests.get(_LABELS, ""), np.int64)
    estimate = _array(directory / _SPLIT, expected.digests.get(_SPLIT, ""), np.bool_)
    content = _content(directory / _NAMES, expected.digests.get(_NAMES, ""))
    try:
        names = tuple(str(name) for name in json.loads(content))
    except (ValueError, TypeError) as error:
        raise ResultsError(f"{printable(str(directory / _NAMES))}: damaged") from error
    n = expected.test
    if not len(labels) == len(estimate) == len(names) == n:
        raise ResultsError(f"{printable(str(directory))}: damaged: it does not describe {n} examples")
    if n and not 0 <= labels.min() <= labels.max() < len(expected.classes):
        raise ResultsError(f"{printable(str(directory / _LABELS))}: damaged: labels beyond the classes")
    return Examples(labels, estimate, names)


def write_source_thumbnails(paths: Paths, thumbnails: NDArray[np.uint8], groups: NDArray[np.int32]) -> None:
    """Keep some sample images of the source: (s, side, side, C) uint8 and the (s,) group of each."""
    make_directory(paths.source)
    write_atomically(paths.source / _THUMBNAILS, _npy(thumbnails))
    write_atomically(paths.source / _GROUPS, _npy(groups))


def read_thumbnails(directory: Path) -> NDArray[np.uint8]:
    """Open the thumbnails kept in a directory, memory-mapped: (n, side, side, C) uint8.

    Raises:
        ResultsError: they are missing or damaged.
    """
    path = directory / _THUMBNAILS
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ResultsError(f"{printable(str(path))}: not an ordinary file")
        found: Any = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise refusal(error, "read", path) from error
    except (ValueError, EOFError, SyntaxError, TokenError, OverflowError) as error:
        raise ResultsError(f"{printable(str(path))}: damaged or half copied") from error
    sound = isinstance(found, np.ndarray) and found.dtype == np.uint8 and found.ndim == 4
    if not sound or found.shape[-1] not in (1, 3) or not 1 <= found.shape[1] == found.shape[2] <= _LARGEST:
        raise ResultsError(f"{printable(str(path))}: damaged: no thumbnails")
    thumbnails: NDArray[np.uint8] = found
    return thumbnails


def read_source_thumbnails(paths: Paths) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Open the sample images of the source: (s, side, side, C) uint8, memory-mapped, and the (s,) group of each.

    Raises:
        ResultsError: they are missing or damaged.
    """
    found = read_thumbnails(paths.source)
    path = paths.source / _GROUPS
    try:
        groups: NDArray[np.int32] = np.load(io.BytesIO(read_bytes(path)), allow_pickle=False)
    except (ValueError, EOFError, SyntaxError, TokenError, OverflowError) as error:
        raise ResultsError(f"{printable(str(path))}: damaged or half copied") from error
    if not isinstance(groups, np.ndarray) or groups.dtype != np.int32 or groups.shape != found.shape[:1]:
        raise ResultsError(f"{printable(str(path))}: damaged: it does not describe {len(found)} images")
    return found, groups


def _npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _content(path: Path, digest: str) -> bytes:
    if not path.exists():
        raise ResultsError(f"{printable(str(path))}: missing: the results directory is half copied")
    content = read_bytes(path)
    if _digest(content) != digest:
        raise ResultsError(f"{printable(str(path))}: damaged: its content does not match run.json")
    return content


def _array(path: Path, digest: str, dtype: Any) -> NDArray[Any]:
    content = _content(path, digest)
    try:
        array: NDArray[Any] = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ResultsError(f"{printable(str(path))}: damaged") from error
    if array.dtype != dtype or array.ndim != 1:
        raise ResultsError(f"{printable(str(path))}: damaged: wrong type or shape")
    return array
