"""Reliability forecast: the models that a ranking needs to become reliable, as a range.

With effects of variance τ² over the groups and estimates of error variance v, s = τ² / v, the rank correlation of two
sweeps is a function of s and of the shape of the effects. Here a share p of the groups has normal effects and the rest
none, so that (Pearson 1907, for each pair of parts)

    ρ = (6/π) Σ_ij w_i w_j p arcsin(σ² / sqrt((σ_i² + σ² + 2v) (σ_j² + σ² + 2v))),   w = (p, 1 - p), σ_i² = (σ², 0)

which for p < 1 stays below 1 for any number of models: ranks of groups without an effect never repeat. p, s and the
error of v are integrated over a grid, given the estimates: the present reliability is uniform on (0, 1) a priori, and
p = 1 is as probable as all p < 1 together. Estimates that a ridge has shrunk are first put back, by the ratio of their
posterior to their prior variance.

What further models add depends on masks and estimator. With N rows of K groups and q the noise relative to the variance
that all groups explain, the error is v = τ² K (q + f) / N, where f is the share of the other groups' effects that is
noise as well: of a ridge on random masks what is not known yet, 1 / (1 + s) (Marchenko & Pastur 1967); on orthogonal
masks 0; of differences of means on random masks 1.

With a prior, reliability is 1 - (mean se²) / (variance of the truth). The prior's part stays, and the rest, of variance
τ² and posterior variance τ² v / (τ² + v), becomes τ² v / (c τ² + v) with c times the models.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tui_influence.influence.design_effect import better_than_random
from tui_influence.influence.outputs import Mask
from tui_influence.influence.strata import seed_strata
from tui_influence.influence.types import DEFAULT_GOAL, MAX_FORECAST_FACTOR, Estimate, Reliability, ReliabilityForecast

_MIN_MODELS, _MIN_GROUPS = 8, 3
_LEVEL = 0.95
"""Of the range."""
_CERTAIN = 0.9
"""Probability from which a goal counts as not reachable."""
_ROWS_FOR_SHAPE = 3
"""Rows a group from which the shape of the effects is seen at all; with fewer, noise looks like a few large ones."""
_MAX_GROUPS = 1000
"""Groups that the shape of the effects is read off."""
_SHARES = np.array([0.03, 0.05, 0.08, 0.12, 0.2, 0.3, 0.45, 0.65, 1.0])
_SHARE_WEIGHT = np.array([1.0] * 8 + [8.0]) / 16
_PRESENT = 1 / (1 + np.exp(-np.linspace(-5, 5, 40)))
"""Present reliabilities, of normal effects."""
_ERRORS = np.linspace(-2, 2, 5)
"""Of the error variance, in standard deviations of its logarithm."""
_DEVIATIONS = np.linspace(-2.5, 2.5, 11)
_ERROR_OF_ERROR = 0.3
"""Standard deviation of the logarithm of v beside a prior, by which ranges cover in simulation."""
_MIN_NOISE = 0.02
_RATIOS = np.exp(np.linspace(np.log(1e-3), np.log(1e6), 2000))

Floats = NDArray[np.float64]


def forecast_models(
    estimate: Estimate,
    masks: Mask,
    clusters: NDArray[Any] | None,
    goal: float = DEFAULT_GOAL,
    reliability: Reliability | None = None,
) -> ReliabilityForecast:
    """Forecast the models that a ranking needs, from the estimate of the first output; see the module for the method.

    Args:
        estimate: of the ranking.
        masks: (m, K) bool, that it is estimated from.
        clusters: (m,) int or None.
        goal: reliability to reach, between 0 and 1.
        reliability: as it was measured, if it was: where it is below the goal more models are needed, else no more.
    """
    growth = reliability_growth(estimate, masks, clusters)
    if growth is None:
        return ReliabilityForecast(goal, None, None, None, "there are too few models or groups for a forecast")
    m = masks.shape[0]
    cap = MAX_FORECAST_FACTOR * m
    needed = growth.factor(goal) * m
    if reliability is not None and np.isfinite(reliability.value):
        needed = np.minimum(needed, m) if reliability.value >= goal else np.maximum(needed, m + 1)
    low, median, high = _quantiles(needed, growth.weight, ((1 - _LEVEL) / 2, 0.5, (1 + _LEVEL) / 2))
    if reliability is not None and median <= m + 1 and reliability.value < goal:
        # The errors say that it is reached, and the ranks that it is not: these are what counts (Spearman 1910).
        low, median, high = (
            max(m * _prophecy(value, goal), m + 1) for value in (reliability.high, reliability.value, reliability.low)
        )
    enough = seed_strata(clusters, m).rows >= _ROWS_FOR_SHAPE * masks.shape[1]
    if enough and growth.weight[np.isinf(needed)].sum() >= _CERTAIN:
        reason = f"reliability {goal:g} is not reachable with this design: few groups have an effect"
        return ReliabilityForecast(goal, None, cap, None, reason, is_reachable=False)
    lowest = max(int(np.ceil(min(low, cap))), 1)
    highest = max(int(np.ceil(high)), 1) if high <= cap else None
    if low >= cap:
        return ReliabilityForecast(goal, None, cap, None, f"more than {cap} models in all for reliability {goal:g}")
    if median > cap:
        reason = f"{lowest} models in all or many more for reliability {goal:g}"
        return ReliabilityForecast(goal, None, lowest, None, reason)
    models = max(1, int(np.ceil(median)))
    if models <= m:
        return ReliabilityForecast(goal, models, lowest, highest, f"reliability {goal:g} is reached")
    return ReliabilityForecast(goal, models, lowest, highest, f"about {models} models in all for reliability {goal:g}")


def _prophecy(reliability: float, goal: float) -> float:
    """Return the factor of the models that makes a reliability the goal, at least 1; infinite for none above zero."""
    if not reliability > 0:
        return np.inf
    return max(goal * (1 - reliability) / (reliability * (1 - goal)), 1.0)


class ReliabilityGrowth(Protocol):
    """How reliability grows with models, for H hypotheses about the effects."""

    @property
    def weight(self) -> Floats:
        """(H,) probabilities of the hypotheses."""

    def factor(self, goal: float) -> Floats:
        """Return the factor of the models that reaches a goal, (H,); infinite where none does."""

    def reliability(self, factor: float) -> Floats:
        """Return the reliability with `factor` times the models, (H,)."""


def reliability_growth(estimate: Estimate, masks: Mask, clusters: NDArray[Any] | None) -> ReliabilityGrowth | None:
    """Return how the reliability of an estimate grows with models; None from too few models or groups.

    Arguments as in `forecast_models`.
    """
    influence, se = (np.asarray(values[:, 0], dtype=np.float64) for values in (estimate.influence, estimate.se))
    usable = np.isfinite(influence) & np.isfinite(se)
    influence, variance = influence[usable] - influence[usable].mean() if usable.any() else influence, se[usable] ** 2
    variance = np.maximum(variance, 1e-9 * variance.mean()) if usable.any() else variance
    if usable.sum() < _MIN_GROUPS or masks.shape[0] < _MIN_MODELS or not estimate.df > 0 or not variance.mean() > 0:
        return None
    if estimate.prior_share is not None:
        return _InformedGrowth.of(influence, variance, float(np.nan_to_num(estimate.prior_share[0])))
    strata = seed_strata(clusters, masks.shape[0])
    is_shrunk = estimate.penalty is not None
    is_orthogonal = better_than_random(masks, strata)
    return _RankGrowth.of(
        influence, variance, estimate.df, strata.rows, is_shrunk=is_shrunk, is_orthogonal=is_orthogonal
    )


def expected_growth(growth: ReliabilityGrowth, present: float, factors: NDArray[np.float64]) -> list[float]:
    """Return the reliabilities to expect with `factors` >= 1 times the models; none is below the present one."""
    start = float(growth.weight @ growth.reliability(1.0))
    left = (1 - present) / max(1 - start, 1e-9)
    later = (float(growth.weight @ growth.reliability(float(factor))) for factor in factors)
    return [min(present + max(value - start, 0.0) * left, 1.0) for value in later]


def rank_reliability(share: Floats, ratio: Floats) -> Floats:
    """Return the rank correlation of two sweeps, for a share p of groups with effects and s of all groups."""
    slab = ratio / share
    total = np.zeros(np.broadcast_shapes(share.shape, ratio.shape))
    for first, first_variance in ((share, slab), (1 - share, 0.0)):
        for second, second_variance in ((share, slab), (1 - share, 0.0)):
            product = (first_variance + slab + 2) * (second_variance + slab + 2)
            total = total + first * second * share * np.arcsin(slab / np.sqrt(product))
    return 6 / np.pi * total


@dataclass(frozen=True)
class _RankGrowth:
    """Growth of the rank correlation of two sweeps.

    Attributes:
        weight: (H,).
        share: (H,) of the groups with an effect.
        noise: (H,) q.
        rows_per_group: N / K.
        is_mixed: whether the effects of other groups are noise as far as they are not known yet: f, else none or all.
        is_orthogonal: whether the masks are; then the first rows say nothing of the directions that follow.
    """

    weight: Floats
    share: Floats
    noise: Floats
    rows_per_group: float
    is_mixed: bool
    is_orthogonal: bool

    @classmethod
    def of(
        cls, influence: Floats, variance: Floats, df: float, rows: int, *, is_shrunk: bool, is_orthogonal: bool
    ) -> "_RankGrowth":
        """Fit it to influences (K,) and their variances (K,)."""
        if is_shrunk:
            identified = np.maximum(1 - variance / (influence.var() + variance.mean()), 1e-3)
            influence, variance = influence / identified, variance / identified
        groups, rows_per_group = len(influence), rows / len(influence)
        weight = _fit(influence, variance, df)
        ratio = _PRESENT / (1 - _PRESENT)
        noise = rows_per_group / ratio
        if is_orthogonal and is_shrunk and rows < groups:
            noise = rows_per_group * (1 + ratio) / ratio - 1
        elif is_orthogonal and rows <= groups:
            noise = noise - 1  # standard errors count the other groups' effects here
        elif is_shrunk and not is_orthogonal:
            noise = noise - 1 / (1 + ratio)
        noise = np.broadcast_to(np.maximum(noise, _MIN_NOISE), weight.shape)
        share = np.broadcast_to(_SHARES[:, None], weight.shape)
        is_mixed = is_shrunk and not is_orthogonal
        return cls(weight.ravel(), share.ravel(), noise.ravel(), rows_per_group, is_mixed, is_orthogonal)

    def factor(self, goal: float) -> Floats:
        """Return the factor of the models that reaches a goal; see `ReliabilityGrowth`."""
        curves = rank_reliability(_SHARES[:, None], _RATIOS[None])
        ratios = [_RATIOS[np.argmax(curve >= goal)] if curve[-1] >= goal else np.inf for curve in curves]
        ratio = np.array(ratios)[np.searchsorted(_SHARES, self.share)]
        mixed = 1 / (1 + ratio) if self.is_mixed else 0.0
        rows = ratio * (self.noise + mixed)
        if self.is_orthogonal:
            is_within = rows < 1
            rows[is_within] = (1 + self.noise[is_within]) / (1 + 1 / ratio[is_within])
        return np.asarray(rows / self.rows_per_group)

    def reliability(self, factor: float) -> Floats:
        """Return the reliability with `factor` times the models; see `ReliabilityGrowth`."""
        rows, noise = self.rows_per_group * factor, self.noise
        if not self.is_mixed:
            return rank_reliability(self.share, rows / noise)
        middle = noise + 1 - rows
        return rank_reliability(self.share, (np.sqrt(middle**2 + 4 * noise * rows) - middle) / (2 * noise))


def _fit(influence: Floats, variance: Floats, df: float) -> Floats:
    """Return the probability of each share and present reliability, whatever the error of v: (shares, present)."""
    step = -(-len(influence) // _MAX_GROUPS)
    order = np.argsort(influence)[::step]
    squares, variance = influence[order] ** 2, variance[order]
    ratio = _PRESENT / (1 - _PRESENT)
    log_weight = np.empty((len(_SHARES), len(ratio), len(_ERRORS)))
    for k, error in enumerate(_ERRORS):
        scaled = variance * np.exp(error * np.sqrt(2 / max(df, 4.0)))
        without = -0.5 * np.log(scaled) - 0.5 * squares / scaled
        for i, share in enumerate(_SHARES):
            spread = ratio[:, None] / share * scaled.mean() + scaled
            density = np.log(share) - 0.5 * np.log(spread) - 0.5 * squares / spread
            if share < 1:
                density = np.logaddexp(density, np.log(1 - share) + without)
            log_weight[i, :, k] = density.sum(axis=1) * step - error**2 / 2
    log_weight += np.log(_SHARE_WEIGHT)[:, None, None] + np.log(_PRESENT * (1 - _PRESENT))[:, None]
    weight: Floats = np.exp(log_weight - log_weight.max()).sum(axis=2)
    weight /= weight.sum()
    return weight


@dataclass(frozen=True)
class _InformedGrowth:
    """Growth of the squared correlation with the truth, of an estimate with a prior.

    Attributes:
        weight: (H,).
        residual: (H,) τ², the variance of the effects that the prior does not say.
        error: (H,) v, the error variance of an effect without prior.
        from_prior: (H,) variance of the prior's part.
    """

    weight: Floats
    residual: Floats
    error: Floats
    from_prior: Floats

    @classmethod
    def of(cls, influence: Floats, variance: Floats, prior_share: float) -> "_InformedGrowth":
        """Fit it to influences (K,) and their posterior variances (K,)."""
        spread, mean = float(influence.var()), float(variance.mean())
        learnt = max((1 - prior_share) * spread, 1e-3 * mean)
        residual = learnt + mean
        error = mean * residual / learnt
        deviations = np.meshgrid(*[_DEVIATIONS] * 3, indexing="ij")
        of_total, of_error, of_prior = (deviation.ravel() for deviation in deviations)
        # τ² + v and the prior's part are variances of K numbers each.
        of_variance = np.sqrt(2 / max(len(influence) - 1, 1))
        total = (residual + error) * np.exp(of_variance * of_total)
        weight = np.exp(-(of_total**2 + of_error**2 + of_prior**2) / 2)
        return cls(
            weight=weight / weight.sum(),
            residual=np.maximum(total - error, 0.01 * residual),
            error=error * np.exp(_ERROR_OF_ERROR * of_error),
            from_prior=prior_share * spread * np.exp(of_variance * of_prior),
        )

    def factor(self, goal: float) -> Floats:
        """Return the factor of the models that reaches a goal; see `ReliabilityGrowth`."""
        allowed = (1 - goal) * (self.from_prior + self.residual)
        return np.maximum(self.error / allowed - self.error / self.residual, 0.0)

    def reliability(self, factor: float) -> Floats:
        """Return the reliability with `factor` times the models; see `ReliabilityGrowth`."""
        left = self.residual * self.error / (factor * self.residual + self.error)
        return np.asarray(1 - left / (self.from_prior + self.residual))


def _quantiles(values: Floats, weight: Floats, levels: tuple[float, ...]) -> list[float]:
    order = np.argsort(values)
    cumulated = np.cumsum(weight[order])
    positions = np.minimum(np.searchsorted(cumulated, levels), len(order) - 1)
    return [float(value) for value in values[order[positions]]]
