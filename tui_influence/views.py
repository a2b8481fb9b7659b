"""Which part of a ranking is looked at, and in which order. Pure functions on its rows; nothing is estimated here.

A filter is words with blanks between, and every one of them must hold. A word that begins with a comparison
(`>0.1`, `<=-0.2`) is about the influence; with a column before it (`q<0.05`, `se<=0.1`, `rank<=10`, `n>=50`,
`|x|>0.1`) about that column. Any other word is part of the name, upper or lower case.
"""

import operator
import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from math import inf, isfinite

from tui_influence.influence.ranking import RankedGroup

Test = Callable[[RankedGroup], bool]

_COLUMNS: dict[str, Callable[[RankedGroup], float]] = {
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
_COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_TERM = re.compile(r"(\|x\||[a-z]*)(>=|<=|>|<)(.*)", re.IGNORECASE)


class Order(StrEnum):
    """Orders of a table, each with the column that it follows."""

    HELPFUL = "most helpful first"
    HARMFUL = "most harmful first"
    STRENGTH = "strongest first"
    SURE = "surest first"
    NAME = "by name"

    @property
    def following(self) -> "Order":
        """The next one, around."""
        orders = list(Order)
        return orders[(orders.index(self) + 1) % len(orders)]


def parse_filter(text: str) -> tuple[Test, ...]:
    """Turn a filter as it is being typed into tests; a comparison without its number yet holds for all."""
    return tuple(_test(word) for word in text.split())


def chosen(rows: Sequence[RankedGroup], text: str, order: Order) -> list[RankedGroup]:
    """Return the rows that pass a filter, in an order; groups of undefined influence come last, but by name."""
    tests = parse_filter(text)
    kept = [row for row in rows if all(test(row) for test in tests)]
    return sorted(kept, key=_KEYS[order]) if order is not Order.HELPFUL else kept


def _test(word: str) -> Test:
    match = _TERM.fullmatch(word)
    column = _COLUMNS.get(match[1].lower()) if match else None
    if match is None or column is None:
        return _named(word.casefold())
    try:
        bound = float(match[3].replace("−", "-"))
    except ValueError:
        return _always if match[3] in ("", "-", "+", ".", "-.") else _named(word.casefold())
    compare = _COMPARE[match[2]]
    return lambda row: compare(column(row), bound)


def _named(part: str) -> Test:
    return lambda row: part in row.group.casefold()


def _always(row: RankedGroup) -> bool:
    return True


def _known(value: float) -> float:
    return value if isfinite(value) else inf


_KEYS: dict[Order, Callable[[RankedGroup], tuple[float | str, ...]]] = {
    Order.HELPFUL: lambda row: (row.rank,),
    Order.HARMFUL: lambda row: (_known(row.influence), row.rank),
    Order.STRENGTH: lambda row: (_known(-abs(row.influence)), row.rank),
    Order.SURE: lambda row: (_known(row.q), _known(-abs(row.influence)), row.rank),
    Order.NAME: lambda row: (row.group.casefold(), row.group, row.rank),
}
