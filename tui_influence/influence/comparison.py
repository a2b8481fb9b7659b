"""Comparison of two rankings of the same groups.

Nothing is estimated anew. Both rankings may come from the same models, so that their errors are not independent: the
interval of a difference is the widest that any dependence allows.
"""

from math import isfinite, nan

import numpy as np

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
    influences = np.array([(a.influence, b.influence) for a, b in pairs if isfinite(a.influence - b.influence)])
    correlation = float(spearman(influences[:, :1], influences[:, 1:])[0]) if len(influences) >= _MIN_GROUPS else nan
    rows = tuple(ComparedGroup(rank, a, b, _kind(a, b, level)) for rank, (a, b) in enumerate(pairs, start=1))
    return Comparison(rows, correlation, len(influences))


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
