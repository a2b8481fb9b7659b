"""What rounding does to outputs: by how much it moves them, compared with their spread over models.

A constant error of an example changes no influence, so both are standard deviations over models.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.store.records import MAX_ROUNDING

_COLUMNS_PER_BLOCK = 16_384


class RoundingError:
    """Spread over models of n outputs and of the error of rounding them to a type, from blocks of models."""

    def __init__(self, examples: int, dtype: Any) -> None:
        """Start without models.

        Args:
            examples: n.
            dtype: float type to round to.
        """
        self._dtype = np.dtype(dtype)
        self._outputs, self._errors = _Moments(examples), _Moments(examples)

    def add(self, block: NDArray[Any]) -> None:
        """Add the outputs (rows, n) of some models."""
        for start in range(0, block.shape[1], _COLUMNS_PER_BLOCK):
            columns = slice(start, start + _COLUMNS_PER_BLOCK)
            outputs = block[:, columns].astype(np.float64)
            with np.errstate(over="ignore", invalid="ignore"):  # beyond the type: an infinite error
                errors = outputs.astype(self._dtype) - outputs
                self._errors.add(columns, errors)
            self._outputs.add(columns, outputs)

    def count_imprecise(self) -> int:
        """Return the number of examples whose error is more than `MAX_ROUNDING` of their spread over models."""
        with np.errstate(invalid="ignore"):
            is_precise = self._errors.squares <= MAX_ROUNDING**2 * self._outputs.squares
        return int(np.count_nonzero(~is_precise))


class _Moments:
    """Means and sums of squared deviations of columns, updated by blocks of rows (Chan, Golub & LeVeque 1983)."""

    def __init__(self, columns: int) -> None:
        self._rows = np.zeros(columns)
        self._mean = np.zeros(columns)
        self.squares = np.zeros(columns)

    def add(self, columns: slice, values: NDArray[np.float64]) -> None:
        rows = len(values)
        mean = values.mean(axis=0)
        shift, earlier = mean - self._mean[columns], self._rows[columns]
        self.squares[columns] += ((values - mean) ** 2).sum(axis=0) + shift**2 * earlier * rows / (earlier + rows)
        self._mean[columns] += shift * rows / (earlier + rows)
        self._rows[columns] += rows
