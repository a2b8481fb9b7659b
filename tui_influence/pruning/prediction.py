"""What dropping a set of groups is predicted to gain, before anything is retrained.

If effects add up, dropping a set S gains minus the sum of its effects β. The plain sum of estimates over the groups
that look worst promises too much: they look worst partly by chance (the winner's curse). A posterior mean does not,
however S was chosen from the same data (Efron 2011, "Tweedie's formula and selection bias"). So, with X the masks and
y the outputs, both centred within seed clusters,

    y = X (μ 1 + δ) + e,    δ_k ~ N(0, σ²/λ),  μ free: what groups have in common is not shrunk,

the gain over keeping everything is -(Σ_{k in S} δ_k + |S| μ), and over dropping as many at random it is
-(Σ_{k in S} δ_k - |S| mean(δ)); each with its posterior mean and variance averaged over what the data say about λ (as
in `ridge_regression`: the share of variance h that differences between groups explain, uniform on (0, 1)).

What both assume: effects add up, and are exchangeable between groups. The gain over keeping everything also takes the
common effect μ of one more group to be with all of them present what it is at the sweep's fraction of them. Returns
diminish, so it is less, and the prediction errs towards keeping. Masks of one size (`fixed`) say nothing about μ:
there only the gain over dropping at random is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tui_influence.influence.estimate import interval, same_size_masks
from tui_influence.influence.factors import gram
from tui_influence.influence.outputs import Floats, Mask
from tui_influence.influence.strata import seed_strata

_NOTHING = 1e-300
"""Squares that are left, at least: outputs that never change leave none, and their logarithm is taken."""
FEWEST = 16
"""Comparable models below which nothing is predicted."""
MOST_GROUPS = 4000
"""Groups above which nothing is predicted: it takes memory as their square and time as their cube."""
_SHARES = np.linspace(0.005, 0.995, 100)
"""Shares h of the variance; λ = T (1 - h) / h, T = trace(XᵀX) / N."""


@dataclass(frozen=True)
class PredictedGain:
    """Gain of dropping each of L sets, in the unit of the output, with 95% intervals; (L,) each."""

    gain: Floats
    low: Floats
    high: Floats


def predict_gain(
    masks: Mask,
    output: Floats,
    clusters: NDArray[np.int64] | None,
    sets: Sequence[NDArray[np.int64]],
    *,
    over_random: bool = False,
) -> PredictedGain | None:
    """Predict what dropping each of some sets of groups gains.

    Args:
        masks: (m, K) bool.
        output: (m,) output whose gain is predicted.
        clusters: (m,) equal for models that share a training seed; None if no two do.
        sets: L arrays of group numbers; they may have been chosen by these very models.
        over_random: the gain over dropping as many at random, instead of over keeping everything.

    Returns:
        the gains; None where the models cannot tell (too few, or masks of one size and not `over_random`), or where
        the groups are too many.
    """
    m, groups = masks.shape
    strata = seed_strata(clusters, m)
    sizes_vary = not same_size_masks(masks)
    rows = strata.rows - sizes_vary
    if rows < FEWEST or groups > MOST_GROUPS or not (sizes_vary or over_random):
        return None
    centred = strata.centred(output.astype(np.float64)[:, None])[:, 0]
    product = gram(masks, strata).astype(np.float64)
    scores = strata.centred(masks.astype(np.float64)).T @ centred
    total = float(centred @ centred)
    basis = _contrasts(groups)
    members = np.zeros((groups, len(sets)))
    for place, dropped in enumerate(sets):
        members[dropped, place] = 1
    weights = basis.T @ members
    common, common_variance = np.zeros(len(sets)), np.zeros(len(sets))
    if sizes_vary:
        # Take out the number of groups, the one covariate that is not shrunk.
        size = product.sum(axis=0)
        length = float(size.sum())
        if not over_random:
            counts = members.sum(axis=0)
            weights = weights - np.outer(basis.T @ size, counts) / length
            common, common_variance = counts * scores.sum() / length, counts**2 / length
        total -= float(scores.sum()) ** 2 / length
        scores = scores - size * scores.sum() / length
        product = product - np.outer(size, size) / length
    squares, vectors = np.linalg.eigh(basis.T @ product @ basis)
    squares = np.maximum(squares, 0)
    projected, turned = vectors.T @ (basis.T @ scores), vectors.T @ weights
    penalties = squares.sum() / rows * (1 - _SHARES) / _SHARES
    left = np.maximum(total - (projected**2 / (squares + penalties[:, None])).sum(axis=1), 1e-12 * total + _NOTHING)
    evidence = -0.5 * np.log1p(squares / penalties[:, None]).sum(axis=1) - 0.5 * rows * np.log(left)
    belief = np.exp(evidence - evidence.max())
    belief /= belief.sum()
    means = (projected / (squares + penalties[:, None])) @ turned + common
    variances = left[:, None] / rows * ((1 / (squares + penalties[:, None])) @ turned**2 + common_variance)
    mean = belief @ means
    se = np.sqrt(belief @ (variances + (means - mean) ** 2))
    low, high = interval(-mean, se, rows)
    return PredictedGain(-mean, low, high)


def _contrasts(groups: int) -> NDArray[np.float64]:
    """(K, K - 1) orthonormal columns that each sum to zero (Helmert's)."""
    step = np.arange(1, groups)
    place = np.arange(groups)[:, None]
    columns = np.where(place < step, 1.0, np.where(place == step, -step, 0.0))
    scaled: NDArray[np.float64] = columns / np.sqrt(step * (step + 1))
    return scaled
