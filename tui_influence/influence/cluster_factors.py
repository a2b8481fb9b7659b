"""Factorisation of masks for effects that the groups of a cluster have in common.

A ridge penalty takes the effects of groups for independent: β ~ N(0, τ² I). Of groups in clusters, such as similar
classes, effects are alike: β ~ N(0, τ² Σ) with Σ = ρ within a cluster, 1 on the diagonal and 0 elsewhere. With Σ = L Lᵀ
and β = L v, v is independent again, and X β = (X L) v. So with X L = U diag(s) Wᵀ all formulas of `ridge` and
`informed` hold with the directions V = L W, which are not orthonormal any more: βs of a fit are V diag(s / (s² + λ)) z,
z = Uᵀy as before, and the covariance of β given y is that of V plus Σ - V Vᵀ in directions that no mask identifies.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tui_influence.influence.factors import Factors

_MIN_SHARE, _MAX_SHARE = 0.02, 0.98
"""Bounds of a share: a few classes never show that clusters are everything, or nothing."""


def intraclass_correlation(values: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Return the share of the variance of values (K, C) over classes that is between clusters, averaged over columns.

    Args:
        values: columns with NaN are left out.
        labels: (K,) cluster of each class.

    Returns:
        0 to 1; 0 where nothing varies, or no cluster has two classes.
    """
    columns = values[:, np.isfinite(values).all(axis=0)].astype(np.float64)
    sizes = np.bincount(labels).astype(np.float64)
    count, clusters = len(labels), len(sizes)
    if not columns.shape[1] or clusters < 2 or count == clusters:
        return 0.0
    centred = columns - columns.mean(axis=0)
    sums = np.zeros((clusters, columns.shape[1]))
    np.add.at(sums, labels, centred)
    between = (sums**2 / sizes[:, None]).sum()
    within = ((centred**2).sum() - between) / (count - clusters)
    between /= clusters - 1
    size = (count - (sizes**2).sum() / count) / (clusters - 1)
    total = between + (size - 1) * within
    return float(np.clip((between - within) / total, 0, 1)) if total > 0 else 0.0


def common_share(mapping: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Return the share ρ of the variance of effects that the groups of a cluster have in common, by what a prior says.

    Args:
        mapping: (K, C) of the groups, averaged over prior networks.
        labels: (K,) cluster of each group.
    """
    return float(np.clip(intraclass_correlation(mapping, labels), _MIN_SHARE, _MAX_SHARE))


def with_common_effects(factors: Factors, labels: NDArray[np.int64], common: float) -> Factors:
    """Return the factors for effects that are alike within clusters.

    Args:
        factors: of masks over K groups.
        labels: (K,) cluster of each group.
        common: ρ, the correlation of the effects of two groups of a cluster, from 0 to below 1.
    """
    if not common or not factors.squares.size:
        return factors
    root = _root(labels[factors.varies], common)
    # X L, from X = U diag(s) Vᵀ: its singular vectors are those of diag(s) Vᵀ L, rotated.
    inner = np.sqrt(factors.squares)[:, None] * (factors.vectors.T @ root)
    squares, left = np.linalg.eigh(inner @ inner.T)
    real = squares > squares[-1] * max(inner.shape) * np.finfo(float).eps * 10
    squares = squares[real]
    vectors = root @ (inner.T @ left[:, real]) / np.sqrt(squares)
    unidentified = np.clip(1 - (vectors**2).sum(axis=1), 0, 1)
    return replace(factors, squares=squares, vectors=vectors, unidentified=unidentified)


def _root(labels: NDArray[np.int64], common: float) -> NDArray[np.float64]:
    """Return the symmetric root L of Σ (K, K): within a cluster of s groups, √(1-ρ) I + c 11ᵀ."""
    sizes = np.bincount(labels)[labels].astype(np.float64)
    within = np.sqrt(1 - common)
    shared = (np.sqrt(1 - common + sizes * common) - within) / sizes
    root: NDArray[np.float64] = within * np.eye(len(labels)) + shared * (labels[:, None] == labels)
    return root
