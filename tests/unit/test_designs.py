"""Designs: what is drawn, from what, and what stays when a run grows."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_influence.config.schema import DesignSection
from tui_influence.designs import (
    MAX_PLAN_BYTES,
    Design,
    arm_seed,
    choose_per_class,
    draw_dropped_groups,
    make_design,
    schedule,
    shuffle_groups,
    split_examples,
)
from tui_influence.errors import ConfigError
from tui_influence.roles import Role

KINDS = ("fixed", "bernoulli", "balanced")


def masks(design: Design, count: int, role: Role = Role.ESTIMATE) -> np.ndarray:
    return np.array([row.mask for row in design.rows(role, count)])


def bits(mask: np.ndarray) -> str:
    return "".join("01"[int(kept)] for kept in mask)


# A run is resumed and extended by later versions: what they draw must be what the first one drew.
FIRST_DRAWN = {
    ("fixed", Role.ESTIMATE, 0): ("011000111001", 4259176694, 0),
    ("fixed", Role.ESTIMATE, 5): ("010010011101", 2299424536, 5),
    ("fixed", Role.HELDOUT, 5): ("001011010101", 1136115020, 5),
    ("bernoulli", Role.ESTIMATE, 5): ("010000100010", 2299424536, 5),
    ("bernoulli", Role.HELDOUT, 0): ("110011111011", 929790713, 0),
    ("balanced", Role.ESTIMATE, 0): ("000011010001", 4259176694, 0),
    ("balanced", Role.ESTIMATE, 5): ("101111110101", 919680490, 2),
    ("balanced", Role.ESTIMATE, 40): ("011000001111", 246206554, 20),
    ("balanced", Role.HELDOUT, 5): ("001010101111", 1136115020, 5),
}


@pytest.mark.parametrize(("kind", "role", "index"), FIRST_DRAWN, ids=lambda value: str(value))
def test_rows_are_those_that_the_first_version_drew(kind, role, index):
    row = Design(kind, 0.5, 12, 7).row(role, index)
    assert (bits(row.mask), row.seed, row.cluster) == FIRST_DRAWN[kind, role, index]
    assert (row.role, row.index) == (role, index)


def test_other_draws_are_those_of_the_first_version_too():
    small = Design("balanced", 0.5, 5, 7).rows(Role.ESTIMATE, 16)
    assert " ".join(bits(row.mask) for row in small[::2]) == "01010 11001 00101 10101 10010 00011 11000 01001"
    assert arm_seed(7, "worst-3", 0) == 1930725624
    assert draw_dropped_groups(7, 12, 4, 0).tolist() == [5, 6, 9, 11]
    assert shuffle_groups(7, 6, 0).tolist() == [1, 0, 3, 2, 4, 5]
    labels = np.repeat([0, 1, 2], [5, 4, 7])
    assert bits(split_examples(labels, 7)) == "1001010010010011"
    assert choose_per_class(labels, 2, 7).tolist() == [3, 4, 5, 8, 11, 14]
    assert choose_per_class(labels, 2, 7, stream=1).tolist() == [0, 1, 6, 7, 10, 11]


def test_what_is_drawn_for_a_pruning_differs_from_repeat_to_repeat_and_from_k_to_k():
    assert draw_dropped_groups(7, 30, 10, 0).tolist() != draw_dropped_groups(7, 30, 10, 1).tolist()
    assert draw_dropped_groups(7, 30, 10, 0).tolist() != draw_dropped_groups(7, 30, 11, 0).tolist()[:10]
    assert sorted(set(draw_dropped_groups(7, 30, 30, 0))) == list(range(30))
    assert shuffle_groups(7, 30, 0).tolist() != shuffle_groups(7, 30, 1).tolist()
    assert sorted(shuffle_groups(7, 30, 0)) == list(range(30))
    seeds = {arm_seed(seed, arm, repeat) for seed in (7, 8) for arm in ("worst-3", "best-3") for repeat in (0, 1)}
    assert len(seeds) == 8


@pytest.mark.parametrize("groups", range(3, 9))
@pytest.mark.parametrize("kind", KINDS)
def test_the_possible_masks_are_those_that_can_be_drawn(kind, groups):
    design = Design(kind, 0.6, groups, 0)
    every_mask = [sum(mask) for mask in product((0, 1), repeat=groups)]
    allowed = [kept for kept in every_mask if (kept == design.mask_size if kind == "fixed" else 2 <= kept < groups)]
    assert design.possible_masks == len(allowed)


@pytest.mark.parametrize("kind", ["fixed", "bernoulli"])
def test_every_possible_mask_is_drawn(kind):
    design = Design(kind, 0.5, 5, 0)
    assert len({bits(mask) for mask in masks(design, 1000)}) == design.possible_masks


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


def test_prior_rows_have_every_group_and_come_first():
    design = Design("balanced", 0.5, 20, 0)
    rows = schedule(design, 10, 2, 3)
    assert [(row.role, row.index) for row in rows[:3]] == [(Role.PRIOR, index) for index in range(3)]
    assert all(row.mask.all() for row in rows[:3])
    seeds = [row.seed for row in rows]
    assert len(set(seeds)) == 3 + 5 + 2  # a pair of the design shares its seed
    assert [row.seed for row in rows[3:]] == [row.seed for row in schedule(design, 10, 2)]


def test_held_out_rows_are_spread_over_the_schedule():
    rows = schedule(Design("fixed", 0.5, 20, 0), 100, 10)
    places = [place for place, row in enumerate(rows) if row.role is Role.HELDOUT]
    assert len(rows) == 110
    assert max(np.diff(places)) <= 11
    assert [row.index for row in rows if row.role is Role.HELDOUT] == list(range(10))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("repeats", [1, 2, 3])
def test_held_out_rows_share_a_mask_but_no_seed(kind, repeats):
    rows = Design(kind, 0.5, 20, 4, repeats).rows(Role.HELDOUT, 10)
    first_drawn = Design(kind, 0.5, 20, 4).rows(Role.HELDOUT, 10)
    for row in rows:
        assert (row.mask == first_drawn[row.index // repeats].mask).all()
    assert [row.seed for row in rows] == [row.seed for row in first_drawn]
    assert [row.cluster for row in rows] == list(range(10))
    assert len({bits(row.mask) for row in rows}) == -(-10 // repeats)
    assert (masks(Design(kind, 0.5, 20, 4, repeats), 9) == masks(Design(kind, 0.5, 20, 4), 9)).all()


@pytest.mark.parametrize("heldout", [3, 4, 5])
def test_a_run_is_extended_by_held_out_rows_without_changing_one(heldout):
    section = DesignSection(kind="balanced", models=12, heldout=heldout, heldout_repeats=2)
    shorter, longer = (
        {
            (row.role, row.index): (bits(row.mask), row.seed, row.cluster)
            for row in schedule(make_design(section, 20, 1), section.models, section.heldout)
        }
        for section in (section, section.model_copy(update={"heldout": heldout + 4}))
    )
    assert shorter.items() < longer.items()
    assert section.heldout_masks == -(-heldout // 2)


@pytest.mark.parametrize(
    ("section", "groups", "reason"),
    [
        ({"kind": "fixed", "models": 5}, 1, "at least 3 groups.*use a source with more classes"),
        ({"kind": "fixed", "models": 5}, 2, "at least 3 groups.*has 2: use a source with more classes"),
        ({"kind": "fixed", "alpha": 0.01, "models": 5}, 20, "keeps 0 of 20"),
        ({"kind": "fixed", "alpha": 0.99, "models": 5}, 20, "leave at least one out"),
        ({"kind": "fixed", "models": 7}, 4, "only 6 different masks"),
        ({"kind": "fixed", "models": 4, "heldout": 3, "heldout_repeats": 1}, 4, "7 masks are requested"),
        ({"kind": "fixed", "models": 4, "heldout": 5}, 4, "7 masks are requested"),
        ({"kind": "bernoulli", "models": 20}, 4, "only 10 different masks"),
        ({"kind": "balanced", "models": 4}, 3, r"at least 4 groups.*choose another \[design\] kind, or use a source"),
        ({"kind": "bernoulli", "models": 4}, 1, "at least 3 groups.*use a source with more classes"),
        ({"kind": "bernoulli", "models": 4}, 2, "at least 3 groups.*has 2: use a source with more classes"),
        ({"kind": "fixed", "alpha": 0.2, "models": 5}, 6, "keeps 1 of 6"),
        ({"kind": "fixed", "alpha": 0.8, "models": 7}, 6, "only 6 different masks"),
    ],
)
def test_an_impossible_design_is_refused(section, groups, reason):
    with pytest.raises(ConfigError, match=reason):
        make_design(DesignSection(**section), groups, 0)


@pytest.mark.parametrize(
    ("section", "groups"),
    [
        ({"kind": "fixed", "alpha": 0.34, "models": 15}, 6),  # two groups of six; every mask there is
        ({"kind": "fixed", "alpha": 0.8, "models": 3, "heldout": 3}, 6),  # one left out
        ({"kind": "bernoulli", "models": 3}, 3),
        ({"kind": "bernoulli", "models": 30, "heldout": 10}, 12),
        ({"kind": "balanced", "models": 6, "heldout": 4}, 4),
    ],
)
def test_a_design_that_is_just_possible_is_drawn(section, groups):
    design = make_design(DesignSection(**section), groups, 3)
    assert (design.kind, design.groups, design.seed) == (section["kind"], groups, 3)
    assert len(design.rows(Role.ESTIMATE, section["models"])) == section["models"]


@pytest.mark.parametrize(("models", "heldout"), [(10, 4), (7, 7), (3, 8), (5, 0), (0, 0)])
def test_wherever_a_sweep_stops_its_share_of_held_out_rows_is_drawn(models, heldout):
    rows = schedule(Design("fixed", 0.5, 20, 0), models, heldout)
    for index, position in enumerate(position for position, row in enumerate(rows) if row.role is Role.ESTIMATE):
        assert position == index + index * heldout // models
    assert len(rows) == models + heldout
    assert rows == [] or rows[0].role is Role.ESTIMATE


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


@given(st.lists(st.integers(0, 4), max_size=40), st.integers(0, 8))
def test_a_choice_per_class_is_as_even_as_the_classes_allow(labels, count):
    labels = np.array(labels, dtype=np.int64)
    chosen = choose_per_class(labels, count, seed=3)
    assert sorted(set(chosen)) == chosen.tolist()
    for label in range(5):
        assert (labels[chosen] == label).sum() == min(count, (labels == label).sum())


def test_an_odd_one_out_falls_on_either_side():
    labels = np.repeat(np.arange(400), 3)
    kept = split_examples(labels, 0).reshape(400, 3).sum(axis=1)
    assert set(kept) == {1, 2}
    assert abs((kept == 1).mean() - 0.5) < 5 * np.sqrt(0.25 / 400)


@pytest.mark.parametrize(("models", "heldout", "prior"), [(10**9, 0, 0), (10, 10**9, 0), (10, 0, 10**9)])
def test_more_models_than_can_be_planned_are_refused_before_one_is_drawn(models, heldout, prior):
    section = DesignSection(kind="bernoulli", models=models, heldout=heldout, prior=prior)
    with pytest.raises(
        ConfigError, match=r"^1,000,000,0[01]0 models of 50 groups are more than can be planned: at most"
    ):
        make_design(section, 50, 0)


def test_a_plan_of_the_most_models_can_be_written_and_read():
    """The file takes a byte a group and 25 bytes a row besides its header, and less than all files of a run may."""
    most = MAX_PLAN_BYTES // (1000 + 400)
    make_design(DesignSection(kind="bernoulli", models=most, prior=0), 1000, 0)
    assert most > 10 * 71_753
    assert most * (1000 + 25) + (1 << 16) < 1 << 30
