"""Shapes of the effects that a prior leaves over: their posteriors, evidence and probabilities."""

import numpy as np
import pytest
from slow_reference import slow_shapes

from tui_influence.influence.residual_shape import (
    LOG_PRIOR,
    SHARES,
    NormalPosterior,
    common_log_prior,
    shape_posteriors,
    shape_probabilities,
)


def normal_posterior(said: np.ndarray, noise: float, prior_variance: float) -> NormalPosterior:
    """The posterior of effects, (K, 1), of which the outputs say `said` with this variance."""
    variance = 1 / (1 / noise + 1 / prior_variance)
    column = (variance / noise * said)[:, None]
    return NormalPosterior(column, np.full_like(column, variance), np.array([prior_variance]))


@pytest.mark.parametrize("noise", [0.01, 0.3, 5.0])
def test_posteriors_and_evidence_are_sums_over_a_grid(noise):
    normal = normal_posterior(np.array([-4.0, -0.3, 0.0, 0.1, 2.5]), noise, 1.3)
    log_evidence, means, variances = slow_shapes(normal.mean[:, 0], normal.variance[:, 0], 1.3)
    for row, shape in enumerate(shape_posteriors(normal), start=1):
        assert shape.log_evidence[0] == pytest.approx(log_evidence[row], rel=1e-6)
        np.testing.assert_allclose(shape.mean[:, 0], means[row], rtol=1e-5, atol=1e-9)
        np.testing.assert_allclose(shape.variance[:, 0], variances[row], rtol=1e-5)


def test_large_effects_are_shrunk_less_and_small_ones_more():
    said = np.array([0.2, 5.0])
    normal = normal_posterior(said, 0.3, 1.0)
    for shape in shape_posteriors(normal):
        assert shape.mean[0, 0] < 0.5 * normal.mean[0, 0]
        assert normal.mean[1, 0] < shape.mean[1, 0] < said[1]


def test_outputs_that_say_nothing_leave_the_prior():
    normal = NormalPosterior(np.zeros((4, 1)), np.full((4, 1), 2.0), np.array([2.0]))
    for shape in shape_posteriors(normal):
        assert shape.log_evidence[0] == pytest.approx(0, abs=1e-4)
        np.testing.assert_allclose(shape.mean, 0)
        np.testing.assert_allclose(shape.variance, 2, rtol=1e-4)


def test_an_enormous_effect_is_itself():
    normal = normal_posterior(np.array([0.0, 1e6]), 0.1, 1.0)
    for shape in shape_posteriors(normal):
        assert np.isfinite(shape.log_evidence).all()
        assert shape.mean[1, 0] == pytest.approx(1e6, rel=0.1)
        assert 0 < shape.variance[1, 0] < 0.11


@pytest.mark.parametrize("share", [1.0, *SHARES])
def test_the_evidence_is_for_the_shape_that_the_effects_have(share):
    rng = np.random.default_rng(0)
    effects = rng.standard_normal(2000) * (rng.random(2000) < share) / np.sqrt(share)
    normal = normal_posterior(effects + 0.3 * rng.standard_normal(2000), 0.09, 1.0)
    log_evidence = np.array([shape.log_evidence for shape in shape_posteriors(normal)])
    probability = shape_probabilities(LOG_PRIOR[:, None], log_evidence)[:, 0]
    assert probability.sum() == pytest.approx(1)
    assert (1.0, *SHARES)[int(probability.argmax())] == share
    assert probability.max() > 0.99


def test_classes_together_say_what_one_alone_does_not_and_may_be_wrong():
    log_evidence = np.tile([[1.0], [2.0], [0.0]], (1, 8))
    alone = shape_probabilities(LOG_PRIOR[:, None], log_evidence[:, :1])[:, 0]
    together = np.exp(common_log_prior(log_evidence, 7.0, 0.2))
    assert alone.argmax() == 0
    assert together.argmax() == 2
    assert together.sum() == pytest.approx(1)
    assert together[0] > 0.2 * np.exp(LOG_PRIOR[0])
    np.testing.assert_allclose(common_log_prior(log_evidence, 0.0, 0.2), LOG_PRIOR)
