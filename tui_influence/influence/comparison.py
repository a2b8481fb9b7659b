"""Two rankings of the same groups side by side: what helps with one and hurts the other.

Pairs what was estimated and estimates nothing anew. Both rankings may come from the same models, so their errors are
not independent: the interval of a difference is the widest that this allows, and holds whatever they share.
"""

from math import isfinite, nan

import numpy as np

from tui_influence.influence.lds import spearman
from tui_influence.influence.types import (
    ComparedGroup,
    Comparison,
    ComparisonKind,
    RankedGroup,
    Ranking,
)

_FEWEST = 3
"""Groups below which a rank correlation says nothing."""


def compare(first: Ranking, second: Ranking, *, level: float) -> Comparison:
    """Pair two rankings of the same groups.

    The most opposed come first: groups shown to help with one and to hurt the other; then groups whose estimates have
    different signs; then the others; and among equals, those with the larger difference.

    Args:
        first: a ranking.
        second: another of the same groups, in any order.
        level: the false discovery rate q below which an influence counts as shown.

    Raises:
        ValueError: they are not of the same groups.
    """
    others = {row.index: row for row in second.rows}
    if {(row.index, row.group) for row in first.rows} != {(row.index, row.group) for row in second.rows}:
        raise ValueError("only rankings of the same groups can be compared")
    pairs = [(row, others[row.index]) for row in first.rows]
    pairs.sort(key=lambda pair: _opposition(pair[0], pair[1], level))
    known = np.array([(a.influence, b.influence) for a, b in pairs if isfinite(a.influence - b.influence)])
    correlation = float(spearman(known[:, :1], known[:, 1:])[0]) if len(known) >= _FEWEST else nan
    rows = tuple(ComparedGroup(place, a, b, _kind(a, b, level)) for place, (a, b) in enumerate(pairs, start=1))
    return Comparison(rows, correlation, len(known))


def _kind(first: RankedGroup, second: RankedGroup, level: float) -> ComparisonKind:
    return ComparisonKind((_shown_sign(first, level), _shown_sign(second, level)))


def _shown_sign(row: RankedGroup, level: float) -> int:
    if not row.q < level:
        return 0
    return 1 if row.influence > 0 else -1 if row.influence < 0 else 0


def _opposition(first: RankedGroup, second: RankedGroup, level: float) -> tuple[int, float, int]:
    difference = first.influence - second.influence
    if not isfinite(difference):
        return 3, 0.0, first.rank
    tier = 0 if _kind(first, second, level).is_opposed else 1 if first.influence * second.influence < 0 else 2
    return tier, -abs(difference), first.rank
