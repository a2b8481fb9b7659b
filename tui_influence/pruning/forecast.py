"""The predicted gain of dropping the k groups of lowest influence, before anything is retrained.

It has two parts: the gain over dropping as many groups at random, and what dropping as many at random costs against
keeping everything, which the size curve says (see `size_curve`). If effects add up, dropping a set S instead of a
random one gains minus the sum of its effects, each less the mean effect:

    gain = -w . β,    w = 1 on S, less k / K everywhere.

The plain sum of the estimates that chose S promises too much: these groups look worst partly by chance (the winner's
curse). A prior that takes effects for normal shrinks too little where a few are large and the rest nothing, which is
the usual case. So nothing is assumed of them, and what chooses a set never judges it. Folds of models would do, but not
where masks are orthogonal: models of one fold see nothing of what the others see. Instead each output y is split in two
(data fission, Leiner et al. 2023; Oliveira, Lei & Tibshirani 2021), with noise e of the variance that the regression on
the masks leaves:

    y + τ e    ranks the groups, giving S, as ninety percent of the models would (τ² = 1/9),
    y - e / τ  is independent of it, and judges S by least squares, which is unbiased.

The average over draws of e has the gain of the S as its mean. Its standard error is that of the same procedure on
estimates drawn around the fitted effects. S was chosen with a little more noise than will choose the recommended set,
so the mean errs low; the upper end of the interval is raised by how much better that set looks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tui_influence.influence.estimate import interval
from tui_influence.influence.estimators import estimate
from tui_influence.influence.factors import Factors, factorise
from tui_influence.influence.outputs import Floats, Mask
from tui_influence.influence.prior import OutputPrior
from tui_influence.influence.ridge import ridge
from tui_influence.influence.strata import cluster_labels
from tui_influence.pruning.forecast_limits import MAX_GROUPS, MIN_FREEDOM
from tui_influence.pruning.size_curve import SizeCurve

_TAU = 1 / 3
_SPLITS = 40
_DRAWS = 100
_WIDER = 1.1
"""Factor of the standard error, found in simulation: fitted effects choose more surely than true ones."""
_EXPONENT_SD = 1.0
"""Uncertainty of the size curve's exponent where the masks say nothing of it."""


@dataclass(frozen=True)
class PredictedGain:
    """Gain of dropping the lowest for L numbers of groups, in the unit of each of q outputs, with 95% intervals.

    Attributes:
        over_random: (3, L, q) gain over dropping as many at random: value, low and high.
        over_all: (3, L, q) gain over keeping everything; None where neither masks nor anchors can tell.
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
    anchors: Floats | None = None,
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
        anchors: (P, q) outputs of networks that keep all groups; None for none.

    Returns:
        the gains; None where models are too few, or groups too many.
    """
    m, groups = masks.shape
    if groups > MAX_GROUPS or m < MIN_FREEDOM:
        return None
    outputs = np.column_stack([ranked_by, outputs]).astype(np.float64)
    squares = _LeastSquares.fit(masks, outputs, clusters)
    if squares is None:
        return None
    gain, variance, optimism = _over_random(squares, outputs, masks, clusters, estimator, prior, drop_counts)
    curve = SizeCurve.of(masks, outputs[:, 1:], anchors)
    sizes = groups - np.asarray(drop_counts, dtype=np.float64)
    over_random = _with_interval(gain, variance, squares.freedom, optimism)
    if curve is None:
        return PredictedGain(over_random, None)
    cost, of_models, of_curve = _cost_of_random(curve, sizes, clusters)
    df = _welch(variance + of_models, squares.freedom, of_curve, curve.anchor_df)
    return PredictedGain(over_random, _with_interval(gain + cost, variance + of_models + of_curve, df, optimism))


@dataclass(frozen=True)
class _LeastSquares:
    """The regression of q outputs on the masks, without any penalty.

    Attributes:
        factors: of the masks; r directions.
        effects: (K, q), relative to the mean effect for masks of one size; 0 for groups that do not vary.
        noise: (q, q) covariance of the residuals.
        freedom: degrees of freedom of it.
    """

    factors: Factors
    effects: Floats
    noise: Floats
    freedom: int

    @classmethod
    def fit(cls, masks: Mask, outputs: Floats, clusters: NDArray[np.int64] | None) -> "_LeastSquares | None":
        """Fit (m, q) outputs; None where the masks do not determine all effects, or leave too little freedom."""
        factors = factorise(masks, clusters, np.dtype(np.float64))
        rank, varying = factors.squares.size, int(factors.varies.sum())
        freedom = factors.rows - rank
        if rank < varying - factors.is_relative or varying < 2 or freedom < MIN_FREEDOM:
            return None
        centred = factors.strata.centred(outputs)
        rotated = factors.rotate(centred)
        noise = (centred.T @ centred - rotated.T @ rotated) / freedom
        squares = cls(factors, np.zeros((masks.shape[1], outputs.shape[1])), noise, freedom)
        squares.effects[:] = squares.solve(rotated)
        return squares

    def solve(self, rotated: Floats) -> Floats:
        """Return the effects (K, n) for outputs in the directions of the masks, (r, n)."""
        effects = np.zeros((self.factors.varies.size, rotated.shape[1]))
        effects[self.factors.varies] = (self.factors.vectors / np.sqrt(self.factors.squares)) @ rotated
        return effects


def _over_random(
    squares: _LeastSquares,
    outputs: Floats,
    masks: Mask,
    clusters: NDArray[np.int64] | None,
    estimator: str,
    prior: OutputPrior | None,
    drop_counts: Sequence[int],
) -> tuple[Floats, Floats, Floats]:
    """Return the gain over random, (L, q) without the first output, its variance, and how much better S looks."""
    rng = np.random.default_rng(0)
    sd = np.sqrt(squares.noise[0, 0])
    half = rng.standard_normal((len(masks), _SPLITS // 2)) * sd
    noise = np.concatenate([half, -half], axis=1)  # in opposite pairs: what is linear in it cancels
    whole_and_split = np.column_stack([outputs[:, :1], outputs[:, :1] + _TAU * noise])
    of_all = None if prior is None else prior.of_outputs(np.repeat(prior.shares, 1 + _SPLITS, axis=0))
    orders = _orders(masks, whole_and_split, clusters, estimator, of_all)
    in_directions = squares.factors.rotate(squares.factors.strata.centred(noise))
    of_noise = squares.solve(in_directions)
    share_of_noise = squares.noise[0] / max(squares.noise[0, 0], np.finfo(float).tiny)
    known = np.nan_to_num(ridge(masks, outputs, clusters).influence.astype(np.float64))
    gain, optimism = np.empty((2, len(drop_counts), outputs.shape[1]))
    for column in range(outputs.shape[1]):
        independent = squares.effects[:, [column]] - of_noise * share_of_noise[column] / _TAU
        gain[:, column] = -_contrasts(independent, orders[:, 1:], drop_counts).mean(axis=1)
        looks = _contrasts(known[:, [column]], orders, drop_counts)
        optimism[:, column] = np.maximum(looks[:, 1:].mean(axis=1) - looks[:, 0], 0)
    variance = _variance_by_draws(squares, known[:, 0], drop_counts)[:, None] * np.diag(squares.noise)
    return gain[:, 1:], variance[:, 1:], optimism[:, 1:]


def _variance_by_draws(squares: _LeastSquares, effects: Floats, drop_counts: Sequence[int]) -> Floats:
    """Return the variance of the gain over random, (L,), in units of the noise variance.

    Args:
        squares: of the sweep.
        effects: (K,) shrunk, around which estimates are drawn.
        drop_counts: L numbers.
    """
    rng = np.random.default_rng(1)
    sd = max(float(np.sqrt(squares.noise[0, 0])), float(np.finfo(float).tiny))
    rank = squares.factors.squares.size
    total = np.zeros(len(drop_counts))
    for _ in range(_DRAWS):
        errors = squares.solve(rng.standard_normal((rank, 1 + _SPLITS // 2)))
        error, half = errors[:, :1], errors[:, 1:]
        noise = np.concatenate([half, -half], axis=1)
        orders = np.argsort(effects[:, None] / sd + error + _TAU * noise, axis=0, kind="stable")
        total += _contrasts(error - noise / _TAU, orders, drop_counts).mean(axis=1) ** 2
    return _WIDER**2 * total / _DRAWS


def _cost_of_random(
    curve: SizeCurve, sizes: Floats, clusters: NDArray[np.int64] | None
) -> tuple[Floats, Floats, Floats]:
    """Return what keeping L numbers of groups at random costs against all of them, by the size curve.

    Returns:
        the cost (L, q), negative where it costs; its variance due to the sweep's models; and that due to the anchors
        and to what is not known of the curve, both (L, q).
    """

    def cost(mean: Floats, slope: Floats | None, anchor: Floats | None, shift: float = 0.0) -> Floats:
        exponents = curve.exponents(mean, slope, anchor) + shift
        return curve.over_everything(sizes, mean, slope, anchor, exponents)

    mean, slope, anchor = curve.mean, curve.slope, curve.anchor
    m = len(curve.mean_scores)
    tiny = np.finfo(np.float64).tiny
    of_curve = np.zeros((len(sizes), len(mean)))
    step = np.maximum(curve.mean_scores.std(axis=0) / m**0.5, tiny)
    derivative = (cost(mean + step, slope, anchor) - cost(mean - step, slope, anchor)) / (2 * step)
    scores = derivative * curve.mean_scores[:, None, :]
    if slope is not None:
        step = np.maximum(curve.slope_scores.std(axis=0) / m**0.5, tiny)
        derivative = (cost(mean, slope + step, anchor) - cost(mean, slope - step, anchor)) / (2 * step)
        scores = scores + derivative * curve.slope_scores[:, None, :]
    elif anchor is not None:
        span = cost(mean, slope, anchor, _EXPONENT_SD) - cost(mean, slope, anchor, -_EXPONENT_SD)
        of_curve += (span / 2) ** 2
    if anchor is not None:
        step = curve.anchor_se
        of_curve += ((cost(mean, slope, anchor + step) - cost(mean, slope, anchor - step)) / 2) ** 2
    return cost(mean, slope, anchor), _clustered_variance(scores, clusters), of_curve


def _clustered_variance(scores: Floats, clusters: NDArray[np.int64] | None) -> Floats:
    """Return the variance of the mean of (m, L, q) scores that are 0 on average, robust to what clusters share."""
    labels = cluster_labels(clusters, len(scores))
    labels = np.arange(len(scores), dtype=np.intp) if labels is None else labels
    count = int(labels.max()) + 1
    sums = np.zeros((count, *scores.shape[1:]))
    np.add.at(sums, labels, scores)
    return np.asarray((sums**2).sum(axis=0) * count / (count - 1) / len(scores) ** 2)


def _orders(
    masks: Mask, outputs: Floats, clusters: NDArray[np.int64] | None, estimator: str, prior: OutputPrior | None
) -> NDArray[np.intp]:
    """(K, n) groups from the lowest influence on each output to the highest; unknown ones as `ArmRanking` has them."""
    influence = estimate(estimator, masks, outputs, clusters, prior).influence.astype(np.float64)
    is_known = np.isfinite(influence)
    middle = [
        np.median(column[known]) if known.any() else 0.0 for column, known in zip(influence.T, is_known.T, strict=True)
    ]
    return np.argsort(np.where(is_known, influence, middle), axis=0, kind="stable")


def _contrasts(values: Floats, orders: NDArray[np.intp], drop_counts: Sequence[int]) -> Floats:
    """Return sums over the first k groups of each order, less k / K of the sums over all, for each k.

    Args:
        values: (K, n), or (K, 1) for the same in every order.
        orders: (K, n).
        drop_counts: L numbers k.

    Returns:
        (L, n).
    """
    counts = np.asarray(drop_counts)
    summed = np.cumsum(np.take_along_axis(np.broadcast_to(values, orders.shape), orders, axis=0), axis=0)
    return np.asarray(summed[counts - 1] - counts[:, None] / len(values) * summed[-1])


def _welch(first: Floats, first_df: int, second: Floats, second_df: int) -> float:
    """Return the fewest degrees of freedom of the sums of two variances (Welch 1947), the first's if it is alone."""
    if not second_df:
        return first_df
    with np.errstate(divide="ignore", invalid="ignore"):
        df = (first + second) ** 2 / (first**2 / first_df + second**2 / second_df)
    return float(np.where(first + second > 0, df, first_df).min())


def _with_interval(gain: Floats, variance: Floats, df: float, optimism: Floats) -> Floats:
    """(3, L, q) gains with their intervals, the upper ends raised by the optimism."""
    low, high = interval(gain, np.sqrt(variance), df)
    return np.stack([gain, low, high + optimism])
