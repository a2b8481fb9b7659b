"""Ranking of groups by their influence, with reliability, LDS and reliability forecast.

Outputs are averaged over target examples first, so that a ranking costs one pass over the matrix and an estimate for
one number a model; interval and reliability are those of the average.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.influence.estimate import benjamini_hochberg, interval, p_values
from tui_influence.influence.estimators import PLAIN_ESTIMATOR, find_estimator
from tui_influence.influence.forecast import forecast_models
from tui_influence.influence.lds import lds
from tui_influence.influence.lds_ceiling import lds_ceiling
from tui_influence.influence.outputs import Floats, Integers, Mask, OutputMatrix, mean_output, parse_output_kind
from tui_influence.influence.prior import OutputPrior
from tui_influence.influence.reliability import expected_reliability, sweep_reliability
from tui_influence.influence.types import DEFAULT_GOAL, Estimate, OutputKind, RankedGroup, Ranking

Counts = int | NDArray[np.int64]


@dataclass(frozen=True)
class Heldout:
    """Held-out models: masks (h, K) bool, margins and predicted (h, n)."""

    masks: Mask
    margins: Floats
    predicted: Integers | None = None


def rank_groups(
    *,
    masks: Mask,
    margins: Floats,
    predicted: Integers | None,
    labels: Integers | None,
    group_names: Sequence[str],
    examples: NDArray[Any],
    estimator: str = PLAIN_ESTIMATOR,
    kind: OutputKind | str = "margin",
    clusters: NDArray[Any] | None = None,
    heldout: Heldout | None = None,
    seed: int = 0,
    prior: OutputPrior | None = None,
    goal: float = DEFAULT_GOAL,
) -> Ranking:
    """Rank groups by their influence on the mean output of some target examples.

    Args:
        masks: (m, K) bool.
        margins: (m, n) float, in nats; may be a memory map.
        predicted: (m, n) int, predicted labels; None unless the kind is `correct`.
        labels: (n,) int, true labels; None unless the kind is `correct`.
        group_names: K names.
        examples: to average over, (n,) bool or indices: the whole target, a class, or one example.
        estimator: a name in `ESTIMATORS`.
        kind: "margin", "probability" or "correct".
        clusters: (m,) int, equal for models that share a training seed; None if no two do.
        heldout: held-out models, for the LDS; its ceiling comes from those that share a mask.
        seed: of the halvings and resamples; the same input and seed give the same ranking.
        prior: of the mean output, for estimators that need one.
        goal: reliability that models are forecast for.

    Returns:
        A ranking of all K groups, also from 0, 1 or 2 models: numbers are NaN where the models are too few.

    Raises:
        ConfigError: unknown estimator or kind, or a selection that does not fit.
        ResultsError: NaN or infinite margins.
    """
    method, kind = find_estimator(estimator), parse_output_kind(kind)
    m, groups = masks.shape
    if len(group_names) != groups or margins.shape[0] != m:
        raise ValueError(f"{len(group_names)} names and margins {margins.shape} do not fit masks {masks.shape}")
    mean = mean_output(OutputMatrix(margins, predicted, labels, kind), examples)
    estimate = method.estimate(masks, mean, clusters, prior=prior)
    penalty = (
        None if estimate.penalty is None or not np.isfinite(estimate.penalty).all() else float(estimate.penalty[0])
    )
    if method.needs_prior:
        reliability = expected_reliability(estimate)
    else:
        reliability = sweep_reliability(masks, mean, estimator, clusters, seed=seed, penalty=penalty)
    score = ceiling = None
    if heldout is not None and np.isfinite(estimate.influence).any():
        heldout_matrix = OutputMatrix(heldout.margins, heldout.predicted, labels, kind)
        heldout_mean = mean_output(heldout_matrix, examples)
        score = lds(estimate.influence, heldout.masks, heldout_mean, seed=seed)
        ceiling = lds_ceiling(heldout.masks, heldout_mean) if score is not None else None
    constant = np.flatnonzero((estimate.n_with == 0) | (estimate.n_without == 0))
    selection = np.asarray(examples)
    return Ranking(
        rows=_rows(estimate, group_names),
        estimator=estimator,
        output=kind,
        n_models=m,
        n_examples=int(np.count_nonzero(selection) if selection.dtype == np.bool_ else selection.size),
        reliability=reliability,
        lds=score,
        forecast=forecast_models(estimate, masks, clusters, goal, reliability),
        constant_groups=tuple(group_names[int(k)] for k in constant),
        is_relative=estimate.is_relative,
        prior_share=None if estimate.prior_share is None else float(estimate.prior_share[0]),
        lds_ceiling=ceiling,
    )


def influence_matrix(
    *,
    masks: Mask,
    margins: Floats,
    predicted: Integers | None = None,
    labels: Integers | None = None,
    estimator: str = PLAIN_ESTIMATOR,
    kind: OutputKind | str = "margin",
    clusters: NDArray[Any] | None = None,
    examples: NDArray[np.integer[Any]] | None = None,
    only: NDArray[np.intp] | None = None,
    prior: OutputPrior | None = None,
) -> Estimate:
    """Influence of every group on every target example, (K, n), or of some groups, `only`, or on some `examples`.

    The other arguments are as in `rank_groups`. The matrix is read in blocks of columns: memory beyond the result is a
    few times (m, 1024) float32.
    """
    outputs = OutputMatrix(margins, predicted, labels, parse_output_kind(kind), examples)
    return find_estimator(estimator).estimate(masks, outputs, clusters, only=only, prior=prior)


def ranked_rows(
    influence: Floats, se: Floats, df: float, names: Sequence[str], n_with: Counts, n_without: Counts
) -> tuple[RankedGroup, ...]:
    """Order N estimates from most helpful to most harmful, with intervals and false discovery rates over all N.

    Args:
        influence: (N,) estimates; NaN, which come last, where undefined.
        se: (N,) standard errors, same unit.
        df: degrees of freedom of their t intervals.
        names: N names.
        n_with: models on one side of each estimate, (N,) or one number.
        n_without: models on the other.
    """
    influence, se = influence.astype(float), se.astype(float)
    low, high = interval(influence, se, df)
    q = benjamini_hochberg(p_values(influence, se, df))
    n_with, n_without = np.broadcast_to(n_with, influence.shape), np.broadcast_to(n_without, influence.shape)
    order = np.argsort(np.where(np.isnan(influence), np.inf, -influence), kind="stable")
    return tuple(
        RankedGroup(
            rank=rank,
            group=names[int(k)],
            index=int(k),
            influence=float(influence[k]),
            se=float(se[k]),
            low=float(low[k]),
            high=float(high[k]),
            q=float(q[k]),
            n_with=int(n_with[k]),
            n_without=int(n_without[k]),
        )
        for rank, k in enumerate(order, start=1)
    )


def _rows(estimate: Estimate, group_names: Sequence[str]) -> tuple[RankedGroup, ...]:
    return ranked_rows(
        estimate.influence[:, 0], estimate.se[:, 0], estimate.df, group_names, estimate.n_with, estimate.n_without
    )
