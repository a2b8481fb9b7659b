"""Filters and orders for the rows of a ranking or a comparison. Nothing is estimated here.

A filter is a list of words separated by blanks, all of which must hold. A word that begins with a comparison
(`>0.1`, `<=-0.2`) is about the influence; with a column before it (`q<0.05`, `se<=0.1`, `rank<=10`, `n>=50`,
`|x|>0.1`) it is about that column. Any other word is part of the name, in upper or lower case. In a comparison of two
rankings, a word without a column is about the first; `second>0`, `difference<0` and `|d|>0.1` are about the others, and
`q` is the larger of both, so that `q<0.05` leaves what is significant in both.
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from math import inf, isfinite
from typing import Protocol, TypeVar

from tui_influence.influence.types import ComparedGroup, RankedGroup


class Named(Protocol):
    """A row of a table that filters apply to."""

    @property
    def group(self) -> str:
        """The name of its group."""


Row = TypeVar("Row", bound=Named)
Columns = Mapping[str, Callable[[Row], float]]
Key = Callable[[Row], tuple[float | str, ...]]

_RANKING: Columns[RankedGroup] = {
    "": lambda row: row.influence,
    "x": lambda row: row.influence,
    "influence": lambda row: row.influence,
    "|x|": lambda row: abs(row.influence),
    "abs": lambda row: abs(row.influence),
    "q": lambda row: row.q,
    "se": lambda row: row.se,
    "rank": lambda row: row.rank,
    "n": lambda row: min(row.n_with, row.n_without),
}


def _of_first(column: Callable[[RankedGroup], float]) -> Callable[[ComparedGroup], float]:
    return lambda row: column(row.first)


_COMPARISON: Columns[ComparedGroup] = {
    **{name: _of_first(column) for name, column in _RANKING.items()},
    "first": lambda row: row.first.influence,
    "second": lambda row: row.second.influence,
    "|second|": lambda row: abs(row.second.influence),
    "d": lambda row: row.difference,
    "difference": lambda row: row.difference,
    "|d|": lambda row: abs(row.difference),
    "q": lambda row: _larger(row.first.q, row.second.q),
    "n": lambda row: min(row.first.n_with, row.first.n_without, row.second.n_with, row.second.n_without),
}
_COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_TERM = re.compile(r"(\|[a-z]+\||[a-z]*)(>=|<=|>|<)(.*)", re.IGNORECASE)


class RankingOrder(StrEnum):
    """The orders of a ranking, and their names."""

    HELPFUL = "most helpful first"
    HARMFUL = "most harmful first"
    STRENGTH = "strongest first"
    LOWEST_Q = "lowest q first"
    NAME = "by name"


class ComparisonOrder(StrEnum):
    """The orders of a comparison, and their names."""

    OPPOSED = "most opposed first"
    DIFFERENCE = "largest difference first"
    BOTH = "most helpful to both first"
    FIRST = "by the first, most helpful first"
    SECOND = "by the second, most helpful first"
    NAME = "by name"


def filter_ranking(rows: Sequence[RankedGroup], text: str, order: RankingOrder) -> list[RankedGroup]:
    """Return the rows that pass a filter, in an order; groups of undefined influence come last, but by name.

    A comparison that is still being typed, without its number, holds for all rows.
    """
    return sorted(filter_rows(rows, text, _RANKING), key=_KEYS[order])


def filter_comparison(rows: Sequence[ComparedGroup], text: str, order: ComparisonOrder) -> list[ComparedGroup]:
    """Return the rows of a comparison that pass a filter, in an order; as `filter_ranking`."""
    return sorted(filter_rows(rows, text, _COMPARISON), key=_PAIR_KEYS[order])


def filter_rows(rows: Sequence[Row], text: str, columns: Columns[Row]) -> list[Row]:
    """Return the rows that pass a filter, in their order.

    Args:
        rows: of any table.
        text: the filter.
        columns: that comparisons may be about, by name; the one without a name is meant where no name is given.
    """
    tests = [_test(word, columns) for word in text.split()]
    return [row for row in rows if all(test(row) for test in tests)]


def _test(word: str, columns: Columns[Row]) -> Callable[[Row], bool]:
    match = _TERM.fullmatch(word)
    column = columns.get(match[1].lower()) if match else None
    if match is None or column is None:
        return _named(word.casefold())
    try:
        bound = float(match[3].replace("−", "-"))
    except ValueError:
        return _always if match[3] in ("", "-", "+", ".", "-.") else _named(word.casefold())
    compare = _COMPARE[match[2]]
    return lambda row: compare(column(row), bound)


def _named(part: str) -> Callable[[Named], bool]:
    return lambda row: part in row.group.casefold()


def _always(row: Named) -> bool:
    return True


def _known(value: float) -> float:
    return value if isfinite(value) else inf


def _larger(first: float, second: float) -> float:
    """The larger of two; NaN, which no comparison holds for, if either is."""
    return max(first, second) if first == first and second == second else first + second


_KEYS: dict[RankingOrder, Key[RankedGroup]] = {
    RankingOrder.HELPFUL: lambda row: (row.rank,),
    RankingOrder.HARMFUL: lambda row: (_known(row.influence), row.rank),
    RankingOrder.STRENGTH: lambda row: (_known(-abs(row.influence)), row.rank),
    RankingOrder.LOWEST_Q: lambda row: (_known(row.q), _known(-abs(row.influence)), row.rank),
    RankingOrder.NAME: lambda row: (row.group.casefold(), row.group, row.rank),
}
_PAIR_KEYS: dict[ComparisonOrder, Key[ComparedGroup]] = {
    ComparisonOrder.OPPOSED: lambda row: (row.rank,),
    ComparisonOrder.DIFFERENCE: lambda row: (_known(-abs(row.difference)), row.rank),
    ComparisonOrder.BOTH: lambda row: (_known(_larger(-row.first.influence, -row.second.influence)), row.rank),
    ComparisonOrder.FIRST: lambda row: (row.first.rank,),
    ComparisonOrder.SECOND: lambda row: (row.second.rank,),
    ComparisonOrder.NAME: lambda row: (row.group.casefold(), row.group, row.rank),
}
