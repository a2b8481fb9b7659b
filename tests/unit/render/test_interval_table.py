"""The columns of a table: names are told apart before whiskers grow."""

import pytest

from tui_influence.render.interval_table import WHISKER, Column, Estimates, IntervalTable
from tui_influence.render.style import Style
from tui_influence.render.whisker import PointEstimate

NAMES = ["keep everything", "label mapping 10", "label mapping 20"]


def table(width: int) -> IntervalTable:
    estimates = [PointEstimate(-8.0 * k, -8.0 * k - 3, -8.0 * k + 3) for k in range(3)]
    accuracy = Column("accuracy", ("91.7%", "66.7%", "58.3%"))
    return IntervalTable(
        "arm", NAMES, [Estimates("gain, points ", estimates, "+.1f")], Style(), width, before=[accuracy]
    )


@pytest.mark.parametrize("width", range(40, 121))
def test_names_are_complete_wherever_the_shortest_whisker_leaves_room(width):
    lines = [table(width).line(row).plain for row in range(3)]
    needed = max(map(len, NAMES)) + len("accuracy") + len("gain, points ") + WHISKER[0] + 3 * 2
    if width >= needed:
        assert [line.startswith(name) for line, name in zip(lines, NAMES, strict=True)] == [True] * 3
    assert all(len(line) <= width for line in lines)
