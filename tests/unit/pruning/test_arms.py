"""Which groups an arm drops, and that more of a pruning changes nothing that exists."""

import re
from dataclasses import replace

import numpy as np
import pytest

from tests.unit.pruning.plans import bare
from tui_influence.datasets.groups import parse_class_list
from tui_influence.errors import ConfigError, ResultsError, TinflError
from tui_influence.pruning.arms import check_drop_counts, default_drop_counts, dropped_groups, with_arms
from tui_influence.pruning.options import ClassList
from tui_influence.roles import ArmKind
from tui_influence.store.paths import Paths
from tui_influence.store.pruning_plan import read_arms, write_arms


def parsed(text, names, kind, label):
    return ClassList(kind, tuple(parse_class_list(text, names, label)), label)


NAMES = tuple(f"class {number}" for number in range(12))


def rows_by_index(pruning):
    return {row.index: (arm.label, row) for arm in pruning.arms for row in arm.rows}


def dropped(pruning, kind, k):
    arm = next(arm for arm in pruning.arms if (arm.kind, arm.k) == (kind, k))
    return [row.dropped for row in arm.rows]


def test_lowest_and_highest_drop_the_ends_of_the_ranking():
    pruning = with_arms(bare(), [3], [], 2)
    assert dropped(pruning, ArmKind.LOWEST, 3) == [(0, 1, 2)] * 2
    assert dropped(pruning, ArmKind.HIGHEST, 3) == [(9, 10, 11)] * 2
    assert dropped(pruning, ArmKind.ALL, 0) == [()] * 2


def test_every_repeat_draws_anew_what_it_drops_at_random():
    draws = dropped(with_arms(bare(40), [10], [], 6), ArmKind.RANDOM, 10)
    assert len(set(draws)) == 6
    assert all(len(set(draw)) == 10 for draw in draws)


def test_random_draws_are_uniform():
    draws = dropped(with_arms(bare(12), [3], [], 800), ArmKind.RANDOM, 3)
    counts = np.bincount(np.concatenate(draws), minlength=12)
    expected = 800 * 3 / 12
    assert ((counts - expected) ** 2 / expected).sum() < 35  # chi-squared, 11 degrees of freedom: p = 0.0002


def test_no_two_rows_share_a_seed():
    pruning = with_arms(bare(), [2, 4], [], 20)
    seeds = [row.seed for arm in pruning.arms for row in arm.rows]
    assert len(set(seeds)) == len(seeds)


def test_more_seeds_and_more_arms_leave_every_row_as_it_is():
    small = with_arms(bare(), [3], [], 2)
    chosen = parsed("class 5\n", NAMES, ArmKind.DROP, "mine.txt")
    large = with_arms(small, [5], [chosen], 4)
    before, after = rows_by_index(small), rows_by_index(large)
    assert {index: after[index] for index in before} == before
    assert sorted(after) == list(range(large.n_rows))
    assert {len(arm.rows) for arm in large.arms} == {4}


def test_a_rows_seed_does_not_depend_on_the_order_in_which_it_was_asked_for():
    at_once = with_arms(bare(), [3, 5], [], 3)
    grown = with_arms(with_arms(bare(), [5], [], 1), [3], [], 3)

    def found(pruning):
        return {(arm.label, row.repeat): (row.seed, row.dropped) for arm in pruning.arms for row in arm.rows}

    assert found(at_once) == found(grown)


def test_label_mapping_drops_the_classes_of_least_use_and_each_repeat_breaks_ties_anew():
    before = with_arms(bare(), [3, 5], [], 4)
    uses = np.array([0, 0, 0, 0, 9, 8, 7, 6, 5, 4, 3, 2.0])
    pruning = with_arms(before, [], [], 1, {ArmKind.LABELS: [uses, uses, uses, uses[::-1].copy()]})
    assert rows_by_index(before).items() <= rows_by_index(pruning).items()
    three, five = dropped(pruning, ArmKind.LABELS, 3), dropped(pruning, ArmKind.LABELS, 5)
    assert all(set(draw) < {0, 1, 2, 3} for draw in three[:3])
    assert len(set(three[:3])) > 1
    assert five == [(0, 1, 2, 3, 11)] * 3 + [(0, 8, 9, 10, 11)]
    assert with_arms(pruning, [], [], 6).n_rows == pruning.n_rows + 2 * 7


def test_asking_for_fewer_seeds_takes_none_away():
    pruning = with_arms(bare(), [3], [], 4)
    assert with_arms(pruning, [3], [], 1) == pruning


def test_the_plan_trains_the_first_repeat_of_every_arm_before_the_second():
    pruning = with_arms(with_arms(bare(), [3], [], 2), [5], [], 2)
    repeats = {row.index: row.repeat for arm in pruning.arms for row in arm.rows}
    order = [repeats[row.index] for row in pruning.rows()]
    assert order == sorted(order)
    for row in pruning.rows():
        assert row.mask.sum() in (12, 9, 7)


def test_groups_of_unknown_influence_are_neither_lowest_nor_highest():
    ranking = replace(bare().ranking, influence=(2.0, None, -1.0, 0.5, -0.5))
    assert ranking.ascending() == [2, 4, 1, 3, 0]


def test_a_list_is_compared_with_as_many_dropped_at_random():
    chosen = parsed("# mine\nclass 1\n\nclass 2\nclass 1\n", NAMES, ArmKind.KEEP, "mine.txt")
    pruning = with_arms(bare(), [], [chosen], 1)
    assert [arm.label for arm in pruning.arms] == ["keep everything", "keep mine.txt", "random 10"]
    assert dropped(pruning, ArmKind.KEEP, 10) == [(0, *range(3, 12))]


def test_a_class_whose_name_begins_like_a_comment_can_be_listed():
    names = ("# 1", "b", "c")
    assert dropped_groups(parsed("# 1\n", names, ArmKind.DROP, "x"), names) == (0,)


@pytest.mark.parametrize(
    ("text", "kind", "reason"),
    [
        ("clas 7\n", ArmKind.DROP, 'no class "clas 7"; did you mean "class 7"?'),
        ("a\nb\n", ArmKind.DROP, "names 2 classes that the source does not have"),
        ("class 1\n", ArmKind.KEEP, "leaves 1 of 12 groups"),
        ("", ArmKind.DROP, "drops no group"),
        ("\n".join(NAMES), ArmKind.KEEP, "drops no group"),
    ],
)
def test_a_wrong_list_is_refused(text, kind, reason):
    with pytest.raises(TinflError, match=re.escape(reason)):
        dropped_groups(parsed(text, NAMES, kind, "mine.txt"), NAMES)


@pytest.mark.parametrize("k", [0, 11, 12, 400])
def test_a_classifier_must_be_left(k):
    with pytest.raises(ConfigError, match="1 to 10 can be dropped"):
        check_drop_counts([3, k], 12)


@pytest.mark.parametrize("groups", [3, 4, 5, 10, 36, 200, 1000])
def test_the_default_grid_is_possible(groups):
    grid = default_drop_counts(groups)
    assert check_drop_counts(grid, groups) == grid


def test_the_default_grid_goes_up_to_half_and_is_closer_at_the_low_end():
    assert default_drop_counts(36) == (3, 6, 12, 18)
    assert default_drop_counts(12) == (1, 2, 4, 6)
    assert default_drop_counts(3) == (1,)


def test_what_is_written_is_read_back(tmp_path):
    pruning = with_arms(bare(), [3], [], 2)
    write_arms(Paths(tmp_path), pruning)
    assert read_arms(Paths(tmp_path)) == pruning


@pytest.mark.parametrize("damage", ['"dropped": [\n', '"index": 0', '"kind": "lowest"', '"groups"', '"influence"'])
def test_a_damaged_file_is_refused_in_one_line(tmp_path, damage):
    paths = Paths(tmp_path)
    write_arms(paths, with_arms(bare(), [3], [], 2))
    text = paths.arms.read_text()
    assert damage in text
    for instead in ('"x": 77', '"kind": "x", "y": [99,', "7"):
        paths.arms.write_text(text.replace(damage, instead, 1))
        with pytest.raises(ResultsError) as refused:
            read_arms(paths)
        assert "\n" not in str(refused.value)
