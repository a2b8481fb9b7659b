"""Outputs of models on target examples: margins, probabilities or correctness, and their means over examples.

Stored are margins (m, n), usually a float16 memory map, and predicted labels (m, n). Neither is copied whole: a matrix
is read in blocks of rows (for means over examples) or of columns (for single examples), and a block at a time is
widened to float32.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.errors import ConfigError, ResultsError
from tui_influence.influence.types import OutputKind
from tui_influence.text import did_you_mean

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]
Mask = NDArray[np.bool_]

_ROW_BLOCK_VALUES = 4_000_000  # about 16 MB of float32: near the size of the cache


class NonFiniteOutputsError(ResultsError):
    """A stored output is NaN or infinite."""


def outputs_of_kind(
    margins: Floats, predicted: Integers | None, labels: Integers | None, kind: OutputKind | str
) -> Floats:
    """Turn stored predictions into outputs of one kind.

    Args:
        margins: (m, n) float16, float32 or float64, in nats; may be a memory map.
        predicted: (m, n) int, the predicted labels; only needed for `correct`.
        labels: (n,) int, the true labels; only needed for `correct`.
        kind: of output.

    Returns:
        (m, n). Margins are returned as they are, not copied; the other kinds are float32 (float64 from float64
        margins): probability = 1 / (1 + exp(-margin)), correct = (predicted == labels).

    Raises:
        ConfigError: an unknown kind, or `correct` without the predicted and true labels.
    """
    kind = parse_output_kind(kind)
    if kind is OutputKind.MARGIN:
        return margins
    if kind is OutputKind.PROBABILITY:
        return _sigmoid(margins)
    return _hits(predicted, labels).astype(_working_dtype(margins))


def parse_output_kind(kind: OutputKind | str) -> OutputKind:
    """Return the output kind of a name, or raise `ConfigError` with a list of the names."""
    try:
        return OutputKind(kind)
    except ValueError:
        raise ConfigError(
            f"unknown output kind {kind!r}: one of {', '.join(OutputKind)}{did_you_mean(kind, [*OutputKind])}"
        ) from None


@dataclass(frozen=True)
class OutputMatrix:
    """Outputs of one kind, (m, n), converted a block at a time.

    Attributes are the arguments of `outputs_of_kind`; `predicted` and `labels` may be None unless the kind is
    `correct`. With `examples`, (c,) indices, it is a matrix of these examples alone, (m, c), in this order.
    """

    margins: Floats
    predicted: Integers | None = None
    labels: Integers | None = None
    kind: OutputKind = OutputKind.MARGIN
    examples: Integers | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n): models, target examples."""
        return self.margins.shape[0], self.margins.shape[1] if self.examples is None else len(self.examples)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a block: float32, or float64 if the margins are."""
        return _working_dtype(self.margins)

    def block(self, rows: slice, columns: slice | Integers) -> Floats:
        """Return outputs of some models on some examples, as `dtype` or, for margins, as stored."""
        columns = self.stored_columns(columns)
        predicted = self.predicted if self.kind is OutputKind.CORRECT else None
        return outputs_of_kind(
            _cut(self.margins, rows, columns),
            None if predicted is None else _cut(predicted, rows, columns),
            None if self.labels is None else self.labels[columns],
            self.kind,
        )

    def stored_columns(self, columns: slice | Integers) -> slice | Integers:
        """Return the stored columns of some examples."""
        return columns if self.examples is None else self.examples[columns]

    def column_slices(self, width: int) -> Iterator[slice]:
        """Return slices that cover all columns, `width` at a time."""
        n = self.shape[1]
        return (slice(start, min(start + width, n)) for start in range(0, n, width))

    def row_blocks(self, columns: slice | Integers) -> Iterator[tuple[slice, Floats]]:
        """Yield all rows of some columns in blocks: (slice of rows, outputs (rows, columns))."""
        m, n = self.shape
        step = max(1, _ROW_BLOCK_VALUES // max(n, 1))
        for start in range(0, m, step):
            rows = slice(start, min(start + step, m))
            yield rows, self.block(rows, columns)


def as_matrix(outputs: Floats | OutputMatrix) -> OutputMatrix:
    """Wrap (m, n) or (m,) outputs of the right kind; (m,) is one example."""
    if isinstance(outputs, OutputMatrix):
        return outputs
    return OutputMatrix(outputs[:, None] if outputs.ndim == 1 else outputs)


def mean_output(outputs: OutputMatrix, examples: NDArray[Any]) -> NDArray[np.float64]:
    """Average each model's output over some target examples, in one pass.

    Args:
        outputs: (m, n).
        examples: to average over: (n,) bool, or distinct indices.

    Returns:
        (m,) float64. Sums are pairwise in float32, so the error is of the order of 1e-7 of an output.

    Raises:
        ConfigError: no example is selected, or an index is out of range.
        NonFiniteOutputsError: a stored margin is NaN or infinite.
    """
    columns = example_columns(examples, outputs.shape[1])
    mean = np.empty(outputs.shape[0])
    if outputs.kind is OutputKind.CORRECT:
        return _accuracy(outputs, columns)
    for rows, block in outputs.row_blocks(columns):
        mean[rows] = block.astype(outputs.dtype, copy=False).mean(axis=1)
    if not np.isfinite(mean).all():
        raise _not_finite(int(np.count_nonzero(~np.isfinite(mean))))
    return mean


def mean_outputs_by_label(
    outputs: OutputMatrix, examples: NDArray[Any], labels: Integers, count: int
) -> NDArray[np.float64]:
    """Average each model's output over the selected examples of each class, in one pass.

    Args:
        outputs: (m, n).
        examples: to average over: (n,) bool, or distinct indices.
        labels: (n,) int, class of each example, 0 to `count` - 1.
        count: C, the number of classes.

    Returns:
        (m, C) float64; NaN for a class without a selected example.

    Raises:
        ConfigError: no example is selected, or an index is out of range.
        NonFiniteOutputsError: a stored margin is NaN or infinite.
    """
    m, n = outputs.shape
    columns = np.arange(n)[example_columns(examples, n)]
    order = columns[np.argsort(labels[columns], kind="stable")]
    sizes = np.bincount(labels[order], minlength=count)
    present = np.flatnonzero(sizes)
    starts = (np.cumsum(sizes) - sizes)[present]
    mean = np.full((m, count), np.nan)
    for rows, block in outputs.row_blocks(order):
        mean[rows, present] = np.add.reduceat(block, starts, axis=1, dtype=np.float64) / sizes[present]
    unusable = np.count_nonzero(~np.isfinite(mean[:, present]).all(axis=1))
    if unusable:
        raise _not_finite(int(unusable))
    return mean


def example_columns(examples: NDArray[Any], n: int) -> slice | NDArray[np.intp]:
    """Return selected examples as a slice where they are contiguous (no gather), else as sorted indices.

    Args:
        examples: (n,) bool or int indices.
        n: number of examples.

    Raises:
        ConfigError: no example is selected, or an index is out of range.
    """
    examples = np.atleast_1d(np.asarray(examples))
    if examples.dtype == np.bool_:
        if examples.shape != (n,):
            raise ConfigError(f"a selection of {examples.size} examples does not fit a target of {n}")
        index = np.flatnonzero(examples)
    else:
        index = np.unique(examples).astype(np.intp)
    if index.size == 0:
        raise ConfigError("no target example is selected")
    if index[0] < 0 or index[-1] >= n:
        raise ConfigError(f"target example {index[0] if index[0] < 0 else index[-1]} is not one of 0 to {n - 1}")
    if index[-1] - index[0] + 1 == index.size:
        return slice(int(index[0]), int(index[-1]) + 1)
    return index


def _cut(array: NDArray[Any], rows: slice, columns: slice | Integers) -> NDArray[Any]:
    # `take`, because it is five times as fast as an index here
    return array[rows, columns] if isinstance(columns, slice) else np.take(array[rows], columns, axis=1)


def _accuracy(outputs: OutputMatrix, columns: slice | Integers) -> NDArray[np.float64]:
    """Return the share of examples that each model predicts correctly, (m,); counted, not averaged as floats."""
    if outputs.predicted is None or outputs.labels is None:
        raise _labels_missing()
    m = outputs.shape[0]
    columns = outputs.stored_columns(columns)
    step = max(1, _ROW_BLOCK_VALUES // outputs.shape[1])
    share = np.empty(m)
    for start in range(0, m, step):
        rows = slice(start, min(start + step, m))
        hits = _hits(_cut(outputs.predicted, rows, columns), outputs.labels[columns])
        share[rows] = np.count_nonzero(hits, axis=1) / hits.shape[1]
    return share


def _hits(predicted: Integers | None, labels: Integers | None) -> Mask:
    if predicted is None or labels is None:
        raise _labels_missing()
    hits: Mask = predicted == labels.astype(predicted.dtype, copy=False)
    return hits


def _labels_missing() -> ConfigError:
    return ConfigError("output kind 'correct' needs the predicted and the true labels")


def _not_finite(models: int) -> NonFiniteOutputsError:
    return NonFiniteOutputsError(f"the outputs of {models} model(s) hold NaN or infinite values")


def _working_dtype(margins: Floats) -> np.dtype[Any]:
    return np.dtype(np.float64 if margins.dtype == np.float64 else np.float32)


def _sigmoid(margins: Floats) -> Floats:
    if margins.dtype == np.float16:  # 65,536 possible values: a table is faster than 75 million exponentials
        probabilities: Floats = _sigmoid_of_halves()[margins.view(np.uint16)]
        return probabilities
    with np.errstate(over="ignore"):  # exp of a large negative margin's opposite: 1 / inf is the right answer
        wide_probabilities: Floats = 1 / (1 + np.exp(-margins.astype(_working_dtype(margins), copy=False)))
    return wide_probabilities


@cache
def _sigmoid_of_halves() -> NDArray[np.float32]:
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        return (1 / (1 + np.exp(-halves))).astype(np.float32)
