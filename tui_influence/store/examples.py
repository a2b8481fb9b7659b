"""Examples of a target: labels, the estimate/evaluate split, names and thumbnails; and thumbnails of the source.

They suffice to rank by class and to show images without the dataset. Their digests are in `run.json`; those of
thumbnails, on which no number depends, are checked by `tinfl verify` alone.
"""

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.designs import Mask
from tui_influence.errors import ConfigError, ResultsError
from tui_influence.store.files import make_directory, read_bytes, to_results_error, write_atomically
from tui_influence.store.json_values import parse, texts
from tui_influence.store.npy_file import as_mask, decode_array, map_array
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo
from tui_influence.text import printable

_LABELS = "labels.npy"
_SPLIT = "estimate.npy"
_NAMES = "names.json"
_THUMBNAILS = "thumbnails.npy"
_GROUPS = "groups.npy"
_MAX_SIDE = 1024
"""Pixels of a thumbnail's side, at most: many times the size that is written."""


@dataclass(frozen=True)
class Examples:
    """A target's test examples.

    Attributes:
        labels: (n,) int64, class of each.
        estimate: (n,) bool, the half that influences are estimated on; the rest is for evaluation.
        names: (n,) origin of each.
    """

    labels: NDArray[np.int64]
    estimate: Mask
    names: tuple[str, ...]

    def in_split(self, split: str) -> Mask:
        """Return which examples belong to a split, `estimate`, `evaluate` or `all`: (n,) bool.

        Raises:
            ConfigError: there is no such split.
        """
        masks = {"estimate": self.estimate, "evaluate": ~self.estimate, "all": np.ones_like(self.estimate)}
        if split not in masks:
            raise ConfigError(f'unknown split "{printable(split, 60)}": one of {", ".join(masks)}')
        return masks[split]


def write_examples(
    paths: Paths, target: int, examples: Examples, thumbnails: NDArray[np.uint8] | None
) -> dict[str, str]:
    """Write the examples of one target.

    Args:
        paths: of the run.
        target: its index in the config.
        examples: labels, split and names.
        thumbnails: (n, side, side, C) uint8, or None.

    Returns:
        the digests of the files, by name.
    """
    contents = {
        _LABELS: _npy(examples.labels.astype(np.int64)),
        _SPLIT: _npy(examples.estimate.astype(np.bool_)),
        _NAMES: json.dumps(examples.names).encode(),
    }
    if thumbnails is not None:
        contents[_THUMBNAILS] = _npy(thumbnails)
    return _write(paths.target(target), contents)


def read_examples(paths: Paths, info: RunInfo, target: int) -> Examples:
    """Read one target's labels, split and names.

    Raises:
        ResultsError: a file is missing (incomplete copy) or damaged.
    """
    expected = info.targets[target]
    directory = paths.target(target)
    labels = _array(directory / _LABELS, expected.digests.get(_LABELS, ""), np.int64)
    estimate = _array(directory / _SPLIT, expected.digests.get(_SPLIT, ""), np.bool_)
    content = _content(directory / _NAMES, expected.digests.get(_NAMES, ""))
    try:
        names = tuple(texts(parse(content)))
    except (ValueError, TypeError) as error:
        raise _damaged(directory / _NAMES, error) from error
    n = expected.test
    if not len(labels) == len(estimate) == len(names) == n:
        raise ResultsError(f"{printable(str(directory))}: damaged: it does not describe {n} examples")
    if n and not 0 <= labels.min() <= labels.max() < len(expected.classes):
        raise ResultsError(f"{printable(str(directory / _LABELS))}: damaged: labels beyond the classes")
    return Examples(labels, estimate, names)


def write_source_thumbnails(paths: Paths, thumbnails: NDArray[np.uint8], groups: NDArray[np.int32]) -> dict[str, str]:
    """Write sample images of the source: (s, side, side, C) uint8 and the (s,) group of each.

    Returns:
        the digests of the files, by name.
    """
    return _write(paths.source, {_THUMBNAILS: _npy(thumbnails), _GROUPS: _npy(groups)})


def read_thumbnails(directory: Path) -> NDArray[np.uint8]:
    """Open the thumbnails in a directory, memory-mapped: (n, side, side, C) uint8.

    Raises:
        ResultsError: they are missing or damaged.
    """
    path = directory / _THUMBNAILS
    try:
        thumbnails: NDArray[np.uint8] = map_array(path)
    except OSError as error:
        raise to_results_error(error, "read", path) from error
    except ValueError as error:
        raise _damaged(path, error) from error
    sound = thumbnails.dtype == np.uint8 and thumbnails.ndim == 4
    if (
        not sound
        or thumbnails.shape[-1] not in (1, 3)
        or not 1 <= thumbnails.shape[1] == thumbnails.shape[2] <= _MAX_SIDE
    ):
        raise ResultsError(f"{printable(str(path))}: damaged: no thumbnails")
    return thumbnails


def check_thumbnails(directory: Path, digests: dict[str, str]) -> bool:
    """Check the thumbnails in a directory, and the groups of the source's, against their digests.

    Args:
        directory: of a target, or of the source.
        digests: of its files, by name; files without one, as in older runs, are checked for their format alone.

    Returns:
        whether it has thumbnails.

    Raises:
        ResultsError: they are missing or damaged.
    """
    paths = [directory / name for name in (_THUMBNAILS, _GROUPS) if (directory / name).exists() or name in digests]
    for path in paths:
        if path.name in digests:
            _content(path, digests[path.name])
    for path in paths:
        if path.name == _GROUPS:
            _decode(path, read_bytes(path), np.int32)
        else:
            read_thumbnails(directory)
    return bool(paths)


def read_source_thumbnails(paths: Paths) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Open the sample images of the source: (s, side, side, C) uint8, memory-mapped, and the (s,) group of each.

    Raises:
        ResultsError: they are missing or damaged.
    """
    thumbnails = read_thumbnails(paths.source)
    path = paths.source / _GROUPS
    groups = _decode(path, read_bytes(path), np.int32)
    if len(groups) != len(thumbnails):
        raise ResultsError(f"{printable(str(path))}: damaged: it does not describe {len(thumbnails)} images")
    return thumbnails, groups


def _write(directory: Path, contents: dict[str, bytes]) -> dict[str, str]:
    make_directory(directory)
    for name, content in contents.items():
        write_atomically(directory / name, content)
    return {name: _digest(content) for name, content in contents.items()}


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
    return _decode(path, _content(path, digest), dtype)


def _decode(path: Path, content: bytes, dtype: Any) -> NDArray[Any]:
    try:
        array = decode_array(content)
        if array.dtype != dtype or array.ndim != 1:
            raise ValueError("wrong type or shape")
        return as_mask(array) if dtype is np.bool_ else array
    except ValueError as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ResultsError:
    return ResultsError(f"{printable(str(path))}: damaged or half copied: {printable(str(error), 120)}")
