"""The removal curve: what it is drawn from, and how a terminal shows it."""

from collections import Counter
from itertools import chain

import numpy as np
import pytest
from rich.cells import cell_len

from tests.unit.pruning.plans import bare
from tests.unit.pruning.test_results import flat, pruned
from tui_influence.pruning.arms import with_arms
from tui_influence.pruning.curve import ARM_STYLES, KEEP_EVERYTHING, removal_curves
from tui_influence.pruning.options import ClassList
from tui_influence.render.removal_curve import removal_curve
from tui_influence.roles import ArmKind

BY_K = [kind for kind in ArmKind if kind not in (ArmKind.ALL, ArmKind.KEEP, ArmKind.DROP)]
HEIGHT = 12


def worth(arm, row, target):
    """Each kind of arm has a margin of its own, which falls with every group that it drops."""
    return flat(0.1 - list(ArmKind).index(arm.kind) / 30 - arm.k / 200 + row.repeat / 300)


def measured(root, ks=(3, 6), groups=12, seeds=3, **options):
    """A pruning with label mapping and a list of the user's."""
    plan = bare(groups)
    chosen = [ClassList(ArmKind.DROP, ("class 1",), "mine.txt")]
    uses = {ArmKind.LABELS: [np.arange(float(groups))] * seeds}
    return pruned(root, with_arms(plan, ks, chosen, seeds, uses), worth, **options)


def body(lines):
    """The rows of the plot, without its axis."""
    return [line[9:] for line in lines[1 : HEIGHT + 1]]


def test_every_kind_of_arm_that_makes_a_curve_looks_like_no_other():
    assert set(BY_K) <= set(ARM_STYLES)
    looks = [KEEP_EVERYTHING, *ARM_STYLES.values()]
    for shape in ("label", "mark", "ascii", "marker"):
        assert max(Counter(getattr(look, shape) for look in looks).values()) == 1
    for line in ("color", "dashes"):
        assert max(Counter(getattr(look, line) for look in ARM_STYLES.values()).values()) == 1
    assert all(cell_len(look.mark) == len(look.ascii) == 1 and look.ascii.isascii() for look in looks)


def test_curves_hold_each_arm_once_and_where_it_belongs(tmp_path):
    found = measured(tmp_path)
    curves = removal_curves(found, "margin")
    assert curves.everything.mean == found.result_of(ArmKind.ALL, 0).margin.mean
    assert [point.k for point in curves.by_kind[ArmKind.LOWEST]] == [3, 6]
    assert [point.k for point in curves.by_kind[ArmKind.RANDOM]] == [1, 3, 6]
    assert curves.by_kind[ArmKind.LABELS][1].mean == found.result_of(ArmKind.LABELS, 6).margin.mean
    assert [(label, point.k) for label, point in curves.lists] == [("drop mine.txt", 1)]
    assert len(curves.points()) == len(found.results)


def test_intervals_of_an_accuracy_stay_between_none_and_all(tmp_path):
    found = measured(tmp_path, seeds=2)
    assert any(result.accuracy.mean.high > 1 for result in found.results)
    points = removal_curves(found, "accuracy").points()
    assert all(0 <= low <= point.mean.value <= high <= 1 for point in points for low, high in [point.ends])


def test_an_arm_of_which_nothing_is_recorded_is_not_on_the_curve(tmp_path):
    found = measured(tmp_path, only=[0, 1])
    assert [point.seeds for point in removal_curves(found, "accuracy").points()] == [1, 1]
    assert removal_curve(found, 80)
    assert not removal_curve(measured(tmp_path / "less", only=[0]), 80)


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("width", [60, 80, 100])
@pytest.mark.parametrize("ks", [(3, 6), (1, 2, 3, 30), (3, 6, 12, 18), (20, 31, 32, 33), (2, 5, 9, 12, 20, 33)])
def test_arms_stand_side_by_side(tmp_path, width, ks, ascii_only):
    """However close the k: each arm has a column to itself, in the order of the key."""
    found = measured(tmp_path, ks, groups=36)
    lines = removal_curve(found, width, ascii_only=ascii_only)
    assert max(map(cell_len, lines)) <= width
    assert not ascii_only or all(line.isascii() for line in lines)
    columns = ["".join(cells).strip() for cells in zip(*(line.ljust(width) for line in body(lines)), strict=True)]
    marks = [cells.strip("│|") for cells in columns if cells]
    kinds = [kind for kind in ARM_STYLES if kind in BY_K and found.result_of(ArmKind(kind), ks[0])]
    by_k = {k: [ARM_STYLES[kind] for kind in kinds if found.result_of(ArmKind(kind), k)] for k in sorted({1, *ks})}
    assert marks == [look.ascii if ascii_only else look.mark for look in [KEEP_EVERYTHING, *chain(*by_k.values())]]
    key = " ".join(lines[HEIGHT + 4 :])
    assert all(look.label in key for look in [KEEP_EVERYTHING, *(ARM_STYLES[kind] for kind in kinds)])


def test_k_is_under_its_arms(tmp_path):
    lines = removal_curve(measured(tmp_path, (6, 12, 18), groups=36), 80)
    numbers = lines[HEIGHT + 2]
    lowest = [
        place for row in body(lines) for place, cell in enumerate(row, 9) if cell == ARM_STYLES[ArmKind.LOWEST].mark
    ]
    for k, start in zip((6, 12, 18), sorted(lowest), strict=True):
        assert start <= numbers.index(f" {k}") + 1 <= start + 2 * len(BY_K)
    assert lines[HEIGHT + 3].strip() == "source classes dropped, of 36"


def test_more_arms_than_columns_are_drawn_one_over_another_and_not_beyond_the_edge(tmp_path):
    found = measured(tmp_path, range(1, 30), groups=36, seeds=1)
    lines = removal_curve(found, 60)
    assert max(map(cell_len, lines)) <= 60
    assert len(lines) >= HEIGHT + 5


@pytest.mark.parametrize("ks", [range(1, 30), (1, 2, 3, 8, 9, 10, 11, 30), (9, 10, 11)])
def test_numbers_under_the_plot_keep_apart_or_are_left_out(tmp_path, ks):
    found = measured(tmp_path, ks, groups=36, seeds=1)
    for width in (40, 47, 60, 61, 80):
        numbers = [int(number) for number in removal_curve(found, width)[HEIGHT + 2].split()]
        assert numbers == sorted(set(numbers) & {0, 1, *ks})
        assert numbers[0] == 0
        assert len(numbers) > 2


def test_a_plot_has_ten_columns_at_least_and_a_hundred_cells_at_most(tmp_path):
    found = measured(tmp_path)
    floor = [removal_curve(found, width)[HEIGHT + 1].strip() for width in (0, 19, 20, 21, 100, 300)]
    assert [len(line) - 1 for line in floor] == [10, 10, 10, 11, 90, 90]
