"""The predicted gain of dropping the k groups of lowest influence, before anything is retrained.

If effects add up, dropping a set S gains minus the sum of its effects. The plain sum of the estimates that chose S
promises too much: these groups look worst partly by chance (the winner's curse). A prior that takes effects for normal
shrinks too little where a few are large and the rest nothing, which is the usual case. So nothing is assumed of them:
models that choose a set never judge it (cross-fitting; Chernozhukov et al. 2018, "Double/debiased machine learning").
Of J folds of seed clusters, the others rank the groups, giving S_f, and fit effects b_f; with x_i the mask of a model
in fold f, p the share of models that keep each group, and r_i the residual of its output from b_f,

    psi_i = -w_f . (b_f + r_i (x_i - p) / (p (1 - p))),    w_f = 1 on S_f,

has the gain of S_f as its mean, whatever b_f is: the first term is a guess, the second corrects it. Over dropping as
many at random, w_f is less by k / K everywhere.

Two biases remain, and are stated where the number is shown. S_f was chosen by fewer models than will choose S, so the
mean errs low; the upper end of the interval is raised by how much better S looks than the S_f do. And the gain over
keeping everything takes one group's effect to be with all of them present what it is at the sweep's fraction of them;
returns diminish, so that errs low too. Masks of one size (`fixed`) carry no information about what groups have in
common: there only the gain over dropping at random is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tui_influence.influence.estimate import interval, same_size_masks
from tui_influence.influence.estimators import estimate
from tui_influence.influence.outputs import Floats, Mask
from tui_influence.influence.prior import OutputPrior
from tui_influence.influence.ridge import ridge
from tui_influence.influence.strata import cluster_labels

MIN_CLUSTERS = 32
"""Independent models, or seed clusters of them, below which nothing is predicted."""
MAX_GROUPS = 4000
"""Groups above which nothing is predicted: it takes memory as their square and time as their cube."""
_FOLDS = 10
_WIDER = 1.2
"""Factor of the standard error, found in simulation: what the folds share makes them vary together."""


@dataclass(frozen=True)
class PredictedGain:
    """Gain of dropping the lowest for L numbers of groups, in the unit of each of q outputs, with 95% intervals.

    Attributes:
        over_random: (3, L, q) gain over dropping as many at random: value, low and high.
        over_all: (3, L, q) gain over keeping everything; None where the masks cannot tell.
    """

    over_random: Floats
    over_all: Floats | None


def predict_gain(
    masks: Mask,
    ranked_by: Floats,
    outputs: Floats,
    clusters: NDArray[np.int64] | None,
    estimator: str,
    drop_counts: Sequence[int],
    prior: OutputPrior | None = None,
) -> PredictedGain | None:
    """Predict what dropping the groups of lowest influence gains.

    Args:
        masks: (m, K) bool.
        ranked_by: (m,) output whose influences choose the groups.
        outputs: (m, q) outputs whose gain is predicted.
        clusters: (m,) equal for models that share a training seed; None if no two do.
        estimator: of the influences that choose.
        drop_counts: L numbers of groups to drop.
        prior: of the output that chooses, for estimators that need one.

    Returns:
        the gains; None where models are too few, or groups too many.
    """
    m, groups = masks.shape
    labels = cluster_labels(clusters, m)
    labels = np.arange(m, dtype=np.intp) if labels is None else labels
    count = int(labels.max(initial=-1)) + 1
    if count < MIN_CLUSTERS or groups > MAX_GROUPS:
        return None
    outputs = outputs.astype(np.float64)
    fold = (np.random.default_rng(0).permutation(count) % _FOLDS)[labels]
    relative = same_size_masks(masks)
    sides = [True] if relative else [True, False]
    scores = np.zeros((len(sides), m, len(drop_counts), outputs.shape[1]))
    all_effects = ridge(masks, outputs, clusters).influence
    chosen = _sums(all_effects, _order(masks, ranked_by, clusters, estimator, prior), drop_counts)
    optimism = np.zeros_like(chosen)
    dropped_share = np.asarray(drop_counts, dtype=np.float64) / groups
    for fold_index in range(_FOLDS):
        in_fold, others = fold == fold_index, fold != fold_index
        shared = None if clusters is None else clusters[others]
        order = _order(masks[others], ranked_by[others], shared, estimator, prior and prior.of_models(others))
        optimism += (_sums(all_effects, order, drop_counts) - chosen) / _FOLDS
        effects = np.nan_to_num(ridge(masks[others], outputs[others], shared).influence.astype(np.float64))
        keep_share = masks[others].mean(axis=0, dtype=np.float64)
        spread = keep_share * (1 - keep_share)
        centred = masks[in_fold] - keep_share
        residual = outputs[in_fold] - outputs[others].mean(axis=0) - centred @ effects
        leverage = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)
        guess, correction = _sums(effects, order, drop_counts), _sums(leverage.T, order, drop_counts).T
        for side, over_random in enumerate(sides):
            average_share = dropped_share if over_random else np.zeros(len(drop_counts))
            scores[side, in_fold] = -(
                guess
                - average_share[:, None] * effects.sum(axis=0)
                + (correction - average_share * leverage.sum(axis=1)[:, None])[:, :, None] * residual[:, None, :]
            )
    intervals = [_with_interval(score, labels, np.maximum(optimism, 0)) for score in scores]
    return PredictedGain(intervals[0], None if relative else intervals[1])


def _order(
    masks: Mask, output: Floats, clusters: NDArray[np.int64] | None, estimator: str, prior: OutputPrior | None
) -> NDArray[np.intp]:
    """(K,) groups from the lowest influence to the highest; unknown ones as in `ArmRanking.ascending`."""
    influence = estimate(estimator, masks, output, clusters, prior).influence[:, 0].astype(np.float64)
    middle = np.nanmedian(influence) if np.isfinite(influence).any() else 0.0
    return np.argsort(np.where(np.isfinite(influence), influence, middle), kind="stable")


def _sums(values: Floats, order: NDArray[np.intp], drop_counts: Sequence[int]) -> Floats:
    """(L, q) sums of (K, q) values over the first k groups of an order, for each k."""
    summed: Floats = np.cumsum(np.nan_to_num(values.astype(np.float64))[order], axis=0)[np.asarray(drop_counts) - 1]
    return summed


def _with_interval(scores: Floats, labels: NDArray[np.intp], optimism: Floats) -> Floats:
    """(3, L, q) mean of (m, L, q) scores of models, with an interval that is robust to what clusters share."""
    mean = scores.mean(axis=0)
    count = int(labels.max()) + 1
    sums = np.zeros((count, *mean.shape))
    np.add.at(sums, labels, scores - mean)
    se = _WIDER * np.sqrt((sums**2).sum(axis=0) * count / (count - 1)) / len(scores)
    low, high = interval(mean, se, count - 1)
    return np.stack([mean, low, high + optimism])
