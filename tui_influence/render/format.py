"""The columns of a ranking's table: how wide each is, what fits, and names cut to their cells.

Widths are terminal cells, not characters: a CJK letter takes two. `fit` is the only way a name gets into a table.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import floor, isfinite, log10

from rich.cells import cell_len

from tui_influence.text import printable

NAME = (8, 48)
"""Cells of the names' column, at least and at most (less if no name needs as much)."""
WHISKER = (11, 61)
"""Cells of the whiskers' column, at least and at most."""
_WIDE = 60  # from here on two blanks between columns
_SCIENTIFIC = 1e5  # numbers from here on are written as 1.23e+05


@dataclass(frozen=True)
class Column:
    """A column whose cells are text already.

    Attributes:
        header: what stands above it.
        cells: one a row.
        right: aligned to the right.
        keep: 0 always; else it is left out when it does not fit, the highest number first.
    """

    header: str
    cells: tuple[str, ...]
    right: bool = True
    keep: int = 0

    @cached_property
    def width(self) -> int:
        """Cells that it needs."""
        return max(cell_len(text) for text in (self.header, *self.cells))


@dataclass(frozen=True)
class Layout:
    """What `choose` found.

    Attributes:
        kept: which of the columns fit.
        name: cells of the names.
        whisker: cells of a whisker; 0 leaves them out.
        gap: blanks between columns.
    """

    kept: tuple[Column, ...]
    name: int
    whisker: int
    gap: int


def choose(columns: Sequence[Column], names: int, width: int, whiskers: int = 1) -> Layout:
    """Share `width` cells between columns of text, the names and the whiskers.

    Args:
        columns: all but names and whiskers.
        names: cells of the longest name.
        width: of the table.
        whiskers: columns of whiskers, all alike.
    """
    gap = 2 if width >= _WIDE else 1
    kept = list(columns)
    wanted = min(names, NAME[0])
    least, most = (whiskers * cells for cells in WHISKER)

    def room() -> int:
        return width - sum(column.width + gap for column in kept) - whiskers * gap

    while room() < wanted + least and any(column.keep for column in kept):
        kept.remove(max(kept, key=lambda column: column.keep))
    free = room()
    if free < wanted + least:
        return Layout(tuple(kept), max(min(names, free + whiskers * gap), 1), 0, gap)
    name = min(names, max(wanted, min(free * 2 // 5, free - least), free - most), NAME[1])
    return Layout(tuple(kept), name, min((free - name) // whiskers, WHISKER[1]), gap)


def choose_for_names(columns: Sequence[Column], names: int, width: int, least: int = 20) -> Layout:
    """Share cells as `choose` does, but give the names `least` of them before columns that can be done without."""
    kept = list(columns)
    while (layout := choose(kept, names, width)).name < min(names, least) and any(column.keep for column in kept):
        kept.remove(max(kept, key=lambda column: column.keep))
    return layout


def plain(text: str, ascii: bool) -> str:
    r"""Return `text` as it may be shown; with `ascii`, other characters as escapes (`\u4e2d`)."""
    safe = printable(text)
    if not ascii:
        return safe
    return safe.replace("…", "...").encode("ascii", "backslashreplace").decode("ascii")


def fit(text: str, cells: int, *, ellipsis: str = "…", right: bool = False) -> str:
    """Return `text` in exactly `cells` cells: padded, or cut with an ellipsis."""
    shown = cut(text, cells, ellipsis)
    padding = " " * (cells - cell_len(shown))
    return padding + shown if right else shown + padding


def cut(text: str, cells: int, ellipsis: str = "…") -> str:
    """Return `text` in at most `cells` cells, with an ellipsis if that is not all of it."""
    # A letter may carry marks that take no cell; a few are writing, a thousand are not.
    limit = 4 * cells + 8
    if len(text) <= limit and cell_len(text) <= cells:
        return text
    ellipsis = ellipsis[:cells]
    kept = text[:limit]
    while kept and cell_len(kept) > cells - len(ellipsis):
        kept = kept[:-1]
    return kept.rstrip() + ellipsis


def value_format(values: Iterable[float], errors: Iterable[float]) -> str:
    """Return the format of a column of influences: signed, two digits of the typical standard error.

    Args:
        values: the influences, NaN where unknown.
        errors: their standard errors, likewise.
    """
    sizes = sorted(abs(value) for value in values if isfinite(value) and value)
    known = sorted(error for error in errors if isfinite(error) and error > 0)
    if not sizes:
        return "+.3f"
    typical = known[len(known) // 2] if known else sizes[-1] / 10
    # No more digits than the largest value can stand: an error of zero says nothing.
    decimals = 1 - floor(log10(max(typical, sizes[-1] / 1e4)))
    if sizes[-1] >= _SCIENTIFIC or decimals > 5:
        return "+.2e"
    return f"+.{max(decimals, 0)}f"
