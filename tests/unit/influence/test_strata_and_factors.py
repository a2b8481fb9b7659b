"""What is compared with what, and the directions in which masks vary: against loops and numpy's own decompositions."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from simulated_sweeps import simulate
from slow_reference import within_clusters

from tui_influence.influence import design_effect, factors
from tui_influence.influence.design_effect import better_than_random
from tui_influence.influence.difference import difference
from tui_influence.influence.estimate import group_counts, interval, same_size_masks, t_quantile
from tui_influence.influence.factors import factorise, gram, gram_columns
from tui_influence.influence.strata import cluster_labels, pairs_within, seed_strata

DOUBLE = np.dtype(np.float64)
some_clusters = st.lists(st.integers(-3, 6), min_size=1, max_size=30).map(np.array)


@given(some_clusters)
def test_clusters_are_numbered_from_zero_unless_every_model_is_alone(clusters):
    labels = cluster_labels(clusters, len(clusters))
    distinct = np.unique(clusters)
    if len(distinct) == len(clusters):
        assert labels is None
    else:
        assert np.array_equal(distinct[labels], clusters)


def test_clusters_of_another_number_of_models_are_refused():
    with pytest.raises(ValueError, match="do not fit 3 models"):
        cluster_labels(np.zeros(4, dtype=int), 3)


@given(some_clusters)
def test_every_pair_of_a_cluster_is_listed_once(clusters):
    first, second = pairs_within(np.unique(clusters, return_inverse=True)[1])
    listed = [tuple(sorted(pair)) for pair in zip(first.tolist(), second.tolist(), strict=True)]
    assert sorted(listed) == [(a, b) for a, b in combinations(range(len(clusters)), 2) if clusters[a] == clusters[b]]


@given(some_clusters, st.data())
def test_models_are_centred_within_their_cluster_and_those_alone_among_each_other(clusters, data):
    m = len(clusters)
    values = data.draw(arrays.arrays(np.float64, (m, 2), elements=st.integers(-9, 9).map(float)))
    strata = seed_strata(clusters, m)
    expected, rows = within_clusters(values, clusters)
    np.testing.assert_allclose(strata.centred(values), expected, atol=1e-12)
    assert strata.rows == rows
    sums = strata.sums(values)
    for label, size in enumerate(strata.sizes):
        members = strata.labels == label
        assert members.sum() == size
        np.testing.assert_allclose(sums[label], values[members].sum(axis=0))
        assert set(strata.order[strata.starts[label] :][:size]) == set(np.flatnonzero(members))


def swept(design, m, groups=7, seed=3):
    """Masks and clusters; of an odd number of models, the other one of the last pair failed."""
    sweep = simulate(design, m + m % 2, groups, 1, seed=seed, alpha=0.4 if design == "bernoulli" else 0.5)
    return sweep.masks[:m], None if sweep.clusters is None else sweep.clusters[:m]


@pytest.mark.parametrize("design", ["fixed", "bernoulli", "pairs"])
@pytest.mark.parametrize("m", [5, 41])
def test_the_gram_matrix_is_that_of_the_centred_masks(design, m):
    masks, clusters = swept(design, m)
    x = within_clusters(masks, np.zeros(len(masks)) if clusters is None else clusters)[0]
    strata = seed_strata(clusters, len(masks))
    np.testing.assert_allclose(gram(masks, strata), x.T @ x, atol=1e-9)
    columns = np.array([0, 4, 6])
    product, lengths = gram_columns(masks, strata, columns)
    np.testing.assert_allclose(product, (x.T @ x)[:, columns], atol=1e-4)
    np.testing.assert_allclose(lengths, (x * x).sum(axis=0), atol=1e-4)


@pytest.mark.parametrize("exact", [2**24, 1])
def test_the_gram_matrix_is_exact_however_many_models_there_are(monkeypatch, exact):
    monkeypatch.setattr(factors, "_EXACT_IN_FLOAT32", exact)
    masks, _ = swept("bernoulli", 200)
    x = masks - masks.mean(axis=0)
    np.testing.assert_allclose(gram(masks, seed_strata(None, 200)), x.T @ x, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("design", ["fixed", "bernoulli", "pairs"])
@pytest.mark.parametrize("m", [6, 7, 8, 40])
def test_factors_are_the_singular_values_and_vectors_of_the_centred_masks(design, m):
    masks, clusters = swept(design, m)
    found = factorise(masks, clusters, DOUBLE)
    x = within_clusters(masks, np.zeros(len(masks)) if clusters is None else clusters)[0][:, found.varies]
    values = np.linalg.svd(x, compute_uv=False)
    values = np.sort(values[values > 1e-6])
    np.testing.assert_allclose(np.sqrt(found.squares), values, rtol=1e-6)
    np.testing.assert_allclose(found.vectors.T @ found.vectors, np.eye(len(values)), atol=1e-6)
    np.testing.assert_allclose((x @ found.vectors * (x @ found.vectors)).sum(axis=0), found.squares, rtol=1e-6)
    assert found.is_relative == np.allclose(x.sum(axis=1), 0)
    # what is left of each group's unit vector outside of V and, of masks of one size, outside of the ones
    count = x.shape[1]
    outside = np.eye(count) - found.vectors @ found.vectors.T - (1 / count if found.is_relative else 0)
    np.testing.assert_allclose(found.unidentified, np.diag(outside), atol=1e-6)
    y = np.random.default_rng(0).normal(size=(len(masks), 2))
    y = found.strata.centred(y)
    left = x @ found.vectors / np.sqrt(found.squares)
    np.testing.assert_allclose(found.rotate(y), left.T @ y, atol=1e-9)


def test_the_scale_turns_relative_to_all_into_relative_to_the_others():
    fixed, _ = swept("fixed", 40)
    free, _ = swept("bernoulli", 40)
    assert factorise(fixed, None, DOUBLE).scale == pytest.approx(7 / 6)
    assert factorise(free, None, DOUBLE).scale == 1


@pytest.mark.parametrize("sizes", [(2, 3, 3), (3, 3, 2), (3, 2, 3)])
def test_masks_are_relative_only_where_all_of_a_cluster_have_one_size(sizes):
    masks = np.array([np.arange(5) < size for size in sizes])
    assert not factorise(masks, None, DOUBLE).is_relative
    masks = np.stack([masks, masks[:, ::-1]], axis=1).reshape(6, 5)  # pairs of one size each
    assert factorise(masks, np.arange(6) // 2, DOUBLE).is_relative
    assert not factorise(masks, None, DOUBLE).is_relative


def test_masks_that_never_vary_have_no_directions():
    found = factorise(np.ones((5, 3), dtype=bool), None, DOUBLE)
    assert (found.varies.tolist(), found.squares.size, found.unidentified.size) == ([False] * 3, 0, 0)
    assert not found.is_relative
    # a group that varies between clusters, but never within one, cannot be told from what the clusters share
    masks = np.array([[1, 0], [1, 1], [0, 0], [0, 1]], dtype=bool)
    assert factorise(masks, np.array([0, 0, 1, 1]), DOUBLE).varies.tolist() == [False, True]


def test_masks_of_one_size_are_told_from_others():
    assert same_size_masks(np.array([[1, 0, 1], [0, 1, 1]], dtype=bool))
    assert not same_size_masks(np.array([[1, 0, 1], [0, 1, 0]], dtype=bool))
    assert not same_size_masks(np.zeros((0, 3), dtype=bool))
    masks = np.array([[1, 0, 1], [0, 0, 1], [0, 0, 1]], dtype=bool)
    with_, without = group_counts(masks)
    assert (with_.tolist(), without.tolist()) == ([1, 0, 3], [2, 3, 0])


def test_an_interval_is_as_wide_as_students_quantile_says():
    from scipy.stats import t

    low, high = interval(np.array([1.0, -2.0]), np.array([0.5, 0.25]), 7, level=0.9)
    np.testing.assert_allclose(high - np.array([1.0, -2.0]), t.ppf(0.95, 7) * np.array([0.5, 0.25]))
    np.testing.assert_allclose(np.array([1.0, -2.0]) - low, t.ppf(0.95, 7) * np.array([0.5, 0.25]))
    assert interval(0.0, 1.0, 7)[1] == pytest.approx(t.ppf(0.975, 7))
    assert np.isnan(t_quantile(0.975, 0))
    assert t_quantile(0.975, 0.5) == pytest.approx(t.ppf(0.975, 0.5))


@pytest.mark.parametrize("design", ["balanced", "pairs", "bernoulli"])
@pytest.mark.parametrize("groups", [12, 40])
def test_masks_are_better_than_random_where_their_columns_overlap_less(design, groups):
    """Judged by all columns here: the overlap of each with the others, over that of as many random ones."""
    masks, clusters = swept(design, 256, groups)
    x = within_clusters(masks, np.zeros(256) if clusters is None else clusters)[0]
    product = x.T @ x
    own = np.diag(product)
    overlap = ((product**2).sum(axis=0) / own - own).sum()
    random = ((own.sum() - own) / seed_strata(clusters, 256).rows).sum()
    assert better_than_random(masks, seed_strata(clusters, 256)) == (overlap < 0.9 * random)
    assert better_than_random(masks, seed_strata(clusters, 256)) == (design == "balanced")


def test_a_single_column_or_none_is_no_better_than_random():
    assert not better_than_random(np.ones((8, 3), dtype=bool), seed_strata(None, 8))
    one = np.zeros((8, 3), dtype=bool)
    one[:4, 0] = True
    assert not better_than_random(one, seed_strata(None, 8))
    # two orthogonal columns are
    one[[0, 1, 4, 5], 1] = True
    assert better_than_random(one, seed_strata(None, 8))


@pytest.mark.parametrize("m", [3, 4, 5])
def test_a_correction_takes_a_residual_of_least_squares(m):
    masks = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1], [0, 0, 0], [1, 0, 1]], dtype=bool)[:m]
    effect = design_effect.DesignEffect.of(masks, None, DOUBLE)
    assert (effect is None) == (m < 5)
    assert effect is None or effect.residual_df == 1
    assert design_effect.DesignEffect.of(masks[:, :1], None, DOUBLE) is None


@pytest.mark.parametrize(("m", "groups"), [(96, 12), (72, 32)])
def test_variances_are_corrected_by_the_residual_of_least_squares(m, groups):
    sweep = simulate("balanced", m, groups, 3, seed=2)
    x, rows = within_clusters(sweep.masks, sweep.clusters)
    y, _ = within_clusters(sweep.outputs, sweep.clusters)
    product = x.T @ x
    residual_df = rows - groups
    noise = np.square(y - x @ np.linalg.lstsq(x, y, rcond=None)[0]).sum(axis=0) / residual_df
    weight = residual_df**2 / (residual_df**2 + 16)
    masks = np.column_stack([sweep.masks, np.ones(m, dtype=bool)])
    effect = design_effect.DesignEffect.of(masks, sweep.clusters, DOUBLE)
    influence = (x.T @ y) / np.diag(product)[:, None]
    padded = np.concatenate([influence, np.full((1, 3), np.nan)])
    ratio, null_ratio = effect.ratios(sweep.outputs, padded)
    for k in range(groups):
        others = sum(product[k, other] ** 2 for other in range(groups) if other != k) / product[k, k]
        overlap = others / ((np.trace(product) - product[k, k]) / rows)
        for j in range(3):
            total = y[:, j] @ y[:, j]
            of_noise = weight * noise[j] + (1 - weight) * total / rows
            without = (total - product[k, k] * influence[k, j] ** 2) / (rows - 1)
            expected = (1 - overlap) * of_noise / without + overlap
            assert ratio[k, j] == pytest.approx(expected, rel=1e-6)
            assert null_ratio[k, j] == pytest.approx((1 - overlap) * of_noise * rows / total + overlap, rel=1e-6)
    assert (ratio[groups] == 1).all()
    some = np.array([3, 1])
    np.testing.assert_allclose(effect.of_groups(some).ratios(sweep.outputs, padded[some])[0], ratio[some])


def test_degrees_of_freedom_lie_between_those_of_the_residual_and_of_all_rows():
    for m, groups in ((96, 12), (128, 12), (72, 32), (1024, 60)):
        sweep = simulate("balanced", m, groups, 1, seed=2)
        effect = design_effect.DesignEffect.of(sweep.masks, sweep.clusters, DOUBLE)
        assert m // 2 - groups <= effect.df <= m // 2
    whole_blocks = simulate("balanced", 1024, 60, 1, seed=2)
    effect = design_effect.DesignEffect.of(whole_blocks.masks, whole_blocks.clusters, DOUBLE)
    assert difference(whole_blocks.masks, whole_blocks.outputs, whole_blocks.clusters).df == effect.df
