"""The regression that starts from a prior: its formulas, what a prior is worth, and what a useless one costs."""

import numpy as np
import pytest
from numpy.typing import NDArray
from simulated_sweeps import simulate
from slow_reference import slow_informed

from tui_influence.errors import ConfigError
from tui_influence.influence.estimate import interval
from tui_influence.influence.estimators import MAX_RIDGE_GROUPS, available_estimators, default_estimator, find_estimator
from tui_influence.influence.informed import informed
from tui_influence.influence.prior import OutputPrior, class_prior, covariates
from tui_influence.influence.ridge import ridge

K, C = 20, 5


def measures(truth: NDArray[np.float64], noise: float, rng: np.random.Generator, networks: int = 4):
    """Mapping and ablation of some networks, (networks, K, C) each: the truth in other units, with noise."""
    spread = truth.std()
    return tuple(
        scale * (truth + noise * spread * rng.standard_normal((networks, *truth.shape))) for scale in (0.01, 3.0)
    )


def prior_of(sweep, noise: float = 0.7, seed: int = 0, shares=None) -> OutputPrior:
    rng = np.random.default_rng(seed)
    count = sweep.effects.shape[1]
    return OutputPrior(
        covariates(*measures(sweep.effects, noise, rng)), sweep.outputs, np.eye(count) if shares is None else shares
    )


def both(sweep, noise: float):
    """The estimates and the formulas, of every class and of the whole target: influence and standard error each."""
    whole = np.full((1, C), 1 / C)
    prior = prior_of(sweep, noise, shares=np.concatenate([np.eye(C), whole]))
    outputs = np.column_stack([sweep.outputs, sweep.outputs.mean(axis=1)])
    estimate = informed(sweep.masks, outputs, sweep.clusters, prior=prior)
    return (estimate.influence, estimate.se), slow_informed(sweep.masks, outputs, sweep.clusters, prior)


@pytest.mark.parametrize("design", ["fixed", "bernoulli", "pairs", "balanced"])
@pytest.mark.parametrize("m", [12, 50])
def test_it_is_its_formulas(design, m):
    (influence, se), (expected, expected_se) = both(simulate(design, m, K, C, seed=3), 0.7)
    np.testing.assert_allclose(influence, expected, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_allclose(se, expected_se, rtol=0.05)  # what is not linear in log λ is an approximation
    np.testing.assert_allclose((se**2).mean(axis=0), (expected_se**2).mean(axis=0), rtol=0.005)


@pytest.mark.parametrize("design", ["fixed", "bernoulli", "pairs", "balanced"])
def test_it_is_its_formulas_where_two_groups_matter(design):
    effects = np.random.default_rng(2).standard_normal((K, C)) * (np.arange(K) < 2)[:, None]
    (influence, se), (expected, expected_se) = both(simulate(design, 50, K, C, seed=3, effects=effects), 100.0)
    np.testing.assert_allclose(influence, expected, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_allclose((se**2).mean(axis=0), (expected_se**2).mean(axis=0), rtol=0.005)


def correlation(estimate, truth) -> float:
    return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(estimate.influence.T, truth.T, strict=True)]))


@pytest.mark.parametrize("design", ["fixed", "balanced"])
def test_a_good_prior_is_worth_many_models(design):
    sweep = simulate(design, 24, 30, 8, seed=1)
    more = simulate(design, 96, 30, 8, seed=1, effects=sweep.effects)
    estimate = informed(sweep.masks, sweep.outputs, sweep.clusters, prior=prior_of(sweep))
    assert correlation(estimate, sweep.truth) > correlation(ridge(more.masks, more.outputs, more.clusters), more.truth)
    assert (estimate.prior_share > 0.5).all()


@pytest.mark.parametrize("m", [24, 96])
def test_a_useless_prior_costs_next_to_nothing(m):
    losses = []
    for seed in range(10):
        sweep = simulate("balanced", m, 30, 8, seed=seed)
        prior = prior_of(sweep, seed=seed)
        shuffled = np.random.default_rng(seed).permuted(prior.covariates, axis=0)
        useless = OutputPrior(shuffled, prior.class_outputs, prior.shares)
        estimate = informed(sweep.masks, sweep.outputs, sweep.clusters, prior=useless)
        plain = ridge(sweep.masks, sweep.outputs, sweep.clusters)
        losses.append(correlation(plain, sweep.truth) - correlation(estimate, sweep.truth))
    assert np.mean(losses) < 0.03


@pytest.mark.parametrize("design", ["fixed", "bernoulli", "balanced", "pairs"])
@pytest.mark.parametrize("noise", [3.0, 100.0])
def test_the_intervals_cover_the_truth_also_where_people_look(design, noise):
    """The three highest and the three lowest estimates are covered as often as the others."""
    all_rows, extremes = [], []
    for seed in range(40):
        sweep = simulate(design, 48, 24, 6, seed=seed)
        estimate = informed(sweep.masks, sweep.outputs, sweep.clusters, prior=prior_of(sweep, noise, seed))
        low, high = interval(estimate.influence, estimate.se, estimate.df)
        covered = (low < sweep.truth) & (sweep.truth < high)
        order = np.argsort(estimate.influence, axis=0)
        all_rows.append(covered)
        extremes.append(np.take_along_axis(covered, np.concatenate([order[:3], order[-3:]]), axis=0))
    assert 0.92 < np.mean(all_rows) < 0.98
    assert 0.92 < np.mean(extremes) < 0.985


@pytest.mark.parametrize("design", ["fixed", "bernoulli", "balanced", "pairs"])
def test_where_one_group_in_ten_matters_it_is_closer_than_ridge_and_covers_the_extremes(design):
    """Ridge shrinks the few large effects too much: its intervals hold three in four of the extremes."""
    all_rows, extremes, errors, errors_of_ridge = [], [], [], []
    for seed in range(12):
        rng = np.random.default_rng([seed, 9])
        has_effects = (rng.random(36) < 0.1) | (np.arange(36) == 0)
        effects = rng.standard_normal((36, 6)) * has_effects[:, None]
        sweep = simulate(design, 96, 36, 6, seed=seed, effects=effects)
        estimate = informed(sweep.masks, sweep.outputs, sweep.clusters, prior=prior_of(sweep, 100.0, seed))
        plain = ridge(sweep.masks, sweep.outputs, sweep.clusters)
        low, high = interval(estimate.influence, estimate.se, estimate.df)
        covered = (low < sweep.truth) & (sweep.truth < high)
        order = np.argsort(estimate.influence, axis=0)
        all_rows.append(covered)
        extremes.append(np.take_along_axis(covered, np.concatenate([order[:3], order[-3:]]), axis=0))
        errors.append(np.square(estimate.influence - sweep.truth).mean())
        errors_of_ridge.append(np.square(plain.influence - sweep.truth).mean())
    assert 0.94 < np.mean(all_rows) < 0.99
    assert np.mean(extremes) > 0.85
    assert np.mean(errors) < 0.8 * np.mean(errors_of_ridge)


def test_what_a_good_prior_leaves_over_is_judged_by_all_classes_together(monkeypatch):
    """One class alone hardly tells how much is left: its intervals are too long, and its estimates follow the noise."""

    def coverage_length_and_correlation() -> tuple[float, float, float]:
        figures = []
        for seed in range(8):
            sweep = simulate("fixed", 96, 36, 6, seed=seed)
            estimate = informed(sweep.masks, sweep.outputs, sweep.clusters, prior=prior_of(sweep, 0.7, seed))
            low, high = interval(estimate.influence, estimate.se, estimate.df)
            covers = ((low < sweep.truth) & (sweep.truth < high)).mean()
            figures.append((covers, (high - low).mean(), correlation(estimate, sweep.truth)))
        return tuple(np.mean(figures, axis=0))

    covered, length, close = coverage_length_and_correlation()
    monkeypatch.setattr("tui_influence.influence.informed._CLASS_UNLIKE", 1.0)
    _, length_alone, close_alone = coverage_length_and_correlation()
    assert covered > 0.95
    assert length < 0.85 * length_alone
    assert 1 - close < 0.8 * (1 - close_alone)


def test_a_mean_over_classes_is_judged_by_the_classes_too(monkeypatch):
    """Effects and noise of the classes are independent, so the mean has as much of both as each class."""

    def coverage_and_length() -> tuple[float, float]:
        figures = []
        for seed in range(8):
            sweep = simulate("fixed", 48, 36, 6, seed=seed)
            outputs, truth = sweep.outputs.mean(axis=1), sweep.truth.mean(axis=1, keepdims=True)
            prior = prior_of(sweep, 0.7, seed, shares=np.full((1, 6), 1 / 6))
            estimate = informed(sweep.masks, outputs, sweep.clusters, prior=prior)
            low, high = interval(estimate.influence, estimate.se, estimate.df)
            figures.append((((low < truth) & (truth < high)).mean(), (high - low).mean()))
        return tuple(np.mean(figures, axis=0))

    covered, length = coverage_and_length()
    monkeypatch.setattr("tui_influence.influence.informed._MEAN_UNLIKE", 1.0)
    _, length_alone = coverage_and_length()
    assert covered > 0.95
    assert length < 0.9 * length_alone


def test_a_class_unlike_the_others_is_judged_by_itself():
    """Groups have effects on four classes, and on a fifth none."""
    effects = np.random.default_rng(0).standard_normal((K, C))
    effects[:, 4] = 0
    sweep = simulate("balanced", 256, K, C, seed=0, effects=effects, noise=0.5)
    outputs = sweep.outputs.copy()
    outputs[:, 4] = np.random.default_rng(1).standard_normal(256)
    useless = np.random.default_rng(2).standard_normal((2, 4, K, C))
    prior = OutputPrior(covariates(*useless), outputs, np.eye(C))
    together = informed(sweep.masks, outputs, sweep.clusters, prior=prior)
    alone = ridge(sweep.masks, outputs[:, 4], sweep.clusters)
    assert together.influence[:, 4].std() < 1.5 * max(alone.influence.std(), alone.se.mean())
    assert together.influence[:, :4].std() > 0.9 * effects[:, :4].std()


def test_a_prior_that_says_nothing_of_an_output_leaves_it_to_the_models():
    sweep = simulate("bernoulli", 60, K, C, seed=2)
    prior = prior_of(sweep)
    nothing = informed(sweep.masks, sweep.outputs, prior=prior.of_outputs(np.zeros((C, C))))
    assert (nothing.prior_share == 0).all()
    plain = ridge(sweep.masks, sweep.outputs)
    assert correlation(nothing, plain.influence) > 0.98


@pytest.mark.parametrize("design", ["fixed", "bernoulli", "balanced"])
def test_an_ablation_of_zeros_is_none(design):
    """The estimate is that of the mapping's two covariates: those of zeros take no slope from them."""
    sweep = simulate(design, 40, K, C, seed=5)
    mapping, _ = measures(sweep.effects, 0.7, np.random.default_rng(0))
    prior = class_prior(mapping, np.zeros_like(mapping), sweep.outputs)
    assert (prior.covariates[:, :, 2:] == 0).all()
    two = OutputPrior(prior.covariates[:, :, :2], prior.class_outputs, prior.shares)
    estimate, expected = (informed(sweep.masks, sweep.outputs, sweep.clusters, prior=each) for each in (prior, two))
    np.testing.assert_allclose(estimate.influence, expected.influence, atol=1e-4 * np.abs(expected.influence).max())
    np.testing.assert_allclose(estimate.se, expected.se, rtol=1e-3)


def test_many_outputs_are_those_estimated_one_by_one(monkeypatch):
    monkeypatch.setattr("tui_influence.influence.informed.COLUMN_BLOCK", 3)
    sweep = simulate("pairs", 30, K, C, seed=4)
    prior = prior_of(sweep)
    together = informed(sweep.masks, sweep.outputs, sweep.clusters, prior=prior)
    for index in range(C):
        alone = informed(
            sweep.masks, sweep.outputs[:, index], sweep.clusters, prior=prior.of_outputs(np.eye(C)[[index]])
        )
        np.testing.assert_allclose(alone.influence[:, 0], together.influence[:, index], rtol=1e-9)


def test_float32_agrees_with_float64(monkeypatch):
    sweep = simulate("balanced", 60, K, C, seed=6)
    double = informed(sweep.masks, sweep.outputs, sweep.clusters, prior=prior_of(sweep))
    monkeypatch.setattr("tui_influence.influence.factors._CHEAP_PRODUCT", 0)
    single = informed(sweep.masks, sweep.outputs, sweep.clusters, prior=prior_of(sweep))
    assert (double.influence.dtype, single.influence.dtype) == (np.float64, np.float32)
    np.testing.assert_allclose(single.influence, double.influence, atol=1e-4 * np.abs(double.influence).max())
    np.testing.assert_allclose(single.se, double.se, rtol=1e-3)


def test_constant_groups_and_classes_without_examples_are_undefined_and_change_nothing():
    sweep = simulate("bernoulli", 40, K, C, seed=5)
    masks = sweep.masks.copy()
    masks[:, 3] = True
    outputs = sweep.outputs.copy()
    outputs[:, 1] = np.nan
    mapping, ablation = measures(sweep.effects, 0.7, np.random.default_rng(0))
    mapping[:, :, 1] = ablation[:, :, 1] = np.nan
    prior = OutputPrior(covariates(mapping, ablation), outputs, np.eye(C)[[0, 2, 3, 4]])
    estimate = informed(masks, outputs[:, [0, 2, 3, 4]], prior=prior)
    assert np.isnan(estimate.influence[3]).all()
    assert np.isfinite(np.delete(estimate.influence, 3, axis=0)).all()
    present = OutputPrior(
        covariates(np.delete(mapping, 1, axis=2), np.delete(ablation, 1, axis=2)),
        np.delete(outputs, 1, axis=1),
        np.eye(C - 1),
    )
    same = informed(masks, np.delete(outputs, 1, axis=1), prior=present)
    np.testing.assert_allclose(estimate.influence, same.influence)


@pytest.mark.parametrize("m", [0, 1, 2])
def test_it_takes_three_models(m):
    sweep = simulate("bernoulli", 10, K, C, seed=0)
    prior = prior_of(sweep).of_models(np.arange(m))
    estimate = informed(sweep.masks[:m], sweep.outputs[:m], prior=prior)
    assert np.isnan(estimate.influence).all()
    assert np.isnan(estimate.prior_share).all()


def test_covariates_are_centred_in_units_of_their_spread_and_split_into_class_and_all():
    rng = np.random.default_rng(0)
    mapping, ablation = measures(rng.standard_normal((K, C)), 0.5, rng)
    values = covariates(mapping, ablation)
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-12)
    for first, quantity in ((0, mapping), (2, ablation)):
        whole = values[:, :, first] + values[:, :, first + 1]
        assert whole.std() == pytest.approx(1)
        np.testing.assert_allclose(values[:, :, first].mean(axis=1), 0, atol=1e-12)
        mean = quantity.mean(axis=0)
        assert np.corrcoef(whole.ravel(), (mean - mean.mean(axis=0)).ravel())[0, 1] == pytest.approx(1)
    assert (covariates(np.ones((2, K, C)), np.ones((2, K, C))) == 0).all()


def test_shares_are_those_of_the_examples():
    labels = np.array([0, 0, 2, 2, 2, 1])
    prior = class_prior(np.zeros((1, K, 4)), np.zeros((1, K, 4)), np.zeros((5, 4)))
    assert prior.shares.tolist() == np.eye(4).tolist()
    assert prior.of_mean(labels).shares.tolist() == [[2 / 6, 1 / 6, 3 / 6, 0]]
    assert prior.of_examples(labels).shares.argmax(axis=1).tolist() == labels.tolist()


def test_without_prior_networks_it_is_not_offered_and_gives_the_reason():
    assert "informed" not in available_estimators(has_prior=False)
    assert "informed" in available_estimators(has_prior=True)
    assert default_estimator(has_prior=True, groups=MAX_RIDGE_GROUPS + 1) == "informed"
    assert default_estimator(has_prior=False, groups=MAX_RIDGE_GROUPS) == "ridge"
    assert default_estimator(has_prior=False, groups=MAX_RIDGE_GROUPS + 1) == "difference"
    sweep = simulate("bernoulli", 10, K, C, seed=0)
    with pytest.raises(ConfigError, match="needs prior networks"):
        find_estimator("informed").estimate(sweep.masks, sweep.outputs)
    with pytest.raises(ValueError, match="does not fit"):
        informed(sweep.masks, sweep.outputs[:, 0], prior=prior_of(sweep))


@pytest.mark.parametrize("design", ["fixed", "bernoulli", "balanced"])
def test_outputs_without_noise_have_their_effects_and_no_error(design):
    effects = np.random.default_rng(4).standard_normal((K, C)) * (np.arange(K) < 2)[:, None]
    sweep = simulate(design, 100, K, C, seed=7, effects=effects, noise=0.0)
    estimate = informed(sweep.masks, sweep.outputs, sweep.clusters, prior=prior_of(sweep, 100.0))
    np.testing.assert_allclose(estimate.influence, sweep.truth, atol=0.01)
    assert (estimate.se < 0.02).all()
    assert (estimate.se >= 0).all()


def test_outputs_that_are_all_equal_have_no_influence_and_no_error():
    sweep = simulate("balanced", 60, K, C, seed=8)
    prior = prior_of(sweep).of_outputs(np.zeros((1, C)))
    estimate = informed(sweep.masks, np.ones((60, 1)), sweep.clusters, prior=prior)
    np.testing.assert_allclose(estimate.influence, 0, atol=1e-12)
    np.testing.assert_allclose(estimate.se, 0, atol=1e-12)
