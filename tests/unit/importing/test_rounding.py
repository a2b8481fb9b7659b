"""The error of rounding outputs to a narrower type, by blocks, against the error of the whole array."""

import numpy as np
import pytest

from tui_influence.importing import rounding
from tui_influence.importing.rounding import RoundingError
from tui_influence.store.records import MAX_ROUNDING


def count_imprecise(outputs, dtype, rows: int = 7) -> int:
    error = RoundingError(outputs.shape[1], dtype)
    for start in range(0, len(outputs), rows):
        error.add(outputs[start : start + rows])
    return error.count_imprecise()


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_it_is_that_of_the_whole_array_whatever_the_blocks(rows, monkeypatch):
    monkeypatch.setattr(rounding, "_COLUMNS_PER_BLOCK", 5)
    rng = np.random.default_rng(0)
    outputs = rng.normal(size=(90, 64)) * rng.uniform(0.01, 1, 64) + np.linspace(0, 40, 64)
    error = outputs.astype(np.float16) - outputs
    expected = int(np.count_nonzero(error.std(axis=0) > MAX_ROUNDING * outputs.std(axis=0)))
    assert 0 < expected < 64
    assert count_imprecise(outputs, np.float16, rows) == expected


@pytest.mark.parametrize(
    ("centre", "spread", "dtype", "is_imprecise"),
    [
        (0, 1, np.float16, False),
        (3, 1, np.float16, False),
        (1000, 0.1, np.float16, True),
        (1000, 0.1, np.float32, False),
        (1e7, 1, np.float32, True),
        (0, 1e-7, np.float16, True),
        (1e5, 1, np.float16, True),
    ],
)
def test_it_is_compared_with_the_spread_over_models(centre, spread, dtype, is_imprecise):
    outputs = centre + spread * np.random.default_rng(0).normal(size=(50, 1))
    assert count_imprecise(outputs, dtype) == is_imprecise


def test_what_does_not_vary_or_is_exact_is_precise():
    constant = np.full((20, 3), 1000.1)
    exact = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float16).astype(np.float64)
    assert count_imprecise(constant, np.float16) == 0
    assert count_imprecise(exact, np.float16) == 0
