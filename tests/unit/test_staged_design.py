"""Designs whose first stage has masks over clusters of classes."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_influence.cluster_stage import (
    ClusterStage,
    describe_clusters,
    describe_sizes,
    equal_sizes,
    first_cluster_rows,
    models_over_classes,
    row_options,
)
from tui_influence.config.schema import MAX_CLUSTERED_CLASSES, DesignSection
from tui_influence.designs import Design, make_design, schedule
from tui_influence.errors import ConfigError
from tui_influence.roles import Role
from tui_influence.staged_design import check_design, sweep_rows

CLASSES, CLUSTERS, SEED = 36, 9, 5
LABELS = tuple(int(label) for label in np.random.default_rng(1).permutation(np.repeat(range(CLUSTERS), 4)))
KINDS = ("fixed", "bernoulli", "balanced")


def section(kind="balanced", models=40, heldout=6) -> DesignSection:
    return DesignSection(kind=kind, models=models, heldout=heldout, prior=3)


def rows_of(stage, kind="balanced", **counts):
    return sweep_rows(section(kind, **counts), CLASSES, SEED, 3, CLUSTERS, stage)


def is_constant(mask) -> bool:
    return all(len(set(mask[np.array(LABELS) == cluster])) == 1 for cluster in range(CLUSTERS))


def keys(rows):
    return [(row.role, row.index, row.seed, row.cluster, row.mask.tobytes()) for row in rows]


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_grows_at_its_end(kind):
    plans = [rows_of(stage, kind) for stage in (None, ClusterStage(LABELS, 20), ClusterStage(LABELS, 20, 30))]
    assert [row.role for row in plans[0]] == [Role.PRIOR] * 3
    for before, after in pairwise(plans):
        assert keys(after)[: len(before)] == keys(before)
    counts = [Counter(row.role for row in plan) for plan in plans]
    assert [count[Role.ESTIMATE] for count in counts] == [0, 20, 40]
    assert [count[Role.HELDOUT] for count in counts] == [0, 3, 6]


@pytest.mark.parametrize("kind", KINDS)
def test_masks_are_over_clusters_first_and_then_over_classes(kind):
    rows = rows_of(ClusterStage(LABELS, 20, 30), kind)
    masks = {row.index: row.mask for row in rows if row.role is Role.ESTIMATE}
    assert [is_constant(masks[index]) for index in range(40)] == [True] * 30 + [False] * 10
    assert len({masks[index].tobytes() for index in range(30, 40)}) == 10
    design = Design(kind, 0.5, CLASSES, SEED)
    over_clusters = Design(kind, 0.5, CLUSTERS, SEED)
    assert masks[7].tolist() == over_clusters.row(Role.ESTIMATE, 7).mask[list(LABELS)].tolist()
    for index in range(30, 40):  # the design over classes begins with its first mask
        assert masks[index].tolist() == design.row(Role.ESTIMATE, index - 30).mask.tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_seeds_are_those_of_a_sweep_of_one_stage(kind):
    staged = {(row.role, row.index): (row.seed, row.cluster) for row in rows_of(ClusterStage(LABELS, 20, 26), kind)}
    plain = schedule(make_design(section(kind), CLASSES, SEED), 40, 6, 3)
    assert staged == {(row.role, row.index): (row.seed, row.cluster) for row in plain}


def test_pairs_stay_complementary_in_both_stages():
    rows = [row for row in rows_of(ClusterStage(LABELS, 20, 30)) if row.role is Role.ESTIMATE]
    for first, second in zip(rows[::2], rows[1::2], strict=True):
        assert (first.mask ^ second.mask).all()
        assert first.seed == second.seed


def test_every_second_heldout_mask_is_over_clusters():
    heldout = [row for row in rows_of(ClusterStage(LABELS, 20, 30)) if row.role is Role.HELDOUT]
    assert [is_constant(row.mask) for row in heldout] == [True, True, False, False, True, True]
    assert len({row.mask.tobytes() for row in heldout}) == 3
    assert len({row.seed for row in heldout}) == 6


def test_more_models_are_further_class_rows():
    stage = ClusterStage(LABELS, 20, 30)
    by_key = {(row.role, row.index): row for row in rows_of(stage, models=60)}
    before = rows_of(stage)
    assert keys(before) == keys([by_key[row.role, row.index] for row in before])
    assert not any(is_constant(by_key[Role.ESTIMATE, index].mask) for index in range(40, 60))


def test_without_clusters_a_plan_is_that_of_one_stage():
    plain = schedule(make_design(section(), CLASSES, SEED), 40, 6, 3)
    assert keys(sweep_rows(section(), CLASSES, SEED, 3)) == keys(plain)
    assert keys(rows_of(ClusterStage((), 0, 0))) == keys(plain)


@pytest.mark.parametrize(
    ("classes", "clusters", "models", "kind", "reason"),
    [
        (36, 40, 8, "balanced", "the source has 36 classes: choose 4 to 18 clusters, or 0"),
        (5, 9, 8, "balanced", "the source has 5 classes: choose 0"),
        (MAX_CLUSTERED_CLASSES + 1, 500, 8, "balanced", "at most 4,096 classes can be clustered"),
    ],
)
def test_an_impossible_number_of_clusters_is_refused(classes, clusters, models, kind, reason):
    with pytest.raises(ConfigError, match=r"clusters") as caught:
        check_design(section(kind, models), classes, SEED, clusters)
    assert reason in str(caught.value)


def test_masks_over_few_clusters_are_repeated_with_other_seeds():
    rows = sweep_rows(section(models=40), CLASSES, SEED, 0, 4, ClusterStage(tuple(np.arange(CLASSES) % 4), 40, 40))
    estimate = [row for row in rows if row.role is Role.ESTIMATE]
    assert len({row.mask.tobytes() for row in estimate}) <= 10
    assert len({row.seed for row in estimate}) == 20


def test_an_alpha_that_keeps_too_few_clusters_is_refused():
    small = DesignSection(kind="fixed", alpha=0.1, models=8)
    with pytest.raises(ConfigError, match=r"^\[design\] clusters = 9: alpha = 0\.1 keeps 1 of 9 clusters"):
        check_design(small, CLASSES, SEED, CLUSTERS)


@given(st.integers(1, 10_000))
@settings(max_examples=200, deadline=None)
def test_half_of_the_models_come_first_in_whole_pairs(models):
    first = first_cluster_rows(models)
    assert 0 <= first - models / 2 < 2 or first == models - models % 2
    assert first <= models
    assert first % 2 == 0 or models == 1


@given(st.integers(2, 2_000), st.integers(0, 1_000))
@settings(max_examples=200, deadline=None)
def test_options_keep_a_third_and_what_is_trained_and_whole_pairs(models, first):
    first = 2 * min(first, models // 2)
    options = row_options(models, first)
    assert models / 3 <= options["classes"] <= options["half"] <= options["clusters"] <= models
    assert first <= options["classes"]
    assert all(count % 2 == 0 or count == models for count in options.values())


def test_options_are_all_half_or_none_of_the_rest():
    assert row_options(100, 50) == {"clusters": 100, "half": 74, "classes": 50}
    assert row_options(400, 50) == {"clusters": 400, "half": 266, "classes": 134}  # the run was extended before


def test_sizes_in_words():
    assert describe_clusters([0, 0, 1, 1, 2, 2, 3, 3]) == "4 clusters of 2 classes"
    assert describe_sizes(equal_sizes(10, 4)) == "4 clusters of 2 or 3 classes"
    assert equal_sizes(10, 4) == [3, 3, 2, 2]
    assert models_over_classes(128, 200, 25) == 1024
