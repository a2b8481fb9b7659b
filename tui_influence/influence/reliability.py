"""Split-half reliability of a ranking: the rank correlation expected with that of a second sweep."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.influence.design_effect import better_than_random, halving_factor
from tui_influence.influence.estimate import group_counts
from tui_influence.influence.estimators import ESTIMATORS, Estimator, find_estimator
from tui_influence.influence.lds import spearman
from tui_influence.influence.outputs import Mask
from tui_influence.influence.strata import cluster_labels, seed_strata
from tui_influence.influence.types import Estimate, Reliability

_NORMAL_95 = 1.959963984540054
_ENOUGH_RANKS = 4000  # groups x splits; further ridge splits add little
_MIN_SPLITS = 4
_ORTHOGONAL_WIDENING = 1.5


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
    becomes that of the full sweep by Spearman (1910) and Brown (1910), ρ = 2 r / (1 + r). Halves of an orthogonal
    design are not orthogonal, and differences of means from them say little about that of all models. There the halves
    of either estimator are estimated by ridge (over all models the two rank alike), and ρ = c r / (1 + (c - 1) r), with
    c > 2 from the masks (see `design_effect.halving_factor`).

    The interval is for these groups, over new sweeps. If the estimates have variance F over the K groups and error
    variance v, then ρ = 1 - v / F, and F varies between sweeps with variance F² (2/K) (1 - ρ²) (the variance of a sum
    of squares of K normal variables with means), so u = sqrt((1 + ρ) / (1 - ρ)) has standard deviation sqrt(2/K)
    whatever ρ: the interval is u ± 1.96 · 1.06 · sqrt(2/(K-1) · (1 + 1/S)), transformed back. The 1.06 is the loss
    by ranks instead of values (Fieller, Hartley & Pearson 1957), 1/S the error of v from S halvings; half as wide
    again for orthogonal designs, where v is less certain (a factor found by simulation). Its coverage
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
    orthogonal = better_than_random(masks, seed_strata(clusters, m))
    if orthogonal:
        method = ESTIMATORS["ridge"]
    if method.needs_penalty:
        splits = min(splits, max(_MIN_SPLITS, math.ceil(_ENOUGH_RANKS / groups)))
    rng = np.random.default_rng(seed)
    in_first = np.stack([rng.permutation(count) < count // 2 for _ in range(splits)])[:, labels]
    if method.needs_penalty and penalty is None:
        penalty = _penalty_of(method, masks, outputs, clusters)
    first, second = _estimate_halves(method, masks, outputs, clusters, in_first, penalty)
    factor = 2.0
    if orthogonal:
        assert penalty is not None
        factor = halving_factor(masks, clusters, in_first[0], penalty)
    correlations = _spearman_of_finite(first, second)
    correlations = correlations[np.isfinite(correlations)]
    if correlations.size == 0:
        return None
    half = float(np.clip(correlations.mean(), -0.999, 1.0))
    low, high = _half_interval(half, groups, int(correlations.size), _ORTHOGONAL_WIDENING if orthogonal else 1.0)
    value, low, high = (_prophecy(r, factor) for r in (half, low, high))
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


def _half_interval(half: float, groups: int, splits: int, widening: float) -> tuple[float, float]:
    """95% interval of the half correlation r; u as in `split_half`, in terms of r: sqrt((1 + 3 r) / (1 - r))."""
    u = math.sqrt(max(1 + 3 * half, 0) / max(1 - half, 1e-12))
    margin = widening * _NORMAL_95 * 1.06 * math.sqrt(2 / (groups - 1) * (1 + 1 / splits))
    low, high = max(u - margin, 0.0), u + margin
    return (low**2 - 1) / (low**2 + 3), (high**2 - 1) / (high**2 + 3)


def _prophecy(reliability: float, factor: float) -> float:
    """Return the reliability with `factor` times the models, from -1 to 1."""
    divisor = 1 + (factor - 1) * reliability
    return float(np.clip(factor * reliability / divisor, -1, 1)) if divisor > 0 else -1.0


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
