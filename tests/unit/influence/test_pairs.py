import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from tui_influence.influence import pairs as module
from tui_influence.influence.difference import difference
from tui_influence.influence.fdr import benjamini_hochberg, p_values
from tui_influence.influence.pairs import models_needed, smallest_found, strongest_pairs

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
    monkeypatch.setattr(module, "MOST_VALUES", GROUPS * 9)  # blocks of nine examples, the last one smaller
    found = strongest_pairs(masks, lambda columns: outputs[:, columns], EXAMPLES, clusters, keep=30)

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
    found = strongest_pairs(masks, lambda columns: outputs[:, columns], EXAMPLES, clusters, keep=50)

    whole = all_at_once(masks, outputs, clusters)
    q = benjamini_hochberg(p_values(whole.influence, whole.se, whole.df).ravel()).reshape(GROUPS, EXAMPLES)
    for kept in (found.helped, found.hurt):
        exact = q[kept.group, kept.example]
        assert (kept.q >= exact * (1 - 1e-3)).all()
        assert (kept.q <= exact * 1.1).all()
    assert found.tested == GROUPS * EXAMPLES
    assert found.n_helped == int(((q < 0.05) & (whole.influence > 0)).sum()) > 0
    assert found.n_hurt == int(((q < 0.05) & (whole.influence < 0)).sum()) > 0


def test_groups_that_never_vary_are_not_tested(sweep):
    masks, outputs, clusters = sweep
    masks[:, 3] = True
    found = strongest_pairs(masks, lambda columns: outputs[:, columns], EXAMPLES, clusters)
    assert found.tested == (GROUPS - 1) * EXAMPLES
    assert 3 not in found.helped.group


def test_only_the_groups_that_are_asked_about_are_tested_and_keep_their_numbers(sweep):
    masks, outputs, clusters = sweep
    found = strongest_pairs(masks, lambda columns: outputs[:, columns], EXAMPLES, clusters, only=np.array([7, 9]))
    assert found.tested == 2 * EXAMPLES
    assert (found.helped.group[0], found.helped.example[0]) == (7, 5)
    assert set(found.helped.group) | set(found.hurt.group) <= {7, 9}


def test_outputs_that_never_change_move_nothing():
    masks = np.random.default_rng(1).random((50, 6)) < 0.5
    found = strongest_pairs(masks, lambda columns: np.zeros((50, 4), np.float32)[:, columns], 4)
    assert (found.tested, found.n_helped, found.n_hurt) == (24, 0, 0)


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
            pairs = strongest_pairs(masks, lambda columns, made=outputs: made[:, columns], EXAMPLES, keep=1)
            hits += bool(pairs.helped.q[0] < 0.05 and pairs.helped.group[0] == 0)
        found[models] = hits
    assert found[needed] >= 9
    assert found[needed // 2] <= 3


def test_more_models_and_fewer_pairs_find_smaller_influences():
    assert smallest_found(1000, 1.0, 400) < smallest_found(1000, 1.0, 100)
    assert smallest_found(1000, 1.0, 400) < smallest_found(1_000_000, 1.0, 400)
    assert smallest_found(1000, 1.0, 2) == float("inf")


def test_memory_does_not_grow_with_the_examples_where_groups_are_very_many(monkeypatch):
    """A block of influences at a time, however many there are."""
    groups, models = 50_000, 48
    rng = np.random.default_rng(0)
    masks = rng.random((models, groups)) < 0.5
    outputs = rng.normal(size=(models, 800)).astype(np.float32)
    outputs[:, 613] += 6 * masks[:, 40_000]
    monkeypatch.setattr(module, "MOST_VALUES", 40 * groups)
    tracemalloc.start()
    peaks = []
    for examples in (200, 800):
        tracemalloc.reset_peak()
        found = strongest_pairs(masks, lambda columns: outputs[:, columns], examples)
        peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    assert found.tested == groups * 800
    assert (found.helped.group[0], found.helped.example[0]) == (40_000, 613)
    assert peaks[1] < 1.2 * peaks[0]


@pytest.mark.parametrize("share", [0.5, 0.2, 0.1])
def test_an_influence_that_is_said_to_be_found_four_times_in_five_is(share):
    models, groups, found = 400, 12, 0
    effect = smallest_found(groups, 1.0, models, share)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        masks = rng.random((models, groups)) < share
        outputs = (rng.normal(size=models) + effect * masks[:, 3]).astype(np.float32)[:, None]
        pairs = strongest_pairs(masks, lambda columns, outputs=outputs: outputs[:, columns], 1)
        found += any(group == 3 and q < 0.05 for group, q in zip(pairs.helped.group, pairs.helped.q, strict=True))
    assert 0.65 < found / 60 < 0.95
