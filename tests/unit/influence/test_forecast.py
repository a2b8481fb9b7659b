"""The forecast of the models needed, against sweeps of which it is known how their ranking grows."""

import math

import numpy as np
import pytest
from simulated_sweeps import simulate

from tui_influence.influence.difference import difference
from tui_influence.influence.forecast import expected_growth, forecast_models, rank_reliability, reliability_growth
from tui_influence.influence.informed import informed
from tui_influence.influence.lds import average_ranks
from tui_influence.influence.prior import OutputPrior
from tui_influence.influence.ridge import ridge
from tui_influence.influence.types import MAX_FORECAST_FACTOR, Reliability

GROUPS, SWEEPS, NOISE = 36, 40, 1.5
METHODS = {"difference": difference, "ridge": ridge}
DRAWS = np.random.default_rng(3).standard_normal((2, 60, GROUPS))


def effects_of(shape: str, seed: int) -> np.ndarray:
    """(K, 1): normal, or a sixth of them and the others without effect."""
    rng = np.random.default_rng([seed, 7])
    effects = rng.standard_normal((GROUPS, 1))
    return effects if shape == "dense" else effects * (rng.permutation(GROUPS) < GROUPS // 6)[:, None]


def error_of(design: str, m: float, estimator: str, effects: np.ndarray) -> float:
    """Error variance of an influence from so many models, by the formulas of least squares and of differences."""
    explained = 0.25 * float((effects**2).sum())
    if design == "balanced":  # half of the noise is that of the seed, which a pair shares
        return NOISE / 2 * explained / (0.25 * m)
    if estimator == "difference":
        return (NOISE + 1) * explained / (0.25 * m)
    return NOISE * explained / (0.25 * m) / max(1 - GROUPS / m, 0.3)


def correlation(design: str, estimator: str, effects: np.ndarray, m: float) -> float:
    """Mean rank correlation of the rankings of two sweeps of so many models."""
    noisy = effects[:, 0] + math.sqrt(error_of(design, m, estimator, effects)) * DRAWS
    first, second = (average_ranks(values.T) for values in noisy)
    first, second = ((ranks - ranks.mean(axis=0)) / ranks.std(axis=0) for ranks in (first, second))
    return float((first * second).mean())


@pytest.mark.parametrize("estimator", ["difference", "ridge"])
@pytest.mark.parametrize("design", ["fixed", "balanced"])
@pytest.mark.parametrize("shape", ["dense", "sparse"])
@pytest.mark.parametrize(("m", "goal"), [(60, 0.9), (120, 0.9), (240, 0.9)])
def test_the_true_number_lies_in_the_range(shape, design, estimator, m, goal):
    """As long as the range is open above, it has the truth; else the order is good enough there, and not before."""
    covered = []
    for seed in range(SWEEPS):
        effects = effects_of(shape, seed)
        sweep = simulate(design, m, GROUPS, 1, seed=seed, effects=effects, noise=NOISE)
        estimate = METHODS[estimator](sweep.masks, sweep.outputs, sweep.clusters)
        forecast = forecast_models(estimate, sweep.masks, sweep.clusters, goal)
        is_late = forecast.high is not None and correlation(design, estimator, effects, forecast.high) < goal
        is_early = forecast.low > GROUPS and correlation(design, estimator, effects, forecast.low) > goal
        covered.append(not is_late and not is_early)
    assert np.mean(covered) >= 0.8


@pytest.mark.parametrize("design", ["fixed", "balanced"])
def test_dense_effects_get_a_closed_range_and_sparse_ones_are_not_reachable(design):
    closed, unreachable = [], []
    for seed in range(20):
        for shape, results in (("dense", closed), ("sparse", unreachable)):
            sweep = simulate(design, 480, GROUPS, 1, seed=seed, effects=effects_of(shape, seed), noise=NOISE)
            estimate = ridge(sweep.masks, sweep.outputs, sweep.clusters)
            forecast = forecast_models(estimate, sweep.masks, sweep.clusters)
            results.append(forecast.high is not None if shape == "dense" else not forecast.is_reachable)
            if not forecast.is_reachable:
                assert (forecast.n_models, forecast.low, forecast.high) == (None, MAX_FORECAST_FACTOR * 480, None)
                assert "not reachable" in forecast.reason
    assert np.mean(closed) > 0.7
    assert np.mean(unreachable) > 0.8


def test_noise_takes_more_models_than_are_forecast_or_leaves_the_range_open():
    for seed in range(10):
        sweep = simulate("fixed", 60, GROUPS, 1, seed=seed, effects=np.zeros((GROUPS, 1)))
        outputs = np.random.default_rng(seed).standard_normal(60)
        forecast = forecast_models(difference(sweep.masks, outputs), sweep.masks, None)
        assert forecast.high is None
        assert forecast.low > 60


def prior_sweep(m: int, seed: int, repeat: int = 0, explained: float = 0.5):
    """A sweep on five classes with a prior that explains a share of its effects, its estimate, and the truth."""
    rng = np.random.default_rng([seed, 1])
    general = rng.standard_normal((GROUPS, 1))
    covariate = explained * general + math.sqrt(explained * (1 - explained)) * rng.standard_normal((GROUPS, 1))
    effects = np.repeat(general, 5, axis=1)
    sweep = simulate("balanced", m, GROUPS, 5, seed=1000 * repeat + seed, effects=effects, noise=16.0)
    covariates = np.repeat((covariate / covariate.std())[:, :, None], 5, axis=1)
    prior = OutputPrior(covariates, sweep.outputs, np.full((1, 5), 0.2))
    estimate = informed(sweep.masks, sweep.outputs.mean(axis=1), sweep.clusters, prior=prior)
    return sweep, estimate, general[:, 0]


def quality(m: int, seed: int) -> float:
    """Mean squared correlation with the truth of sweeps of so many models, with the same truth and prior."""
    sweeps = (prior_sweep(m, seed, repeat) for repeat in range(1, 5))
    return float(np.mean([np.corrcoef(estimate.influence[:, 0], truth)[0, 1] ** 2 for _, estimate, truth in sweeps]))


@pytest.mark.parametrize(("m", "goal"), [(64, 0.85), (192, 0.9)])
def test_with_a_prior_the_range_has_the_models_from_which_the_estimate_correlates_so_well(m, goal):
    covered, closed = [], []
    for seed in range(20):
        sweep, estimate, _ = prior_sweep(m, seed)
        forecast = forecast_models(estimate, sweep.masks, sweep.clusters, goal)
        is_late = forecast.high is not None and quality(max(forecast.high, 16), seed) < goal
        is_early = forecast.low > 16 and quality(forecast.low, seed) > goal
        covered.append(not is_late and not is_early)
        closed.append(forecast.high is not None)
    assert np.mean(covered) >= 0.8
    assert np.mean(closed) > 0.5


def test_the_prior_s_part_stays_where_the_models_are_few():
    sweep, estimate, _ = prior_sweep(64, 0)
    growth = reliability_growth(estimate, sweep.masks, sweep.clusters)
    values = [float(growth.weight @ growth.reliability(factor)) for factor in (1e-6, 1.0, 4.0, 1e8)]
    assert values == sorted(values)
    assert 0.1 < values[0] < values[1]
    assert values[3] == pytest.approx(1)


def test_the_rank_correlation_is_that_of_two_simulated_sweeps():
    rng = np.random.default_rng(0)
    for share, ratio in ((1.0, 1.0), (1.0, 9.0), (0.2, 3.0), (0.05, 100.0)):
        effects = rng.standard_normal(200_000) * math.sqrt(ratio / share) * (rng.random(200_000) < share)
        ranks = [average_ranks((effects + rng.standard_normal(200_000))[:, None])[:, 0] for _ in range(2)]
        expected = float(rank_reliability(np.array([share]), np.array([ratio]))[0])
        assert np.corrcoef(*ranks)[0, 1] == pytest.approx(expected, abs=0.01)


def test_a_goal_takes_as_many_models_as_give_it():
    for design, method in (("fixed", ridge), ("fixed", difference), ("balanced", ridge)):
        sweep = simulate(design, 240, GROUPS, 1, seed=1, noise=NOISE)
        growth = reliability_growth(method(sweep.masks, sweep.outputs, sweep.clusters), sweep.masks, sweep.clusters)
        factors = growth.factor(0.85)
        for index in np.flatnonzero(np.isfinite(factors) & (growth.weight > 0.01)):
            assert growth.reliability(factors[index])[index] == pytest.approx(0.85, abs=0.01)


def test_the_curve_goes_on_from_the_measured_value_and_never_falls():
    sweep = simulate("fixed", 120, GROUPS, 1, seed=1, noise=NOISE)
    growth = reliability_growth(ridge(sweep.masks, sweep.outputs), sweep.masks, None)
    values = expected_growth(growth, 0.55, np.array([1.0, 2.0, 5.0, 20.0]))
    assert values[0] == pytest.approx(0.55)
    assert values == sorted(values)
    assert values[-1] < 1


def test_what_was_measured_decides_whether_the_goal_is_reached():
    sweep = simulate("fixed", 240, GROUPS, 1, seed=1, noise=NOISE)
    estimate = ridge(sweep.masks, sweep.outputs)
    reached, missed = (
        forecast_models(estimate, sweep.masks, None, 0.8, Reliability(value, 0.5, value - 0.1, value + 0.05, 20))
        for value in (0.81, 0.79)
    )
    assert reached.n_models <= 240
    assert reached.high <= 240
    assert "reached" in reached.reason
    assert missed.low > 240


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("m", [0, 1, 4, 7, 8, 12])
def test_few_models_give_none_or_a_range_but_no_warning(m):
    sweep = simulate("bernoulli", 12, 6, 1, seed=6)
    for method in METHODS.values():
        estimate = method(sweep.masks[:m], sweep.outputs[:m])
        forecast = forecast_models(estimate, sweep.masks[:m], None)
        assert (forecast.low is None) == (m < 8)
        assert forecast.high is None or forecast.low <= forecast.n_models <= forecast.high
    constant = ridge(sweep.masks, np.ones(12))
    assert forecast_models(constant, sweep.masks, None).low is None


def test_where_ranks_repeat_less_than_the_errors_say_the_ranks_count():
    sweep = simulate("fixed", 120, GROUPS, 1, seed=0, effects=effects_of("dense", 0), noise=0.01)
    estimate = ridge(sweep.masks, sweep.outputs)
    assert forecast_models(estimate, sweep.masks, None).n_models <= 120
    measured = Reliability(0.75, 0.6, 0.5, 0.9, 20)
    forecast = forecast_models(estimate, sweep.masks, None, 0.9, measured)
    assert forecast.low == 121  # of 0.9, which is reached
    assert forecast.n_models == pytest.approx(360, abs=1)
    assert forecast.high == pytest.approx(1080, abs=1)
