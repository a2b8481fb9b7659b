import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t

from tui_influence.influence import strongest_pairs as module
from tui_influence.influence.difference import difference
from tui_influence.influence.estimate import benjamini_hochberg, p_values
from tui_influence.influence.strongest_pairs import min_detectable_influence, models_needed, strongest_pairs

MODELS, GROUPS, EXAMPLES = 160, 40, 70


@pytest.fixture(params=["independent", "pairs that share a seed"])
def sweep(request):
    rng = np.random.default_rng(0)
    masks = rng.random((MODELS, GROUPS)) < 0.5
    outputs = rng.normal(size=(MODELS, EXAMPLES)).astype(np.float32)
    outputs[:, 5] += 2 * masks[:, 7]
    outputs[:, 6] -= 2 * masks[:, 8]
    clusters = None if request.param == "independent" else np.arange(MODELS) // 2
    return masks, outputs, clusters


def all_at_once(masks, outputs, clusters):
    """All influences; those of independent models by least squares on a group's column, in float64."""
    found = difference(masks, outputs, clusters)
    if clusters is not None:
        return found
    x, y = masks - masks.mean(axis=0), outputs.astype(float) - outputs.mean(axis=0, dtype=float)
    squares = (x * x).sum(axis=0)[:, None]
    slope = x.T @ y / squares
    left = (y * y).sum(axis=0) - slope**2 * squares
    return replace(found, influence=slope, se=np.sqrt(left / (MODELS - 2) / squares), df=MODELS - 2)


def test_a_few_pairs_are_those_that_all_influences_at_once_would_give(sweep, monkeypatch):
    masks, outputs, clusters = sweep
    monkeypatch.setattr(module, "MAX_BLOCK_VALUES", GROUPS * 9)  # blocks of nine examples, the last one smaller
    found = strongest_pairs(masks, lambda columns: outputs[:, columns], EXAMPLES, clusters, max_pairs=30)

    whole = all_at_once(masks, outputs, clusters)
    statistic = whole.influence / whole.se
    for sign, kept in ((1, found.helped), (-1, found.hurt)):
        order = np.argsort(-sign * statistic, axis=None)[:30]
        assert set(zip(kept.group, kept.example, strict=True)) == set(
            zip(*np.unravel_index(order, statistic.shape), strict=True)
        )
        np.testing.assert_allclose(kept.influence, whole.influence[kept.group, kept.example], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(kept.se, whole.se[kept.group, kept.example], rtol=1e-3)


def test_false_discovery_rates_are_never_below_those_over_all_pairs_and_hardly_above(sweep):
    masks, outputs, clusters = sweep
    found = strongest_pairs(masks, lambda columns: outputs[:, columns], EXAMPLES, clusters, max_pairs=50)

    whole = all_at_once(masks, outputs, clusters)
    q = benjamini_hochberg(p_values(whole.influence, whole.se, whole.df).ravel()).reshape(GROUPS, EXAMPLES)
    for kept in (found.helped, found.hurt):
        exact = q[kept.group, kept.example]
        assert (kept.q >= exact * (1 - 1e-3)).all()
        assert (kept.q <= exact * 1.1).all()
    assert found.n_tested == GROUPS * EXAMPLES
    assert found.n_helped == int(((q < 0.05) & (whole.influence > 0)).sum()) > 0
    assert found.n_hurt == int(((q < 0.05) & (whole.influence < 0)).sum()) > 0


def test_groups_that_never_vary_are_not_tested(sweep):
    masks, outputs, clusters = sweep
    masks[:, 3] = True
    found = strongest_pairs(masks, lambda columns: outputs[:, columns], EXAMPLES, clusters)
    assert found.n_tested == (GROUPS - 1) * EXAMPLES
    assert 3 not in found.helped.group


def test_only_the_groups_that_are_asked_about_are_tested_and_keep_their_numbers(sweep):
    masks, outputs, clusters = sweep
    found = strongest_pairs(masks, lambda columns: outputs[:, columns], EXAMPLES, clusters, only=np.array([7, 9]))
    assert found.n_tested == 2 * EXAMPLES
    assert (found.helped.group[0], found.helped.example[0]) == (7, 5)
    assert set(found.helped.group) | set(found.hurt.group) <= {7, 9}


def test_outputs_that_never_change_move_nothing():
    masks = np.random.default_rng(1).random((50, 6)) < 0.5
    found = strongest_pairs(masks, lambda columns: np.zeros((50, 4), np.float32)[:, columns], 4)
    assert (found.n_tested, found.n_helped, found.n_hurt) == (24, 0, 0)


def test_nothing_is_beyond_chance_where_there_is_nothing_to_find():
    rng = np.random.default_rng(2)
    discoveries = 0
    for _ in range(40):
        masks = rng.random((60, 30)) < 0.5
        outputs = rng.normal(size=(60, 30)).astype(np.float32)
        found = strongest_pairs(masks, lambda columns, made=outputs: made[:, columns], 30)
        discoveries += bool(found.n_helped + found.n_hurt)
    assert discoveries <= 7  # at 5% of 40 trials: a probability of 1e-3


def test_the_models_needed_are_enough_to_find_what_explains_half_and_fewer_are_not():
    tests = GROUPS * EXAMPLES
    needed = models_needed(tests)
    found = {}
    for models in (needed, needed // 2):
        rng = np.random.default_rng(3)
        hits = 0
        for _ in range(30):
            masks = rng.random((models, GROUPS)) < 0.5
            outputs = rng.normal(size=(models, EXAMPLES)).astype(np.float32)
            outputs[:, 0] = masks[:, 0] + 0.5 * rng.normal(size=models)
            pairs = strongest_pairs(masks, lambda columns, made=outputs: made[:, columns], EXAMPLES, max_pairs=1)
            hits += bool(pairs.helped.q[0] < 0.05 and pairs.helped.group[0] == 0)
        found[models] = hits
    assert found[needed] >= 9
    assert found[needed // 2] <= 3


@pytest.mark.parametrize("tests", [0, 1, 20, 1000, 10**6])
def test_the_models_needed_are_the_fewest_that_tell_what_explains_half(tests):
    """Its t statistic, sqrt(models - 2), against Student's quantile at 5% shared among all tests, two-sided."""
    needed = models_needed(tests)
    enough = [np.sqrt(m - 2) > t.isf(0.05 / (2 * max(tests, 1)), m - 2) for m in (needed - 1, needed)]
    assert enough == [False, True]


def test_the_smallest_influence_found_is_that_of_a_two_sample_comparison():
    """Students' quantiles of 5% shared among all tests and of four in five, in standard errors of the difference."""
    arms = np.sqrt(1 / (0.2 * 50) + 1 / (0.8 * 50))
    expected = (t.isf(0.05 / 14, 48) + t.ppf(0.8, 48)) * 3.0 * arms
    assert min_detectable_influence(7, 3.0, 50, 0.2) == pytest.approx(expected)
    assert min_detectable_influence(0, 1.0, 50) == min_detectable_influence(1, 1.0, 50)
    assert np.isfinite(min_detectable_influence(1, 1.0, 3))


@pytest.mark.parametrize("keep", [1, 7])
def test_pairs_are_ordered_by_how_sure_they_are_and_equal_ones_by_group_and_example(keep, monkeypatch):
    masks = np.random.default_rng(5).random((60, 4)) < 0.5
    output = np.random.default_rng(6).normal(size=60).astype(np.float32)
    outputs = np.repeat(output[:, None], 6, axis=1)  # every example alike
    monkeypatch.setattr(module, "MAX_BLOCK_VALUES", 4 * 2)
    found = strongest_pairs(masks, lambda columns: outputs[:, columns], 6, max_pairs=keep)
    whole = difference(masks, outputs, pooled=True)
    statistic = whole.influence / whole.se
    for sign, kept in ((1, found.helped), (-1, found.hurt)):
        sure = [(group, example) for group in np.argsort(-sign * statistic[:, 0]) for example in range(6)]
        expected = [pair for pair in sure if sign * statistic[pair] > 0][:keep]
        assert list(zip(kept.group.tolist(), kept.example.tolist(), strict=True)) == expected
        np.testing.assert_allclose(kept.influence, [whole.influence[pair] for pair in expected], rtol=1e-4)


def test_an_influence_without_any_error_is_the_surest_there_is(monkeypatch):
    monkeypatch.setattr("tui_influence.influence.difference._FEW_MODELS", 0)  # discrete outputs have an error otherwise
    masks = np.random.default_rng(5).random((60, 4)) < 0.5
    outputs = np.stack([masks[:, 2], np.random.default_rng(6).normal(size=60)], axis=1).astype(np.float32)
    found = strongest_pairs(masks, lambda columns: outputs[:, columns], 2, max_pairs=2)
    assert (found.helped.group[0], found.helped.example[0]) == (2, 0)
    assert found.helped.q[0] < 1e-30
    assert found.n_helped == 1
    assert found.n_hurt == 0


@pytest.mark.parametrize("sign", [1, -1])
def test_an_influence_whose_error_is_nought_is_sure_in_both_directions(sign, monkeypatch):
    monkeypatch.setattr("tui_influence.influence.difference._FEW_MODELS", 0)
    masks = np.stack([np.arange(64) % 2 == 0, np.arange(64) % 4 < 2], axis=1)
    outputs = np.float32(sign) * masks[:, :1].astype(np.float32)
    found = strongest_pairs(masks, lambda columns: outputs[:, columns], 1, max_pairs=2)
    side = found.helped if sign > 0 else found.hurt
    assert (side.group[0], side.se[0], side.influence[0]) == (0, 0, sign)
    assert side.q[0] < 1e-30
    assert (found.n_helped, found.n_hurt) == ((1, 0) if sign > 0 else (0, 1))


def test_what_may_not_be_found_is_tested_as_if_it_were_nothing(sweep):
    masks, outputs, clusters = sweep
    whole = strongest_pairs(masks, lambda columns: outputs[:, columns], EXAMPLES, clusters)
    counted = []

    def only_the_first_example(columns, influence):
        counted.append(influence.shape)
        allowed = np.zeros(influence.shape, dtype=bool)
        allowed[:, np.arange(columns.start, columns.stop) == 5] = True
        return allowed

    found = strongest_pairs(
        masks, lambda columns: outputs[:, columns], EXAMPLES, clusters, is_eligible=only_the_first_example
    )
    assert found.n_tested == whole.n_tested
    assert set(found.helped.example.tolist()) == {5}
    assert (found.n_helped, found.n_hurt) == (1, 0)
    assert counted == [(GROUPS, EXAMPLES)]


def test_a_level_is_the_false_discovery_rate_below_which_a_pair_counts(sweep):
    masks, outputs, clusters = sweep
    all_ = strongest_pairs(masks, lambda columns: outputs[:, columns], EXAMPLES, clusters, max_pairs=10**6)
    for level in (1e-30, 1e-3, 0.9):
        found = strongest_pairs(masks, lambda columns: outputs[:, columns], EXAMPLES, clusters, level=level)
        assert found.n_helped == (all_.helped.q < level).sum()
        assert found.n_hurt == (all_.hurt.q < level).sum()


def test_more_models_and_fewer_pairs_find_smaller_influences():
    assert min_detectable_influence(1000, 1.0, 400) < min_detectable_influence(1000, 1.0, 100)
    assert min_detectable_influence(1000, 1.0, 400) < min_detectable_influence(1_000_000, 1.0, 400)
    assert min_detectable_influence(1000, 1.0, 2) == float("inf")


def test_memory_does_not_grow_with_the_examples_where_groups_are_very_many(monkeypatch):
    """A block of influences at a time, however many there are."""
    groups, models = 50_000, 48
    rng = np.random.default_rng(0)
    masks = rng.random((models, groups)) < 0.5
    outputs = rng.normal(size=(models, 800)).astype(np.float32)
    outputs[:, 613] += 6 * masks[:, 40_000]
    monkeypatch.setattr(module, "MAX_BLOCK_VALUES", 40 * groups)
    tracemalloc.start()
    peaks = []
    for examples in (200, 800):
        tracemalloc.reset_peak()
        found = strongest_pairs(masks, lambda columns: outputs[:, columns], examples)
        peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    assert found.n_tested == groups * 800
    assert (found.helped.group[0], found.helped.example[0]) == (40_000, 613)
    assert peaks[1] < 1.2 * peaks[0]


@pytest.mark.parametrize("share", [0.5, 0.2, 0.1])
def test_an_influence_that_is_said_to_be_found_four_times_in_five_is(share):
    models, groups, found = 400, 12, 0
    effect = min_detectable_influence(groups, 1.0, models, share)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        masks = rng.random((models, groups)) < share
        outputs = (rng.normal(size=models) + effect * masks[:, 3]).astype(np.float32)[:, None]
        pairs = strongest_pairs(masks, lambda columns, outputs=outputs: outputs[:, columns], 1)
        found += any(group == 3 and q < 0.05 for group, q in zip(pairs.helped.group, pairs.helped.q, strict=True))
    assert 0.65 < found / 60 < 0.95
