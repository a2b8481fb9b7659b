"""Masks, outputs and descriptions of the examples of an import, opened and checked.

Large arrays stay memory-mapped and are checked a block of rows at a time. Nothing is ever unpickled. Files that do not
match are refused before anything is written.
"""

import hashlib
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.errors import ConfigError, ResultsError
from tui_influence.store.files import open_file, read_bytes, to_results_error
from tui_influence.store.npy_file import map_array, read_plain_header
from tui_influence.store.records import MARGIN_LIMIT
from tui_influence.text import pluralize, printable

ROWS_PER_BLOCK = 256
"""Models that are read at a time."""
MAX_CLASSES = 65_535
"""Predicted labels are stored in two bytes, and one value means "another class"."""
_UNREADABLE = (
    ValueError, EOFError, OverflowError, MemoryError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""Exceptions for an invalid archive."""
_MAX_LISTED = 5


@dataclass(frozen=True)
class ImportRequest:
    """Files and settings of an import; None for those that were omitted.

    Attributes:
        masks: (m, K) bool, or integers 0 and 1.
        outputs: (m, n) floats: margins log p - log(1 - p) of the correct class, in nats.
        labels: (n,) integers, the class of each example.
        predicted: (m, n) integers, the class that each model predicts.
        groups: text, K names, one per line.
        classes: text, the names of the classes, one per line.
        images: an `.npz` with the array `x`: (n, H, W[, C]) uint8.
        heldout: number of models, the last ones, to check the influences with.
    """

    masks: Path
    outputs: Path
    labels: Path | None = None
    predicted: Path | None = None
    groups: Path | None = None
    classes: Path | None = None
    images: Path | None = None
    heldout: int = 0


@dataclass(frozen=True)
class CheckedImport:
    """An import whose arrays match each other.

    Attributes:
        masks: (m, K), mapped; bool or integers.
        outputs: (m, n), mapped; finite floats.
        predicted: (m, n), mapped; integers, or None.
        labels: (n,) int64, 0 for all where they are unknown.
        groups: K names.
        classes: their names; one, "all", where labels are unknown.
        images: (n, H, W, C) uint8, or None.
        heldout: number of models, the last ones, to check the influences with.
        identity: hash of everything that influences depend on.
        constant_groups: names of groups that all models to estimate from are trained on, or none of them.
        is_fixed_size: whether all models to estimate from are trained on equally many groups.
        alpha: fraction of the groups that such a model is trained on, on average.
        are_probabilities: whether all outputs are between 0 and 1, which is unlikely for margins.
        clipped: number of outputs beyond `MARGIN_LIMIT`, which are stored as the limit.
    """

    masks: NDArray[Any]
    outputs: NDArray[Any]
    predicted: NDArray[Any] | None
    labels: NDArray[np.int64]
    groups: tuple[str, ...]
    classes: tuple[str, ...]
    images: NDArray[np.uint8] | None
    heldout: int
    identity: str
    constant_groups: tuple[str, ...]
    is_fixed_size: bool
    alpha: float
    are_probabilities: bool
    clipped: int

    @property
    def models(self) -> int:
        """Number of models to estimate from."""
        return len(self.masks) - self.heldout


def open_import(request: ImportRequest) -> CheckedImport:
    """Open the files of an import and check that they match.

    Raises:
        ConfigError: a file is missing, of the wrong type or shape, or does not match the others.
    """
    masks, outputs = _matrix(request.masks, "masks (m, K)"), _matrix(request.outputs, "outputs (m, n)")
    _check_matrices(request, masks, outputs)
    m, n = outputs.shape
    groups = (
        _names(request.groups, masks.shape[1], "group") if request.groups else _numbered_names("group", masks.shape[1])
    )
    labels, classes = _labels(request, n)
    predicted = _predicted(request.predicted, outputs) if request.predicted else None
    images = _images(request.images, n) if request.images else None
    digest = hashlib.blake2b(repr((masks.shape, outputs.shape, request.heldout)).encode(), digest_size=32)
    with_group, sizes = _check_masks(request.masks, masks, m - request.heldout, digest)
    lowest, highest, clipped = _check_outputs(request.outputs, outputs, digest)
    if predicted is not None and request.predicted is not None:
        _check_predicted(request.predicted, predicted, len(classes), digest)
    digest.update(repr((groups, classes)).encode("utf-8", "surrogatepass") + labels.tobytes())
    constant = np.flatnonzero((with_group == 0) | (with_group == m - request.heldout))
    if len(constant) == len(groups):
        raise ConfigError(f"{_path(request.masks)}: no group varies: every model has the same groups")
    return CheckedImport(
        masks=masks,
        outputs=outputs,
        predicted=predicted,
        labels=labels,
        groups=groups,
        classes=classes,
        images=images,
        heldout=request.heldout,
        identity=digest.hexdigest(),
        constant_groups=tuple(groups[int(k)] for k in constant),
        is_fixed_size=len(sizes) == 1,
        alpha=float(with_group.mean()) / (m - request.heldout),
        are_probabilities=lowest >= 0 and highest <= 1,
        clipped=clipped,
    )


def row_blocks(array: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield (first row, rows) of an array, a block at a time."""
    for start in range(0, len(array), ROWS_PER_BLOCK):
        yield start, np.asarray(array[start : start + ROWS_PER_BLOCK])


def abbreviate_names(names: Sequence[str]) -> str:
    """Return the first few of many names, safe to print."""
    names_listed = ", ".join(printable(name, 60) for name in names[:_MAX_LISTED])
    return names_listed + (f" and {len(names) - _MAX_LISTED:,} more" if len(names) > _MAX_LISTED else "")


def _matrix(path: Path, description: str) -> NDArray[Any]:
    array = _array(path)
    if array.ndim != 2 or 0 in array.shape:
        raise ConfigError(f"{_path(path)}: {_shape(array)}; expected {description}, none of them 0")
    return array


def _array(path: Path) -> NDArray[Any]:
    """Map the array in a `.npy` file."""
    try:
        return map_array(path)
    except OSError as error:
        raise ConfigError(str(to_results_error(error, "read", path))) from error
    except ResultsError as error:  # the file of a user, not a damaged run
        raise ConfigError(str(error)) from error
    except ValueError as error:
        raise ConfigError(f"{_path(path)}: not a .npy file of plain numbers ({error})") from error


def _check_matrices(request: ImportRequest, masks: NDArray[Any], outputs: NDArray[Any]) -> None:
    if masks.dtype.kind not in "biu":
        raise ConfigError(f"{_path(request.masks)}: {_shape(masks)}; masks must be bool, or integers 0 and 1")
    if outputs.dtype.kind != "f":
        raise ConfigError(f"{_path(request.outputs)}: {_shape(outputs)}; outputs must be floating-point margins")
    if len(masks) != len(outputs):
        raise ConfigError(
            f"{pluralize(len(masks), 'model')} in {_path(request.masks)}, "
            f"but {len(outputs):,} in {_path(request.outputs)}"
        )
    if masks.shape[1] < 2:
        raise ConfigError(f"{_path(request.masks)}: one group; an influence takes at least 2")
    if len(masks) - request.heldout < 2:
        raise ConfigError(
            f"{pluralize(len(masks), 'model')}, {request.heldout} of them held out: "
            "an influence takes at least 2 others"
        )


def _check_masks(path: Path, masks: NDArray[Any], models: int, digest: Any) -> tuple[NDArray[np.int64], set[int]]:
    """Return how many of the first `models` models are trained on each group, and the sizes of their masks."""
    sizes: set[int] = set()
    with_group = np.zeros(masks.shape[1], dtype=np.int64)
    for start, block in row_blocks(masks):
        invalid = np.argwhere((block != 0) & (block != 1)) if block.dtype != np.bool_ else np.empty((0, 2))
        if len(invalid):
            row, column = (int(index) for index in invalid[0])
            raise ConfigError(
                f"{_path(path)}: {block[row, column]} at [{start + row}, {column}]; masks must be 0 or 1 throughout"
            )
        is_kept = block.astype(np.bool_)
        estimating = is_kept[: max(models - start, 0)]
        with_group += np.count_nonzero(estimating, axis=0)
        sizes.update(np.count_nonzero(estimating, axis=1).tolist())
        digest.update(np.packbits(is_kept).data)
    return with_group, sizes


def _check_outputs(path: Path, outputs: NDArray[Any], digest: Any) -> tuple[float, float, int]:
    """Return the lowest and the highest output, and how many are beyond `MARGIN_LIMIT`."""
    lowest, highest, clipped = np.inf, -np.inf, 0
    for start, block in row_blocks(outputs):
        invalid = np.argwhere(~np.isfinite(block))
        if len(invalid):
            row, column = (int(index) for index in invalid[0])
            raise ConfigError(
                f"{_path(path)}: {block[row, column]} at [{start + row}, {column}]; outputs must be finite"
            )
        lowest, highest = min(lowest, float(block.min())), max(highest, float(block.max()))
        clipped += int(np.count_nonzero(np.abs(block) > MARGIN_LIMIT))
        digest.update(np.ascontiguousarray(block).data)
    return lowest, highest, clipped


def _labels(request: ImportRequest, n: int) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    if request.labels is None:
        if request.predicted is not None:
            raise ConfigError("--predicted needs --labels: a prediction is right where it is the label")
        names = _names(request.classes, 1, "class") if request.classes else ("all",)
        return np.zeros(n, dtype=np.int64), names
    labels = _array(request.labels)
    path_text = _path(request.labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ConfigError(f"{path_text}: {_shape(labels)}; labels must be (n,) integers")
    if len(labels) != n:
        raise ConfigError(f"{path_text}: {pluralize(len(labels), 'label')}, but outputs of {pluralize(n, 'example')}")
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest >= MAX_CLASSES:
        raise ConfigError(
            f"{path_text}: a label of {lowest if lowest < 0 else highest}; they must be 0 to {MAX_CLASSES - 1}"
        )
    if request.classes is None:
        return labels.astype(np.int64), _numbered_names("class", highest + 1)
    classes = _names(request.classes, None, "class")
    if highest >= len(classes):
        raise ConfigError(
            f"{path_text}: a label of {highest}, but {_path(request.classes)} names "
            f"{pluralize(len(classes), 'class', 'classes')}, numbered from 0"
        )
    return labels.astype(np.int64), classes


def _predicted(path: Path, outputs: NDArray[Any]) -> NDArray[Any]:
    predicted = _array(path)
    if predicted.shape != outputs.shape or predicted.dtype.kind not in "iu":
        shape = ", ".join(map(str, outputs.shape))
        raise ConfigError(f"{_path(path)}: {_shape(predicted)}; expected ({shape}) integers")
    return predicted


def _check_predicted(path: Path, predicted: NDArray[Any], classes: int, digest: Any) -> None:
    for start, block in row_blocks(predicted):
        invalid = np.argwhere((block < 0) | (block >= classes))
        if len(invalid):
            row, column = (int(index) for index in invalid[0])
            raise ConfigError(
                f"{_path(path)}: {block[row, column]} at [{start + row}, {column}]; "
                f"there are {pluralize(classes, 'class', 'classes')}, numbered from 0"
            )
        digest.update(block.astype(np.uint16).data)


def _names(path: Path, count: int | None, noun: str) -> tuple[str, ...]:
    """Read names, one per line; `count` is their number, if it is fixed."""
    path_text, plural = _path(path), "classes" if noun == "class" else noun + "s"
    try:
        text = read_bytes(path, limit=1 << 28).decode("utf-8-sig")
    except ValueError as error:
        raise ConfigError(f"{path_text}: not UTF-8 text") from error
    except ResultsError as error:  # the file of a user, not a damaged run
        raise ConfigError(str(error)) from error
    names = tuple(text.removesuffix("\n").split("\n")) if text else ()
    names = tuple(name.removesuffix("\r") for name in names)
    if count is not None and len(names) != count:
        raise ConfigError(
            f"{path_text}: {pluralize(len(names), 'line')} for {pluralize(count, noun, plural)}; "
            "write one name per line"
        )
    if not names or not all(name.strip() for name in names):
        raise ConfigError(f"{path_text}: a name is empty; write one name per line")
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise ConfigError(f"{path_text}: more than once: {abbreviate_names(repeated)}")
    if noun == "class" and len(names) > MAX_CLASSES:
        raise ConfigError(f"{path_text}: {len(names):,} classes; at most {MAX_CLASSES:,} are supported")
    return names


def _numbered_names(noun: str, count: int) -> tuple[str, ...]:
    width = len(str(count - 1))
    return tuple(f"{noun} {number:0{width}d}" for number in range(count))


def _images(path: Path, n: int) -> NDArray[np.uint8]:
    path_text = _path(path)
    try:
        with open_file(path) as file, zipfile.ZipFile(file) as archive:
            return _pixels(archive, path_text, n)
    except OSError as error:
        raise ConfigError(str(to_results_error(error, "read", path))) from error
    except ResultsError as error:  # the file of a user, not a damaged run
        raise ConfigError(str(error)) from error
    except KeyError as error:
        raise ConfigError(f"{path_text}: expected an .npz file with an array x") from error
    except _UNREADABLE as error:
        raise ConfigError(f"{path_text}: not an .npz file of plain numbers ({_reason(error)})") from error


def _pixels(archive: zipfile.ZipFile, path_text: str, n: int) -> NDArray[np.uint8]:
    """Read the images in an archive, if its header matches."""
    member = archive.getinfo("x.npy")
    with archive.open(member) as file:
        header = read_plain_header(file, member.file_size)
        shape = header.shape if len(header.shape) == 4 else (*header.shape, 1)
        if header.dtype != np.uint8 or len(shape) != 4 or shape[3] not in (1, 3) or 0 in shape:
            raise ConfigError(f"{path_text}: x is {header}; expected (n, H, W), (n, H, W, 1) or (n, H, W, 3) uint8")
        if shape[0] != n:
            raise ConfigError(f"{path_text}: {pluralize(shape[0], 'image')}, but outputs of {pluralize(n, 'example')}")
        pixels = np.frombuffer(file.read(header.nbytes), np.uint8, header.nbytes)
    return pixels.reshape(shape, order=header.order)


def _path(path: Path) -> str:
    return printable(str(path))


def _shape(array: NDArray[Any]) -> str:
    comma = "," if array.ndim == 1 else ""
    return f"({', '.join(map(str, array.shape))}{comma}) {printable(str(array.dtype), 40)}"


def _reason(error: BaseException) -> str:
    return printable(" ".join(str(error).split()), 100) or type(error).__name__
