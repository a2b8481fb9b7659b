from dataclasses import replace

import pytest

from tests.unit.export.reports import constant, ranking_of, row
from tui_influence.analysis.filtering import ComparisonOrder, RankingOrder, filter_comparison, filter_ranking
from tui_influence.influence.comparison import compare

ROWS = (
    row(1, "ostrich", 0.8, q=0.001),
    row(2, "Great White Shark", 0.05, q=0.4),
    row(3, "a>b", 0.0, q=1.0),
    row(4, "sea snake", -0.3, q=0.02),
    constant(5, "absent"),
)


@pytest.mark.parametrize(
    ("text", "ranks"),
    [
        ("", [1, 2, 3, 4, 5]),
        ("   ", [1, 2, 3, 4, 5]),
        ("shark", [2]),
        ("GREAT shark", [2]),
        (">0.1", [1]),
        ("<0", [4]),
        (">=0.05", [1, 2]),
        ("<=-0.3", [4]),
        ("<−0.2", [4]),
        ("|x|>0.1", [1, 4]),
        ("abs>0.1", [1, 4]),
        ("q<0.05", [1, 4]),
        ("Q<0.05 >0", [1]),
        ("rank<=2", [1, 2]),
        ("n>=1", [1, 2, 3, 4]),
        ("s <0.1 q<0.5", [2, 4]),
        (">", [1, 2, 3, 4, 5]),  # the number is still being typed
        (">-", [1, 2, 3, 4, 5]),
        ("a>b", [3]),  # no such column: part of a name
        (">x", []),
        ("nothing", []),
    ],
)
def test_a_filter_keeps_the_rows_for_which_every_word_holds(text, ranks):
    assert [found.rank for found in filter_ranking(ROWS, text, RankingOrder.HELPFUL)] == ranks


@pytest.mark.parametrize(
    ("order", "ranks"),
    [
        (RankingOrder.HELPFUL, [1, 2, 3, 4, 5]),
        (RankingOrder.HARMFUL, [4, 3, 2, 1, 5]),
        (RankingOrder.STRENGTH, [1, 4, 2, 3, 5]),
        (RankingOrder.LOWEST_Q, [1, 4, 2, 3, 5]),
        (RankingOrder.NAME, [3, 5, 2, 1, 4]),
    ],
)
def test_an_order_keeps_undefined_influences_last(order, ranks):
    assert [found.rank for found in filter_ranking(ROWS, "", order)] == ranks


def pairs():
    """For a second target, what was first is nearly last."""
    values = {1: (-0.5, 0.02), 2: (0.06, 0.3), 3: (0.2, 0.01), 4: (-0.4, 0.2)}
    second = sorted((row(rank, ROWS[rank - 1].group, value, q=q) for rank, (value, q) in values.items()),
                    key=lambda found: -found.influence)  # fmt: skip
    second = [replace(found, rank=rank) for rank, found in enumerate(second, start=1)]
    return compare(ranking_of(ROWS), ranking_of((*second, constant(5, "absent"))), level=0.05).rows


@pytest.mark.parametrize(
    ("text", "indices"),
    [
        ("", [1, 3, 4, 2, 5]),
        (">0.1", [1]),  # the first
        ("x<0", [4]),
        ("first>0.1", [1]),
        ("second>0.1", [3]),
        ("|second|>=0.4", [1, 4]),
        ("d>1", [1]),
        ("difference<0", [3, 2]),
        ("|d|>0.15", [1, 3]),
        ("q<0.05", [1]),  # in both
        ("first>0 second<0 q<0.05", [1]),
        ("shark", [2]),
        ("|y|>1", []),  # no such column: part of a name
    ],
)
def test_a_filter_of_two_rankings_knows_both(text, indices):
    assert [found.index for found in filter_comparison(pairs(), text, ComparisonOrder.OPPOSED)] == indices


@pytest.mark.parametrize(
    ("order", "indices"),
    [
        (ComparisonOrder.OPPOSED, [1, 3, 4, 2, 5]),
        (ComparisonOrder.DIFFERENCE, [1, 3, 4, 2, 5]),
        (ComparisonOrder.BOTH, [2, 3, 4, 1, 5]),
        (ComparisonOrder.FIRST, [1, 2, 3, 4, 5]),
        (ComparisonOrder.SECOND, [3, 2, 4, 1, 5]),
        (ComparisonOrder.NAME, [3, 5, 2, 1, 4]),
    ],
)
def test_an_order_of_two_rankings_keeps_undefined_differences_last(order, indices):
    assert [found.index for found in filter_comparison(pairs(), "", order)] == indices
