"""The rule for the models that a sweep needs, against simulated sweeps and the measured ones that it comes from."""

import math

import pytest

from benchmarks.simulate_model_count import correlation
from tui_influence.influence.model_count import USABLE, models_for, reliability_of
from tui_influence.influence.types import reliability_grade

DESIGNS = [("fixed", "difference"), ("bernoulli", "ridge"), ("balanced", "ridge"), ("balanced", "informed")]


@pytest.mark.parametrize(("kind", "estimator"), DESIGNS)
@pytest.mark.parametrize("groups", [12, 36])
def test_a_simulated_order_is_usable_within_the_range_and_not_below_it(kind, estimator, groups):
    rule = models_for(USABLE, groups, kind, estimator)
    squares = {}
    for models in (rule.low // 2 // 2 * 2, rule.high):
        squares[models] = sum(correlation(kind, estimator, groups, models, seed) ** 2 for seed in range(6)) / 6
    few, many = squares.values()
    assert many > USABLE
    assert few < USABLE


def test_it_has_the_measured_anchors():
    """36 groups: a correlation of 0.8 from about 200 models by ridge, 290 by difference, 64 with 8 prior networks."""
    assert models_for(USABLE, 36, "balanced", "ridge").expected == pytest.approx(200, rel=0.1)
    assert models_for(USABLE, 36, "fixed", "difference").expected == pytest.approx(290, rel=0.1)
    assert models_for(USABLE, 36, "balanced", "informed").expected == pytest.approx(64, rel=0.1)


@pytest.mark.parametrize(("kind", "estimator"), DESIGNS)
def test_more_groups_and_higher_goals_take_more_models(kind, estimator):
    counts = [
        models_for(goal, groups, kind, estimator) for goal, groups in ((0.5, 36), (0.7, 36), (0.9, 36), (0.9, 400))
    ]
    for count in counts:
        assert count.low < count.high
        assert count.low <= count.expected <= count.high
        assert count.expected % 2 == 0
    assert [count.expected for count in counts] == sorted(count.expected for count in counts)


@pytest.mark.parametrize(("kind", "estimator"), DESIGNS)
def test_so_many_models_have_the_reliability_that_they_are_for(kind, estimator):
    models = models_for(0.8, 100, kind, estimator).expected
    reliability = reliability_of(models, 100, kind, estimator)
    assert reliability.value == pytest.approx(0.8, abs=0.02)
    assert reliability.low < reliability.value < reliability.high


def test_few_models_are_noise_and_many_are_strong():
    grades = [reliability_grade(reliability_of(models, 43, "balanced", "ridge")) for models in (10, 40, 240, 4000)]
    assert grades == ["noise", "noise", "fair", "strong"]
    assert math.isnan(reliability_of(10, 43, "balanced", "ridge").half)
