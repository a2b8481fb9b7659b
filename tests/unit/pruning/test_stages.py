"""What follows the first repeats of a pruning's arms: decided by how they vary, and once."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.pruning.plans import bare
from tests.unit.pruning.test_results import LABELS, flat, pruned
from tui_influence.pruning.arms import arm_key, with_arms
from tui_influence.pruning.options import ClassList
from tui_influence.pruning.stages import extend_pruning, repeats_needed
from tui_influence.roles import ArmKind
from tui_influence.store.paths import Paths
from tui_influence.store.pruning_plan import Stages, read_arms, write_arms


def planned(stages, ks=(3,), chosen=()):
    return with_arms(replace(bare(), stages=stages), ks, chosen, stages.seeds)


def some_right(share):
    """Margins that are right for a share of the examples of every class."""
    return np.where(np.arange(len(LABELS)) // 6 % 20 < round(20 * share), 5.0, -5.0)


def varying(arm, row, target):
    """Arms that keep more vary more, none gains."""
    spread = {ArmKind.ALL: 0.05, ArmKind.LOWEST: 0.1}.get(arm.kind, 0.3)
    return some_right(0.5 + spread * (-1) ** row.repeat)


def test_an_arm_that_varies_more_is_repeated_more_and_what_it_is_compared_with_as_often(tmp_path):
    pruning = planned(Stages(4, within=0.1, most=100), (3,), [ClassList(ArmKind.DROP, ("class 7",), "one")])
    pruned(tmp_path, pruning, varying)
    needed = {
        label: count
        for arm in pruning.arms
        if (count := repeats_needed(Paths(tmp_path), pruning).get(arm_key(arm)))
        for label in [arm.label]
    }
    # t of 6 df is 2.447; variances of accuracies at 0.5 +- 0.05 and +- 0.1, four each, are 4/3 of their squares.
    lowest = int(np.ceil(4 / 3 * (0.05**2 + 0.1**2) * (2.447 / 0.1) ** 2))
    listed = int(np.ceil(4 / 3 * (0.05**2 + 0.3**2) * (2.447 / 0.1) ** 2))
    assert needed == {"keep everything": listed, "lowest 3": lowest, "drop one": listed}


@pytest.mark.parametrize("stages", [Stages(4), Stages(4, within=0.1, most=4), Stages(1, within=0.1, most=9)])
def test_nothing_follows_where_nothing_may(tmp_path, stages):
    pruning = planned(stages)
    pruned(tmp_path, pruning, varying)
    write_arms(Paths(tmp_path), pruning)
    assert [row.index for row in extend_pruning(Paths(tmp_path))] == [row.index for row in pruning.rows()]
    assert read_arms(Paths(tmp_path)) == pruning


def test_more_repeats_are_never_more_than_were_allowed(tmp_path):
    pruning = planned(Stages(4, within=0.001, most=9))
    pruned(tmp_path, pruning, varying)
    write_arms(Paths(tmp_path), pruning)
    extend_pruning(Paths(tmp_path))
    assert {arm.label: len(arm.rows) for arm in read_arms(Paths(tmp_path)).arms} == {
        "keep everything": 9, "lowest 3": 9, "random 3": 4, "highest 3": 4,
    }  # fmt: skip


def test_what_an_arm_gained_has_no_part_in_how_often_it_is_repeated(tmp_path):
    pruning = planned(Stages(4, within=0.05, most=100))

    def better(by):
        def margin(arm, row, target):
            share = 0.5 + 0.1 * (-1) ** row.repeat + (by if arm.kind is ArmKind.LOWEST else 0)
            return some_right(share)

        return margin

    pruned(tmp_path / "same", pruning, better(0.0))
    pruned(tmp_path / "better", pruning, better(0.2))
    same, much = (repeats_needed(Paths(tmp_path / name), pruning) for name in ("same", "better"))
    assert same == much
    assert same["lowest 3"] > 4


def test_the_first_repeats_alone_decide(tmp_path):
    """Later ones that happen to agree, or to differ, ask for neither fewer nor more."""
    pruning = planned(Stages(4, within=0.1, most=100))
    pruned(tmp_path, pruning, varying)
    paths = Paths(tmp_path)
    write_arms(paths, pruning)
    rows = extend_pruning(paths)
    grown = read_arms(paths)
    assert len(rows) == grown.n_rows > pruning.n_rows
    pruned(
        tmp_path,
        grown,
        lambda arm, row, target: varying(arm, row, target) if row.repeat < 4 else flat(5 * (-1) ** row.index),
    )
    assert len(extend_pruning(paths)) == grown.n_rows
    assert read_arms(paths) == grown
