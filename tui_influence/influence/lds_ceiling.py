"""Ceiling of the LDS: what it would be if influences predicted the mean output of every mask without error.

Trainings of one mask differ by chance, and no influence predicts that. Held-out models that share a mask measure it.
"""

import numpy as np
from numpy.typing import NDArray

from tui_influence.influence.estimate import t_quantile
from tui_influence.influence.lds import average_ranks, mask_numbers
from tui_influence.influence.outputs import Floats, Mask
from tui_influence.influence.types import MIN_REPEATED_MASKS, LDSCeiling

_MAX_LOG_RATIO = 30.0


def lds_ceiling(heldout_masks: Mask, heldout_outputs: Floats) -> LDSCeiling | None:
    """Return the largest rank correlation that predictions from masks can have with the outputs of single models.

    Of the ranks of the outputs, one-way analysis of variance over masks (Fisher 1925) gives the mean squares between
    masks, B, and within, W, and from them the intraclass correlation ρ = (B - W) / (B + (r - 1) W): the correlation of
    two models of one mask, which is the share of the ranks' variance that depends on the mask. r is the number of
    models of a mask, corrected for unequal ones. A correlation with single models is at most sqrt(ρ) (Spearman 1904),
    whatever their distribution. A mask with a single model counts for B alone.

    The interval is a jackknife over masks of log(B / W), with Student's t on one degree of freedom less than there are
    masks with several models, transformed back: unlike the F distribution, it does not assume normal ranks.

    Args:
        heldout_masks: (h, K) bool; models are repeats of each other where these are equal.
        heldout_outputs: (h,) float, of the kind that the LDS is on.

    Returns:
        None with fewer than 5 masks of several models, or if the interval includes zero.
    """
    h = heldout_masks.shape[0]
    if h < 2 * MIN_REPEATED_MASKS:
        return None
    number = mask_numbers(heldout_masks)
    models = np.bincount(number).astype(float)
    n_repeated = int((models > 1).sum())
    if n_repeated < MIN_REPEATED_MASKS:
        return None
    ranks = average_ranks(heldout_outputs[:, None])[:, 0] - (h + 1) / 2
    if not ranks.any():
        return None
    sums, squares = np.bincount(number, ranks), np.bincount(number, ranks * ranks)
    parts = np.stack([np.ones_like(models), models, sums, sums**2 / models, squares])
    total = parts.sum(axis=1)
    log_ratio = float(_log_ratio(total))
    without_one = _log_ratio(total[:, None] - parts)
    n_masks = len(models)
    se = np.sqrt((n_masks - 1) / n_masks * ((without_one - without_one.mean()) ** 2).sum())
    margin = t_quantile(0.975, n_repeated - 1) * float(se)
    per_mask = (h - (models**2).sum() / h) / (n_masks - 1)
    value, low, high = (_ceiling(end, per_mask) for end in (log_ratio, log_ratio - margin, log_ratio + margin))
    return LDSCeiling(value, low, high) if low > 0 else None


def _log_ratio(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log(B / W), within bounds, from sums over masks, (5, ...).

    Of each mask these are 1, the models, their sum of ranks, its square a model, and their sum of squares.
    """
    n_masks, models, total, between, squares = sums
    spread_between = np.maximum(between - total**2 / models, 0) / (n_masks - 1)
    spread_within = np.maximum(squares - between, 0) / (models - n_masks)
    limit = np.exp(-_MAX_LOG_RATIO) * (spread_between + spread_within)
    ratio: NDArray[np.float64] = np.log(np.maximum(spread_between, limit)) - np.log(np.maximum(spread_within, limit))
    return ratio


def _ceiling(log_ratio: float, models_per_mask: float) -> float:
    excess = np.expm1(min(log_ratio, _MAX_LOG_RATIO))
    return float(np.sqrt(max(excess / (excess + models_per_mask), 0.0)))
