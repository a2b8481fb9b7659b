"""Reliability of a ranking: the rank correlation expected with that of a second sweep.

Of an estimate with a prior it is the squared correlation expected with the true influences: two sweeps share the prior,
so their agreement says little. Without a prior both are the same number, but for ranks (Spearman 1910).

Under random masks the halves of a sweep are two sweeps of half the size. Halves of an orthogonal design are not
orthogonal, and say little about all of it: there the reliability comes from the errors of the estimates.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.influence.design_effect import DesignEffect, better_than_random
from tui_influence.influence.difference import difference
from tui_influence.influence.estimate import group_counts
from tui_influence.influence.estimators import Estimator, find_estimator
from tui_influence.influence.factors import Factors, factorise
from tui_influence.influence.lds import spearman
from tui_influence.influence.outputs import Mask
from tui_influence.influence.shrinkage import Evidence, Grid, power_outside
from tui_influence.influence.strata import cluster_labels, seed_strata
from tui_influence.influence.types import Estimate, Reliability

_NORMAL_95 = 1.959963984540054
_ENOUGH_RANKS = 4000  # groups x splits; further ridge splits add little
_MIN_SPLITS = 4
_ENOUGH_DF = 8  # of the residual variance, for the errors of the estimates
_MAX_LOG_LIKELIHOOD_LOSS = 2.5  # at the ends of a 95% interval; 1.92 in large samples, more by simulation
_INTERVAL_ITERATIONS = 20
_MUCH_LESS = 0.5  # of the error variance


def sweep_reliability(
    masks: Mask,
    outputs: NDArray[Any],
    estimator: str,
    clusters: NDArray[Any] | None = None,
    *,
    seed: int = 0,
    penalty: float | None = None,
) -> Reliability | None:
    """Return the reliability of a ranking by an estimator without a prior.

    Under random masks that of `split_half`. Under orthogonal ones that of the errors: `reliability_from_errors` where
    the residual of least squares on all groups tells the noise, else `reliability_from_likelihood`. A ridge ranks like
    `difference` where it shrinks much, and like least squares where these err much less.

    Args:
        masks: (m, K) bool.
        outputs: (m,) float, one number a model.
        estimator: a name in `ESTIMATORS`.
        clusters: (m,) int or None; models of one cluster share their seed.
        seed: of the halvings.
        penalty: the full sweep's λ; None to choose it.

    Returns:
        None with fewer than 4 clusters, or fewer than 3 groups that vary.
    """
    n_with, n_without = group_counts(masks)
    if not (varies := (n_with > 0) & (n_without > 0)).all():
        masks = masks[:, varies]
    m, groups = masks.shape
    labels = cluster_labels(clusters, m)
    if (m if labels is None else int(labels.max(initial=-1)) + 1) < 4 or groups < 3:
        return None
    if not better_than_random(masks, seed_strata(clusters, m)):
        return split_half(masks, outputs, estimator, clusters, seed=seed, penalty=penalty)
    outputs = np.asarray(outputs, dtype=np.float64)
    effect = DesignEffect.of(masks, clusters, outputs.dtype)
    if effect is not None and effect.residual_df >= _ENOUGH_DF:
        by_differences = difference(masks, outputs, clusters)
        if estimator == "difference":
            return reliability_from_errors(by_differences)
        by_least_squares = _least_squares(effect.factors, outputs)
        is_better = np.nanmean(by_least_squares.se**2) < _MUCH_LESS * np.nanmean(by_differences.se**2)
        return reliability_from_errors(by_least_squares if is_better else by_differences)
    factors = factorise(masks, clusters, outputs.dtype) if effect is None else effect.factors
    return reliability_from_likelihood(factors, outputs)


def reliability_from_errors(estimate: Estimate) -> Reliability | None:
    """Return the rank correlation of ρ = 1 - v / F, F the influences' variance and v the mean of their squared errors.

    F / v is a noncentral F ratio with K - 1 and `df` degrees of freedom. By Patnaik's (1949) approximation it is
    1 / (1 - ρ) times a central one with (K - 1) / (1 - ρ²) and `df`; the ends of the interval are the ρ of which the
    ratio is the 97.5% and the 2.5% quantile. As for `split_half`, it is for these groups, over new sweeps. Effects far
    from normal, most next to none and few large, repeat less well in ranks than this says.

    Args:
        estimate: of one output, shrunk towards nothing.

    Returns:
        None with fewer than 3 groups of known influence and error, or influences that are all the same.
    """
    from scipy.special import fdtri

    defined = np.isfinite(estimate.influence[:, 0]) & np.isfinite(estimate.se[:, 0])
    groups = int(defined.sum())
    if groups < 3:
        return None
    signal = float(estimate.influence[defined, 0].var(ddof=1))
    noise = float((estimate.se[defined, 0].astype(np.float64) ** 2).mean())
    if not signal > 0:
        return None

    def end(probability: float) -> float:
        value = 0.0
        for _ in range(_INTERVAL_ITERATIONS):
            df = (groups - 1) / max(1 - max(value, 0.0) ** 2, 1e-9)
            value = 1 - float(fdtri(df, estimate.df, probability)) * noise / signal
        return max(value, -1.0)

    value = max(1 - noise / signal, -1.0)
    return _of_ranks(value, min(end(0.975), value), max(end(0.025), value))


def _least_squares(factors: Factors, outputs: NDArray[np.float64]) -> Estimate:
    """Return the least-squares influences on outputs (m,) of the groups that vary, with their standard errors."""
    centred = factors.strata.centred(outputs[:, None])
    rotated = factors.rotate(centred).astype(np.float64)
    df = factors.rows - factors.squares.size
    noise = float(power_outside(factors, centred, rotated)[0]) / df
    influence = factors.scale * ((factors.vectors / np.sqrt(factors.squares)) @ rotated)
    se = factors.scale * np.sqrt(noise * (factors.vectors**2 / factors.squares).sum(axis=1, keepdims=True))
    counts = np.zeros(len(influence), dtype=np.int64)
    return Estimate(influence, se, df, counts, counts, "least squares")


def reliability_from_likelihood(factors: Factors, outputs: NDArray[np.float64]) -> Reliability | None:
    """Return the reliability that outputs (m,) make likely where least squares leaves too small a residual.

    For a given λ a ridge estimate has the squared correlation ρ = Σ s² / (s² + λ) / K with the truth, which is the
    correlation of two sweeps' estimates. The value is its mean over the posterior of λ, the interval those ρ of which
    the likelihood is not much less than the greatest. The fewer the models and the more alike the s, the wider it is:
    of orthogonal *rows* it holds everything.
    """
    if factors.squares.size == 0 or factors.rows < 2:
        return None
    grid = Grid.over(factors)
    centred = factors.strata.centred(outputs[:, None])
    if not centred.any():
        return None
    weight = Evidence.of(factors, grid, centred).weight[:, 0]
    by_penalty = grid.df / factors.vectors.shape[0]
    log_likelihood = np.log(np.maximum(weight, np.finfo(float).tiny)) - grid.log_share_prior
    likely = log_likelihood > log_likelihood.max() - _MAX_LOG_LIKELIHOOD_LOSS
    value = float(weight @ by_penalty)
    low = 0.0 if likely[0] else float(by_penalty[likely].min())
    return _of_ranks(value, min(low, value), max(float(by_penalty[likely].max()), value))


def _of_ranks(value: float, low: float, high: float) -> Reliability:
    """Return the reliability of ranks of a correlation of normal values and its interval (Pearson 1907)."""
    value, low, high = (6 / math.pi * math.asin(end / 2) for end in (value, low, high))
    return Reliability(value, math.nan, low, high, 0)


def split_half(
    masks: Mask,
    outputs: NDArray[Any],
    estimator: str,
    clusters: NDArray[Any] | None = None,
    splits: int = 20,
    seed: int = 0,
    *,
    penalty: float | None = None,
) -> Reliability | None:
    """Halve the models at random, rank the groups from each half, correlate; average over halvings.

    The halves are disjoint and a cluster stays whole, so no training error is in both. The mean half correlation r
    becomes that of the full sweep by Spearman (1910) and Brown (1910), ρ = 2 r / (1 + r). It is for random masks.

    The interval is for these groups, over new sweeps. If the estimates have variance F over the K groups and error
    variance v, then ρ = 1 - v / F, and F varies between sweeps with variance F² (2/K) (1 - ρ²) (the variance of a sum
    of squares of K normal variables with means), so u = sqrt((1 + ρ) / (1 - ρ)) has standard deviation sqrt(2/K)
    whatever ρ: the interval is u ± 1.96 · 1.06 · sqrt(2/(K-1) · (1 + 1/S)), transformed back. The 1.06 is the loss
    by ranks instead of values (Fieller, Hartley & Pearson 1957), 1/S the error of v from S halvings. Its coverage
    is shown by simulation in the tests. Where few groups have large effects and the others next to none, reliability is
    lower than this (by 0.05 to 0.1 in simulation), and grows more slowly with more models.

    Args:
        masks: (m, K) bool.
        outputs: (m,) float, one number a model.
        estimator: a name in `ESTIMATORS`. Halves of a ridge share the full sweep's penalty: λ is the ratio of noise to
            signal variance, which does not depend on the number of models.
        clusters: (m,) int or None; models of one cluster share their seed.
        splits: number of random halvings; fewer for a ridge over many groups, where they suffice.
        seed: of the halvings.
        penalty: the full sweep's λ; None to choose it.

    Returns:
        None with fewer than 4 clusters, or fewer than 3 groups that vary.
    """
    method = find_estimator(estimator)
    m = masks.shape[0]
    labels = cluster_labels(clusters, m)
    labels = np.arange(m) if labels is None else labels
    count = int(labels.max(initial=-1)) + 1
    n_with, n_without = group_counts(masks)
    if not (varies := (n_with > 0) & (n_without > 0)).all():
        masks = masks[:, varies]
    groups = masks.shape[1]
    if count < 4 or groups < 3:
        return None
    outputs = np.asarray(outputs, dtype=np.float64)
    if method.needs_penalty:
        splits = min(splits, max(_MIN_SPLITS, math.ceil(_ENOUGH_RANKS / groups)))
    rng = np.random.default_rng(seed)
    in_first = np.stack([rng.permutation(count) < count // 2 for _ in range(splits)])[:, labels]
    if method.needs_penalty and penalty is None:
        penalty = _penalty_of(method, masks, outputs, clusters)
    first, second = _estimate_halves(method, masks, outputs, clusters, in_first, penalty)
    correlations = _spearman_of_finite(first, second)
    correlations = correlations[np.isfinite(correlations)]
    if correlations.size == 0:
        return None
    half = float(np.clip(correlations.mean(), -0.999, 1.0))
    low, high = _half_interval(half, groups, int(correlations.size))
    value, low, high = (_prophecy(r) for r in (half, low, high))
    return Reliability(value, half, min(low, value), max(high, value), int(correlations.size))


def expected_reliability(estimate: Estimate) -> Reliability | None:
    """Return the reliability of an estimate that shares a prior between sweeps, so that halves of one say nothing.

    Of a posterior with means b and standard deviations se over the groups, the truth has variance var(b) + mean(se²),
    so the squared correlation of b with it is var(b) / (var(b) + mean(se²)). The interval is that of `split_half`, for
    a value whose noise is known.

    Returns:
        None with fewer than 3 groups of known influence.
    """
    known = np.isfinite(estimate.influence[:, 0]) & np.isfinite(estimate.se[:, 0])
    groups = int(known.sum())
    if groups < 3:
        return None
    explained = float(estimate.influence[known, 0].var())
    total = explained + float((estimate.se[known, 0] ** 2).mean())
    value = explained / total if total > 0 else 0.0
    u = math.sqrt((1 + value) / max(1 - value, 1e-12))
    margin = _NORMAL_95 * math.sqrt(2 / (groups - 1))
    low, high = (((end**2 - 1) / (end**2 + 1)) for end in (max(u - margin, 0.0), u + margin))
    return Reliability(value, math.nan, min(low, value), max(high, value), 0)


def _half_interval(half: float, groups: int, splits: int) -> tuple[float, float]:
    """95% interval of the half correlation r; u as in `split_half`, in terms of r: sqrt((1 + 3 r) / (1 - r))."""
    u = math.sqrt(max(1 + 3 * half, 0) / max(1 - half, 1e-12))
    margin = _NORMAL_95 * 1.06 * math.sqrt(2 / (groups - 1) * (1 + 1 / splits))
    low, high = max(u - margin, 0.0), u + margin
    return (low**2 - 1) / (low**2 + 3), (high**2 - 1) / (high**2 + 3)


def _prophecy(half: float) -> float:
    """Return the reliability of twice the models, from -1 to 1."""
    return float(np.clip(2 * half / (1 + half), -1, 1)) if half > -1 else -1.0


def _penalty_of(method: Estimator, masks: Mask, outputs: NDArray[np.float64], clusters: NDArray[Any] | None) -> float:
    """Penalty that all models lead to; 1 where they lead to none."""
    penalty = method.estimate(masks, outputs, clusters).penalty
    assert penalty is not None
    return float(penalty[0]) if np.isfinite(penalty[0]) else 1.0


def _estimate_halves(
    method: Estimator,
    masks: Mask,
    outputs: NDArray[np.float64],
    clusters: NDArray[Any] | None,
    in_first: Mask,
    penalty: float | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Influences from both halves of every split, each (K, splits)."""
    if method.halves:
        halves: tuple[NDArray[np.float64], NDArray[np.float64]] = method.load(method.halves)(
            masks, outputs, clusters, in_first, penalty
        )
        return halves
    function = method.load(method.name)
    options = {"penalty": penalty} if method.needs_penalty else {}
    first, second = (
        np.stack(
            [
                function(masks[half], outputs[half], None if clusters is None else clusters[half], **options).influence[
                    :, 0
                ]
                for half in side
            ],
            axis=1,
        ).astype(np.float64)
        for side in (in_first, ~in_first)
    )
    return first, second


def _spearman_of_finite(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Column-wise Spearman over the groups that are defined in both halves."""
    finite = np.isfinite(first) & np.isfinite(second)
    if finite.all():
        return spearman(first, second)
    correlations = np.full(first.shape[1], np.nan)
    for i, both in enumerate(finite.T):
        if both.sum() > 2:
            correlations[i] = spearman(first[both, i : i + 1], second[both, i : i + 1])[0]
    return correlations
