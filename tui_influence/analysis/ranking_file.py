"""Rankings from files: a CSV with a column of groups, such as `tinfl rank --csv` writes, or a list with a group a line.

A CSV has a header with the column `group` or `class`; further columns are ignored but for these:

- `influence`: what each group is worth; an empty cell is an unknown influence.
- `rank`: the order where there is no `influence`, 1 for the best. Without either, the best group comes first.

Lines before the header that begin with # are skipped, and in a list all of them that are no name. Names are those of
the run, or what `text.spreadsheet_safe` makes of them. Every group of the run needs one row.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from itertools import chain
from math import isfinite, nan
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tui_influence.analysis.names import PLURAL, Noun
from tui_influence.datasets.errors import DatasetProblemsError, directory_problem, printable_path, reason_of
from tui_influence.errors import DatasetError
from tui_influence.regular_files import read_regular
from tui_influence.text import did_you_mean, pluralize, printable, spreadsheet_safe

GROUP_COLUMNS = ("group", "class")
_MAX_BYTES = 32 << 20
_MAX_PROBLEMS = 1000
"""Problems after which the rest is not read."""
_MAX_COMPARISONS = 200_000
"""Names that unknown ones are compared with to suggest a similar one, a few seconds' worth; the first always is."""
_NAME = 60
"""Characters of a name in a message."""
_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs"}

Row = TypeVar("Row")


@dataclass(frozen=True)
class RankingFile:
    """A ranking of all K groups of a run, from a file.

    Attributes:
        name: of the file, safe to show.
        order: (K,) groups from worst to best; those of unknown influence in the middle.
        influence: (K,) in the unit of the file, NaN where unknown; None if the file has no influences.
        worth: (K,) the influence, or without influences a number that falls with the rank; NaN where unknown.
        ignored: columns of a table that has neither influences nor ranks, where the order of its lines counts instead.
    """

    name: str
    order: NDArray[np.int64]
    influence: NDArray[np.float64] | None
    worth: NDArray[np.float64]
    ignored: tuple[str, ...] = ()

    @property
    def n_unknown(self) -> int:
        """Number of groups of unknown influence."""
        return int(np.isnan(self.worth).sum())

    def lowest(self, k: int) -> frozenset[int]:
        """Return the k lowest groups."""
        return frozenset(self.order[:k].tolist())


def read_ranking(path: Path, groups: Sequence[str], noun: Noun = "class") -> RankingFile:
    """Read a ranking of the groups of a run.

    Args:
        path: path of the file.
        groups: names of the K groups.
        noun: what a group is, for messages.

    Raises:
        DatasetError: it cannot be read, or is no ranking of these groups; with `details` if several lines are wrong.
    """
    try:
        content = read_regular(path, _MAX_BYTES)
    except OSError as error:
        raise directory_problem(path, error) from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DatasetError(f"{printable_path(path)}: line {line} is not UTF-8 text; save it as CSV in UTF-8") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DatasetError(f"{printable_path(path)}: line {line} holds binary data; a ranking is a text file")
    return parse_ranking(text, groups, printable_path(path), noun)


def parse_ranking(text: str, groups: Sequence[str], display_name: str, noun: Noun = "class") -> RankingFile:
    """Return the ranking that a text holds; `display_name` is its name in messages. See `read_ranking`."""
    reader = _Reader(groups, display_name, noun)
    lines = enumerate(StringIO(text, newline=""), 1)
    number, first = next(((number, line) for number, line in lines if not reader.is_skipped(line)), (0, ""))
    if not number:
        raise DatasetError(f"{display_name}: it is empty; name each {noun} of the source on a line, the best first")
    header = None if reader.is_name(first) else _header(first, number, display_name)
    if header is None:
        return reader.read_list(chain([(number, first)], lines))
    return reader.read_table(header, (line for _, line in lines), number + 1)


def _header(line: str, number: int, display_name: str) -> dict[str, int] | None:
    """Return the positions of the columns of a CSV by their names in lower case; None for a list.

    Raises:
        DatasetError: it is the header of something else.
    """
    where = f"{display_name}: line {number}"
    try:
        cells = [cell.strip().lower() for cell in next(csv.reader([line], strict=True))]
    except csv.Error as error:
        raise DatasetError(f"{where} cannot be read: {reason_of(error)}; put names that hold a quote in quotes") from (
            error
        )
    for separator, marks in _OTHER_SEPARATORS.items():
        parts = line.strip().lower().split(separator)
        if len(parts) > 1 and not {*parts}.isdisjoint(GROUP_COLUMNS):
            raise DatasetError(f"{where} separates columns by {marks}; separate them by commas")
    if "difference_rank" in cells:
        raise DatasetError(f"{where} is that of two rankings side by side; write one, without --compare-*")
    columns = [column for column in GROUP_COLUMNS if column in cells]
    if not columns:
        if len(cells) == 1:
            return None
        raise DatasetError(f"{where} names no column `class` or `group`; name the column of classes so")
    if len(columns) > 1:
        raise DatasetError(f"{where} names both a column `group` and a column `class`; rename the one to be ignored")
    for column in (*columns, "influence", "rank"):
        if cells.count(column) > 1:
            raise DatasetError(f"{where} names the column `{column}` more than once; rename the others")
    return {name: cells.index(name) for name in cells} | {"group": cells.index(columns[0]), "": len(cells)}


def _quoted(name: str) -> str:
    return f'"{printable(name[: _NAME + 1], _NAME)}"'


class _Reader:
    """Reader of the rows of one file, which gathers what is wrong with them."""

    def __init__(self, groups: Sequence[str], display_name: str, noun: Noun) -> None:
        self._groups, self._display_name, self._noun = groups, display_name, noun
        safe: dict[str, int] = {}
        ambiguous: set[str] = set()
        for index, group in enumerate(groups):
            name = spreadsheet_safe(group)
            if safe.setdefault(name, index) != index:
                ambiguous.add(name)
        self._index_of = {name: index for name, index in safe.items() if name not in ambiguous}
        self._index_of |= {group: index for index, group in enumerate(groups)}
        self._problems: list[str] = []
        self._n_unknown_names = 0
        self._line_of: dict[int, int] = {}
        self._is_read_whole = True

    def is_name(self, line: str) -> bool:
        """Whether a line is the name of a group."""
        return line.strip() in self._index_of or line.rstrip("\r\n") in self._index_of

    def is_skipped(self, line: str) -> bool:
        """Whether a line is blank or a comment."""
        return not self.is_name(line) and (not line.strip() or line.lstrip().startswith("#"))

    def read_list(self, lines: Iterable[tuple[int, str]]) -> RankingFile:
        """Return the ranking of a list of numbered lines, the best group first.

        Raises:
            DatasetError: it is none.
        """
        names = ((number, line.rstrip("\r\n")) for number, line in lines if not self.is_skipped(line))
        for number, name in self._until_too_many_problems(names):
            text = name.strip()
            if not self.is_name(name) and len(text) > 1 and text[0] == text[-1] == '"':
                name = text[1:-1].replace('""', '"')
            self._add(name, number, first_line=not self._line_of)
        return self._ranking(None, None)

    def read_table(self, columns: dict[str, int], lines: Iterable[str], first: int) -> RankingFile:
        """Return the ranking of a CSV.

        Args:
            columns: positions of the columns by their names, and behind "" how many there are.
            lines: those below the header.
            first: number of the first of them.

        Raises:
            DatasetError: it is none.
        """
        quantity = next((name for name in ("influence", "rank") if name in columns), None)
        values: dict[int, float] = {}
        for number, cells in self._until_too_many_problems(self._rows(lines, first)):
            if len(cells) != columns[""]:
                self._problems.append(
                    f"line {number} has {pluralize(len(cells), 'cell')}, the header {columns['']}; put a name that "
                    "holds a comma in quotes"
                )
                continue
            name = cells[columns["group"]]
            if not name.strip():
                self._problems.append(f"line {number} names no {self._noun}; name it or remove the line")
                continue
            group = self._add(name, number)
            if group is not None and quantity is not None:
                values[group] = self._number(cells[columns[quantity]], quantity, number)
        ranking = self._ranking(quantity, values)
        others = () if quantity else tuple(name for name in columns if name not in ("", "group", *GROUP_COLUMNS))
        return replace(ranking, ignored=others)

    def _rows(self, lines: Iterable[str], first: int) -> Iterator[tuple[int, list[str]]]:
        reader = csv.reader(lines, strict=True)
        begin = first
        try:
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield begin, cells
                begin = first + reader.line_num
        except csv.Error as error:
            raise DatasetError(
                f"{self._display_name}: line {begin} cannot be read: {reason_of(error)}; close every quote"
            ) from error

    def _until_too_many_problems(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            if len(self._problems) >= _MAX_PROBLEMS:
                self._is_read_whole = False
                return
            yield row

    def _add(self, name: str, line: int, *, first_line: bool = False) -> int | None:
        """Return the group of a name; None if it is unknown or has a row already."""
        group = self._index_of.get(name, self._index_of.get(name.strip()))
        if group is None:
            self._n_unknown_names += 1
            comparisons = (self._n_unknown_names - 1) * len(self._groups)
            remedy = did_you_mean(name.strip(), self._groups) if comparisons < _MAX_COMPARISONS else ""
            header = "; a header is `class`, or `class,influence`" if first_line and not remedy else ""
            self._problems.append(
                f"line {line}: the source has no {self._noun} {_quoted(name.strip())}{remedy}{header}"
            )
        elif group in self._line_of:
            self._problems.append(
                f"line {line}: {_quoted(self._groups[group])} is on line {self._line_of[group]} already; remove one of "
                "the two"
            )
            group = None
        else:
            self._line_of[group] = line
        return group

    def _number(self, cell: str, quantity: str, line: int) -> float:
        text = cell.strip()
        if not text and quantity == "influence":
            return nan
        try:
            value = float(text) if text.isascii() and "_" not in text else None
        except ValueError:
            value = None
        if value is not None and isfinite(value):
            return value
        if value is not None:
            remedy = "; leave the cell empty if it is unknown" if quantity == "influence" else ""
            self._problems.append(f"line {line}: the {quantity} {_quoted(text)} is not finite{remedy}")
        else:
            self._problems.append(f"line {line}: the {quantity} {_quoted(text)} is no number; write it like -0.25")
        return nan

    def _ranking(self, quantity: str | None, values: dict[int, float] | None) -> RankingFile:
        """Return the ranking of all rows.

        Raises:
            DatasetError: a row is wrong, or a group has none.
        """
        if self._problems:
            self._refuse()
        missing = [group for group in range(len(self._groups)) if group not in self._line_of]
        if missing:
            raise DatasetError(
                f"{self._display_name}: {len(missing):,} of {len(self._groups):,} {PLURAL[self._noun]} have no line, "
                f"first {_quoted(self._groups[missing[0]])}; add them (`tinfl rank --csv` without --top writes all)"
            )
        lines = np.array([self._line_of[group] for group in range(len(self._groups))])
        if quantity is None or values is None:
            worth = -lines.astype(np.float64)
        else:
            sign = -1.0 if quantity == "rank" else 1.0
            worth = sign * np.array([values[group] for group in range(len(self._groups))])
        if np.isnan(worth).all():
            raise DatasetError(
                f"{self._display_name}: every influence is empty; fill the column in, or remove it to rank by order"
            )
        # Of equal worth, the group on the later line is the lower one.
        middle = np.where(np.isnan(worth), np.nanmedian(worth), worth)
        order = np.lexsort((-lines, middle)).astype(np.int64)
        return RankingFile(self._display_name, order, worth if quantity == "influence" else None, worth)

    def _refuse(self) -> None:
        problems, count = self._problems, pluralize(len(self._problems), "problem")
        more = f" ({count}{' in all' if self._is_read_whole else ' up to where reading stopped'})"
        raise DatasetProblemsError(
            f"{self._display_name}: {problems[0]}{more if len(problems) > 1 else ''}",
            [f"{self._display_name}: {problem}" for problem in problems],
        )
