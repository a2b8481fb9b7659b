"""Designs: what is drawn, from what, and what stays when a run grows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_influence.config.schema import DesignSection
from tui_influence.designs import MOST_PLAN_BYTES, Design, choose_per_class, design_of, schedule, split_examples
from tui_influence.errors import ConfigError
from tui_influence.roles import Role

KINDS = ("fixed", "bernoulli", "balanced")


def masks(design: Design, count: int, role: Role = Role.ESTIMATE) -> np.ndarray:
    return np.array([row.mask for row in design.rows(role, count)])


@given(st.integers(4, 60), st.integers(0, 2**40), st.sampled_from(KINDS))
@settings(max_examples=60, deadline=None)
def test_every_mask_keeps_two_groups_and_leaves_one_out(groups, seed, kind):
    kept = masks(Design(kind, 0.5, groups, seed), 40).sum(1)
    assert kept.min() >= 2
    assert kept.max() < groups


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_depends_on_seed_role_and_index_alone(kind):
    design = Design(kind, 0.5, 20, 3)
    backwards = {i: design.row(Role.ESTIMATE, i) for i in reversed(range(30))}
    for i, row in enumerate(design.rows(Role.ESTIMATE, 30)):
        assert (row.mask == backwards[i].mask).all()
        assert row.seed == backwards[i].seed
    other = Design(kind, 0.5, 20, 4)
    assert (masks(design, 30) != masks(other, 30)).any()
    assert (masks(design, 30) != masks(design, 30, Role.HELDOUT)).any()


@pytest.mark.parametrize("kind", KINDS)
def test_extending_a_sweep_keeps_the_rows_it_has(kind):
    design = Design(kind, 0.5, 36, 0)
    short = {(row.role, row.index): row for row in schedule(design, 200, 20)}
    long = {(row.role, row.index): row for row in schedule(design, 400, 40)}
    assert len(long) == 440
    for key, row in short.items():
        assert (long[key].mask == row.mask).all()
        assert long[key].seed == row.seed


def test_fixed_masks_keep_exactly_alpha_of_the_groups_each_equally_often():
    kept = masks(Design("fixed", 0.25, 40, 1), 2000)
    assert (kept.sum(1) == 10).all()
    share = kept.mean(0)
    assert abs(share - 0.25).max() < 5 * np.sqrt(0.25 * 0.75 / 2000)


def test_bernoulli_masks_keep_each_group_independently():
    kept = masks(Design("bernoulli", 0.3, 30, 1), 4000)
    assert abs(kept.mean(0) - 0.3).max() < 5 * np.sqrt(0.21 / 4000)
    correlation = np.corrcoef(kept.T) - np.eye(30)
    assert abs(correlation).max() < 5.5 / np.sqrt(4000)


@pytest.mark.parametrize("groups", [5, 16, 36, 64])
def test_balanced_masks_are_orthogonal_over_a_block_and_come_with_their_complement(groups):
    order = 1 << (groups - 1).bit_length()
    design = Design("balanced", 0.5, groups, 7)
    rows = design.rows(Role.ESTIMATE, 2 * order)
    for first, second in zip(rows[::2], rows[1::2], strict=True):
        assert (first.mask == ~second.mask).all()
        assert first.seed == second.seed
        assert first.cluster == second.cluster
    signs = np.where(masks(design, 2 * order), 1, -1)
    assert (signs.sum(0) == 0).all()
    if groups >= 16:  # smaller blocks may hold a degenerate pair, which is replaced
        gram = signs.T @ signs
        assert (gram == 2 * order * np.eye(groups)).all()


def test_held_out_rows_are_spread_over_the_schedule():
    rows = schedule(Design("fixed", 0.5, 20, 0), 100, 10)
    places = [place for place, row in enumerate(rows) if row.role is Role.HELDOUT]
    assert len(rows) == 110
    assert max(np.diff(places)) <= 11
    assert [row.index for row in rows if row.role is Role.HELDOUT] == list(range(10))


@pytest.mark.parametrize(
    ("section", "groups", "reason"),
    [
        ({"kind": "fixed", "models": 5}, 1, "at least 2 groups"),
        ({"kind": "fixed", "models": 5}, 2, "with 2 groups|leave at least one out"),
        ({"kind": "fixed", "alpha": 0.01, "models": 5}, 20, "keeps 0 of 20"),
        ({"kind": "fixed", "alpha": 0.99, "models": 5}, 20, "leave at least one out"),
        ({"kind": "fixed", "models": 7}, 4, "only 6 different masks"),
        ({"kind": "fixed", "models": 4, "heldout": 3}, 4, "7 models are asked for"),
        ({"kind": "bernoulli", "models": 20}, 4, "only 10 different masks"),
        ({"kind": "balanced", "models": 4}, 3, "at least 4 groups"),
    ],
)
def test_an_impossible_design_is_refused(section, groups, reason):
    with pytest.raises(ConfigError, match=reason):
        design_of(DesignSection(**section), groups, 0)


def test_the_split_halves_every_class_and_repeats():
    labels = np.repeat(np.arange(7), [10, 11, 2, 1, 30, 5, 4])
    first, again, other = split_examples(labels, 5), split_examples(labels, 5), split_examples(labels, 6)
    assert (first == again).all()
    assert (first != other).any()
    for label in range(7):
        share = first[labels == label]
        assert abs(share.sum() - (~share).sum()) <= 1


def test_a_choice_per_class_takes_that_many_of_each_and_all_of_a_small_one():
    labels = np.array([0] * 10 + [1] * 3 + [2] * 10)
    chosen = choose_per_class(labels, 4, seed=1)
    assert np.bincount(labels[chosen]).tolist() == [4, 3, 4]
    assert (np.diff(chosen) > 0).all()
    assert chosen.tolist() != choose_per_class(labels, 4, seed=1, stream=1).tolist()


@pytest.mark.parametrize(("models", "heldout"), [(10**9, 0), (10, 10**9)])
def test_more_models_than_can_be_planned_are_refused_before_one_is_drawn(models, heldout):
    section = DesignSection(kind="bernoulli", models=models, heldout=heldout)
    with pytest.raises(
        ConfigError, match=r"^1,000,000,0[01]0 models of 50 groups are more than can be planned: at most"
    ):
        design_of(section, 50, 0)


def test_a_plan_of_the_most_models_can_be_written_and_read():
    """The file takes a byte a group and 25 bytes a row besides its header, and less than all files of a run may."""
    most = MOST_PLAN_BYTES // (1000 + 400)
    design_of(DesignSection(kind="bernoulli", models=most), 1000, 0)
    assert most > 10 * 71_753
    assert most * (1000 + 25) + (1 << 16) < 1 << 30
