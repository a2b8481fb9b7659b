"""Split-half reliability, its interval, its words, and the forecast, against sweeps that are really run again."""

import numpy as np
import pytest
from simulated_sweeps import Sweep, draw_masks, simulate

from tui_influence.influence import reliability as reliability_module
from tui_influence.influence.estimators import difference, ridge
from tui_influence.influence.forecast import forecast_models
from tui_influence.influence.rank_correlation import average_ranks, spearman
from tui_influence.influence.reliability import Reliability, describe, split_half

SWEEPS = 100
METHODS = {"difference": difference, "ridge": ridge}
EFFECTS = np.random.default_rng(1).standard_normal((36, 1))


def actual_reliability(design, m, estimator, sweeps=SWEEPS):
    """Mean rank correlation between rankings from independent sweeps of the same groups."""
    found = []
    for seed in range(sweeps):
        sweep = simulate(design, m, 36, 1, seed=seed, effects=EFFECTS)
        found.append(METHODS[estimator](sweep.masks, sweep.outputs, sweep.clusters).influence[:, 0])
    correlations = np.corrcoef(average_ranks(np.array(found).T).T)
    return correlations[np.triu_indices(sweeps, 1)].mean()


def estimated_reliability(design, m, estimator, sweeps=SWEEPS):
    found = []
    for seed in range(sweeps):
        sweep = simulate(design, m, 36, 1, seed=10_000 + seed, effects=EFFECTS)
        found.append(split_half(sweep.masks, sweep.outputs[:, 0], estimator, sweep.clusters))
    return found


@pytest.mark.parametrize("estimator", ["difference", "ridge"])
@pytest.mark.parametrize("design", ["fixed", "pairs", "balanced"])
def test_reliability_its_interval_and_its_forecast_are_right(design, estimator):
    found = estimated_reliability(design, 200, estimator)
    actual = actual_reliability(design, 200, estimator)
    # ranks of so few groups are not the normal values of the formula: 0.05 is the promise, besides the noise
    noise = np.std([one.value for one in found]) / np.sqrt(SWEEPS)
    assert np.mean([one.value for one in found]) == pytest.approx(actual, abs=0.05 + 3 * noise)
    covered = np.mean([one.low <= actual <= one.high for one in found])
    assert covered > 0.95 - 4 * np.sqrt(0.95 * 0.05 / SWEEPS)
    # what the forecast says for 800 models, against sweeps of 800
    needed = np.median([forecast_models(one, 200, target=0.85).models or np.inf for one in found])
    later = actual_reliability(design, 800, estimator, sweeps=40)
    at_800 = np.median([4 * one.value / (1 + 3 * one.value) for one in found])
    assert at_800 == pytest.approx(later, abs=0.05)
    assert (needed <= 800) == (at_800 >= 0.85)


def test_no_signal_is_called_noise():
    called = []
    for seed in range(SWEEPS):
        masks = draw_masks("fixed", 200, 36, np.random.default_rng(seed))
        outputs = np.random.default_rng([seed, 1]).standard_normal(200)
        called.append(describe(split_half(masks, outputs, "difference")) == "noise")
    assert np.mean(called) > 0.975 - 4 * np.sqrt(0.975 * 0.025 / SWEEPS)


@pytest.mark.parametrize("estimator", ["difference", "ridge"])
def test_a_pair_is_never_split_so_its_shared_error_is_in_one_half_only(estimator, monkeypatch):
    """Noise shared by two models with the same mask looks like signal as soon as the halves share it."""
    rng = np.random.default_rng(0)
    masks = np.repeat(rng.random((60, 20)) < 0.5, 2, axis=0)
    outputs = np.repeat(rng.standard_normal(60), 2)
    seen = []
    original = reliability_module._difference_halves
    monkeypatch.setattr(reliability_module, "_difference_halves", lambda *all_: seen.append(all_[2]) or original(*all_))
    together = split_half(masks, outputs, "difference", np.arange(120) // 2)
    apart = split_half(masks, outputs, "difference")
    assert (seen[0][:, ::2] == seen[0][:, 1::2]).all()
    assert describe(together) == "noise"
    assert apart.value > 0.5


def test_both_halves_are_rankings_of_their_own_models():
    sweep = simulate("bernoulli", 60, 10, 1, seed=3)
    half = np.zeros((1, 60), dtype=bool)
    half[0, ::2] = True
    first, second = reliability_module._difference_halves(sweep.masks, sweep.outputs[:, 0], half)
    np.testing.assert_allclose(first, difference(sweep.masks[::2], sweep.outputs[::2]).influence, atol=1e-4)
    np.testing.assert_allclose(second, difference(sweep.masks[1::2], sweep.outputs[1::2]).influence, atol=1e-4)


def test_the_same_seed_gives_the_same_reliability():
    sweep = simulate("fixed", 60, 10, 1, seed=4)
    assert split_half(sweep.masks, sweep.outputs[:, 0], "ridge", seed=5) == split_half(
        sweep.masks, sweep.outputs[:, 0], "ridge", seed=5
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("estimator", ["difference", "ridge"])
@pytest.mark.parametrize("m", range(9))
def test_few_models_give_none_or_a_number_but_no_warning(estimator, m):
    sweep = simulate("bernoulli", 8, 6, 1, seed=6)
    found = split_half(sweep.masks[:m], sweep.outputs[:m, 0], estimator)
    assert found is None if m < 4 else found is None or found.low <= found.value <= found.high


@pytest.mark.filterwarnings("error")
def test_outputs_that_never_change_have_no_reliability():
    sweep = simulate("bernoulli", 40, 6, 1, seed=6)
    for estimator in ("difference", "ridge"):
        assert describe(split_half(sweep.masks, np.ones(40), estimator)) == "noise"


def reliability(value, low, high):
    return Reliability(value, value / (2 - value), low, high, 20)


def test_words_follow_the_interval_first_and_then_the_value():
    assert describe(None) == "noise"
    assert describe(reliability(0.6, -0.1, 0.9)) == "noise"
    assert [describe(reliability(value, 0.1, 0.99)) for value in (0.3, 0.6, 0.8, 0.95)] == [
        "weak",
        "fair",
        "good",
        "strong",
    ]


def test_forecast_is_the_spearman_brown_prophecy():
    forecast = forecast_models(reliability(0.6, 0.3, 0.8), 100, target=0.9)
    assert forecast.models == 600  # 0.9 * 0.4 / (0.6 * 0.1) = 6
    assert (forecast.low, forecast.high) == (225, 2100)
    grown = 6 * 0.6 / (1 + 5 * 0.6)
    assert grown == pytest.approx(0.9)


def test_no_forecast_from_noise_and_a_calm_one_when_there():
    assert forecast_models(None, 3).models is None
    assert forecast_models(reliability(0.4, -0.1, 0.7), 100).models is None
    assert forecast_models(reliability(0.97, 0.9, 0.99), 100).models <= 100
    assert "reached" in forecast_models(reliability(0.97, 0.9, 0.99), 100).reason


def test_ranks_and_rank_correlation_are_scipys():
    from scipy.stats import rankdata, spearmanr

    rng = np.random.default_rng(2)
    first, second = rng.integers(0, 6, (30, 4)), rng.standard_normal((30, 4))
    np.testing.assert_array_equal(average_ranks(first), rankdata(first, axis=0))
    expected = [spearmanr(first[:, i], second[:, i])[0] for i in range(4)]
    np.testing.assert_allclose(spearman(first, second), expected)
    assert isinstance(simulate("fixed", 8, 4, 1, seed=0), Sweep)
