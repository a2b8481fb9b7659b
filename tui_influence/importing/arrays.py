"""What an import is made of: masks, outputs and what is known of the examples: opened, checked, left in their files.

Large arrays stay memory-mapped and are looked at a block of rows at a time. Nothing is ever unpickled. Whatever does
not fit is refused before anything is written.
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

ROWS = 256
"""Models that are read at once."""
MAX_CLASSES = 65_535
"""Predicted labels are stored in two bytes, and one value stands for "another class"."""
_UNREADABLE = (
    ValueError, EOFError, OverflowError, MemoryError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What reading an archive that somebody made up may raise."""
_NAMED = 5


@dataclass(frozen=True)
class ImportRequest:
    """Files and settings of an import; None where they were not given.

    Attributes:
        masks: (m, K) bool, or integers 0 and 1.
        outputs: (m, n) floats: margins log p - log(1 - p) of the correct class, in nats.
        labels: (n,) integers, the class of each example.
        predicted: (m, n) integers, the class that each model predicts.
        groups: text, K names, one a line.
        classes: text, the names of the classes, one a line.
        images: an `.npz` with the array `x`: (n, H, W[, C]) uint8.
        heldout: models, the last ones, that are kept to check the influences.
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
    """An import whose parts fit each other.

    Attributes:
        masks: (m, K), mapped; bool or integers.
        outputs: (m, n), mapped; finite floats.
        predicted: (m, n), mapped; integers, or None.
        labels: (n,) int64, 0 for all where they are unknown.
        groups: K names.
        classes: their names; one, "all", where labels are unknown.
        images: (n, H, W, C) uint8, or None.
        heldout: models, the last ones, that are kept to check the influences.
        identity: hash of all that influences depend on.
        constant: names of groups that every model to estimate from has, or none.
        same_size: all models to estimate from have as many groups.
        share: of the groups that such a model has, on average.
        are_probabilities: all outputs lie between 0 and 1, which margins hardly do.
        clipped: outputs beyond what is stored, `MARGIN_LIMIT` either way.
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
        """Models to estimate from."""
        return len(self.masks) - self.heldout


def open_import(given: ImportRequest) -> CheckedImport:
    """Open everything that an import is made of and check that it fits.

    Raises:
        ConfigError: something is missing, of the wrong kind or shape, or does not fit the rest.
    """
    masks, outputs = _matrix(given.masks, "masks (m, K)"), _matrix(given.outputs, "outputs (m, n)")
    _check_matrices(given, masks, outputs)
    m, n = outputs.shape
    groups = _names(given.groups, masks.shape[1], "group") if given.groups else _numbered("group", masks.shape[1])
    labels, classes = _labels(given, n)
    predicted = _predicted(given.predicted, outputs) if given.predicted else None
    images = _images(given.images, n) if given.images else None
    digest = hashlib.blake2b(repr((masks.shape, outputs.shape, given.heldout)).encode(), digest_size=32)
    with_group, sizes = _check_masks(given.masks, masks, m - given.heldout, digest)
    least, most, clipped = _check_outputs(given.outputs, outputs, digest)
    if predicted is not None and given.predicted is not None:
        _check_predicted(given.predicted, predicted, len(classes), digest)
    digest.update(repr((groups, classes)).encode("utf-8", "surrogatepass") + labels.tobytes())
    constant = np.flatnonzero((with_group == 0) | (with_group == m - given.heldout))
    if len(constant) == len(groups):
        raise ConfigError(f"{_path(given.masks)}: no group varies: every model has the same groups")
    return CheckedImport(
        masks=masks,
        outputs=outputs,
        predicted=predicted,
        labels=labels,
        groups=groups,
        classes=classes,
        images=images,
        heldout=given.heldout,
        identity=digest.hexdigest(),
        constant_groups=tuple(groups[int(k)] for k in constant),
        is_fixed_size=len(sizes) == 1,
        alpha=float(with_group.mean()) / (m - given.heldout),
        are_probabilities=least >= 0 and most <= 1,
        clipped=clipped,
    )


def row_blocks(array: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield (first row, rows) of an array, so many at a time."""
    for start in range(0, len(array), ROWS):
        yield start, np.asarray(array[start : start + ROWS])


def abbreviate_names(names: Sequence[str]) -> str:
    """Return the first few of some names, safe to show."""
    shown = ", ".join(printable(name, 60) for name in names[:_NAMED])
    return shown + (f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else "")


def _matrix(path: Path, what: str) -> NDArray[Any]:
    array = _array(path)
    if array.ndim != 2 or 0 in array.shape:
        raise ConfigError(f"{_path(path)}: {_shape(array)}; {what} are wanted, none of them 0")
    return array


def _array(path: Path) -> NDArray[Any]:
    """Map the array in a `.npy` file."""
    try:
        return map_array(path)
    except OSError as error:
        raise ConfigError(str(to_results_error(error, "read", path))) from error
    except ResultsError as error:  # a file that is given, no run that is damaged
        raise ConfigError(str(error)) from error
    except ValueError as error:
        raise ConfigError(f"{_path(path)}: not a .npy file of plain numbers ({error})") from error


def _check_matrices(given: ImportRequest, masks: NDArray[Any], outputs: NDArray[Any]) -> None:
    if masks.dtype.kind not in "biu":
        raise ConfigError(f"{_path(given.masks)}: {_shape(masks)}; masks must be bool, or integers 0 and 1")
    if outputs.dtype.kind != "f":
        raise ConfigError(f"{_path(given.outputs)}: {_shape(outputs)}; outputs must be floating-point margins")
    if len(masks) != len(outputs):
        raise ConfigError(
            f"{pluralize(len(masks), 'model')} in {_path(given.masks)}, but {len(outputs):,} in {_path(given.outputs)}"
        )
    if masks.shape[1] < 2:
        raise ConfigError(f"{_path(given.masks)}: one group; an influence takes at least 2")
    if len(masks) - given.heldout < 2:
        raise ConfigError(
            f"{pluralize(len(masks), 'model')}, {given.heldout} of them held out: an influence takes at least 2 others"
        )


def _check_masks(path: Path, masks: NDArray[Any], models: int, digest: Any) -> tuple[NDArray[np.int64], set[int]]:
    """Return how many of the first `models` models have each group, and the numbers of groups that one has."""
    sizes: set[int] = set()
    with_group = np.zeros(masks.shape[1], dtype=np.int64)
    for start, block in row_blocks(masks):
        wrong = np.argwhere((block != 0) & (block != 1)) if block.dtype != np.bool_ else np.empty((0, 2))
        if len(wrong):
            row, column = (int(place) for place in wrong[0])
            raise ConfigError(
                f"{_path(path)}: {block[row, column]} at [{start + row}, {column}]; masks must be 0 or 1 throughout"
            )
        asked = block.astype(np.bool_)
        estimating = asked[: max(models - start, 0)]
        with_group += np.count_nonzero(estimating, axis=0)
        sizes.update(np.count_nonzero(estimating, axis=1).tolist())
        digest.update(np.packbits(asked).data)
    return with_group, sizes


def _check_outputs(path: Path, outputs: NDArray[Any], digest: Any) -> tuple[float, float, int]:
    """Return the least and the largest output, and how many are beyond what is stored."""
    least, most, clipped = np.inf, -np.inf, 0
    for start, block in row_blocks(outputs):
        wrong = np.argwhere(~np.isfinite(block))
        if len(wrong):
            row, column = (int(place) for place in wrong[0])
            raise ConfigError(
                f"{_path(path)}: {block[row, column]} at [{start + row}, {column}]; outputs must be finite"
            )
        least, most = min(least, float(block.min())), max(most, float(block.max()))
        clipped += int(np.count_nonzero(np.abs(block) > MARGIN_LIMIT))
        digest.update(np.ascontiguousarray(block).data)
    return least, most, clipped


def _labels(given: ImportRequest, n: int) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    if given.labels is None:
        if given.predicted is not None:
            raise ConfigError("--predicted needs --labels: a prediction is right where it is the label")
        names = _names(given.classes, 1, "class") if given.classes else ("all",)
        return np.zeros(n, dtype=np.int64), names
    labels = _array(given.labels)
    where = _path(given.labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ConfigError(f"{where}: {_shape(labels)}; labels must be (n,) integers")
    if len(labels) != n:
        raise ConfigError(f"{where}: {pluralize(len(labels), 'label')}, but outputs of {pluralize(n, 'example')}")
    least, most = int(labels.min()), int(labels.max())
    if least < 0 or most >= MAX_CLASSES:
        raise ConfigError(f"{where}: a label of {least if least < 0 else most}; they must be 0 to {MAX_CLASSES - 1}")
    if given.classes is None:
        return labels.astype(np.int64), _numbered("class", most + 1)
    classes = _names(given.classes, None, "class")
    if most >= len(classes):
        raise ConfigError(
            f"{where}: a label of {most}, but {_path(given.classes)} names "
            f"{pluralize(len(classes), 'class', 'classes')}, numbered from 0"
        )
    return labels.astype(np.int64), classes


def _predicted(path: Path, outputs: NDArray[Any]) -> NDArray[Any]:
    predicted = _array(path)
    if predicted.shape != outputs.shape or predicted.dtype.kind not in "iu":
        shape = ", ".join(map(str, outputs.shape))
        raise ConfigError(f"{_path(path)}: {_shape(predicted)}; ({shape}) integers are wanted")
    return predicted


def _check_predicted(path: Path, predicted: NDArray[Any], classes: int, digest: Any) -> None:
    for start, block in row_blocks(predicted):
        wrong = np.argwhere((block < 0) | (block >= classes))
        if len(wrong):
            row, column = (int(place) for place in wrong[0])
            raise ConfigError(
                f"{_path(path)}: {block[row, column]} at [{start + row}, {column}]; "
                f"there are {pluralize(classes, 'class', 'classes')}, numbered from 0"
            )
        digest.update(block.astype(np.uint16).data)


def _names(path: Path, count: int | None, noun: str) -> tuple[str, ...]:
    """Read names, one a line; so many of them if that is known."""
    where, plural = _path(path), "classes" if noun == "class" else noun + "s"
    try:
        text = read_bytes(path, limit=1 << 28).decode("utf-8-sig")
    except ValueError as error:
        raise ConfigError(f"{where}: not UTF-8 text") from error
    except ResultsError as error:  # a file that is given, no run that is damaged
        raise ConfigError(str(error)) from error
    names = tuple(text.removesuffix("\n").split("\n")) if text else ()
    names = tuple(name.removesuffix("\r") for name in names)
    if count is not None and len(names) != count:
        raise ConfigError(f"{where}: {pluralize(len(names), 'line')} for {pluralize(count, noun, plural)}; one a line")
    if not names or not all(name.strip() for name in names):
        raise ConfigError(f"{where}: a name is empty; one a line")
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise ConfigError(f"{where}: more than once: {abbreviate_names(twice)}")
    if noun == "class" and len(names) > MAX_CLASSES:
        raise ConfigError(f"{where}: {len(names):,} classes; at most {MAX_CLASSES:,} can be told apart")
    return names


def _numbered(noun: str, count: int) -> tuple[str, ...]:
    width = len(str(count - 1))
    return tuple(f"{noun} {place:0{width}d}" for place in range(count))


def _images(path: Path, n: int) -> NDArray[np.uint8]:
    where = _path(path)
    try:
        with open_file(path) as file, zipfile.ZipFile(file) as archive:
            return _pixels(archive, where, n)
    except OSError as error:
        raise ConfigError(str(to_results_error(error, "read", path))) from error
    except ResultsError as error:  # a file that is given, no run that is damaged
        raise ConfigError(str(error)) from error
    except KeyError as error:
        raise ConfigError(f"{where}: an .npz file with an array x is wanted") from error
    except _UNREADABLE as error:
        raise ConfigError(f"{where}: not an .npz file of plain numbers ({_reason(error)})") from error


def _pixels(archive: zipfile.ZipFile, where: str, n: int) -> NDArray[np.uint8]:
    """Read the images in an archive, once its header says that they fit."""
    member = archive.getinfo("x.npy")
    with archive.open(member) as file:
        header = read_plain_header(file, member.file_size)
        shape = header.shape if len(header.shape) == 4 else (*header.shape, 1)
        if header.dtype != np.uint8 or len(shape) != 4 or shape[3] not in (1, 3) or 0 in shape:
            raise ConfigError(f"{where}: x is {header}; (n, H, W), (n, H, W, 1) or (n, H, W, 3) uint8 are wanted")
        if shape[0] != n:
            raise ConfigError(f"{where}: {pluralize(shape[0], 'image')}, but outputs of {pluralize(n, 'example')}")
        pixels = np.frombuffer(file.read(header.nbytes), np.uint8, header.nbytes)
    return pixels.reshape(shape, order=header.order)


def _path(path: Path) -> str:
    return printable(str(path))


def _shape(array: NDArray[Any]) -> str:
    comma = "," if array.ndim == 1 else ""
    return f"({', '.join(map(str, array.shape))}{comma}) {printable(str(array.dtype), 40)}"


def _reason(error: BaseException) -> str:
    return printable(" ".join(str(error).split()), 100) or type(error).__name__
