"""Split-half reliability, its interval, its and its words, against sweeps that are really run again."""

import math
from importlib import import_module

import numpy as np
import pytest
from scipy.stats import spearmanr
from simulated_sweeps import Sweep, draw_masks, simulate

from tui_influence.designs import Design
from tui_influence.influence import difference as difference_module
from tui_influence.influence import reliability as reliability_module
from tui_influence.influence.difference import difference
from tui_influence.influence.lds import average_ranks, spearman
from tui_influence.influence.reliability import reliability_from_errors, split_half, sweep_reliability
from tui_influence.influence.ridge import ridge
from tui_influence.influence.types import Estimate, Reliability, reliability_grade
from tui_influence.roles import Role

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
        found.append(sweep_reliability(sweep.masks, sweep.outputs[:, 0], estimator, sweep.clusters))
    return found


@pytest.mark.parametrize("estimator", ["difference", "ridge"])
@pytest.mark.parametrize("design", ["fixed", "pairs", "balanced"])
def test_reliability_and_its_interval_are_right(design, estimator):
    found = estimated_reliability(design, 200, estimator)
    actual = actual_reliability(design, 200, estimator)
    # ranks of so few groups are not the normal values of the formula: 0.05 is the promise, besides the noise
    noise = np.std([one.value for one in found]) / np.sqrt(SWEEPS)
    assert np.mean([one.value for one in found]) == pytest.approx(actual, abs=0.05 + 3 * noise)
    covered = np.mean([one.low <= actual <= one.high for one in found])
    assert covered > 0.95 - 4 * np.sqrt(0.95 * 0.05 / SWEEPS)


def test_no_signal_is_called_noise():
    called = []
    for seed in range(SWEEPS):
        masks = draw_masks("fixed", 200, 36, np.random.default_rng(seed))
        outputs = np.random.default_rng([seed, 1]).standard_normal(200)
        called.append(reliability_grade(split_half(masks, outputs, "difference")) == "noise")
    assert np.mean(called) > 0.975 - 4 * np.sqrt(0.975 * 0.025 / SWEEPS)


@pytest.mark.parametrize("estimator", ["difference", "ridge"])
def test_a_pair_is_never_split_so_its_shared_error_is_in_one_half_only(estimator, monkeypatch):
    """Noise shared by two models with the same mask looks like signal as soon as the halves share it."""
    rng = np.random.default_rng(0)
    masks = np.repeat(rng.random((60, 20)) < 0.5, 2, axis=0)
    outputs = np.repeat(rng.standard_normal(60), 2)
    seen = []
    original = difference_module.difference_halves
    monkeypatch.setattr(difference_module, "difference_halves", lambda *all_: seen.append(all_[3]) or original(*all_))
    together = split_half(masks, outputs, "difference", np.arange(120) // 2)
    apart = split_half(masks, outputs, "difference")
    assert (seen[0][:, ::2] == seen[0][:, 1::2]).all()
    assert reliability_grade(together) == "noise"
    assert apart.value > 0.5


def test_both_halves_are_rankings_of_their_own_models():
    sweep = simulate("bernoulli", 60, 10, 1, seed=3)
    half = np.zeros((1, 60), dtype=bool)
    half[0, ::2] = True
    first, second = difference_module.difference_halves(sweep.masks, sweep.outputs[:, 0], None, half, None)
    np.testing.assert_allclose(first, difference(sweep.masks[::2], sweep.outputs[::2]).influence, atol=1e-4)
    np.testing.assert_allclose(second, difference(sweep.masks[1::2], sweep.outputs[1::2]).influence, atol=1e-4)


def halves_of(split, monkeypatch, estimator):
    """Run `split` and return with its result which models were in the first half of each halving, and the estimates."""
    seen = []
    module, name = import_module(f"tui_influence.influence.{estimator}"), f"{estimator}_halves"
    original = getattr(module, name)

    def spy(*arguments):
        seen.append((arguments[3], original(*arguments)))
        return seen[-1][1]

    monkeypatch.setattr(module, name, spy)
    return split(), *seen[0]


@pytest.mark.parametrize("estimator", ["difference", "ridge"])
def test_it_is_the_mean_rank_correlation_of_disjoint_halves_lengthened(estimator, monkeypatch):
    sweep = simulate("fixed", 61, 10, 1, seed=3)
    output = sweep.outputs[:, 0]
    penalty = None if estimator == "difference" else 4.0
    found, in_first, _ = halves_of(
        lambda: split_half(sweep.masks, output, estimator, splits=7, penalty=penalty), monkeypatch, estimator
    )
    assert in_first.shape == (7, 61)
    assert (in_first.sum(axis=1) == 30).all()
    assert len(np.unique(in_first, axis=0)) == 7
    each = []
    for first in in_first:
        pair = [
            (difference if estimator == "difference" else lambda *both: ridge(*both, penalty=penalty))(
                sweep.masks[half], output[half]
            ).influence[:, 0]
            for half in (first, ~first)
        ]
        each.append(spearmanr(*pair)[0])
    assert found.half == pytest.approx(np.mean(each), abs=1e-6)
    assert found.value == pytest.approx(2 * found.half / (1 + found.half))
    assert found.n_splits == 7


def test_halves_that_disagree_are_lengthened_too():
    found = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        found.append(split_half(rng.random((200, 10)) < 0.5, rng.normal(size=200), "difference"))
    assert min(one.half for one in found) < -0.05
    for one in found:
        assert one.value == pytest.approx(max(2 * one.half / (1 + one.half), -1))


@pytest.mark.parametrize(("groups", "splits"), [(10, 7), (40, 20)])
def test_its_interval_is_even_in_the_root_of_signal_to_error(groups, splits):
    """The figures are those that `split_half` states; u = sqrt((1 + value) / (1 - value))."""
    sweep = simulate("bernoulli", 200, groups, 1, seed=3, noise=1.0)
    found = split_half(sweep.masks, sweep.outputs[:, 0], "difference", splits=splits)

    def u(value):
        return math.sqrt((1 + value) / (1 - value))

    margin = 1.96 * 1.06 * math.sqrt(2 / (groups - 1) * (1 + 1 / splits))
    assert u(found.value) - u(found.low) == pytest.approx(margin, rel=1e-4)
    assert u(found.high) - u(found.value) == pytest.approx(margin, rel=1e-4)


# K groups, m models: a little more than one Hadamard block, three quarters of one, a whole one of 32, half of one
ORTHOGONAL_SWEEPS = [(36, 144, 60), (200, 600, 20), (200, 383, 20), (30, 64, 60), (1000, 1000, 6)]


@pytest.mark.parametrize(("groups", "m", "sweeps"), ORTHOGONAL_SWEEPS)
def test_reliability_of_orthogonal_masks_is_that_of_repeated_sweeps(groups, m, sweeps):
    effects = np.random.default_rng(groups).standard_normal((groups, 1))
    repeats = [simulate_orthogonal(m, groups, seed, effects) for seed in range(sweeps)]
    ranks = [average_ranks(difference(one.masks, one.outputs, one.clusters).influence)[:, 0] for one in repeats]
    actual = np.corrcoef(ranks)[np.triu_indices(sweeps, 1)].mean()
    estimates = [sweep_reliability(one.masks, one.outputs[:, 0], "difference", one.clusters) for one in repeats]
    values = np.array([one.value for one in estimates])
    if (groups, m) != (30, 64):  # two degrees of freedom are left for the noise: the interval says what is known
        assert values.mean() == pytest.approx(actual, abs=0.05 + 3 * values.std() / np.sqrt(sweeps))
    covered = np.mean([one.low <= actual <= one.high for one in estimates])
    assert covered > 0.95 - 4 * np.sqrt(0.95 * 0.05 / sweeps)


@pytest.mark.parametrize(("groups", "m"), [(36, 144), (200, 383), (30, 64)])
def test_orthogonal_masks_without_effects_are_called_noise(groups, m):
    grades = []
    for seed in range(40):
        sweep = simulate_orthogonal(m, groups, seed, np.zeros((groups, 1)))
        grades.append(reliability_grade(sweep_reliability(sweep.masks, sweep.outputs[:, 0], "ridge", sweep.clusters)))
    assert np.mean([grade == "noise" for grade in grades]) > 0.975 - 4 * np.sqrt(0.975 * 0.025 / 40)


def simulate_orthogonal(m: int, groups: int, seed: int, effects) -> Sweep:
    """A sweep of the program's own `balanced` design; noise explains 60% of the difference between a pair."""
    rows = Design("balanced", 0.5, groups, seed).rows(Role.ESTIMATE, m)
    masks, clusters = np.stack([row.mask for row in rows]), np.array([row.cluster for row in rows])
    rng = np.random.default_rng([seed, 1])
    noise = rng.standard_normal((m, 1)) + rng.standard_normal((m // 2 + 1, 1))[clusters]
    deviation = math.sqrt(0.375 * np.square(effects).sum()) or 1.0
    return Sweep(masks, masks @ effects + deviation * noise, clusters, effects)


def test_reliability_from_errors_is_a_ratio_of_variances_with_the_interval_of_its_distribution():
    """Influences from their distribution, time and again: the interval holds the reliability in 95% of cases."""
    rng = np.random.default_rng(0)
    groups, df, reliability = 30, 20, 0.6
    truth = rng.standard_normal(groups)
    truth -= truth.mean()
    noise = truth.var(ddof=1) * (1 - reliability) / reliability
    estimates = []
    for _ in range(800):
        influence = truth + math.sqrt(noise) * rng.standard_normal(groups)
        se = np.full(groups, math.sqrt(noise * rng.chisquare(df) / df))
        counts = np.ones(groups, dtype=np.int64)
        estimates.append(reliability_from_errors(Estimate(influence[:, None], se[:, None], df, counts, counts, "-")))
        of_values = max(1 - se[0] ** 2 / influence.var(ddof=1), -1)
        assert estimates[-1].value == pytest.approx(6 / math.pi * math.asin(of_values / 2))
    of_ranks = 6 / math.pi * math.asin(reliability / 2)
    assert np.mean([one.low > of_ranks for one in estimates]) == pytest.approx(0.025, abs=0.02)
    assert np.mean([one.high < of_ranks for one in estimates]) == pytest.approx(0.025, abs=0.02)


@pytest.mark.filterwarnings("error")
def test_reliability_from_errors_of_degenerate_influences():
    counts = np.ones(5, dtype=np.int64)

    def estimate(influence, se):
        return Estimate(np.asarray(influence)[:, None], np.asarray(se)[:, None], 9.0, counts, counts, "-")

    exact = reliability_from_errors(estimate(np.arange(5.0), np.zeros(5)))
    assert (exact.low, exact.value, exact.high) == pytest.approx((1, 1, 1))
    assert reliability_from_errors(estimate(np.ones(5), np.ones(5))) is None
    unknown = np.array([np.nan, np.nan, np.nan, 1.0, 2.0])
    assert reliability_from_errors(estimate(unknown, unknown)) is None
    noise = reliability_from_errors(estimate(np.arange(5.0) / 1e6, np.ones(5)))
    assert (noise.low, noise.value) == pytest.approx((-1, -1))


def test_where_rows_are_orthogonal_too_nothing_is_known_of_the_reliability():
    """Half a Hadamard block of as many groups as its order: any share of noise makes the outputs as likely."""
    effects = np.random.default_rng(0).standard_normal((64, 1))
    sweep = simulate_orthogonal(64, 64, 0, effects)
    estimate = sweep_reliability(sweep.masks, sweep.outputs[:, 0], "difference", sweep.clusters)
    assert (estimate.low, estimate.high) == (0, pytest.approx(0.48, abs=0.01))  # half of the directions are unknown


@pytest.mark.parametrize(("groups", "splits"), [(10, 20), (400, 10), (800, 5), (2000, 4)])
def test_a_ridge_over_many_groups_is_halved_less_often_but_not_hardly_ever(groups, splits):
    masks = np.random.default_rng(0).random((8, groups)) < 0.5
    masks[:2] = [[True] * groups, [False] * groups]  # every group varies
    found = split_half(masks, np.arange(8.0), "ridge", penalty=1.0)
    assert found.n_splits == splits
    assert split_half(masks, np.arange(8.0), "difference").n_splits == 20


@pytest.mark.parametrize("estimator", ["difference", "ridge"])
def test_halves_that_agree_wholly_are_wholly_reliable(estimator):
    masks = draw_masks("bernoulli", 4000, 5, np.random.default_rng(0))
    found = split_half(masks, masks @ np.arange(5.0), estimator)
    assert (found.half, found.value, found.high) == (1, 1, 1)
    assert 0.99 < found.low <= 1


def test_groups_that_never_vary_have_no_part_in_it():
    sweep = simulate("bernoulli", 60, 8, 1, seed=3)
    padded = np.column_stack([sweep.masks, np.ones(60, dtype=bool), np.zeros(60, dtype=bool)])
    for estimator in ("difference", "ridge"):
        assert split_half(padded, sweep.outputs[:, 0], estimator) == split_half(
            sweep.masks, sweep.outputs[:, 0], estimator
        )


def test_halves_that_know_different_groups_are_correlated_over_those_they_share():
    first, second = np.array([[1.0, 2, 3, np.nan, 4]]).T, np.array([[np.nan, 2, 1.0, 9, 4]]).T
    expected = spearmanr([2, 3, 4], [2, 1, 4])[0]
    assert reliability_module._spearman_of_finite(first, second)[0] == pytest.approx(expected)
    second[1] = np.nan  # two groups are left
    assert np.isnan(reliability_module._spearman_of_finite(first, second)).all()


@pytest.mark.parametrize(("models", "groups", "is_known"), [(3, 5, False), (4, 5, True), (40, 2, False), (40, 3, True)])
def test_it_takes_four_models_and_three_groups(models, groups, is_known):
    rng = np.random.default_rng(0)
    masks = rng.random((models, groups)) < 0.5
    masks[:2] = [[True] * groups, [False] * groups]
    assert (split_half(masks, rng.normal(size=models), "ridge", penalty=1.0) is not None) == is_known


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
        assert reliability_grade(split_half(sweep.masks, np.ones(40), estimator)) == "noise"


def lengthened(value, factor):
    """Spearman and Brown's prophecy."""
    return factor * value / (1 + (factor - 1) * value)


def reliability(value, low, high):
    return Reliability(value, value / (2 - value), low, high, 20)


def test_words_follow_the_interval_first_and_then_the_value():
    assert reliability_grade(None) == "noise"
    assert reliability_grade(reliability(0.6, -0.1, 0.9)) == "noise"
    assert reliability_grade(reliability(0.6, 0.0, 0.9)) == "noise"
    words = {0.3: "weak", 0.499: "weak", 0.5: "fair", 0.699: "fair", 0.7: "good", 0.899: "good", 0.9: "strong"}
    assert {value: reliability_grade(reliability(value, 0.1, 0.99)) for value in words} == words


def test_ranks_and_rank_correlation_are_scipys():
    from scipy.stats import rankdata, spearmanr

    rng = np.random.default_rng(2)
    first, second = rng.integers(0, 6, (30, 4)), rng.standard_normal((30, 4))
    np.testing.assert_array_equal(average_ranks(first), rankdata(first, axis=0))
    expected = [spearmanr(first[:, i], second[:, i])[0] for i in range(4)]
    np.testing.assert_allclose(spearman(first, second), expected)
    assert isinstance(simulate("fixed", 8, 4, 1, seed=0), Sweep)
