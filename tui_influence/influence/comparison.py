"""Comparison of two rankings of the same groups.

Nothing is estimated anew. Both rankings may come from the same models, so that their errors are not independent: the
interval of a difference is the widest that any dependence allows.
"""

from math import isfinite, nan

import numpy as np
from numpy.typing import NDArray

from tui_influence.influence.lds import spearman
from tui_influence.influence.types import ComparedGroup, Comparison, ComparisonKind, RankedGroup, Ranking

_MIN_GROUPS = 3
"""Groups below which there is no rank correlation."""


def compare(first: Ranking, second: Ranking, *, level: float) -> Comparison:
    """Pair two rankings of the same groups.

    The most opposed come first: groups that significantly help in one ranking and hurt in the other; then groups whose
    estimates differ in sign; then the others; among equals, by difference.

    Args:
        first: a ranking.
        second: another of the same groups, in any order.
        level: an influence is significant if its false discovery rate q is below this.

    Raises:
        ValueError: the groups differ.
    """
    second_rows = {row.index: row for row in second.rows}
    if {(row.index, row.group) for row in first.rows} != {(row.index, row.group) for row in second.rows}:
        raise ValueError("only rankings of the same groups can be compared")
    pairs = [(row, second_rows[row.index]) for row in first.rows]
    pairs.sort(key=lambda pair: _opposition(pair[0], pair[1], level))
    influences = np.array([(a.influence, b.influence) for a, b in pairs]).reshape(-1, 2)
    correlation, n_compared = rank_correlation(influences[:, 0], influences[:, 1])
    rows = tuple(ComparedGroup(rank, a, b, _kind(a, b, level)) for rank, (a, b) in enumerate(pairs, start=1))
    return Comparison(rows, correlation, n_compared)


def rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[float, int]:
    """Return Spearman's correlation of two rankings of the same groups, and the number of groups that it is over.

    Args:
        first: (K,) influences, or other numbers that grow with the influence; NaN where unknown.
        second: (K,) likewise; groups that are unknown in either do not count.

    Returns:
        The correlation is NaN over fewer than 3 groups, and where one of the rankings does not vary.
    """
    both = np.isfinite(first) & np.isfinite(second)
    count = int(both.sum())
    return (float(spearman(first[both, None], second[both, None])[0]) if count >= _MIN_GROUPS else nan), count


def _kind(first: RankedGroup, second: RankedGroup, level: float) -> ComparisonKind:
    return ComparisonKind((_significant_sign(first, level), _significant_sign(second, level)))


def _significant_sign(row: RankedGroup, level: float) -> int:
    if not row.q < level:
        return 0
    return 1 if row.influence > 0 else -1 if row.influence < 0 else 0


def _opposition(first: RankedGroup, second: RankedGroup, level: float) -> tuple[int, float, int]:
    difference = first.influence - second.influence
    if not isfinite(difference):
        return 3, 0.0, first.rank
    tier = 0 if _kind(first, second, level).is_opposed else 1 if first.influence * second.influence < 0 else 2
    return tier, -abs(difference), first.rank
