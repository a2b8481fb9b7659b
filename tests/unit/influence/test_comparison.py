"""Two rankings side by side: what is paired, what is said of it, and in which order."""

from math import isnan, nan

import numpy as np
import pytest
import scipy.stats

from tui_influence.influence.comparison import compare
from tui_influence.influence.types import ComparisonKind, OutputKind, RankedGroup, Ranking

LEVEL = 0.05


def ranking(*groups: tuple[float, float]) -> Ranking:
    """A ranking of groups of these influences and q, in rank order as a ranking is."""
    order = sorted(range(len(groups)), key=lambda k: (isnan(groups[k][0]), -groups[k][0]))
    rows = tuple(
        RankedGroup(rank, f"g{k}", k, groups[k][0], 0.1, groups[k][0] - 0.2, groups[k][0] + 0.2, groups[k][1], 9, 9)
        for rank, k in enumerate(order, start=1)
    )
    return Ranking(rows, "difference", OutputKind.MARGIN, 18, 5, None, None, None, (), True)


SURE, UNSURE = 0.01, 0.4


@pytest.mark.parametrize(
    ("first", "second", "kind", "words"),
    [
        ((1.0, SURE), (2.0, SURE), ComparisonKind.HELPS_BOTH, "helps both"),
        ((-1.0, SURE), (-2.0, SURE), ComparisonKind.HURTS_BOTH, "hurts both"),
        ((1.0, SURE), (-2.0, SURE), ComparisonKind.HELPS_FIRST_BUT_HURTS_SECOND, "helps first but hurts second"),
        ((-1.0, SURE), (2.0, SURE), ComparisonKind.HURTS_FIRST_BUT_HELPS_SECOND, "hurts first but helps second"),
        ((1.0, SURE), (-2.0, UNSURE), ComparisonKind.HELPS_FIRST, "helps first"),
        ((-1.0, SURE), (2.0, UNSURE), ComparisonKind.HURTS_FIRST, "hurts first"),
        ((1.0, UNSURE), (2.0, SURE), ComparisonKind.HELPS_SECOND, "helps second"),
        ((1.0, UNSURE), (-2.0, SURE), ComparisonKind.HURTS_SECOND, "hurts second"),
        ((1.0, UNSURE), (-2.0, UNSURE), ComparisonKind.NOT_SIGNIFICANT, "not significant"),
        ((1.0, LEVEL), (1.0, nan), ComparisonKind.NOT_SIGNIFICANT, "not significant"),
        ((nan, nan), (1.0, SURE), ComparisonKind.HELPS_SECOND, "helps second"),
    ],
)
def test_a_kind_names_what_is_significant_and_nothing_else(first, second, kind, words):
    (row,) = compare(ranking(first), ranking(second), level=LEVEL).rows
    assert row.kind is kind
    assert str(row.kind) == words
    assert row.kind.is_opposed == ("but" in words)


def test_opposed_groups_come_first_then_other_signs_then_the_rest_each_by_their_difference():
    first = ranking((0.1, SURE), (5.0, SURE), (0.2, UNSURE), (0.3, UNSURE), (nan, nan), (-0.2, SURE), (4.0, SURE))
    second = ranking((-0.1, SURE), (0.1, SURE), (-0.2, SURE), (-9.0, UNSURE), (1.0, SURE), (0.2, SURE), (3.0, SURE))
    found = compare(first, second, level=LEVEL)
    assert [row.index for row in found.rows] == [5, 0, 3, 2, 1, 6, 4]
    assert [row.rank for row in found.rows] == [1, 2, 3, 4, 5, 6, 7]


def test_groups_are_paired_by_what_they_are_and_not_by_their_rank():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 20))
    first, second = (ranking(*((value, SURE) for value in side)) for side in values)
    for row in compare(first, second, level=LEVEL).rows:
        assert row.group == f"g{row.index}"
        assert (row.first.influence, row.second.influence) == tuple(values[:, row.index])
        assert row.difference == values[0, row.index] - values[1, row.index]


def test_the_correlation_is_spearman_s_over_the_groups_known_in_both():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(2, 30)).round(1)
    values[0, 3] = values[1, 7] = nan
    first, second = (ranking(*((value, SURE) for value in side)) for side in values)
    found = compare(first, second, level=LEVEL)
    known = np.isfinite(values).all(axis=0)
    assert found.n_compared == known.sum() == 28
    assert found.correlation == pytest.approx(scipy.stats.spearmanr(*values[:, known]).statistic)


@pytest.mark.parametrize("groups", [0, 1, 2])
def test_next_to_no_groups_have_no_correlation(groups):
    one = ranking(*[(float(k), SURE) for k in range(groups)])
    assert isnan(compare(one, one, level=LEVEL).correlation)


def test_three_groups_have_a_correlation():
    three = ranking((1.0, SURE), (3.0, SURE), (2.0, SURE))
    assert compare(three, three, level=LEVEL).correlation == pytest.approx(1)


@pytest.mark.parametrize("shared", [-1.0, -0.5, 0.0, 0.5, 1.0])
def test_a_difference_s_interval_holds_whatever_the_errors_have_in_common(shared):
    rng = np.random.default_rng(2)
    covariance = [[0.01, shared * 0.02], [shared * 0.02, 0.04]]
    errors = rng.multivariate_normal([0, 0], covariance, size=4000)
    held = 0
    for a, b in errors:
        pair = [
            Ranking((RankedGroup(1, "g", 0, x, se, x - 1.96 * se, x + 1.96 * se, 1, 9, 9),),
                    "ridge", OutputKind.MARGIN, 18, 5, None, None, None, (), False)
            for x, se in ((0.7 + a, 0.1), (-0.3 + b, 0.2))
        ]  # fmt: skip
        (row,) = compare(*pair, level=LEVEL).rows
        held += row.low <= 1.0 <= row.high
    assert held / len(errors) > 0.95 - 3 * np.sqrt(0.95 * 0.05 / len(errors))


def test_rankings_of_other_groups_are_refused():
    with pytest.raises(ValueError, match="same groups"):
        compare(ranking((1.0, SURE)), ranking((1.0, SURE), (2.0, SURE)), level=LEVEL)
