"""Linear datamodeling score (LDS): the rank correlation between predicted and actual outputs of held-out models.

Rank correlations are computed column by column without scipy.stats, whose import takes a second.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.influence.estimate import t_quantile
from tui_influence.influence.outputs import Floats, Mask
from tui_influence.influence.types import LDS


def average_ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return ranks of each column of (h, n) values, from 1; equal values share their average rank."""
    count = values.shape[0]
    order = np.argsort(values, axis=0, kind="stable")
    ordered = np.take_along_axis(values, order, axis=0)
    position = np.arange(count, dtype=np.int32)[:, None]
    starts = np.ones(values.shape, dtype=bool)
    starts[1:] = ordered[1:] != ordered[:-1]
    ends = np.ones(values.shape, dtype=bool)
    ends[:-1] = starts[1:]
    first = np.maximum.accumulate(np.where(starts, position, 0), axis=0)
    last = np.minimum.accumulate(np.where(ends, position, count - 1)[::-1], axis=0)[::-1]
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, (first + last) / 2 + 1, axis=0)
    return ranks


def spearman(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float64]:
    """Return the Spearman correlation of each column of two (h, n) arrays: (n,); NaN where a column does not vary."""
    return correlation(average_ranks(first), average_ranks(second))


def correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Pearson correlation of each column of two (h, n) arrays: (n,); NaN where a column does not vary."""
    first = first - first.mean(axis=0)
    second = second - second.mean(axis=0)
    scale = np.sqrt((first * first).sum(axis=0) * (second * second).sum(axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        r: NDArray[np.float64] = np.where(scale > 0, (first * second).sum(axis=0) / scale, np.nan)
    return r


_MIN_MODELS = 4
_BLOCK_VALUES = 4_000_000


def lds(
    influence: Floats, heldout_masks: Mask, heldout_outputs: Floats, bootstrap: int = 1000, seed: int = 0
) -> LDS | None:
    """Return the mean over examples of Spearman(predicted, actual output) over held-out models (Park et al. 2023).

    Equation 8 there. A model's predicted output is the sum of the influences of its groups. The interval resamples
    held-out models: the bootstrap standard error of atanh(score), with Student's t on h - 1 degrees of freedom,
    transformed back; it is the spread of the score over sets of held-out models, for fixed influences. In a resample,
    correlations are of the ranks among all held-out models, so that a
    resample costs products of matrices and not a sort.

    Args:
        influence: (K, n), NaN for groups of undefined influence, which contribute nothing.
        heldout_masks: (h, K) bool, of models that the influences were not estimated from.
        heldout_outputs: (h, n) float, or (h,) for n = 1, of the kind that `influence` is of.
        bootstrap: number of resamples.
        seed: of the resamples.

    Returns:
        None if h < 4, or if no example's prediction and output both vary.
    """
    h = heldout_masks.shape[0]
    actual = heldout_outputs[:, None] if heldout_outputs.ndim == 1 else heldout_outputs
    if h < _MIN_MODELS:
        return None
    design = heldout_masks.astype(influence.dtype)
    weights = np.random.default_rng(seed).multinomial(h, np.full(h, 1 / h), size=bootstrap) / h
    total, count = 0.0, 0
    resampled, resampled_count = np.zeros(bootstrap), np.zeros(bootstrap)
    width = max(1, _BLOCK_VALUES // max(bootstrap, h))
    for start in range(0, actual.shape[1], width):
        columns = slice(start, start + width)
        predicted_ranks = average_ranks(design @ np.nan_to_num(influence[:, columns]))
        actual_ranks = average_ranks(actual[:, columns])
        score = correlation(predicted_ranks, actual_ranks)
        usable = np.isfinite(score)
        total += float(score[usable].sum())
        count += int(usable.sum())
        scores = _weighted_correlation(weights, predicted_ranks[:, usable], actual_ranks[:, usable])
        resampled += np.nansum(scores, axis=1)
        resampled_count += np.isfinite(scores).sum(axis=1)
    if count == 0:
        return None
    value = total / count
    low, high = _interval(value, resampled[resampled_count > 0] / resampled_count[resampled_count > 0], h)
    return LDS(value, low, high, h)


def _weighted_correlation(
    weights: NDArray[np.float64], first: NDArray[np.float64], second: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the Pearson correlation under each row of weights (B, h) of each column of two (h, n) arrays: (B, n)."""
    first = first - first.mean(axis=0)
    second = second - second.mean(axis=0)
    mean1, mean2 = weights @ first, weights @ second
    variance1 = weights @ (first * first) - mean1 * mean1
    variance2 = weights @ (second * second) - mean2 * mean2
    covariance = weights @ (first * second) - mean1 * mean2
    scale = np.sqrt(np.maximum(variance1, 0) * np.maximum(variance2, 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        r: NDArray[np.float64] = np.where(scale > 1e-9, covariance / scale, np.nan)
    return r


def _interval(value: float, resampled: NDArray[np.float64], h: int) -> tuple[float, float]:
    limit = 1 - 1e-6  # atanh(1) is infinite
    spread = np.arctanh(np.clip(resampled, -limit, limit)).std(ddof=1) if resampled.size > 1 else np.nan
    centre = np.arctanh(np.clip(value, -limit, limit))
    margin = t_quantile(0.975, h - 1) * spread
    return float(np.tanh(centre - margin)), float(np.tanh(centre + margin))
