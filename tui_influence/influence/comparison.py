"""Two rankings of the same groups side by side: what helps with one and hurts the other.

Pairs what was estimated and estimates nothing anew. Both rankings may come from the same models, so their errors are
not independent: the interval of a difference is the widest that this allows, and holds whatever they share.
"""

from dataclasses import dataclass
from enum import Enum
from math import isfinite, nan

import numpy as np

from tui_influence.influence.rank_correlation import spearman
from tui_influence.influence.ranking import RankedGroup, Ranking

_FEWEST = 3
"""Groups below which a rank correlation says nothing."""


class Kind(Enum):
    """What has been shown of a group in both rankings: the sign of its influence in each, 0 where it has no proof."""

    HELPS_BOTH = 1, 1
    HURTS_BOTH = -1, -1
    HELPS_FIRST_BUT_HURTS_SECOND = 1, -1
    HURTS_FIRST_BUT_HELPS_SECOND = -1, 1
    HELPS_FIRST = 1, 0
    HURTS_FIRST = -1, 0
    HELPS_SECOND = 0, 1
    HURTS_SECOND = 0, -1
    NOT_SHOWN = 0, 0

    def __str__(self) -> str:
        """Return it in words: "helps first but hurts second"."""
        return self.name.lower().replace("_", " ")

    @property
    def is_opposed(self) -> bool:
        """Whether the group has been shown to help with one and to hurt the other."""
        first, second = self.value
        return bool(first * second < 0)


@dataclass(frozen=True)
class ComparedGroup:
    """A group in two rankings; numbers are in the unit of the outputs.

    Attributes:
        place: from 1, the most opposed first (see `compare`).
        first: the group in the first ranking.
        second: the same group in the second.
        kind: what has been shown of it in both.
    """

    place: int
    first: RankedGroup
    second: RankedGroup
    kind: Kind

    @property
    def group(self) -> str:
        """Its name."""
        return self.first.group

    @property
    def index(self) -> int:
        """Its column in the masks."""
        return self.first.index

    @property
    def difference(self) -> float:
        """Influence in the first ranking minus influence in the second; NaN where either is."""
        return self.first.influence - self.second.influence

    @property
    def low(self) -> float:
        """Lower end of the difference's interval: from the first's low to the second's high.

        The standard error of a difference is at most the sum of both standard errors, whatever their correlation, so
        two 95% intervals subtracted from each other hold the true difference at least as often.
        """
        return self.first.low - self.second.high

    @property
    def high(self) -> float:
        """Upper end of the difference's interval."""
        return self.first.high - self.second.low


@dataclass(frozen=True)
class Comparison:
    """Two rankings of the same groups.

    Attributes:
        rows: one a group, all K, the most opposed first; those of undefined influence last.
        correlation: Spearman's, of both orders; NaN if there are too few groups. What chance did to both alike raises
            it where they come from the same models.
        n_compared: groups that it is over.
    """

    rows: tuple[ComparedGroup, ...]
    correlation: float
    n_compared: int


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


def _kind(first: RankedGroup, second: RankedGroup, level: float) -> Kind:
    return Kind((_shown_sign(first, level), _shown_sign(second, level)))


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
