"""Masks for effects that are alike within clusters: the formulas of a ridge hold with other directions."""

import numpy as np
import pytest

from tui_influence.influence.cluster_factors import with_common_effects
from tui_influence.influence.factors import factorise

LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 3])
GROUPS = len(LABELS)
DOUBLE = np.dtype(np.float64)


def draw(models: int, seed: int = 0, *, pairs: bool = True, whole: bool = False):
    """Masks, seeds and outputs; `whole` for masks that are constant within clusters."""
    rng = np.random.default_rng(seed)
    half = rng.random((models // 2, 4))[:, LABELS] < 0.5 if whole else rng.random((models // 2, GROUPS)) < 0.5
    masks = np.stack([half, ~half], axis=1).reshape(models, GROUPS)
    seeds = np.arange(models) // 2 if pairs else None
    return masks, seeds, rng.normal(size=(models, 3))


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("models", [8, 40])
@pytest.mark.parametrize("common", [0.0, 0.3, 0.9])
def test_the_posterior_is_that_of_dense_matrices(models, common, pairs, whole):
    masks, seeds, outputs = draw(models, pairs=pairs, whole=whole)
    factors = with_common_effects(factorise(masks, seeds, DOUBLE), LABELS, common)
    assert factors.varies.all()
    covariance = np.where(LABELS[:, None] == LABELS, common, 0.0)
    np.fill_diagonal(covariance, 1.0)
    penalty = 2.5
    x, y = factors.strata.centred(masks.astype(float)), factors.strata.centred(outputs)
    precision = x.T @ x + penalty * np.linalg.inv(covariance)
    z = factors.rotate(y)
    filters = np.sqrt(factors.squares) / (factors.squares + penalty)
    fitted = factors.vectors @ (filters[:, None] * z)
    np.testing.assert_allclose(fitted, np.linalg.solve(precision, x.T @ y), atol=1e-9)
    variance = (factors.vectors**2) @ (1 / (factors.squares + penalty)) + factors.unidentified / penalty
    if not factors.is_relative:
        np.testing.assert_allclose(variance, np.diag(np.linalg.inv(precision)), atol=1e-9)
    evidence = np.linalg.slogdet(x @ covariance @ x.T / penalty + np.eye(models))[1]
    assert np.log1p(factors.squares / penalty).sum() == pytest.approx(evidence)


def test_effects_without_anything_in_common_are_those_of_a_ridge():
    masks, seeds, _ = draw(12)
    plain, same = factorise(masks, seeds, DOUBLE), with_common_effects(factorise(masks, seeds, DOUBLE), LABELS, 0.0)
    np.testing.assert_array_equal(plain.vectors, same.vectors)
    np.testing.assert_array_equal(plain.squares, same.squares)


def test_groups_that_never_vary_are_left_out():
    masks, seeds, _ = draw(12)
    masks[:, 3] = True
    factors = with_common_effects(factorise(masks, seeds, DOUBLE), LABELS, 0.5)
    assert factors.vectors.shape[0] == GROUPS - 1
