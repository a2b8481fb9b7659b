"""The fast estimators against their formulas, to stated tolerances."""

import numpy as np
import pytest
from scipy.stats import linregress, ttest_ind
from simulated_sweeps import simulate
from slow_reference import slow_difference, slow_ridge, within_clusters

from tui_influence.influence import design_effect
from tui_influence.influence import difference as difference_module
from tui_influence.influence import factors as factors_module
from tui_influence.influence import ridge as ridge_module
from tui_influence.influence.difference import ConstantGroupError, difference
from tui_influence.influence.outputs import OutputMatrix
from tui_influence.influence.ridge import ridge, ridge_coefficients

EXACT = {"rtol": 1e-9, "atol": 1e-11}
SINGLE = 2e-5  # of the largest value, in float32


def one_pair_short(sweep):
    """Two models failed: two pairs are incomplete."""
    kept = np.ones(len(sweep.masks), dtype=bool)
    kept[[3, 10]] = False
    return sweep.kept(kept)


@pytest.mark.parametrize("design", ["fixed", "bernoulli"])
def test_difference_is_the_difference_of_means_with_welchs_error(design):
    sweep = simulate(design, 60, 12, 5, seed=1, alpha=0.25)
    estimate = difference(sweep.masks, sweep.outputs)
    influence, se = slow_difference(sweep.masks, sweep.outputs)
    np.testing.assert_allclose(estimate.influence, influence, **EXACT)
    np.testing.assert_allclose(estimate.se, se, **EXACT)


@pytest.mark.parametrize("sizes", [(2, 58), (15, 45), (30, 30)])
def test_degrees_of_freedom_are_welchs_for_arms_of_equal_spread(sizes, monkeypatch):
    """scipy's, of two samples with the same standard deviation; over groups, intervals are right on average."""
    monkeypatch.setattr(design_effect, "_MAX_RELATIVE_OVERLAP", 0)
    masks = np.arange(60)[:, None] < np.array(sizes)
    each = []
    for with_ in sizes:
        arms = [
            np.resize([-1.0, 1.0], count) / np.resize([-1.0, 1.0], count).std(ddof=1) for count in (with_, 60 - with_)
        ]
        each.append(ttest_ind(*arms, equal_var=False).df)
    assert difference(masks, np.arange(60.0)).df == pytest.approx(2 / sum(1 / df for df in each))
    assert difference(masks, np.arange(60.0), pooled=True).df == 58


def test_a_group_of_one_model_has_no_part_in_the_degrees_of_freedom():
    masks = np.arange(12)[:, None] < np.array([1, 11, 6])
    constant = np.column_stack([masks, np.ones(12, dtype=bool), np.zeros(12, dtype=bool)])
    assert difference(constant, np.arange(12.0)).df == difference(masks, np.arange(12.0)).df
    assert difference(masks, np.arange(12.0)).df == pytest.approx(difference(masks[:, 2:], np.arange(12.0)).df)
    assert difference(masks[:, :2], np.arange(12.0)).df == 0
    estimate = difference(masks, np.arange(12.0))
    assert np.isfinite(estimate.influence).all()
    assert np.isnan(estimate.se[:, 0]).tolist() == [True, True, False]


@pytest.mark.parametrize("m", [2, 3, 20])
def test_a_pooled_error_is_that_of_least_squares_on_the_groups_column(m):
    rng = np.random.default_rng(1)
    masks = rng.random((m, 5)) < 0.4
    masks[0], masks[1] = True, False
    outputs = rng.normal(size=(m, 3))
    estimate = difference(masks, outputs, pooled=True)
    assert estimate.df == m - 2
    for k in range(5):
        for j in range(3):
            fit = linregress(masks[:, k], outputs[:, j])
            assert estimate.influence[k, j] == pytest.approx(fit.slope)
            assert estimate.se[k, j] == pytest.approx(fit.stderr if m > 2 else np.nan, nan_ok=True)


@pytest.mark.parametrize("clusters", [np.arange(30) // 2, np.arange(30) // 3, np.arange(30) % 2, np.zeros(30, int)])
def test_clusters_of_any_size_have_the_cluster_robust_error(clusters, monkeypatch):
    monkeypatch.setattr(design_effect, "_MAX_RELATIVE_OVERLAP", 0)
    sweep = simulate("bernoulli", 30, 5, 2, seed=2)
    masks = np.column_stack([sweep.masks, np.arange(30) == 7])  # one model alone: its residual is zero by construction
    estimate = difference(masks, sweep.outputs, clusters)
    assert estimate.df == len(np.unique(clusters)) - 1
    assert np.isnan(estimate.se[5]).all()
    if estimate.df:
        np.testing.assert_allclose(estimate.se[:5], slow_difference(masks, sweep.outputs, clusters)[1][:5], **EXACT)
    else:
        assert np.isnan(estimate.se).all()


@pytest.mark.parametrize("failed", [False, True], ids=["complete", "models failed"])
def test_difference_with_pairs_has_the_cluster_robust_error(monkeypatch, failed):
    monkeypatch.setattr(design_effect, "_MAX_RELATIVE_OVERLAP", 0)
    sweep = simulate("pairs", 60, 12, 5, seed=2)
    sweep = one_pair_short(sweep) if failed else sweep
    estimate = difference(sweep.masks, sweep.outputs, sweep.clusters)
    influence, se = slow_difference(sweep.masks, sweep.outputs, sweep.clusters)
    np.testing.assert_allclose(estimate.influence, influence, **EXACT)
    np.testing.assert_allclose(estimate.se, se, **EXACT)
    assert estimate.df == 29


@pytest.mark.parametrize("design", ["fixed", "bernoulli", "pairs"])
def test_random_masks_are_not_taken_for_orthogonal(design):
    sweep = simulate(design, 400, 36, 1, seed=2)
    assert design_effect.DesignEffect.of(sweep.masks, sweep.clusters, np.dtype(np.float64)) is None


def test_one_row_is_that_row():
    sweep = simulate("balanced", 200, 12, 5, seed=2)
    whole = difference(sweep.masks, sweep.outputs, sweep.clusters)
    row = difference(sweep.masks, sweep.outputs, sweep.clusters, only=np.array([3]))
    np.testing.assert_allclose(row.influence[0], whole.influence[3], rtol=1e-12)
    np.testing.assert_allclose(row.se[0], whole.se[3], rtol=1e-12)


def test_large_clusters_give_the_same_formula_as_pairs():
    sweep = simulate("bernoulli", 90, 6, 3, seed=3)
    clusters = np.arange(90) % 4
    estimate = difference(sweep.masks, sweep.outputs, clusters)
    np.testing.assert_allclose(estimate.se, slow_difference(sweep.masks, sweep.outputs, clusters)[1], **EXACT)


def test_clusters_of_one_model_are_independent_models():
    sweep = simulate("bernoulli", 40, 6, 3, seed=4)
    alone = difference(sweep.masks, sweep.outputs, np.arange(40)[::-1])
    np.testing.assert_array_equal(alone.se, difference(sweep.masks, sweep.outputs).se)


@pytest.mark.parametrize("design", ["fixed", "bernoulli", "pairs", "balanced"])
@pytest.mark.parametrize("m", [64, 10], ids=["more models than groups", "fewer"])
def test_ridge_is_its_formulas(design, m):
    sweep = simulate(design, m, 14, 3, seed=5, noise=0.5)
    if sweep.clusters is not None and m > 10:
        sweep = one_pair_short(sweep)
    varies = (sweep.masks.any(axis=0)) & (~sweep.masks.all(axis=0))
    assert varies.all()
    estimate = ridge(sweep.masks, sweep.outputs, sweep.clusters)
    influence, se = slow_ridge(sweep.masks, sweep.outputs, sweep.clusters)
    np.testing.assert_allclose(estimate.influence, influence, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(estimate.se, se, rtol=1e-6)


@pytest.mark.parametrize("penalty", [0.3, 30.0])
@pytest.mark.parametrize("clusters", [None, np.arange(40) // 2])
def test_degrees_of_freedom_of_ridge_are_the_rows_less_the_trace_of_the_hat_matrix(penalty, clusters):
    sweep = simulate("bernoulli", 40, 6, 3, seed=5)
    estimate = ridge(sweep.masks, sweep.outputs, clusters, penalty=penalty)
    x, rows = within_clusters(sweep.masks, np.zeros(40) if clusters is None else clusters)
    hat = x @ np.linalg.inv(x.T @ x + penalty * np.eye(6)) @ x.T
    assert estimate.df == pytest.approx(rows - np.trace(hat))
    assert estimate.penalty.tolist() == [penalty] * 3


def test_the_penalty_of_each_output_is_its_own_and_the_degrees_of_freedom_their_median():
    sweep = simulate("bernoulli", 40, 6, 3, seed=5)
    noise = np.random.default_rng(0).normal(size=(40, 1))
    outputs = np.column_stack([sweep.masks @ sweep.effects[:, 0], noise[:, 0], sweep.outputs[:, 0]])
    together = ridge(sweep.masks, outputs)
    alone = [ridge(sweep.masks, outputs[:, j]) for j in range(3)]
    np.testing.assert_allclose(together.penalty, [one.penalty[0] for one in alone])
    assert together.penalty[0] < together.penalty[2] < together.penalty[1]
    assert together.df == pytest.approx(np.median([one.df for one in alone]))


@pytest.mark.parametrize(("m", "is_known"), [(2, False), (3, True)])
def test_ridge_takes_three_models_that_can_be_compared(m, is_known):
    masks = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 0]], dtype=bool)[:m]
    estimate = ridge(masks, np.array([1.0, 2.0, 4.0])[:m])
    assert np.isfinite(estimate.influence).all() == np.isfinite(estimate.se).all() == is_known
    assert estimate.is_relative
    # of three, two share a seed: one comparison is left, of two of them, and one model alone
    assert np.isnan(ridge(np.eye(3, dtype=bool), np.arange(3.0), np.array([0, 0, 1])).influence).all()


@pytest.mark.parametrize("design", ["fixed", "balanced"])
@pytest.mark.parametrize("method", [difference, ridge])
def test_float32_agrees_with_float64(monkeypatch, design, method):
    sweep = simulate(design, 400, 50, 30, seed=6)
    double = method(sweep.masks, sweep.outputs, sweep.clusters)
    monkeypatch.setattr(factors_module, "_CHEAP_PRODUCT", 0)
    single = method(sweep.masks, sweep.outputs, sweep.clusters)
    assert (double.influence.dtype, single.influence.dtype) == (np.float64, np.float32)
    for fast, exact in ((single.influence, double.influence), (single.se, double.se)):
        np.testing.assert_allclose(fast, exact, rtol=0, atol=SINGLE * np.abs(exact).max())


def test_blocks_of_a_float16_memory_map_give_what_the_whole_matrix_gives(tmp_path, monkeypatch):
    sweep = simulate("pairs", 50, 8, 37, seed=7)
    np.save(tmp_path / "margins.npy", sweep.outputs.astype(np.float16))
    margins = np.load(tmp_path / "margins.npy", mmap_mode="r")
    whole = [method(sweep.masks, margins.astype(np.float64), sweep.clusters) for method in (difference, ridge)]
    monkeypatch.setattr(difference_module, "COLUMN_BLOCK", 10)
    monkeypatch.setattr(ridge_module, "COLUMN_BLOCK", 10)
    blocks = [method(sweep.masks, OutputMatrix(margins), sweep.clusters) for method in (difference, ridge)]
    for one, other in zip(whole, blocks, strict=True):
        np.testing.assert_allclose(one.influence, other.influence, rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(one.se, other.se, rtol=1e-9)


@pytest.mark.parametrize(("m", "groups"), [(80, 12), (10, 14)])
def test_the_short_way_to_ridge_coefficients_is_the_long_way(m, groups):
    sweep = simulate("pairs", m, groups, 1, seed=8)
    long = ridge(sweep.masks, sweep.outputs, sweep.clusters, penalty=3.0)
    assert long.penalty == [3.0]
    short = ridge_coefficients(sweep.masks, sweep.outputs[:, 0], sweep.clusters, 3.0)
    np.testing.assert_allclose(short, long.influence[:, 0], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("method", [difference, ridge])
def test_a_group_that_does_not_vary_is_undefined_and_leaves_the_others_alone(method):
    sweep = simulate("bernoulli", 40, 6, 2, seed=9)
    masks = np.column_stack([sweep.masks, np.ones(40, dtype=bool), np.zeros(40, dtype=bool)])
    estimate = method(masks, sweep.outputs)
    alone = method(sweep.masks, sweep.outputs)
    assert np.isnan(estimate.influence[6:]).all()
    assert np.isnan(estimate.se[6:]).all()
    assert estimate.n_with[6:].tolist() == [40, 0]
    assert estimate.n_without[6:].tolist() == [0, 40]
    np.testing.assert_allclose(estimate.influence[:6], alone.influence)
    np.testing.assert_allclose(estimate.se[:6], alone.se)


def test_strict_refuses_a_group_that_does_not_vary():
    sweep = simulate("bernoulli", 40, 6, 2, seed=9)
    with pytest.raises(ConstantGroupError, match=r"group 6$"):
        difference(np.column_stack([sweep.masks, np.ones(40, dtype=bool)]), sweep.outputs, strict=True)
    with pytest.raises(ConstantGroupError, match=r"group 6$"):
        difference(np.column_stack([sweep.masks, np.zeros(40, dtype=bool)]), sweep.outputs, strict=True)
    many = np.column_stack([sweep.masks, np.ones((40, 11), dtype=bool)])
    with pytest.raises(ConstantGroupError, match=r"group 6, 7, 8, 9, 10, 11, 12, 13, 14, 15$"):
        difference(many, sweep.outputs, strict=True)
    alone = np.column_stack([sweep.masks, np.arange(40) == 3, np.arange(40) != 3])
    assert difference(alone, sweep.outputs, strict=True).n_with[6:].tolist() == [1, 39]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", [difference, ridge])
@pytest.mark.parametrize("m", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("paired", [False, True])
def test_a_handful_of_models_gives_nan_and_no_warning(method, m, paired):
    sweep = simulate("pairs", 4, 6, 2, seed=10)
    estimate = method(sweep.masks[:m], sweep.outputs[:m], sweep.clusters[:m] if paired else None)
    assert estimate.influence.shape == (6, 2)
    assert (estimate.n_with + estimate.n_without == m).all()
    if m < 2:
        assert np.isnan(estimate.influence).all()
    if m < 3:
        assert np.isnan(estimate.se).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", [difference, ridge])
def test_an_output_that_never_changes_has_no_influence_and_no_error(method):
    sweep = simulate("bernoulli", 40, 6, 1, seed=11)
    estimate = method(sweep.masks, np.full((40, 1), 2.5))
    np.testing.assert_allclose(estimate.influence, 0, atol=1e-12)
    np.testing.assert_allclose(estimate.se, 0, atol=1e-12)


@pytest.mark.parametrize("method", [difference, ridge])
def test_same_size_masks_make_influences_sum_to_zero_and_other_masks_do_not(method):
    effects = np.full((20, 1), 1.0) + np.linspace(0, 1, 20)[:, None]
    fixed = simulate("fixed", 300, 20, 1, seed=12, effects=effects, noise=0.1)
    estimate = method(fixed.masks, fixed.outputs)
    assert estimate.is_relative
    # exact for ridge; for the difference up to how often each group was drawn
    assert abs(estimate.influence.mean()) < (1e-9 if method is ridge else 0.05)
    bernoulli = simulate("bernoulli", 300, 20, 1, seed=12, effects=effects, noise=0.1)
    absolute = method(bernoulli.masks, bernoulli.outputs)
    assert not absolute.is_relative
    assert absolute.influence.mean() == pytest.approx(1.5, abs=0.25)


@pytest.mark.parametrize("models", [2, 6])
def test_ridge_has_no_interval_where_nothing_can_be_compared(models):
    """Too few models, or none that differ in their groups."""
    estimate = ridge(np.ones((models, 4), bool), np.arange(float(models)))
    assert np.isnan(estimate.influence).all()
    assert np.isnan(estimate.se).all()
    assert estimate.df == 0
