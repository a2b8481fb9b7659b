"""Seed clusters: models that share a training seed, and the removal of their common error.

A `balanced` design trains each mask and its complement from one seed, so that the errors of the two models are
correlated. Such a pair is a *cluster*, given as an (m,) array of integers that is equal within it; a model whose
partner failed is a cluster of one.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.influence.outputs import Floats


def cluster_labels(clusters: NDArray[Any] | None, m: int) -> NDArray[np.intp] | None:
    """Number the clusters 0, 1, ...; None if every cluster has one model.

    Args:
        clusters: (m,) int, or None.
        m: number of models.

    Raises:
        ValueError: `clusters` has another length.
    """
    if clusters is None:
        return None
    if clusters.shape != (m,):
        raise ValueError(f"clusters {clusters.shape} do not fit {m} models")
    labels = np.unique(clusters, return_inverse=True)[1].reshape(m).astype(np.intp)
    return None if m == 0 or labels.max() + 1 == m else labels


@dataclass(frozen=True)
class Strata:
    """Disjoint sets of models; only models of one set are compared.

    Attributes:
        labels: (m,) int, stratum of each model, from 0.
        order: (m,) models sorted by stratum.
        starts: (count,) where each stratum begins in `order`.
        sizes: (count,) models in each.
    """

    labels: NDArray[np.intp]
    order: NDArray[np.intp]
    starts: NDArray[np.intp]
    sizes: NDArray[np.intp]

    @property
    def rows(self) -> int:
        """Degrees of freedom after each stratum's mean is subtracted: m - count."""
        return int(self.labels.size - self.sizes.size)

    def sums(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return sums of (m, ...) values within each stratum: (count, ...)."""
        summed: NDArray[Any]
        if self.sizes.size == 1:
            summed = values.sum(axis=0, keepdims=True)
        else:
            summed = np.add.reduceat(values[self.order], self.starts, axis=0)
        return summed

    def centred(self, values: Floats) -> Floats:
        """Return (m, n) values minus their stratum's mean; a copy."""
        centred: Floats
        if self.sizes.size == 1:
            centred = values - values.mean(axis=0, dtype=np.float64).astype(values.dtype)
        else:
            centred = values - (self.sums(values) / self.sizes[:, None].astype(values.dtype))[self.labels]
        return centred


def seed_strata(clusters: NDArray[Any] | None, m: int) -> Strata:
    """Return a stratum for each cluster of two or more models, and one for all clusters of one model.

    Comparisons within a cluster are free of the error that its models share. Complementary masks lose nothing: their
    sum is the same for every pair, so that only their difference depends on the groups.
    """
    labels = cluster_labels(clusters, m)
    if labels is None:
        merged = np.zeros(m, dtype=np.intp)
    else:
        alone = np.bincount(labels)[labels] == 1
        merged = np.unique(np.where(alone, -1, labels), return_inverse=True)[1].reshape(m).astype(np.intp)
    order = np.argsort(merged, kind="stable")
    sizes = np.bincount(merged).astype(np.intp)
    return Strata(merged, order, np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.intp), sizes)


def pairs_within(labels: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return every unordered pair of models of a cluster: their indices, (P,) and (P,)."""
    order = np.argsort(labels, kind="stable")
    ranked = labels[order]
    first: list[NDArray[np.intp]] = []
    second: list[NDArray[np.intp]] = []
    for gap in range(1, int(np.bincount(labels).max(initial=1))):
        same = np.flatnonzero(ranked[gap:] == ranked[:-gap])
        first.append(order[same])
        second.append(order[same + gap])
    empty = np.empty(0, dtype=np.intp)
    return np.concatenate([empty, *first]), np.concatenate([empty, *second])
