"""How many models have cluster masks, from what the first of them say."""

import numpy as np
import pytest

from tui_influence.cluster_stage import ClusterStage, row_options
from tui_influence.designs import Design, Row
from tui_influence.growth.cluster_share import EffectVariances, effect_variances, posterior_variance
from tui_influence.influence.cluster_factors import intraclass_correlation
from tui_influence.influence.ridge import ridge
from tui_influence.roles import Role
from tui_influence.staged_design import StagedDesign

CLASSES, CLUSTERS, TARGETS = 60, 10, 12
LABELS = np.repeat(np.arange(CLUSTERS), CLASSES // CLUSTERS)


def draw_effects(between: float, rng, columns: int = TARGETS):
    common = np.sqrt(between) * rng.normal(size=(CLUSTERS, columns))[LABELS]
    return common + np.sqrt(1 - between) * rng.normal(size=(CLASSES, columns))


def staged_rows(models: int, cluster_rows: int, seed: int) -> list[Row]:
    stage = ClusterStage(tuple(LABELS.tolist()), cluster_rows, cluster_rows)
    design = StagedDesign(Design("balanced", 0.5, CLASSES, seed), Design("balanced", 0.5, CLUSTERS, seed), stage)
    return [design.row(Role.ESTIMATE, index) for index in range(models)]


def arrays(rows):
    return np.array([row.mask for row in rows]), np.array([row.cluster for row in rows])


@pytest.mark.parametrize("between", [0.1, 0.4, 0.8])
def test_the_intraclass_correlation_is_the_share_between_clusters(between):
    rng = np.random.default_rng(2)
    shares = [intraclass_correlation(draw_effects(between, rng, 20), LABELS) for _ in range(20)]
    assert np.mean(shares) == pytest.approx(between, abs=3 * np.std(shares) / np.sqrt(20) + 0.01)


def test_values_that_say_nothing_have_no_intraclass_correlation():
    assert intraclass_correlation(np.ones((CLASSES, 3)), LABELS) == 0
    assert intraclass_correlation(np.full((CLASSES, 3), np.nan), LABELS) == 0
    assert intraclass_correlation(np.eye(4), np.arange(4)) == 0


@pytest.mark.parametrize("noise", [3.0, 10.0])
def test_variances_are_recovered_from_cluster_rows(noise):
    estimates = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        effects = draw_effects(0.4, rng)
        masks, seeds = arrays(staged_rows(80, 80, seed))
        outputs = masks @ effects + noise * rng.normal(size=(80, TARGETS))
        estimates.append(effect_variances(masks, seeds, outputs, effects, LABELS))
    assert np.mean([estimate.noise for estimate in estimates]) == pytest.approx(noise**2, rel=0.1)
    assert np.mean([estimate.effect for estimate in estimates]) == pytest.approx(1, rel=0.35)


def test_too_few_models_or_constant_outputs_say_nothing():
    masks, seeds = arrays(staged_rows(8, 8, 0))
    mapping = np.random.default_rng(0).normal(size=(CLASSES, 2))
    assert effect_variances(masks[:2], seeds[:2], np.zeros((2, 2)), mapping, LABELS) is None
    assert effect_variances(masks, seeds, np.zeros((8, 2)), mapping, LABELS) is None
    assert effect_variances(masks, seeds, np.full((8, 2), np.nan), mapping, LABELS) is None


def test_the_posterior_variance_is_that_of_dense_matrices():
    rows, variances = staged_rows(24, 14, 3), EffectVariances(effect=0.5, between=0.3, noise=2.0)
    same = LABELS[:, None] == LABELS
    covariance = 0.5 * (0.3 * same + 0.7 * np.eye(CLASSES))
    masks, seeds = arrays(rows)
    centred = masks - np.array([masks[seeds == seed].mean(axis=0) for seed in seeds])
    expected = np.trace(np.linalg.inv(np.linalg.inv(covariance) + centred.T @ centred / 2.0)) / CLASSES
    assert posterior_variance(rows, LABELS, variances) == pytest.approx(expected, rel=1e-9)


def test_nothing_is_learnt_within_clusters_from_cluster_rows():
    variances = EffectVariances(effect=1.0, between=0.3, noise=1e-3)
    within = 0.7 * (1 - CLUSTERS / CLASSES)
    assert posterior_variance(staged_rows(200, 200, 0), LABELS, variances) == pytest.approx(within, rel=1e-2)


def best_share(variances: EffectVariances, models: int = 120) -> str:
    options = row_options(models, models // 2)
    return min(options, key=lambda name: posterior_variance(staged_rows(models, options[name], 1), LABELS, variances))


def test_cluster_rows_where_noise_hides_classes_and_class_rows_where_it_does_not():
    assert best_share(EffectVariances(1.0, 0.5, 100.0)) == "clusters"
    assert best_share(EffectVariances(1.0, 0.5, 0.5)) == "classes"
    assert best_share(EffectVariances(1.0, 0.02, 5.0)) == "classes"


def test_the_share_with_the_smallest_expected_error_has_the_smallest_error():
    """Of ridge estimates, whose prior knows no clusters: the best of the three or within a twentieth of it."""
    models, noise = 120, 6.0
    options = row_options(models, models // 2)
    errors = dict.fromkeys(options, 0.0)
    for name, count in options.items():
        for seed in range(6):
            rng = np.random.default_rng(seed)
            effects = draw_effects(0.3, rng)
            masks, seeds = arrays(staged_rows(models, count, seed))
            outputs = masks @ effects + noise * rng.normal(size=(models, TARGETS))
            errors[name] += float(((ridge(masks, outputs, seeds).influence - effects) ** 2).mean()) / 6
    chosen = best_share(EffectVariances(1.0, 0.3, noise**2))
    assert errors[chosen] <= 1.05 * min(errors.values()), (chosen, errors)
