"""Clusters of equal size from the features of classes."""

import numpy as np
import pytest

from tui_influence.growth.balanced_kmeans import cluster_classes, unit_features


def planted(classes: int, clusters: int, networks: int = 2, noise: float = 0.3, seed: int = 0):
    """Features of classes around the centre of their cluster, in networks with axes of their own, and the clusters."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(classes) % clusters)
    centres = rng.normal(size=(clusters, 8))
    points = centres[labels] + noise * rng.normal(size=(classes, 8))
    return [(points @ rng.normal(size=(8, 12)) + 5).astype(np.float32) for _ in range(networks)], labels


@pytest.mark.parametrize(("classes", "clusters"), [(36, 9), (37, 9), (44, 9), (10, 4), (12, 12), (8, 4)])
def test_sizes_differ_by_one_at_most(classes, clusters):
    features, _ = planted(classes, 3)
    sizes = np.bincount(cluster_classes(features, clusters, 1), minlength=clusters)
    assert sizes.sum() == classes
    assert sizes.max() - sizes.min() <= 1
    assert sizes.min() >= 1


@pytest.mark.parametrize(("classes", "clusters"), [(60, 6), (62, 6)])
def test_planted_clusters_are_recovered(classes, clusters):
    features, truth = planted(classes, clusters, noise=0.1)
    labels = np.array(cluster_classes(features, clusters, 0))
    pairs = {(int(label), int(planted_label)) for label, planted_label in zip(labels, truth, strict=True)}
    assert len(pairs) == clusters


def test_the_same_features_give_the_same_clusters_numbered_by_their_first_classes():
    features, _ = planted(40, 5)
    labels = cluster_classes(features, 8, 3)
    assert labels == cluster_classes([part.copy() for part in features], 8, 3)
    first = [labels.index(cluster) for cluster in range(8)]
    assert first == sorted(first)


def test_similarities_are_cosines_about_the_mean_averaged_over_networks():
    features, _ = planted(10, 3, networks=3)
    points = unit_features(features)
    cosines = []
    for means in features:
        centred = means.astype(np.float64) - means.astype(np.float64).mean(axis=0)
        length = np.linalg.norm(centred, axis=1)
        cosines.append(centred @ centred.T / np.outer(length, length))
    np.testing.assert_allclose(points @ points.T, np.mean(cosines, axis=0), atol=1e-6)


def test_a_class_without_images_is_in_some_cluster():
    features, _ = planted(12, 3)
    for means in features:
        means[5] = np.nan
    labels = cluster_classes(features, 4, 0)
    assert np.bincount(labels).tolist() == [3, 3, 3, 3]


def test_features_that_do_not_differ_are_divided_all_the_same():
    assert np.bincount(cluster_classes([np.ones((9, 4), np.float32)], 4, 0)).tolist() == [3, 2, 2, 2]
