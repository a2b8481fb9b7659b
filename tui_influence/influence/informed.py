"""Ridge regression of outputs on masks, shrunk towards what networks trained on every group say about each group.

For the output of target class c, with X the masks and y_c the outputs, centred within seed clusters,

    y_c = X β_c + e,    β_c = Z_c b + u_c,    u_c ~ N(0, σ_c²/λ_c)

Z_c (K, p) are the covariates of the groups (see `prior`), b their slopes, shared by all classes and estimated from
the sweep: a prior which says nothing gets slopes near zero. With X = U diag(s) Vᵀ, z = Uᵀy, W_c = diag(s) Vᵀ Z_c:

    slopes     generalised least squares over all classes, b = (Σ_c W_cᵀ D_c W_c)⁻¹ Σ_c W_cᵀ D_c z_c, with D_c the
               posterior mean of λ / (s² + λ) over the noise variance. They are tied: each is N(mean, mean²/16) around
               their mean, so that few models fit one slope and many fit all.
    λ          is integrated over for each output, as in `ridge`: λ = T (1 - h) / h, T = trace(XᵀX) / N, h the share of
               variance that u explains. One class says little of its h, so all share what they say: the prior of an
               output's log odds of h is what they have in common with a uniform h, with a spread; or it is unlike all.
               A mean over classes is less like them: noise that they share stays in it, effects that they do not share
               average out.
    influence  Z b + V E[s / (s² + λ)] r,  r = z - W b
    variance   E[Q/N (XᵀX + λ)⁻¹] + Var_λ of the estimate + (Z - V F W) Cov(b) (Z - V F W)ᵀ: the uncertainty of u,
               of λ and of the slopes, with Q = Σ d r² + the rest of y², F = E[s / (s² + λ)]
    shape      u is normal, or a few groups have most of it (see `residual_shape`), at the λ whose logarithm is the
               posterior mean. Influence and variance are averaged over the shapes, each as probable as the output says
               and, for one class, the other classes. A mean over classes speaks for itself: effects on single classes
               average out in it.

An output that is a mean over examples of several classes has the mean of their covariates. This is the regression with
covariates of hierarchical linear models (Lindley & Smith 1972), with the integration over λ of an empirical Bayes
ridge. The reference implementation in the tests does the same with dense matrices.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.influence.cluster_factors import with_common_effects
from tui_influence.influence.estimate import group_counts, same_size_masks
from tui_influence.influence.factors import Factors, factorise, product_dtype
from tui_influence.influence.outputs import Floats, Mask, OutputMatrix, as_matrix
from tui_influence.influence.prior import OutputPrior
from tui_influence.influence.residual_shape import (
    LOG_PRIOR,
    NormalPosterior,
    common_log_prior,
    shape_posteriors,
    shape_probabilities,
)
from tui_influence.influence.shrinkage import Evidence, Grid, power_outside
from tui_influence.influence.types import Estimate

COLUMN_BLOCK = 1024
_MAX_ITERATIONS, _TOLERANCE = 50, 1e-6
_LEAST_NOISE = 1e-200  # of outputs that the prior explains exactly
_CLASS_SPREAD, _CLASS_UNLIKE = 0.5, 0.2
"""Standard deviation of the log odds of h of classes that are alike, and the share of those that are not."""
_MEAN_SPREAD, _MEAN_UNLIKE = 1.0, 0.3
"""The same of means over classes around what single classes have in common."""
_SHAPE_UNLIKE = 0.2
"""Share of the classes whose residual is not distributed as that of the others."""
_TIE = 0.25
"""Standard deviation of the slopes around their mean, in units of the mean."""


def informed(
    masks: Mask,
    outputs: Floats | OutputMatrix,
    clusters: NDArray[Any] | None = None,
    *,
    prior: OutputPrior,
) -> Estimate:
    """Regress outputs on masks, shrinking towards a prior; see the module for the method.

    Args:
        masks: (m, K) bool.
        outputs: (m, n) float, (m,) for one output, or an `OutputMatrix`; finite.
        clusters: (m,) int, equal for models that share a training seed; None if no two do.
        prior: of the n outputs, with the outputs of the m models on each target class.

    Returns:
        Influence and standard error, (K, n), in the unit of `outputs`; with same-size masks relative to the mean of
        the other groups. NaN for groups that do not vary, and for all with fewer than 3 comparable models.
        `df` is N less the effective degrees of freedom of u, the median over outputs; `prior_share` is the part of the
        influences' variance over groups that comes from the prior.
    """
    matrix = as_matrix(outputs)
    m, n = matrix.shape
    if len(prior.shares) != n:
        raise ValueError(f"the prior of {len(prior.shares)} outputs does not fit {n}")
    n_with, n_without = group_counts(masks)
    dtype = product_dtype(m, masks.shape[1], n)
    influence = np.full((masks.shape[1], n), np.nan, dtype)
    se = np.full((masks.shape[1], n), np.nan, dtype)
    prior_share = np.full(n, np.nan)
    factors = None
    if m >= 3:
        factors = factorise(masks, clusters, dtype)
        if prior.labels is not None:
            factors = with_common_effects(factors, prior.labels, prior.common)
    if factors is None or factors.squares.size == 0 or factors.rows < 2:
        return Estimate(
            influence, se, 0.0, n_with, n_without, "informed", same_size_masks(masks), prior_share=prior_share
        )
    regression = _Regression.of(factors, prior)
    freedom = np.empty(n)
    for columns in matrix.column_slices(COLUMN_BLOCK):
        centred = factors.strata.centred(matrix.block(slice(0, m), columns).astype(dtype))
        fit = regression.fit(centred, prior.shares[columns])
        influence[factors.varies, columns] = factors.scale * fit.coefficients
        se[factors.varies, columns] = factors.scale * np.sqrt(fit.variance)
        freedom[columns], prior_share[columns] = fit.df, fit.prior_share
    df = float(np.nanmedian(freedom))
    return Estimate(influence, se, df, n_with, n_without, "informed", factors.is_relative, prior_share=prior_share)


@dataclass(frozen=True)
class _Fit:
    """Coefficients and their variance, (K', n), degrees of freedom and the share of the prior, (n,)."""

    coefficients: NDArray[np.float64]
    variance: NDArray[np.float64]
    df: NDArray[np.float64]
    prior_share: NDArray[np.float64]


@dataclass(frozen=True)
class _Regression:
    """The regression of all outputs on one set of masks, with the slopes of the prior.

    Attributes:
        factors: of the masks; r directions, K' groups that vary.
        grid: of penalties.
        covariates: (K', C, p).
        rotated_covariates: (r, C, p) W.
        class_log_prior: (L,) log prior of λ that the outputs on all classes give for one class.
        mean_log_prior: (L,) the same for a mean over classes.
        shape_log_prior: (P,) log prior of the shapes of u that the outputs on all classes give for one class.
        slopes: (p,) b.
        slope_root: (p, p) A with A Aᵀ = Cov(b).
    """

    factors: Factors
    grid: Grid
    covariates: NDArray[np.float64]
    rotated_covariates: NDArray[np.float64]
    class_log_prior: NDArray[np.float64]
    mean_log_prior: NDArray[np.float64]
    shape_log_prior: NDArray[np.float64]
    slopes: NDArray[np.float64]
    slope_root: NDArray[np.float64]

    @classmethod
    def of(cls, factors: Factors, prior: OutputPrior) -> "_Regression":
        """Fit the slopes to the outputs on the target classes."""
        grid = Grid.over(factors)
        covariates = prior.of_groups(factors.varies)
        count, classes, columns = covariates.shape
        fitted = factors.design @ covariates.reshape(count, -1).astype(factors.design.dtype)
        rotated = factors.rotate(factors.strata.centred(fitted)).astype(np.float64).reshape(-1, classes, columns)
        present = np.asarray(np.isfinite(prior.class_outputs).all(axis=0))
        centred = factors.strata.centred(prior.class_outputs[:, present].astype(factors.design.dtype))
        slopes, precision, log_common = _fit_slopes(factors, grid, rotated[:, present], centred)
        class_log_prior = _spread_out(grid, log_common, _CLASS_SPREAD, _CLASS_UNLIKE)
        mean_log_prior = _spread_out(grid, log_common, _MEAN_SPREAD, _MEAN_UNLIKE)
        root = _root_of_inverse(precision)
        regression = cls(factors, grid, covariates, rotated, class_log_prior, mean_log_prior, LOG_PRIOR, slopes, root)
        return replace(regression, shape_log_prior=regression._shape_log_prior(centred, present))

    def fit(self, centred: Floats, shares: NDArray[np.float64]) -> _Fit:
        """Estimate the influences on outputs (m, n), centred within strata; (n, C) shares of the classes."""
        factors, grid = self.factors, self.grid
        root = np.sqrt(factors.squares)[:, None]
        evidence = self._evidence(centred, shares)
        filters = (1 - grid.remains) / root.T  # (L, r): s / (s² + λ)
        mean = filters.T @ evidence.weight
        diagonal = (factors.vectors**2) @ (1 / (factors.squares[:, None] + grid.penalties))
        diagonal += factors.unidentified[:, None] / grid.penalties
        effects = self._unrotate(mean * evidence.rotated)
        variance = diagonal @ (evidence.weight * evidence.spread / factors.rows)
        effects, variance = self._over_shapes(effects, variance, evidence, shares)
        variance += self._penalty_variance(filters, mean, evidence)
        for column in range(len(self.slopes)):
            direction = self.slope_root[:, column]
            rotated_direction = (self.rotated_covariates @ direction) @ shares.T
            unexplained = (self.covariates @ direction) @ shares.T - self._unrotate(mean * rotated_direction)
            variance += unexplained**2
        from_prior = (self.covariates @ self.slopes) @ shares.T
        coefficients = from_prior + effects
        df = factors.rows - grid.df @ evidence.weight
        return _Fit(coefficients, variance, df, _explained_share(coefficients, from_prior))

    def _shape_log_prior(self, centred: Floats, present: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the log prior of the shapes for one class, (P,), from the outputs (m, C') on the classes present."""
        if not present.any():
            return LOG_PRIOR
        evidence = self._evidence(centred, np.eye(len(present))[present])
        log_evidence = [shape.log_evidence for shape in shape_posteriors(self._normal_posterior(evidence))]
        return common_log_prior(np.array(log_evidence), _others(evidence.rotated), _SHAPE_UNLIKE)

    def _evidence(self, centred: Floats, shares: NDArray[np.float64]) -> Evidence:
        """Return what outputs (m, n), centred within strata, and the classes say of λ; `rotated` is the residual r."""
        rotated = self.factors.rotate(centred).astype(np.float64)
        outside = power_outside(self.factors, centred, rotated)
        residual = rotated - (self.rotated_covariates @ self.slopes) @ shares.T
        log_prior = np.where(_is_of_class(shares), self.class_log_prior[:, None], self.mean_log_prior[:, None])
        return _with_share_prior(self.grid, Evidence.of_rotated(self.factors, self.grid, residual, outside), log_prior)

    def _normal_posterior(self, evidence: Evidence) -> NormalPosterior:
        """Return the posterior of u at the λ whose logarithm is the posterior mean."""
        factors = self.factors
        penalty = np.exp(np.log(self.grid.penalties) @ evidence.weight)
        total = factors.squares[:, None] + penalty  # (r, n)
        noise = (evidence.outside + (penalty / total * evidence.power).sum(axis=0)) / factors.rows
        noise = np.maximum(noise, _LEAST_NOISE)
        mean = self._unrotate(np.sqrt(factors.squares)[:, None] / total * evidence.rotated)
        diagonal = (factors.vectors**2) @ (1 / total) + factors.unidentified[:, None] / penalty
        free = 1 - 1 / len(diagonal) if factors.is_relative else 1.0
        return NormalPosterior(mean, noise * diagonal, free * noise / penalty)

    def _over_shapes(
        self,
        mean: NDArray[np.float64],
        variance: NDArray[np.float64],
        evidence: Evidence,
        shares: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return mean and variance of u over all its shapes, (K', n), from those of the normal shape."""
        others = list(shape_posteriors(self._normal_posterior(evidence)))
        log_prior = np.where(_is_of_class(shares), self.shape_log_prior[:, None], LOG_PRIOR[:, None])
        normal, *weights = shape_probabilities(log_prior, np.array([shape.log_evidence for shape in others]))
        average = normal * mean + sum(weight * shape.mean for weight, shape in zip(weights, others, strict=True))
        spread = normal * (variance + (mean - average) ** 2)
        for weight, shape in zip(weights, others, strict=True):
            spread += weight * (shape.variance + (shape.mean - average) ** 2)
        return average, spread

    def _penalty_variance(
        self,
        filters: NDArray[np.float64],
        mean: NDArray[np.float64],
        evidence: Evidence,
    ) -> NDArray[np.float64]:
        """Return the variance of the estimate over the posterior of λ, (K', n).

        The filters of all directions are functions of λ and vary together: what is linear in log λ is exact. The small
        rest is its average over groups.
        """
        log_penalty = np.log(self.grid.penalties)[:, None]
        deviation = log_penalty - (evidence.weight * log_penalty).sum(axis=0)
        spread = np.sqrt((evidence.weight * deviation**2).sum(axis=0))
        scaled = np.divide(deviation, spread, out=np.zeros_like(deviation), where=spread > 0)
        linear = filters.T @ (evidence.weight * scaled)  # (r, n)
        rest = np.maximum((filters**2).T @ evidence.weight - mean**2 - linear**2, 0)
        average = (self.factors.vectors**2).mean(axis=0) @ (rest * evidence.power)
        return np.asarray(self._unrotate(linear * evidence.rotated) ** 2 + average)

    def _unrotate(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values (r, n) in the directions of the masks as values of the groups, (K', n)."""
        dtype = self.factors.design.dtype
        product: NDArray[np.float64] = (self.factors.vectors.astype(dtype) @ values.astype(dtype)).astype(np.float64)
        return product


def _fit_slopes(
    factors: Factors, grid: Grid, covariates: NDArray[np.float64], centred: Floats
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return slopes (p,) of rotated covariates (r, C, p) for outputs (m, C), their precision (p, p), evidence (L,).

    The penalties depend on the slopes, through the residuals, and the slopes on the penalties: both are repeated until
    the slopes no longer change.
    """
    count = covariates.shape[2]
    rotated = factors.rotate(centred).astype(np.float64)
    outside = power_outside(factors, centred, rotated)
    slopes = np.zeros(count)
    precision = np.eye(count)
    log_common = grid.log_share_prior
    for _ in range(_MAX_ITERATIONS):
        evidence = Evidence.of_rotated(factors, grid, rotated - covariates @ slopes, outside)
        log_common = _common_evidence(grid, evidence, rotated - covariates @ slopes)
        log_prior = _spread_out(grid, log_common, _CLASS_SPREAD, _CLASS_UNLIKE)
        evidence = _with_share_prior(grid, evidence, log_prior[:, None])
        noise = np.maximum(evidence.spread / factors.rows, np.finfo(float).tiny)
        weight = grid.remains.T @ (evidence.weight / noise)  # (r, C)
        precision = np.einsum("rcp,rc,rcq->pq", covariates, weight, covariates, optimize=True)
        precision += (1e-8 * np.trace(precision) + 1e-12) * np.eye(count)  # a covariate of zeros gets no slope
        if slopes.any():
            precision += (np.eye(count) - 1 / count) / (_TIE * max(abs(slopes.mean()), 1e-9)) ** 2
        new = np.linalg.solve(precision, np.einsum("rcp,rc,rc->p", covariates, weight, rotated, optimize=True))
        has_converged = np.abs(new - slopes).max() <= _TOLERANCE * np.abs(new).max()
        slopes = new
        if has_converged:
            break
    return slopes, precision, log_common


def _common_evidence(grid: Grid, evidence: Evidence, residual: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log of what the outputs on all classes say of λ together, with a uniform h, (L,)."""
    if not residual.shape[1]:
        return grid.log_share_prior
    log_likelihood = np.log(np.maximum(evidence.weight, np.finfo(float).tiny)) - grid.log_share_prior[:, None]
    return np.asarray(grid.log_share_prior + _others(residual) * log_likelihood.mean(axis=1))


def _others(residual: Floats) -> float:
    """Return how many classes besides one have a say, by their residuals (r, C): those that are alike count as fewer.

    It is the participation ratio of the residuals' correlations, less one.
    """
    unit = residual / np.maximum(np.sqrt((residual**2).sum(axis=0)), np.finfo(float).tiny)
    count = residual.shape[1]
    return max(float(count**2 / ((unit.T @ unit) ** 2).sum()) - 1, 0.0)


def _is_of_class(shares: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which outputs are of one class, (n,), by the shares (n, C) of the classes in them."""
    return np.asarray(np.count_nonzero(shares, axis=1) == 1)


def _spread_out(grid: Grid, log_common: NDArray[np.float64], spread: float, unlike: float) -> NDArray[np.float64]:
    """Return the log prior of λ for one output, (L,).

    Around what all have in common its log odds of h are normal, unless the output is unlike all: then h is uniform.
    """
    log_odds = -np.log(grid.penalties)
    kernel = np.exp(-0.5 * ((log_odds[:, None] - log_odds) / spread) ** 2)
    common = kernel @ np.exp(log_common - log_common.max())
    alone = np.exp(grid.log_share_prior)
    mixture = (1 - unlike) * common / common.sum() + unlike * alone / alone.sum()
    return np.asarray(np.log(np.maximum(mixture, np.finfo(float).tiny)))


def _with_share_prior(grid: Grid, evidence: Evidence, log_prior: NDArray[np.float64]) -> Evidence:
    """Return the evidence with another log prior of λ, (L, n) or (L, 1)."""
    log_weight = np.log(np.maximum(evidence.weight, np.finfo(float).tiny)) + log_prior - grid.log_share_prior[:, None]
    weight = np.exp(log_weight - log_weight.max(axis=0))
    return replace(evidence, weight=weight / weight.sum(axis=0))


def _root_of_inverse(precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return A with A Aᵀ = the inverse of a positive definite matrix."""
    return np.asarray(np.linalg.inv(np.linalg.cholesky(precision)).T)


def _explained_share(coefficients: NDArray[np.float64], from_prior: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the part of the coefficients' variance over groups that comes from the prior, (n,), 0 to 1."""
    coefficients = coefficients - coefficients.mean(axis=0)
    from_prior = from_prior - from_prior.mean(axis=0)
    total = (coefficients**2).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (coefficients * from_prior).sum(axis=0) / total
    return np.where(total > 0, np.clip(share, 0, 1), 0.0)
