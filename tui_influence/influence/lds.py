"""Linear datamodeling score (LDS): the rank correlation between predicted and actual outputs of held-out models.

Rank correlations are computed column by column without scipy.stats, whose import takes a second.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.influence.estimate import t_quantile
from tui_influence.influence.outputs import Floats, Mask
from tui_influence.influence.types import LDS, MIN_HELDOUT_MASKS


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


_BLOCK_VALUES = 4_000_000


def mask_numbers(masks: Mask) -> NDArray[np.intp]:
    """Return which models share a mask: (h,) numbers of the different masks (h, K), in order of appearance."""
    packed = np.ascontiguousarray(np.packbits(masks, axis=1))
    _, first, number = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    in_order = np.empty(len(first), np.intp)
    in_order[np.argsort(first)] = np.arange(len(first))
    return in_order[number.reshape(-1)]


def lds(
    influence: Floats, heldout_masks: Mask, heldout_outputs: Floats, bootstrap: int = 1000, seed: int = 0
) -> LDS | None:
    """Return the mean over examples of Spearman(predicted, actual output) over held-out models (Park et al. 2023).

    Equation 8 there. A model's predicted output is the sum of the influences of its groups. The interval resamples
    held-out masks, with all models of each: the bootstrap standard error of atanh(score), with Student's t on one
    degree of freedom less than there are masks, transformed back; it is the spread of the score over sets of held-out
    models, for fixed influences. In a resample, correlations are of the ranks among all held-out models, so that a
    resample costs products of matrices and not a sort.

    Args:
        influence: (K, n), NaN for groups of undefined influence, which contribute nothing.
        heldout_masks: (h, K) bool, of models that the influences were not estimated from.
        heldout_outputs: (h, n) float, or (h,) for n = 1, of the kind that `influence` is of.
        bootstrap: number of resamples.
        seed: of the resamples.

    Returns:
        None with fewer than 4 different masks, or if no example's prediction and output both vary.
    """
    h = heldout_masks.shape[0]
    actual = heldout_outputs[:, None] if heldout_outputs.ndim == 1 else heldout_outputs
    if h < MIN_HELDOUT_MASKS:
        return None
    number = mask_numbers(heldout_masks)
    models_per_mask = np.bincount(number)
    n_masks = len(models_per_mask)
    if n_masks < MIN_HELDOUT_MASKS:
        return None
    # A mask once, so that its models have the same prediction to the last bit.
    design = heldout_masks[np.unique(number, return_index=True)[1]].astype(influence.dtype)
    drawn = np.random.default_rng(seed).multinomial(n_masks, np.full(n_masks, 1 / n_masks), size=bootstrap)
    weights = drawn[:, number] / (drawn @ models_per_mask)[:, None]
    total, count = 0.0, 0
    resampled, resampled_count = np.zeros(bootstrap), np.zeros(bootstrap)
    width = max(1, _BLOCK_VALUES // max(bootstrap, h))
    for start in range(0, actual.shape[1], width):
        columns = slice(start, start + width)
        predicted_ranks = average_ranks((design @ np.nan_to_num(influence[:, columns]))[number])
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
    low, high = _interval(value, resampled[resampled_count > 0] / resampled_count[resampled_count > 0], n_masks)
    return LDS(value, low, high, h, n_masks, int((models_per_mask > 1).sum()))


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


def _interval(value: float, resampled: NDArray[np.float64], n_masks: int) -> tuple[float, float]:
    limit = 1 - 1e-6  # atanh(1) is infinite
    spread = np.arctanh(np.clip(resampled, -limit, limit)).std(ddof=1) if resampled.size > 1 else np.nan
    centre = np.arctanh(np.clip(value, -limit, limit))
    margin = t_quantile(0.975, n_masks - 1) * spread
    return float(np.tanh(centre - margin)), float(np.tanh(centre + margin))
