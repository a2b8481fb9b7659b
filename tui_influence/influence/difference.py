"""Difference of means (Jain et al. 2022, arXiv 2207.05739, Algorithm 1) with standard errors.

Pure array code: no files, no torch. Everything is matrix products over blocks of target examples, never a loop over
groups or examples: two products for independent models, three and a half when models share seeds.

The meaning depends on the design. When every model has the same number of groups (`fixed`, the paper's), a model
without a group has another one in its place, and the influences sum to zero: each compares the group with an average
other group, and about half are negative whatever the data. With `bernoulli` and `balanced` masks, an influence is the
effect of having the group at all.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.errors import ConfigError
from tui_influence.influence.design_effect import DesignEffect
from tui_influence.influence.estimate import group_counts, same_size_masks, t_quantile
from tui_influence.influence.factors import product_dtype
from tui_influence.influence.outputs import Floats, Mask, OutputMatrix, as_matrix
from tui_influence.influence.strata import cluster_labels, pairs_within
from tui_influence.influence.types import Estimate

COLUMN_BLOCK = 1024
_FEW_GROUPS, _READERS = 8, 2
_FEW_MODELS, _LEAST_SHARE = 200, 0.05  # see _floor_share
_OFTEN, _ROUNDING = 0.1, 1e-5  # see _is_discrete
_NORMAL_95 = 1.959963984540054
_PAIRS_PER_MODEL = 8  # above this, clusters are large and few: loop over them instead of over pairs


class ConstantGroupError(ConfigError):
    """A group is in every model or in none: its influence is undefined."""


def difference(
    masks: Mask,
    outputs: Floats | OutputMatrix,
    clusters: NDArray[Any] | None = None,
    *,
    only: NDArray[np.intp] | None = None,
    strict: bool = False,
    pooled: bool = False,
) -> Estimate:
    """Mean output with each group minus mean output without it.

    Standard errors. Independent models: se² = s₁²/n₁ + s₀²/n₀ (Neyman 1923; Welch 1947), the spread of an arm
    including what the other groups do, which a random design makes a random error like any other. Models that share
    a seed: the difference is the least-squares slope on the centred 0/1 column x, and with residuals e its
    cluster-robust variance is c · Σ_g (Σ_{i in g} x_i e_i)² / (Σ_i x_i²)², c = G/(G-1) · (m-1)/(m-2) (Liang & Zeger
    1986; Cameron & Miller 2015, eq. 11 and 12), G the number of clusters, of any size each. Masks that are orthogonal
    by design (`balanced`) cancel the other groups' effects, which neither variance takes into account: both are then
    multiplied by a correction (see `design_effect`).

    Args:
        masks: (m, K) bool; row i is the groups that model i was trained on.
        outputs: (m, n) float, (m,) for one example, or an `OutputMatrix`; finite.
        clusters: (m,) int, equal for models that share a training seed; None if no two do.
        only: (K',) indices of groups; the result has these rows alone. None for all.
        strict: raise an error for groups of undefined influence.
        pooled: see `Differences`.

    Returns:
        Influence and standard error, (K, n), in the unit of `outputs`; n = 1 for (m,) outputs. Float64 for small
        problems, else float32 with errors of the order of 1e-6 of the outputs' spread. A group that every model or
        no model has is NaN in both. The standard error is NaN where one arm has a single model, or where there are
        fewer than two clusters. `df`: Welch's for arms of equal spread (their harmonic mean over groups), or G - 1.

    Raises:
        ConstantGroupError: `strict`, and a group is in every model or in none.
    """
    matrix = as_matrix(outputs)
    m, n = matrix.shape
    groups = masks.shape[1] if only is None else len(only)
    dtype = product_dtype(m, groups, n)
    differences = Differences(masks, clusters, dtype, only=only, pooled=pooled)
    if strict and (constant := np.flatnonzero((differences.n_with == 0) | (differences.n_without == 0))).size:
        raise ConstantGroupError(f"every model has, or none has, group {', '.join(map(str, constant[:10]))}")
    influence = np.full((groups, n), np.nan, dtype)
    se = np.full((groups, n), np.nan, dtype)

    def fill(columns: slice) -> None:
        influence[:, columns], se[:, columns] = differences.estimate(matrix.block(slice(0, m), columns))

    # with few groups reading takes the time, one block a thread; with many the products, which use threads themselves
    with ThreadPoolExecutor(_READERS if groups <= _FEW_GROUPS else 1) as readers:
        for _ in readers.map(fill, matrix.column_slices(COLUMN_BLOCK)):
            pass
    return Estimate(
        influence, se, differences.df, differences.n_with, differences.n_without, "difference", same_size_masks(masks)
    )


def difference_halves(
    masks: Mask, outputs: NDArray[np.float64], _clusters: NDArray[Any] | None, in_first: Mask, _penalty: float | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return differences of means in both halves of every split, each (K, splits), from two products."""
    design = masks.astype(np.float32).T
    centred = (outputs - outputs.mean()).astype(np.float32)
    result = []
    for half in (in_first.T, ~in_first.T):
        weight = half.astype(np.float32)
        count = design @ weight
        total = design @ (weight * centred[:, None])
        others = (centred @ weight) - total
        with np.errstate(divide="ignore", invalid="ignore"):
            result.append((total / count - others / (weight.sum(axis=0) - count)).astype(np.float64))
    return result[0], result[1]


class Differences:
    """Differences of means for a block of examples at a time, without an array (K, n). See `difference`.

    Attributes:
        n_with: (K',) models that have each group.
        n_without: (K',) models that do not.
        df: degrees of freedom of the t intervals.
    """

    def __init__(
        self,
        masks: Mask,
        clusters: NDArray[Any] | None,
        dtype: np.dtype[Any],
        *,
        only: NDArray[np.intp] | None = None,
        pooled: bool = False,
    ) -> None:
        """Prepare the quantities that all blocks share.

        Args:
            masks: (m, K), as in `difference`.
            clusters: (m,) or None, as in `difference`.
            dtype: of the products.
            only: as in `difference`.
            pooled: assume equal spread of independent models with and without a group (Student 1908), which takes one
                product instead of two. The standard errors are those of `difference` where half of the models have a
                group, and where it has no effect.
        """
        m = masks.shape[0]
        group_masks = masks if only is None else masks[:, only]
        labels = cluster_labels(clusters, m)
        self.n_with, self.n_without = group_counts(group_masks)
        if labels is not None:
            self.df = float(labels.max())
        else:
            self.df = float(max(m - 2, 0)) if pooled else _welch_df(self.n_with, self.n_without)
        self._pooled = pooled
        self._dtype, self._models = dtype, m
        self._design = group_masks.astype(dtype)
        effect = DesignEffect.of(masks, clusters, dtype) if m >= 2 else None
        self._effect = effect if effect is None or only is None else effect.of_groups(only)
        if effect is not None:
            self.df = min(self.df, effect.df)
        self._floor = _floor_share(m, self.df)
        self._sandwich = None if labels is None or m < 2 else _Sandwich(self._design, labels)

    def estimate(self, outputs: Floats) -> tuple[Floats, Floats]:
        """Return influence and standard error, (K', c), on outputs (m, c)."""
        if self._models < 2:
            undefined = np.full((self._design.shape[1], outputs.shape[1]), np.nan, self._dtype)
            return undefined, undefined
        centred = outputs.astype(self._dtype)
        centred -= centred.mean(axis=0)
        null_variance: Floats = np.zeros((1, 1), self._dtype)
        sums = self._design.T @ centred
        influence = _slope(sums, centred, self.n_with, self.n_without)
        if self._sandwich is not None:
            variance, null_variance = self._sandwich.variance(centred, influence)
        elif self._pooled:
            variance = _pooled_variance(influence, centred, self.n_with, self.n_without)
        else:
            variance = _welch_variance(sums, self._design, centred, self.n_with, self.n_without)
        if self._sandwich is None and self._floor:
            null_variance = _null_variance(centred, self.n_with, self.n_without)
        if self._effect is not None:
            ratio, null_ratio = self._effect.ratios(centred, influence)
            variance, null_variance = variance * ratio, null_variance * null_ratio
        if self._floor:
            variance = np.maximum(variance, self._floor * _is_discrete(centred) * null_variance)
        return influence, np.sqrt(variance)


def _slope(sums: Floats, centred: Floats, n_with: NDArray[np.int64], n_without: NDArray[np.int64]) -> Floats:
    """Difference of the arms' means, (K, columns), from the sums of one arm."""
    n1, n0 = (_count(count, 0, sums.dtype) for count in (n_with, n_without))
    slope: Floats = sums / n1 - (centred.sum(axis=0) - sums) / n0
    return slope


def _welch_variance(
    sums: Floats, design: Floats, centred: Floats, n_with: NDArray[np.int64], n_without: NDArray[np.int64]
) -> Floats:
    """s₁²/n₁ + s₀²/n₀, (K, columns); NaN where an arm has a single model."""
    squares = centred * centred
    square1 = design.T @ squares
    square0 = squares.sum(axis=0) - square1
    others = centred.sum(axis=0) - sums
    n1, n0 = (_count(count, 1, sums.dtype) for count in (n_with, n_without))
    spread1 = np.maximum(square1 - sums * sums / n1, 0)
    spread0 = np.maximum(square0 - others * others / n0, 0)
    variance: Floats = spread1 / (n1 * (n1 - 1)) + spread0 / (n0 * (n0 - 1))
    return variance


def _pooled_variance(slope: Floats, centred: Floats, n_with: NDArray[np.int64], n_without: NDArray[np.int64]) -> Floats:
    """s² (1/n₁ + 1/n₀), (K, columns), with s² of the residuals from both arms' means; NaN up to two models."""
    m = centred.shape[0]
    n1, n0 = (_count(count, 0, slope.dtype) for count in (n_with, n_without))
    between = n1 * n0 / m
    residual = np.einsum("ij,ij->j", centred, centred) - between * slope * slope
    variance: Floats = np.maximum(residual, 0) / (between * (m - 2 if m > 2 else np.nan))
    return variance


def _floor_share(models: int, df: float) -> float:
    """Share of the variance without an effect that the variance of a discrete output is at least.

    With the t quantile that is the interval of the score test, normal quantile times error without an effect, which
    discrete outputs do not make too short (Agresti & Coull 1998): where an arm happens to have no spread its own
    variance is zero. The more models, the smaller it is; 0 where it hardly matters.
    """
    share = min(1.0, _FEW_MODELS / models) if models else 0.0
    return share * (_NORMAL_95 / t_quantile(0.975, df)) ** 2 if df > 0 and share >= _LEAST_SHARE else 0.0


def _is_discrete(outputs: Floats) -> Mask:
    """Whether outputs (m, columns), centred, have few values: models near each other are often equal; (columns,)."""
    if len(outputs) < 3:
        return np.zeros(outputs.shape[1], dtype=bool)
    rounding = _ROUNDING * np.abs(outputs).max(axis=0)
    next_equal, second_equal = ((np.abs(outputs[gap:] - outputs[:-gap]) <= rounding).mean(axis=0) for gap in (1, 2))
    often: Mask = np.maximum(next_equal, second_equal) > _OFTEN  # the second: the two of a pair may always differ
    return often


def _null_variance(centred: Floats, n_with: NDArray[np.int64], n_without: NDArray[np.int64]) -> Floats:
    """s² (1/n₁ + 1/n₀), (K, columns), with s² of all models; NaN where an arm has none."""
    n1, n0 = (_count(count, 0, centred.dtype) for count in (n_with, n_without))
    variance: Floats = np.einsum("ij,ij->j", centred, centred) / (len(centred) - 1) * (1 / n1 + 1 / n0)
    return variance


def _count(count: NDArray[np.int64], above: int, dtype: np.dtype[Any]) -> Floats:
    """(K, 1) counts, NaN up to `above`."""
    return np.where(count > above, count, np.nan).astype(dtype)[:, None]


def _welch_df(n_with: NDArray[np.int64], n_without: NDArray[np.int64]) -> float:
    """Welch-Satterthwaite degrees of freedom for arms of equal spread; the harmonic mean over groups.

    Harmonic, because the t quantile is nearly linear in 1 / df: intervals are right on average over the groups.
    """
    usable = (n_with > 1) & (n_without > 1)
    if not usable.any():
        return 0.0
    n1, n0 = n_with[usable].astype(float), n_without[usable].astype(float)
    df = (1 / n1 + 1 / n0) ** 2 / (1 / (n1**2 * (n1 - 1)) + 1 / (n0**2 * (n0 - 1)))
    return float(df.size / (1 / df).sum())


class _Sandwich:
    """The cluster-robust variance of every slope, by matrix products.

    With S_g = Σ_{i in g} x_i y_i and q_g = Σ_{i in g} x_i² (y centred, slope τ, e_i = y_i - τ x_i) the sum over
    clusters is Σ_g (S_g - τ q_g)² = Σ_g S_g² - 2τ Σ_g q_g S_g + τ² Σ_g q_g², and Σ_g S_g² is the sum of x_i² y_i²
    over models plus twice that of (x_i x_j)(y_i y_j) over pairs in a cluster: products of matrices, with no array
    of clusters x groups x examples. If every pair is complete and complementary, the weights x_i², x_i x_j and q_g are
    each one number, and the products are sums.
    """

    def __init__(self, design: Floats, labels: NDArray[np.intp]):
        m = design.shape[0]
        count = int(labels.max()) + 1
        x = design - design.mean(axis=0, dtype=np.float64).astype(design.dtype)
        x_squared = x * x
        order = np.argsort(labels, kind="stable")
        starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
        within = np.add.reduceat(x_squared[order], starts, axis=0)
        self._x = x
        self._x_squared = x_squared
        self._constant_within = _constant_value(within)
        self._x_within = x * within[labels]
        self._within_squares = (within * within).sum(axis=0)[:, None]
        lone = np.minimum(design.sum(axis=0), m - design.sum(axis=0)) < 2  # its residual is zero
        self._total = np.where(lone, np.nan, x_squared.sum(axis=0, dtype=np.float64)).astype(x.dtype)[:, None]
        self._factor = count / (count - 1) * (m - 1) / (m - 2) if count > 1 and m > 2 else np.nan
        sizes = np.bincount(labels)
        self._pairs = pairs_within(labels) if (sizes * (sizes - 1)).sum() <= 2 * _PAIRS_PER_MODEL * m else None
        self._pair_x = x[self._pairs[0]] * x[self._pairs[1]] if self._pairs else None
        self._members = [] if self._pairs else [np.flatnonzero(labels == label) for label in range(count)]

    def variance(self, centred: Floats, slope: Floats) -> tuple[Floats, Floats]:
        """Variance of `slope`, and without an effect, (K, columns) each, of the outputs `centred` (m, columns)."""
        weight = self._constant_within  # Σ x_i y_i = τ Σ x_i²
        crossed = self._x_within.T @ centred if weight is None else weight * self._total * slope
        null_scores = self._squared_scores(centred)
        scores = null_scores - 2 * slope * crossed + slope * slope * self._within_squares
        factor: Floats = self._factor / self._total**2
        return factor * np.maximum(scores, 0), factor * null_scores

    def _squared_scores(self, centred: Floats) -> Floats:
        """Σ_g S_g², (K, columns)."""
        if self._pairs is None:
            sums = np.zeros((self._x.shape[1], centred.shape[1]), centred.dtype)
            for members in self._members:
                score = self._x[members].T @ centred[members]
                sums += score * score
            return sums
        assert self._pair_x is not None
        first, second = self._pairs
        squares = _weighted_sum(self._x_squared, centred * centred)
        return squares + 2 * _weighted_sum(self._pair_x, centred[first] * centred[second])


def _weighted_sum(weights: Floats, values: Floats) -> Floats:
    """weightsᵀ values, (K, columns), or (1, columns) if the weights are all the same number."""
    constant = _constant_value(weights)
    summed: Floats = weights.T @ values if constant is None else constant * values.sum(axis=0, keepdims=True)
    return summed


def _constant_value(values: Floats) -> np.floating[Any] | None:
    """Return the value of a constant array, None for another."""
    if not values.size or values[0, 0] != values[-1, -1] or (values != values[0, 0]).any():
        return None
    same: np.floating[Any] = values[0, 0]
    return same
