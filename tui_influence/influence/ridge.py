"""Ridge regression of outputs on masks, with intervals that cover on average over groups.

y = μ + X β + e, X the masks and y the outputs, both centred (within seed clusters, which removes the error
that models share). One factorisation serves every target output. With z = Uᵀy and s the singular values of X,

    influence  β(λ) = V diag(s / (s² + λ)) z
    λ          minimises N · RSS(λ) / (N - df(λ))², generalised cross-validation (Golub, Heath & Wahba 1979, eq. 1.4),
               for each output by itself, N = rows of X less the means taken out
    interval   Bayesian (Wahba 1983; Nychka 1988): with β ~ N(0, σ²/λ), β given y has covariance σ² (XᵀX + λ)⁻¹,
               which counts the bias of shrinking as well as the noise. Its coverage is 95% on average over the groups
               of a ranking, not for each: the largest effects are shrunk too much, the small ones cover more.

Nychka's result assumes that λ is known. Here λ is uncertain (with a weak signal, GCV sometimes shrinks to nothing and
the interval would shrink with it), so the variance is that of the estimate, averaged over the posterior of the share h
of variance that the masks explain, λ = T (1 - h) / h, T = trace(XᵀX) / N, h uniform on (0, 1):

    se²_k = Σ_h w_h [ σ²_h ((XᵀX + λ_h)⁻¹)_kk  +  |β(λ_h) - β(λ)|² / K ]

with w_h the marginal likelihood of h and σ²_h = yᵀ(XXᵀ/λ_h + I)⁻¹y / N. Coverage is shown by simulation in the tests.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.influence.estimate import group_counts, same_size_masks
from tui_influence.influence.factors import Factors, factorise, gram, joint_counts, product_dtype
from tui_influence.influence.outputs import Floats, Mask, OutputMatrix, as_matrix
from tui_influence.influence.shrinkage import Evidence, Grid
from tui_influence.influence.strata import seed_strata
from tui_influence.influence.types import Estimate

COLUMN_BLOCK = 1024
_CHEAP_DOUBLE = 1_000_000  # values of masks that are always widened to float64


def ridge(
    masks: Mask,
    outputs: Floats | OutputMatrix,
    clusters: NDArray[Any] | None = None,
    penalty: float | None = None,
) -> Estimate:
    """Regress outputs on masks with a ridge penalty; see the module for the method and its sources.

    It needs fewer models than `difference` where training noise is small, and where masks are orthogonal its
    standard error does not count the other groups' effects as noise. Fewer models than groups are fine.

    Args:
        masks: (m, K) bool.
        outputs: (m, n) float, (m,) for one example, or an `OutputMatrix`; finite.
        clusters: (m,) int, equal for models that share a training seed; None if no two do. Models are then compared
            within their cluster only: complementary pairs lose nothing, clusters of arbitrary masks lose one model
            each. Models without a partner (the other of the pair failed) are compared with each other.
        penalty: λ for every output; None chooses one for each by generalised cross-validation.

    Returns:
        Influence and standard error, (K, n), in the unit of `outputs`; n = 1 for (m,) outputs. With same-size masks
        the effect relative to the mean of the other groups, the same quantity as `difference` then estimates. NaN
        for groups that do not vary, and for all with fewer than 3 comparable models. `df` is N - df(λ), the median
        over outputs; `penalty` is λ.
    """
    matrix = as_matrix(outputs)
    m, n = matrix.shape
    groups = masks.shape[1]
    n_with, n_without = group_counts(masks)
    dtype = product_dtype(m, groups, n)
    influence = np.full((groups, n), np.nan, dtype)
    se = np.full((groups, n), np.nan, dtype)
    factors = factorise(masks, clusters, dtype) if m >= 3 else None
    if factors is None or factors.squares.size == 0 or factors.rows < 2:
        return Estimate(influence, se, 0.0, n_with, n_without, "ridge", same_size_masks(masks), np.full(n, np.nan))
    grid = Grid.over(factors, penalty)
    diagonal = _diagonal(factors, grid.penalties)
    penalties = np.empty(n)
    freedom = np.empty(n)
    for columns in matrix.column_slices(COLUMN_BLOCK):
        centred = factors.strata.centred(matrix.block(slice(0, m), columns).astype(dtype))
        fit = _fit(factors, grid, diagonal, centred)
        influence[factors.varies, columns] = factors.scale * fit.coefficients
        se[factors.varies, columns] = factors.scale * np.sqrt(fit.variance)
        penalties[columns] = grid.penalties[fit.chosen]
        freedom[columns] = factors.rows - grid.df[fit.chosen]
    return Estimate(
        influence, se, float(np.median(freedom)), n_with, n_without, "ridge", factors.is_relative, penalties
    )


def ridge_coefficients(
    masks: Mask,
    outputs: NDArray[np.float64],
    clusters: NDArray[Any] | None,
    penalty: float,
    counts: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return influences for a given penalty and one output, without the factorisation, in a fraction of `ridge`'s time.

    Args:
        masks: (m, K) bool.
        outputs: (m,) float64.
        clusters: (m,) int or None.
        penalty: λ > 0.
        counts: (K, K) `joint_counts` of the masks, if they are known; they are overwritten.

    Returns:
        (K,), equal to `ridge(...).influence[:, 0]` but 0 where a group does not vary.
    """
    m, groups = masks.shape
    strata = seed_strata(clusters, m)
    centred = strata.centred(outputs[:, None])
    if groups <= m:
        product = gram(masks, strata, counts)
        product[np.diag_indices(groups)] += penalty
        dtype = np.dtype(np.float32 if m * groups > _CHEAP_DOUBLE else np.float64)
        right: Floats = masks.astype(dtype).T @ centred.astype(dtype)
        return np.linalg.solve(product, right.astype(np.float64))[:, 0].astype(np.float64)
    design = strata.centred(masks.astype(np.float64))
    product = design @ design.T
    product[np.diag_indices(m)] += penalty
    dual: NDArray[np.float64] = design.T @ np.linalg.solve(product, centred)
    return dual[:, 0]


def ridge_halves(
    masks: Mask,
    outputs: NDArray[np.float64],
    clusters: NDArray[Any] | None,
    in_first: Mask,
    penalty: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ridge coefficients in both halves of every split, each (K, splits)."""
    result: tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]] = ([], [])
    is_wide = 2 * masks.shape[1] > masks.shape[0]
    of_all = None if is_wide else joint_counts(masks)
    for split in in_first:
        of_first = None if of_all is None else joint_counts(masks[split])
        of_second = None if of_all is None or of_first is None else of_all - of_first
        for half, counts, estimates in zip((split, ~split), (of_first, of_second), result, strict=True):
            seeds = None if clusters is None else clusters[half]
            estimates.append(ridge_coefficients(masks[half], outputs[half], seeds, penalty, counts))
    return np.stack(result[0], axis=1), np.stack(result[1], axis=1)


@dataclass(frozen=True)
class _Fit:
    """Coefficients and their variance, (K', n), and the index into the grid of each output's λ, (n,)."""

    coefficients: Floats
    variance: Floats
    chosen: NDArray[np.intp]


def _fit(factors: Factors, grid: Grid, diagonal: NDArray[np.float64], centred: Floats) -> _Fit:
    """Fit a ridge of the outputs `centred` (m, n) on the factorised masks, with penalties by GCV.

    `diagonal` (K', L) is that of (XᵀX + λ)⁻¹, in identified directions.
    """
    dtype = centred.dtype
    evidence = Evidence.of(factors, grid, centred)
    chosen = np.argmin(evidence.residual / (factors.rows - grid.df)[:, None] ** 2, axis=0)
    explained = 1 - grid.remains[chosen].T  # (r, n): s² / (s² + λ)
    root = np.sqrt(factors.squares)[:, None]
    coefficients = factors.vectors.astype(dtype) @ ((explained / root).astype(dtype) * evidence.rotated)
    variance = diagonal @ (evidence.weight * evidence.spread / factors.rows) + _choice_variance(
        factors, grid, evidence, explained
    )
    return _Fit(coefficients, variance.astype(dtype), chosen)


def _diagonal(factors: Factors, penalties: NDArray[np.float64]) -> NDArray[np.float64]:
    identified: NDArray[np.float64] = (factors.vectors**2) @ (1 / (factors.squares[:, None] + penalties))
    return identified + factors.unidentified[:, None] / penalties


def _choice_variance(
    factors: Factors, grid: Grid, evidence: Evidence, explained: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean over groups of (β(λ_h) - β(λ))², averaged over the posterior of h: (n,).

    Σ_h w_h (g_h - g)² z² with g the filter: second moment less cross term, (r, n) throughout, no loop over h.
    """
    filters = 1 - grid.remains  # (L, r)
    mean = filters.T @ evidence.weight
    second = (filters**2).T @ evidence.weight
    excess = (
        np.maximum(second - 2 * explained * mean + explained * explained, 0) * evidence.power / factors.squares[:, None]
    )
    averaged: NDArray[np.float64] = excess.sum(axis=0) / factors.vectors.shape[0]
    return averaged
