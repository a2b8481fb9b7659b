"""Masks, outputs, seeds and descriptions of the examples of an import, opened and checked.

Large arrays stay memory-mapped and are checked a block of rows at a time. Nothing is ever unpickled. Files that do not
match are refused before anything is written.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.errors import ConfigError, ResultsError
from tui_influence.importing.array_files import map_npy, path_text, position_text, read_npz, shape_text
from tui_influence.importing.prior_arrays import read_prior
from tui_influence.importing.rounding import RoundingError
from tui_influence.influence.factors import varying_groups
from tui_influence.influence.strata import seed_strata
from tui_influence.npy_header import Header
from tui_influence.store.files import read_bytes
from tui_influence.store.prior_records import PriorMeasures
from tui_influence.store.records import MARGIN_LIMIT, WIDE_MARGIN_LIMIT
from tui_influence.store.run_info import MARGIN_TYPES
from tui_influence.text import pluralize, printable

ROWS_PER_BLOCK = 256
"""Models that are read at a time."""
MAX_CLASSES = 65_535
"""Predicted labels are stored in two bytes, and one value means "another class"."""
_GROUPS_PER_BLOCK = 256
_MAX_CLUSTER = 2**63 - 1
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
        clusters: (m,) integers, equal for models that share a training seed.
        prior: an `.npz`; see `read_prior`.
    """

    masks: Path
    outputs: Path
    labels: Path | None = None
    predicted: Path | None = None
    groups: Path | None = None
    classes: Path | None = None
    images: Path | None = None
    heldout: int = 0
    clusters: Path | None = None
    prior: Path | None = None


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
        constant_within_seeds: names of further groups that differ between no two models of the same seed, or with a
            seed of their own.
        is_fixed_size: whether all models to estimate from are trained on equally many groups.
        alpha: fraction of the groups that such a model is trained on, on average.
        are_probabilities: whether all outputs are between 0 and 1, which is unlikely for margins.
        beyond_limit: number of outputs beyond `MARGIN_LIMIT`, which is unlikely for margins.
        margin_type: that the outputs are stored as: float32 where float16 is too narrow, or too coarse for an example.
        imprecise: number of examples that even this type is too coarse for; see `MAX_ROUNDING`.
        clusters: (m,) int64, equal for models that share a training seed; None if that is unknown.
        prior: measures of the prior networks, or None.
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
    constant_within_seeds: tuple[str, ...]
    is_fixed_size: bool
    alpha: float
    are_probabilities: bool
    beyond_limit: int
    margin_type: str
    imprecise: int
    clusters: NDArray[np.int64] | None = None
    prior: PriorMeasures | None = None

    @property
    def models(self) -> int:
        """Number of models to estimate from."""
        return len(self.masks) - self.heldout

    @property
    def has_shared_seeds(self) -> bool:
        """Whether any models to estimate from share a training seed."""
        return self.clusters is not None and len(np.unique(self.clusters[: self.models])) < self.models


def open_import(request: ImportRequest) -> CheckedImport:
    """Open the files of an import and check that they match.

    Raises:
        ConfigError: a file is missing, of the wrong type or shape, or does not match the others.
    """
    masks, outputs = _matrix(request.masks, "masks (m, K)"), _matrix(request.outputs, "outputs (m, n)")
    _check_matrices(request, masks, outputs)
    m, n = outputs.shape
    models = m - request.heldout
    groups = (
        _names(request.groups, masks.shape[1], "group") if request.groups else _numbered_names("group", masks.shape[1])
    )
    labels, classes = _labels(request, n)
    predicted = _predicted(request.predicted, outputs) if request.predicted else None
    images = _images(request.images, n) if request.images else None
    clusters = _clusters(request.clusters, m, models) if request.clusters else None
    prior = read_prior(request.prior, len(groups), labels, classes) if request.prior else None
    digest = hashlib.blake2b(repr((masks.shape, outputs.shape, request.heldout)).encode(), digest_size=32)
    with_group, sizes = _check_masks(request.masks, masks, models, digest)
    checked = _check_outputs(request.outputs, outputs, digest)
    if predicted is not None and request.predicted is not None:
        _check_predicted(request.predicted, predicted, len(classes), digest)
    digest.update(repr((groups, classes)).encode("utf-8", "surrogatepass") + labels.tobytes())
    if clusters is not None:
        digest.update(b"clusters" + clusters.tobytes())
    if prior is not None:
        digest.update(b"prior" + prior.mapping.tobytes() + prior.ablation.tobytes())
    constant = np.flatnonzero((with_group == 0) | (with_group == models)).tolist()
    if len(constant) == len(groups):
        raise ConfigError(f"{path_text(request.masks)}: no group varies: every model has the same groups")
    within_seeds = set[int]() if clusters is None else _constant_within_seeds(masks[:models], clusters[:models])
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
        constant_groups=tuple(groups[k] for k in constant),
        constant_within_seeds=tuple(groups[k] for k in sorted(within_seeds - set(constant))),
        is_fixed_size=len(sizes) == 1,
        alpha=float(with_group.mean()) / models,
        are_probabilities=checked.lowest >= 0 and checked.highest <= 1,
        beyond_limit=checked.beyond_limit,
        margin_type=checked.margin_type,
        imprecise=checked.imprecise,
        clusters=clusters,
        prior=prior,
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
    array = map_npy(path)
    if array.ndim != 2 or 0 in array.shape:
        raise ConfigError(f"{path_text(path)}: {shape_text(array)}; expected {description}, none of them 0")
    return array


def _check_matrices(request: ImportRequest, masks: NDArray[Any], outputs: NDArray[Any]) -> None:
    if masks.dtype.kind not in "biu":
        raise ConfigError(f"{path_text(request.masks)}: {shape_text(masks)}; masks must be bool, or integers 0 and 1")
    if outputs.dtype.kind != "f":
        raise ConfigError(
            f"{path_text(request.outputs)}: {shape_text(outputs)}; outputs must be floating-point margins"
        )
    if len(masks) != len(outputs):
        raise ConfigError(
            f"{pluralize(len(masks), 'model')} in {path_text(request.masks)}, "
            f"but {len(outputs):,} in {path_text(request.outputs)}"
        )
    if masks.shape[1] < 2:
        raise ConfigError(f"{path_text(request.masks)}: one group; an influence takes at least 2")
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
                f"{path_text(path)}: {block[row, column]} at [{start + row}, {column}]; masks must be 0 or 1 throughout"
            )
        is_kept = block.astype(np.bool_)
        estimating = is_kept[: max(models - start, 0)]
        with_group += np.count_nonzero(estimating, axis=0)
        sizes.update(np.count_nonzero(estimating, axis=1).tolist())
        digest.update(np.packbits(is_kept).data)
    return with_group, sizes


@dataclass(frozen=True)
class _CheckedOutputs:
    """What all outputs say: attributes as those of `CheckedImport`, and the `lowest` and the `highest` output."""

    lowest: float
    highest: float
    beyond_limit: int
    margin_type: str
    imprecise: int


def _check_outputs(path: Path, outputs: NDArray[Any], digest: Any) -> _CheckedOutputs:
    lowest, highest, beyond_limit = np.inf, -np.inf, 0
    roundings = {
        name: RoundingError(outputs.shape[1], name)
        for name in MARGIN_TYPES
        if np.dtype(name).itemsize < outputs.dtype.itemsize
    }
    for start, block in row_blocks(outputs):
        is_valid = np.isfinite(block)
        if block.dtype.itemsize > 2:  # no half float is beyond
            is_valid &= np.abs(block) <= WIDE_MARGIN_LIMIT
        invalid = np.argwhere(~is_valid)
        if len(invalid):
            value = block[tuple(invalid[0])]
            raise ConfigError(
                f"{path_text(path)}: {value} at {position_text(invalid[0] + [start, 0])}; outputs must be finite"
                + (f", within +-{WIDE_MARGIN_LIMIT:g}: are these nats?" if np.isfinite(value) else "")
            )
        lowest, highest = min(lowest, float(block.min())), max(highest, float(block.max()))
        beyond_limit += int(np.count_nonzero(np.abs(block) > MARGIN_LIMIT))
        for rounding in roundings.values():
            rounding.add(block)
        digest.update(np.ascontiguousarray(block).data)
    imprecise = {name: rounding.count_imprecise() for name, rounding in roundings.items()}
    narrow, wide = MARGIN_TYPES
    margin_type = wide if beyond_limit or imprecise.get(narrow) else narrow
    return _CheckedOutputs(lowest, highest, beyond_limit, margin_type, imprecise.get(margin_type, 0))


def _labels(request: ImportRequest, n: int) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    if request.labels is None:
        if request.predicted is not None:
            raise ConfigError("--predicted needs --labels: a prediction is right where it is the label")
        names = _names(request.classes, 1, "class") if request.classes else ("all",)
        return np.zeros(n, dtype=np.int64), names
    labels = map_npy(request.labels)
    where = path_text(request.labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ConfigError(f"{where}: {shape_text(labels)}; labels must be (n,) integers")
    if len(labels) != n:
        raise ConfigError(f"{where}: {pluralize(len(labels), 'label')}, but outputs of {pluralize(n, 'example')}")
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest >= MAX_CLASSES:
        raise ConfigError(
            f"{where}: a label of {lowest if lowest < 0 else highest}; they must be 0 to {MAX_CLASSES - 1}"
        )
    if request.classes is None:
        return labels.astype(np.int64), _numbered_names("class", highest + 1)
    classes = _names(request.classes, None, "class")
    if highest >= len(classes):
        raise ConfigError(
            f"{where}: a label of {highest}, but {path_text(request.classes)} names "
            f"{pluralize(len(classes), 'class', 'classes')}, numbered from 0"
        )
    return labels.astype(np.int64), classes


def _predicted(path: Path, outputs: NDArray[Any]) -> NDArray[Any]:
    predicted = map_npy(path)
    if predicted.shape != outputs.shape or predicted.dtype.kind not in "iu":
        shape = ", ".join(map(str, outputs.shape))
        raise ConfigError(f"{path_text(path)}: {shape_text(predicted)}; expected ({shape}) integers")
    return predicted


def _check_predicted(path: Path, predicted: NDArray[Any], classes: int, digest: Any) -> None:
    for start, block in row_blocks(predicted):
        invalid = np.argwhere((block < 0) | (block >= classes))
        if len(invalid):
            row, column = (int(index) for index in invalid[0])
            raise ConfigError(
                f"{path_text(path)}: {block[row, column]} at [{start + row}, {column}]; "
                f"there are {pluralize(classes, 'class', 'classes')}, numbered from 0"
            )
        digest.update(block.astype(np.uint16).data)


def _clusters(path: Path, m: int, models: int) -> NDArray[np.int64]:
    """Read the clusters of m models, the first `models` of which are those to estimate from."""
    clusters = map_npy(path)
    if clusters.ndim != 1 or clusters.dtype.kind not in "iu":
        raise ConfigError(
            f"{path_text(path)}: {shape_text(clusters)}; clusters must be (m,) integers, equal "
            "for models that share a training seed"
        )
    if len(clusters) != m:
        raise ConfigError(f"{path_text(path)}: clusters of {pluralize(len(clusters), 'model')}, but masks of {m:,}")
    invalid = np.flatnonzero((clusters < 0) | (clusters > _MAX_CLUSTER))
    if len(invalid):
        raise ConfigError(
            f"{path_text(path)}: {clusters[invalid[0]]} at {position_text(invalid[:1])}; "
            f"clusters must be 0 to {_MAX_CLUSTER}"
        )
    if (clusters[:models] == clusters[0]).all():
        raise ConfigError(
            f"{path_text(path)}: all models have the same cluster, so nothing says how much a seed changes; if they "
            "were trained on seeds of their own, leave --clusters out"
        )
    return clusters.astype(np.int64)


def _constant_within_seeds(masks: NDArray[Any], clusters: NDArray[np.int64]) -> set[int]:
    """Return the groups of masks (m, K) that do not vary within any stratum of models, a few columns at a time."""
    strata = seed_strata(clusters, len(masks))
    constant: set[int] = set()
    for start in range(0, masks.shape[1], _GROUPS_PER_BLOCK):
        varies = varying_groups(masks[:, start : start + _GROUPS_PER_BLOCK].astype(np.bool_), strata)
        constant.update((start + np.flatnonzero(~varies)).tolist())
    return constant


def _names(path: Path, count: int | None, noun: str) -> tuple[str, ...]:
    """Read names, one per line; `count` is their number, if it is fixed."""
    where, plural = path_text(path), "classes" if noun == "class" else noun + "s"
    try:
        text = read_bytes(path, limit=1 << 28).decode("utf-8-sig")
    except ValueError as error:
        raise ConfigError(f"{where}: not UTF-8 text") from error
    except ResultsError as error:  # the file of a user, not a damaged run
        raise ConfigError(str(error)) from error
    names = tuple(text.removesuffix("\n").split("\n")) if text else ()
    names = tuple(name.removesuffix("\r") for name in names)
    if count is not None and len(names) != count:
        raise ConfigError(
            f"{where}: {pluralize(len(names), 'line')} for {pluralize(count, noun, plural)}; write one name per line"
        )
    if not names or not all(name.strip() for name in names):
        raise ConfigError(f"{where}: a name is empty; write one name per line")
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise ConfigError(f"{where}: more than once: {abbreviate_names(repeated)}")
    if noun == "class" and len(names) > MAX_CLASSES:
        raise ConfigError(f"{where}: {len(names):,} classes; at most {MAX_CLASSES:,} are supported")
    return names


def _numbered_names(noun: str, count: int) -> tuple[str, ...]:
    width = len(str(count - 1))
    return tuple(f"{noun} {number:0{width}d}" for number in range(count))


def _images(path: Path, n: int) -> NDArray[np.uint8]:
    def check(header: Header) -> None:
        shape = _image_shape(header.shape)
        if header.dtype != np.uint8 or len(shape) != 4 or shape[3] not in (1, 3) or 0 in shape:
            raise ConfigError(
                f"{path_text(path)}: x is {header}; expected (n, H, W), (n, H, W, 1) or (n, H, W, 3) uint8"
            )
        if shape[0] != n:
            images, examples = pluralize(shape[0], "image"), pluralize(n, "example")
            raise ConfigError(f"{path_text(path)}: {images}, but outputs of {examples}")

    pixels = read_npz(path, {"x": check})["x"]
    return pixels.reshape(_image_shape(pixels.shape))


def _image_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape if len(shape) == 4 else (*shape, 1)
