"""Outputs read in blocks, of some examples or of all: what a loop over the whole matrix gives."""

import numpy as np
import pytest

from tui_influence.errors import ConfigError
from tui_influence.influence import outputs as module
from tui_influence.influence.outputs import (
    NonFiniteOutputsError,
    OutputMatrix,
    example_columns,
    mean_output,
    mean_outputs_by_label,
)
from tui_influence.influence.types import OutputKind

M, N, CLASSES = 11, 13, 4
LABELS = np.array([0, 1, 3, 3, 0, 1, 1, 3, 0, 0, 1, 3, 3])  # of class 2 there is none


@pytest.fixture(params=[np.float16, np.float32, np.float64])
def stored(request):
    """Margins that every precision holds exactly, and predictions."""
    rng = np.random.default_rng(0)
    margins = (rng.integers(-40, 40, (M, N)) / 8).astype(request.param)
    return margins, rng.integers(0, CLASSES, (M, N)).astype(np.uint16)


@pytest.fixture(params=[1, 3 * N, 10**6], ids=["a row a block", "three rows a block", "one block"])
def _blocks(request, monkeypatch):
    monkeypatch.setattr(module, "_ROW_BLOCK_VALUES", request.param)


def slow(margins, predicted, kind):
    exact = margins.astype(np.float64)
    return {
        OutputKind.MARGIN: exact,
        OutputKind.PROBABILITY: 1 / (1 + np.exp(-exact)),
        OutputKind.CORRECT: (predicted == LABELS).astype(np.float64),
    }[kind]


@pytest.mark.parametrize("kind", list(OutputKind))
@pytest.mark.usefixtures("_blocks")
def test_means_by_class_are_those_of_each_class_and_none_where_there_is_no_example(stored, kind):
    margins, predicted = stored
    chosen = np.array([12, 3, 2, 5, 6, 0])
    found = mean_outputs_by_label(OutputMatrix(margins, predicted, LABELS, kind), chosen, LABELS, CLASSES)
    for label in range(CLASSES):
        columns = [column for column in chosen if LABELS[column] == label]
        expected = slow(margins, predicted, kind)[:, columns].mean(axis=1) if columns else np.full(M, np.nan)
        np.testing.assert_allclose(found[:, label], expected, rtol=1e-6)


@pytest.mark.parametrize("kind", list(OutputKind))
@pytest.mark.usefixtures("_blocks")
def test_a_matrix_of_some_examples_holds_these_in_their_order(stored, kind):
    margins, predicted = stored
    chosen = np.array([7, 2, 11, 0])
    matrix = OutputMatrix(margins, predicted, LABELS, kind, chosen)
    whole = slow(margins, predicted, kind)
    assert matrix.shape == (M, 4)
    assert matrix.dtype == (np.float64 if margins.dtype == np.float64 else np.float32)
    np.testing.assert_allclose(matrix.block(slice(2, 9), slice(1, 3)), whole[2:9][:, [2, 11]], rtol=1e-6)
    np.testing.assert_allclose(matrix.block(slice(0, M), np.array([3, 0])), whole[:, [0, 7]], rtol=1e-6)
    np.testing.assert_allclose(mean_output(matrix, np.array([0, 2])), whole[:, [7, 11]].mean(axis=1), rtol=1e-6)
    rows = list(matrix.row_blocks(slice(0, 4)))
    assert [index for part, _ in rows for index in range(M)[part]] == list(range(M))
    np.testing.assert_allclose(np.concatenate([block for _, block in rows]), whole[:, chosen], rtol=1e-6)


def test_other_kinds_than_margins_come_as_single_numbers_unless_margins_are_double(stored):
    margins, predicted = stored
    wide = np.float64 if margins.dtype == np.float64 else np.float32
    for kind in (OutputKind.PROBABILITY, OutputKind.CORRECT):
        assert OutputMatrix(margins, predicted, LABELS, kind).block(slice(0, 1), slice(0, N)).dtype == wide


def test_every_column_is_in_one_slice(stored):
    matrix = OutputMatrix(stored[0])
    assert [(part.start, part.stop) for part in matrix.column_slices(5)] == [(0, 5), (5, 10), (10, 13)]
    assert [(part.start, part.stop) for part in matrix.column_slices(13)] == [(0, 13)]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ([3, 4, 5], slice(3, 6)),
        ([5, 3, 4, 3], slice(3, 6)),
        ([0], slice(0, 1)),
        ([12], slice(12, 13)),
        ([2, 4], [2, 4]),
        ([12, 0], [0, 12]),
        (np.arange(N) == 12, slice(12, 13)),
        (np.arange(N) % 6 == 0, [0, 6, 12]),
    ],
)
def test_columns_that_follow_each_other_are_a_slice_and_others_are_sorted(columns, expected):
    found = example_columns(np.asarray(columns), N)
    assert found == expected if isinstance(found, slice) else found.tolist() == expected


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ([-1, 3], "-1 is not one of 0 to 12"),
        ([3, 13], "13 is not one of 0 to 12"),
        (np.ones(N + 1, dtype=bool), "14 examples does not fit a target of 13"),
        (np.zeros(N, dtype=bool), "no target example"),
    ],
)
def test_columns_that_there_are_not_are_refused(columns, reason):
    with pytest.raises(ConfigError, match=reason):
        example_columns(np.asarray(columns), N)


@pytest.mark.usefixtures("_blocks")
def test_models_whose_outputs_are_no_numbers_are_counted(stored):
    margins, _ = stored
    margins[[1, 4], [0, 2]] = np.nan, np.inf
    margins[6, 5] = np.nan  # an example that is not asked about
    matrix = OutputMatrix(margins)
    for mean in (
        lambda: mean_output(matrix, np.array([0, 2])),
        lambda: mean_outputs_by_label(matrix, np.array([0, 2]), LABELS, CLASSES),
    ):
        with pytest.raises(NonFiniteOutputsError, match=r"of 2 model\(s\)"):
            mean()


def test_correct_needs_labels_and_predictions(stored):
    margins, predicted = stored
    for matrix in (
        OutputMatrix(margins, None, LABELS, OutputKind.CORRECT),
        OutputMatrix(margins, predicted, None, OutputKind.CORRECT),
    ):
        with pytest.raises(ConfigError, match="needs the predicted and the true labels"):
            mean_output(matrix, np.array([0]))
        with pytest.raises(ConfigError, match="needs the predicted and the true labels"):
            matrix.block(slice(0, 1), slice(0, 1))
