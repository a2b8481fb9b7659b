"""Clusters of equal size: k-means of the source classes by their mean features, with balanced assignments.

Each step assigns the classes to the centres at the largest total similarity for which cluster sizes differ by at most
one: a linear assignment of classes to as many places as each cluster has (Malinen & Fränti 2014). Similarity is the
cosine of mean features less the mean of all classes. The features of several networks stand side by side as unit
vectors, so that the similarities are averaged over networks.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_STARTS = 8
"""Random starts, of which the best is used."""
_MANY_CLASSES = 1000
"""Classes above which one start is all that is affordable: an assignment takes the cube of their number."""
_MAX_ITERATIONS = 30


def cluster_classes(features: Sequence[NDArray[np.floating]], clusters: int, seed: int) -> tuple[int, ...]:
    """Return the cluster of each class, numbered in the order of their first classes.

    Args:
        features: (K, d) mean features of the classes in each network; NaN for a class without images.
        clusters: number of clusters G, at most K.
        seed: of the run.
    """
    points = unit_features(features)
    starts = _STARTS if len(points) <= _MANY_CLASSES else 1
    results = [_kmeans(points, clusters, np.random.default_rng((seed, start))) for start in range(starts)]
    labels = max(results, key=lambda result: result[0])[1]
    _, first, number = np.unique(labels, return_index=True, return_inverse=True)
    return tuple(int(label) for label in np.argsort(np.argsort(first))[number])


def unit_features(features: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    """Return unit rows (K, sum of d) whose products are the cosines of the classes, averaged over networks."""
    parts: list[NDArray[np.float64]] = []
    for means in features:
        present = np.isfinite(means).all(axis=1)
        centred = np.zeros(means.shape)
        if present.any():
            centred[present] = means[present] - means[present].mean(axis=0, dtype=np.float64)
        parts.append(_unit_rows(centred))
    return np.asarray(np.concatenate(parts, axis=1) / np.sqrt(len(parts)))


def _kmeans(points: NDArray[np.float64], clusters: int, rng: np.random.Generator) -> tuple[float, NDArray[np.int64]]:
    """Return the total similarity of the classes to their centres, and the cluster of each class (K,)."""
    centres = points[rng.choice(len(points), clusters, replace=False)]
    labels = _assign(points @ centres.T)
    for _ in range(_MAX_ITERATIONS):
        sums = np.zeros((clusters, points.shape[1]))
        np.add.at(sums, labels, points)
        centres = _unit_rows(sums)
        before, labels = labels, _assign(points @ centres.T)
        if np.array_equal(before, labels):
            break
    return float((points * centres[labels]).sum()), labels


def _assign(similarity: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the cluster of each class, (K,), for similarities (K, G): the largest total with sizes that differ by one.

    Each cluster has K // G places, and one more that only some clusters fill: the others of these are filled by rows
    that stand for no class.
    """
    from scipy.optimize import linear_sum_assignment  # here: it takes most of a second, and few sweeps need it

    count, clusters = similarity.shape
    size, larger = divmod(count, clusters)
    places = np.repeat(similarity, size, axis=1)
    if larger:
        forbidden = -1e6
        nobody = np.full((clusters - larger, clusters * size + clusters), forbidden)
        nobody[:, clusters * size :] = 0.0
        places = np.vstack([np.hstack([places, similarity]), nobody])
    _, columns = linear_sum_assignment(places, maximize=True)
    labels: NDArray[np.int64] = columns[:count].astype(np.int64)
    fixed = clusters * size
    return np.asarray(np.where(labels < fixed, labels // size, labels - fixed))


def _unit_rows(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.sqrt((rows**2).sum(axis=1, keepdims=True))
    return np.asarray(np.divide(rows, length, out=np.zeros_like(rows), where=length > 0))
