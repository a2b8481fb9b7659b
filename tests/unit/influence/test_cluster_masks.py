"""Estimates from masks over clusters of classes, alone and joined with masks over classes."""

import numpy as np
import pytest

from tui_influence.cluster_stage import ClusterStage
from tui_influence.designs import Design
from tui_influence.influence.design_effect import better_than_random
from tui_influence.influence.informed import informed
from tui_influence.influence.prior import class_prior
from tui_influence.influence.ridge import ridge
from tui_influence.influence.strata import seed_strata
from tui_influence.roles import Role
from tui_influence.staged_design import StagedDesign

CLASSES, CLUSTERS, MODELS, TARGETS = 64, 8, 96, 8
LABELS = np.repeat(np.arange(CLUSTERS), CLASSES // CLUSTERS)
BETWEEN, NOISE, SWEEPS = 0.4, 10.0, 8
SHARES = {"clusters": 1.0, "joined": 0.5, "classes": 0.0}


def masks_of(cluster_share: float, seed: int):
    count = round(cluster_share * MODELS)
    stage = ClusterStage(tuple(LABELS.tolist()), count, count)
    over_classes, over_clusters = (Design("balanced", 0.5, groups, seed) for groups in (CLASSES, CLUSTERS))
    rows = [StagedDesign(over_classes, over_clusters, stage).row(Role.ESTIMATE, index) for index in range(MODELS)]
    return np.array([row.mask for row in rows]), np.array([row.cluster for row in rows])


def draw(cluster_share: float, seed: int):
    """Masks, seeds, outputs, effects, and a prior that is half right."""
    rng = np.random.default_rng(seed)
    effects = np.sqrt(BETWEEN) * rng.normal(size=(CLUSTERS, TARGETS))[LABELS]
    effects += np.sqrt(1 - BETWEEN) * rng.normal(size=(CLASSES, TARGETS))
    masks, seeds = masks_of(cluster_share, seed)
    shared = rng.normal(size=(MODELS // 2, TARGETS))[seeds]
    outputs = masks @ effects + 0.7 * NOISE * (shared + rng.normal(size=(MODELS, TARGETS)))
    measures = 0.7 * effects + 0.7 * rng.normal(size=(2, CLASSES, TARGETS))
    return masks, seeds, outputs, effects, class_prior(measures[:1], measures[1:], outputs)


@pytest.fixture(scope="module")
def estimates():
    """By estimator and share of cluster masks: correlation with the effects, coverage, and errors within clusters."""
    results = {}
    for name, share in SHARES.items():
        for estimator in ("ridge", "informed"):
            correlations, covered, ratios = [], [], []
            for seed in range(SWEEPS):
                masks, seeds, outputs, effects, prior = draw(share, seed)
                estimate = (
                    ridge(masks, outputs, seeds)
                    if estimator == "ridge"
                    else informed(masks, outputs, seeds, prior=prior)
                )
                error = estimate.influence - effects
                correlations.append(np.corrcoef(estimate.influence.ravel(), effects.ravel())[0, 1])
                covered.append((np.abs(error) <= 1.96 * estimate.se).mean())
                ratios.append(np.sqrt((estimate.se**2).mean() / (error**2).mean()))
            results[estimator, name] = np.mean(correlations), np.mean(covered), np.mean(ratios)
    return results


@pytest.mark.parametrize("estimator", ["ridge", "informed"])
def test_joined_stages_are_at_least_as_good_as_the_worse_of_the_two_and_better_than_classes(estimates, estimator):
    correlation = {name: estimates[estimator, name][0] for name in SHARES}
    assert correlation["joined"] > correlation["classes"] + 0.02
    assert correlation["joined"] > correlation["clusters"] - 0.05
    assert correlation["clusters"] > correlation["classes"]


@pytest.mark.parametrize("name", SHARES)
@pytest.mark.parametrize("estimator", ["ridge", "informed"])
def test_intervals_cover_nine_in_ten_although_nothing_is_known_within_clusters(estimates, estimator, name):
    _, coverage, ratio = estimates[estimator, name]
    assert coverage >= 0.9
    assert ratio >= 0.9, "standard errors are smaller than the errors"


def test_what_cluster_masks_cannot_tell_apart_is_uncertain():
    masks, seeds, outputs, effects, _ = draw(1.0, 0)
    estimate = ridge(masks, outputs / NOISE / 100 + masks @ effects, seeds)  # next to no noise
    within = effects - np.array([effects[cluster == LABELS].mean(axis=0) for cluster in range(CLUSTERS)])[LABELS]
    assert np.sqrt((estimate.se**2).mean()) > 0.8 * within.std()


def test_cluster_masks_that_are_balanced_are_orthogonal_over_clusters_but_not_over_classes():
    masks, seeds = masks_of(1.0, 0)
    _, first = np.unique(LABELS, return_index=True)
    assert better_than_random(masks[:, first], seed_strata(seeds, MODELS))
    assert not better_than_random(masks, seed_strata(seeds, MODELS))
