"""What the intervals promise, on simulated sweeps with known truth; bounds are the simulation's own error."""

import numpy as np
import pytest
from scipy.stats import norm
from simulated_sweeps import Sweep, simulate

from tui_influence.designs import Design
from tui_influence.influence.difference import difference
from tui_influence.influence.estimate import benjamini_hochberg, interval, p_values
from tui_influence.influence.ridge import ridge
from tui_influence.roles import Role

SWEEPS = 120
STANDARD_ERRORS = 4  # a right implementation fails once in 16,000 times; the seeds are fixed besides


def coverage(method, design, m, *, groups=36, sweeps=SWEEPS, forget_clusters=False, **options):
    """Share of 95% intervals that hold the truth, and its standard error over independent sweeps."""
    shares = []
    for seed in range(sweeps):
        sweep = simulate(design, m, groups, 8, seed=1000 + seed, **options)
        estimate = method(sweep.masks, sweep.outputs, None if forget_clusters else sweep.clusters)
        low, high = interval(estimate.influence, estimate.se, estimate.df)
        shares.append(((low <= sweep.truth) & (sweep.truth <= high)).mean())
    return np.mean(shares), np.std(shares, ddof=1) / np.sqrt(sweeps)


@pytest.mark.parametrize("design", ["fixed", "bernoulli", "pairs", "balanced"])
@pytest.mark.parametrize("method", [difference, ridge])
def test_95_percent_intervals_cover_95_percent(method, design):
    share, error = coverage(method, design, 300)
    assert abs(share - 0.95) < STANDARD_ERRORS * error


@pytest.mark.parametrize("m", [24, 60])
def test_difference_covers_with_few_models_and_unequal_arms(m):
    share, error = coverage(difference, "fixed", m, alpha=0.25)
    assert abs(share - 0.95) < STANDARD_ERRORS * error


@pytest.mark.parametrize("design", ["fixed", "bernoulli", "pairs"])
def test_ridge_covers_at_least_nearly_that_with_fewer_models_than_groups(design):
    share, error = coverage(ridge, design, 30)
    assert share > 0.95 - STANDARD_ERRORS * error


@pytest.mark.parametrize("method", [difference, ridge])
def test_intervals_that_forget_the_clusters_are_wrong(method):
    """So the tests above can fail: the same sweep, its pairs taken for independent models."""
    share, error = coverage(method, "pairs", 300, noise=0.3, shared=0.9, forget_clusters=True)
    assert abs(share - 0.95) > 3 * STANDARD_ERRORS * error


def test_intervals_are_calm_about_pairs_with_a_failed_model():
    shares = {difference: [], ridge: []}
    for seed in range(SWEEPS):
        sweep = simulate("pairs", 200, 36, 8, seed=2000 + seed)
        sweep = sweep.kept(np.random.default_rng(seed).random(200) > 0.1)
        for method, found in shares.items():
            estimate = method(sweep.masks, sweep.outputs, sweep.clusters)
            low, high = interval(estimate.influence, estimate.se, estimate.df)
            found.append(((low <= sweep.truth) & (sweep.truth <= high)).mean())
    for found in shares.values():
        assert abs(np.mean(found) - 0.95) < STANDARD_ERRORS * np.std(found, ddof=1) / np.sqrt(SWEEPS)


@pytest.mark.parametrize("design", ["fixed", "bernoulli", "pairs", "balanced"])
def test_difference_is_unbiased_for_its_estimand(design):
    effects = np.random.default_rng(3).standard_normal((16, 1)) + 0.5
    errors = []
    for seed in range(300):
        sweep = simulate(design, 64, 16, 1, seed=3000 + seed, effects=effects)
        errors.append((difference(sweep.masks, sweep.outputs, sweep.clusters).influence - sweep.truth)[:, 0])
    bias = np.mean(errors, axis=0)
    assert (np.abs(bias) < STANDARD_ERRORS * np.std(errors, axis=0, ddof=1) / np.sqrt(300)).all()


def test_under_same_size_masks_the_estimand_is_relative_to_the_other_groups():
    """The absolute effect would be far outside: the trap that DESIGN names."""
    effects = np.full((16, 1), 2.0)
    found = [
        difference(sweep.masks, sweep.outputs).influence.mean()
        for sweep in (simulate("fixed", 64, 16, 1, seed=seed, effects=effects, noise=0.05) for seed in range(50))
    ]
    assert abs(np.mean(found)) < 0.1


def test_ridge_needs_fewer_models_than_difference_when_noise_is_small():
    def match(method, m):
        found = []
        for seed in range(20):
            sweep = simulate("fixed", m, 64, 4, seed=4000 + seed, noise=0.05)
            influence = method(sweep.masks, sweep.outputs).influence
            found += [np.corrcoef(influence[:, j], sweep.truth[:, j])[0, 1] for j in range(4)]
        return np.mean(found)

    assert match(ridge, 100) > match(difference, 200)


@pytest.mark.parametrize("design", ["fixed", "bernoulli", "pairs", "balanced"])
@pytest.mark.parametrize("method", [difference, ridge])
@pytest.mark.parametrize("active", [0, 10], ids=["no group matters", "ten of fifty do"])
def test_discoveries_at_q_10_percent_are_false_10_percent_of_the_time_or_less(method, design, active):
    false_share, found = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        effects = np.zeros((50, 1))
        effects[:active, 0] = rng.choice([-1, 1], active) * 0.8
        sweep = simulate(design, 200, 50, 1, seed=5000 + seed, effects=effects, noise=1.0)
        if not active:
            sweep = Sweep(sweep.masks, rng.standard_normal((200, 1)), sweep.clusters, effects)
        estimate = method(sweep.masks, sweep.outputs, sweep.clusters)
        q = benjamini_hochberg(p_values(estimate.influence[:, 0], estimate.se[:, 0], estimate.df))
        chosen = q < 0.1
        # under same-size masks the others are below average, which is no false discovery
        wrong = (
            chosen & (effects[:, 0] == 0)
            if design != "fixed"
            else chosen & (sweep.truth[:, 0] * estimate.influence[:, 0] <= 0)
        )
        false_share.append(wrong.sum() / max(chosen.sum(), 1))
        found.append(chosen[:active].mean() if active else 0)
    error = np.std(false_share, ddof=1) / np.sqrt(len(false_share))
    assert np.mean(false_share) < 0.1 + STANDARD_ERRORS * max(error, 1e-9)
    if active:
        assert np.mean(found) > 0.3


@pytest.mark.parametrize(("groups", "m", "sweeps"), [(20, 64, 150), (36, 128, 120), (36, 192, 120), (200, 512, 20)])
def test_orthogonal_masks_give_discoveries_in_5_percent_of_sweeps_where_there_are_no_effects(groups, m, sweeps):
    """A block of the design's matrix, or one and a half: the residual of least squares has few degrees of freedom."""
    has_discovery, covers = [], []
    outputs_of_sweep = 8
    for seed in range(sweeps):
        masks, clusters = orthogonal_masks(groups, m, seed)
        noise = np.random.default_rng(seed).standard_normal((m, outputs_of_sweep))
        estimate = difference(masks, noise, clusters)
        for influence, se in zip(estimate.influence.T, estimate.se.T, strict=True):
            has_discovery.append((benjamini_hochberg(p_values(influence, se, estimate.df)) < 0.05).any())
        low, high = interval(estimate.influence, estimate.se, estimate.df)
        covers.append(((low <= 0) & (high >= 0)).mean())
    assert np.mean(has_discovery) < 0.05 + STANDARD_ERRORS * np.sqrt(0.05 * 0.95 / len(has_discovery))
    assert abs(np.mean(covers) - 0.95) < 0.01


@pytest.mark.parametrize(("groups", "m", "sweeps"), [(20, 128, 100), (36, 128, 100), (200, 512, 20)])
def test_orthogonal_masks_cover_95_percent_of_effects(groups, m, sweeps):
    covers = []
    for seed in range(sweeps):
        masks, clusters = orthogonal_masks(groups, m, seed)
        rng = np.random.default_rng(seed)
        effects = rng.standard_normal((groups, 8))
        noise = np.sqrt(groups * 0.75) * rng.standard_normal((m, 8))
        estimate = difference(masks, masks @ effects + noise, clusters)
        low, high = interval(estimate.influence, estimate.se, estimate.df)
        covers.append(((low <= effects) & (effects <= high)).mean())
    assert abs(np.mean(covers) - 0.95) < 0.01


@pytest.mark.parametrize("method", [difference, ridge])
@pytest.mark.parametrize(("m", "alpha"), [(8, 0.5), (16, 0.5), (32, 0.25), (96, 0.25)])
@pytest.mark.parametrize("chance", [0.5, 0.9])
def test_coin_flips_of_few_models_are_seldom_discoveries(method, m, alpha, chance):
    """An example that a model predicts correctly or not, by chance alone."""
    has_discovery = []
    for seed in range(100):
        sweep = simulate("fixed", m, 36, 1, seed=seed, alpha=alpha)
        flips = (np.random.default_rng([seed, m]).random(m) < chance).astype(float)
        estimate = method(sweep.masks, flips)
        q = benjamini_hochberg(p_values(estimate.influence[:, 0], estimate.se[:, 0], estimate.df))
        has_discovery.append((q < 0.05).any())
    assert np.mean(has_discovery) < 0.05 + STANDARD_ERRORS * np.sqrt(0.05 * 0.95 / 100)


@pytest.mark.parametrize("clusters", [None, np.arange(12) // 2])
def test_a_group_that_separates_few_models_wholly_has_the_error_of_a_score_test(clusters, monkeypatch):
    """Neither arm varies, and no pair differs from another."""
    monkeypatch.setattr("tui_influence.influence.design_effect._MAX_RELATIVE_OVERLAP", 0)
    right = np.arange(12) % 4 < 2 if clusters is None else np.arange(12) % 2 == 0
    estimate = difference(right[:, None], right.astype(float), clusters)
    assert estimate.influence[0] == 1
    error = np.sqrt(12 / 11 * 0.25 * 2 / 6 if clusters is None else 6 * 0.5**2 / 3**2 * 6 / 5 * 11 / 10)
    assert interval(1.0, estimate.se[0, 0], estimate.df)[0] == pytest.approx(1 - norm.ppf(0.975) * error, rel=1e-6)
    # of 924 divisions of twelve models in halves 2 are as extreme, of 64 signs of six pairs 2
    assert p_values(1.0, estimate.se[0, 0], estimate.df) > (2 / 924 if clusters is None else 2 / 64)


@pytest.mark.filterwarnings("error")
def test_an_orthogonal_group_that_separates_few_models_wholly_has_an_error_too():
    right = np.arange(12) % 4 < 2
    estimate = difference(np.column_stack([right, np.arange(12) < 6]), right.astype(float))
    assert 0.1 < estimate.se[0, 0] < 0.35


@pytest.mark.parametrize("design", ["fixed", "pairs"])
@pytest.mark.parametrize("method", [difference, ridge])
def test_an_output_that_is_constant_but_for_rounding_has_no_discoveries(method, design):
    sweep = simulate(design, 12, 36, 1, seed=1)
    estimate = method(sweep.masks, np.full((12, 1), 0.1), sweep.clusters)
    assert (p_values(estimate.influence, estimate.se, estimate.df) > 0.9).all()


def orthogonal_masks(groups: int, m: int, seed: int):
    """Masks and clusters of the program's own `balanced` design."""
    rows = Design("balanced", 0.5, groups, seed).rows(Role.ESTIMATE, m)
    return np.stack([row.mask for row in rows]), np.array([row.cluster for row in rows])


def test_q_values_are_those_of_the_definition():
    p = np.random.default_rng(1).random(40) ** 2
    q = benjamini_hochberg(p)
    ranked = np.sort(p)
    for value, adjusted in zip(p, q, strict=True):
        smallest = min(ranked[j] * 40 / (j + 1) for j in range(40) if ranked[j] >= value)
        assert adjusted == pytest.approx(min(smallest, 1))


@pytest.mark.filterwarnings("error")
def test_q_values_ignore_groups_without_a_p_value():
    p = np.array([0.01, np.nan, 0.04, 0.03])
    np.testing.assert_allclose(benjamini_hochberg(p), [0.03, np.nan, 0.04, 0.04])
    assert benjamini_hochberg(np.array([])).size == 0
    assert np.isnan(benjamini_hochberg(np.array([np.nan]))).all()


@pytest.mark.filterwarnings("error")
def test_p_values_are_students_and_survive_the_extremes():
    from scipy.stats import t

    np.testing.assert_allclose(p_values([1.0, -2.0], [0.5, 0.8], 7), 2 * t.sf([2, 2.5], 7))
    np.testing.assert_allclose(p_values([0.0, 1.0, np.nan], [0.0, 0.0, 1.0], 7), [1, 0, np.nan])
    assert np.isnan(p_values([1.0], [1.0], 0)).all()
