"""Linear datamodeling score: do the influences predict what models with new masks do?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tui_influence.influence.estimate import t_quantile
from tui_influence.influence.outputs import Floats, Mask
from tui_influence.influence.rank_correlation import average_ranks, correlation

_FEWEST_MODELS = 4
_BLOCK_VALUES = 4_000_000


@dataclass(frozen=True)
class LDS:
    """Linear datamodeling score with its 95% interval over held-out models.

    Attributes:
        value: mean over examples of the rank correlation between predicted and actual outputs.
        low: lower end of the interval.
        high: upper end.
        n: held-out models.
    """

    value: float
    low: float
    high: float
    n: int


def lds(
    influence: Floats, heldout_masks: Mask, heldout_outputs: Floats, bootstrap: int = 1000, seed: int = 0
) -> LDS | None:
    """Mean over examples of Spearman(predicted, actual output) over held-out models (Park et al. 2023, eq. 8).

    A model's predicted output is the sum of the influences of its groups. The interval resamples held-out models:
    the bootstrap standard error of atanh(score), with Student's t on h - 1 degrees of freedom, turned back; it says
    how far the score would move with other held-out models, the influences as they are. In a resample, correlations
    are of the ranks among all held-out models, so that a resample costs products of matrices and not a sort.

    Args:
        influence: (K, n), NaN for groups of unknown influence, which then predict nothing.
        heldout_masks: (h, K) bool, of models that the influences were not estimated from.
        heldout_outputs: (h, n) float, or (h,) for n = 1, of the kind that `influence` is of.
        bootstrap: number of resamples.
        seed: of the resamples.

    Returns:
        None if h < 4, or if no example's prediction and output both vary.
    """
    h = heldout_masks.shape[0]
    actual = heldout_outputs[:, None] if heldout_outputs.ndim == 1 else heldout_outputs
    if h < _FEWEST_MODELS:
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
        again = _weighted_correlation(weights, predicted_ranks[:, usable], actual_ranks[:, usable])
        resampled += np.nansum(again, axis=1)
        resampled_count += np.isfinite(again).sum(axis=1)
    if count == 0:
        return None
    value = total / count
    low, high = _interval(value, resampled[resampled_count > 0] / resampled_count[resampled_count > 0], h)
    return LDS(value, low, high, h)


def _weighted_correlation(
    weights: NDArray[np.float64], first: NDArray[np.float64], second: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Pearson correlation under each row of weights (B, h) of each column of two (h, n) arrays: (B, n)."""
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
