"""The number of a sweep's rows that have cluster masks, by what the first of these say.

The effect of class k of cluster g is b_g + w_k, with variances ρ τ² between and (1 - ρ) τ² within clusters:

    ρ      the intraclass correlation of the mapping over clusters (one-way analysis of variance; Fisher 1925, ch. 7):
           how alike the classes of a cluster are to the target, by the prior networks
    noise  σ², and the variance of the effects of whole clusters, S: from the first cluster rows, both averaged over
           their posterior under a ridge regression on clusters with one penalty for all target classes (see
           `influence.shrinkage`)
    τ²     S = s² τ² (ρ + (1 - ρ) / s), s classes a cluster

Then the mean posterior variance of the class effects under the masks X of a whole plan, centred within seed pairs, is
trace((Σ⁻¹ + XᵀX / σ²)⁻¹) / K, with Σ the covariance of the effects. The plan with the smallest is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tui_influence.designs import Row
from tui_influence.influence.cluster_factors import common_share
from tui_influence.influence.factors import factorise, gram
from tui_influence.influence.shrinkage import Evidence, Grid
from tui_influence.influence.strata import seed_strata


@dataclass(frozen=True)
class EffectVariances:
    """Variances of class effects and of noise, in squared units of the output.

    Attributes:
        effect: τ², of the effect of a class.
        between: ρ, share of it that the classes of a cluster have in common.
        noise: σ², of a model.
    """

    effect: float
    between: float
    noise: float


def effect_variances(
    masks: NDArray[np.bool_],
    seeds: NDArray[np.int64],
    outputs: NDArray[np.float64],
    mapping: NDArray[np.floating],
    labels: NDArray[np.int64],
) -> EffectVariances | None:
    """Estimate the variances of class effects and of noise from cluster rows.

    Args:
        masks: (m, K) bool, constant within clusters.
        seeds: (m,) equal for models that share a training seed.
        outputs: (m, C) mean output on each target class.
        mapping: (K, C) mapping of the classes, averaged over prior networks.
        labels: (K,) cluster of each class.

    Returns:
        None with too few models, or outputs that do not vary.
    """
    _, first = np.unique(labels, return_index=True)
    columns = outputs[:, np.isfinite(outputs).all(axis=0)]
    if len(masks) < 3 or not columns.shape[1]:
        return None
    factors = factorise(masks[:, first], seeds, np.dtype(np.float64))
    if not factors.squares.size or factors.rows < 2:
        return None
    grid = Grid.over(factors)
    spread = Evidence.of(factors, grid, factors.strata.centred(columns)).spread
    if not (spread > 0).all():
        return None
    # One penalty for all outputs: each by itself cannot tell noise from effects by so few models.
    determinant = 0.5 * np.log(grid.remains).sum(axis=1)
    log_weight = grid.log_weight + (columns.shape[1] - 1) * determinant - factors.rows / 2 * np.log(spread).sum(axis=1)
    weight = np.exp(log_weight - log_weight.max())
    noise_by_penalty = weight / weight.sum() * spread.mean(axis=1) / factors.rows
    cluster_effect = float((noise_by_penalty / grid.penalties).sum())
    size = len(labels) / len(first)
    between = common_share(mapping, labels)
    effect = cluster_effect / (size**2 * (between + (1 - between) / size))
    variances = EffectVariances(effect, between, float(noise_by_penalty.sum()))
    return variances if min(variances.effect, variances.noise) > 0 else None


def posterior_variance(rows: Sequence[Row], labels: NDArray[np.int64], variances: EffectVariances) -> float:
    """Return the mean posterior variance of the class effects once these rows are trained; see the module."""
    masks = np.array([row.mask for row in rows])
    product = gram(masks, seed_strata(np.array([row.cluster for row in rows]), len(rows)))
    within = (1 - variances.between) * variances.effect
    sizes = np.bincount(labels)
    common = variances.between * variances.effect / (within + sizes * variances.between * variances.effect)
    same = labels[:, None] == labels
    precision = (np.eye(len(labels)) - same * common[labels]) / within + product / variances.noise
    return float(np.trace(np.linalg.inv(precision)) / len(labels))
