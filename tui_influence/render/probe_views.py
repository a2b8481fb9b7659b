"""The view of a probe: a table or rows of images, with the detail of each; the Probe mode shows any by this alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text

from tui_influence.analysis.filtering import filter_rows
from tui_influence.analysis.types import ImageSeries
from tui_influence.render.image_layout import ImageRow
from tui_influence.render.interval_table import IntervalTable
from tui_influence.render.style import Style

Order = Callable[["ProbeRow"], tuple[float | str, ...]]


@dataclass(frozen=True)
class ProbeRow:
    """A row of a table.

    Attributes:
        index: by which the row is found again, also when more models are recorded.
        group: names that a filter compares.
        numbers: that a filter compares, by name; the one without a name is meant where a filter names none.
        example: the test example of the row; None for a row of many.
        sample: position of its source image among the stored samples; None without one.
    """

    index: int
    group: str
    numbers: Mapping[str, float]
    example: int | None = None
    sample: int | None = None


@dataclass(frozen=True, eq=False)
class TableView:
    """A table.

    Attributes:
        rows: all rows, in the first of the orders.
        noun: the noun of a row.
        nouns: its plural.
        orders: of the rows, by name.
        written: all rows as lines of a width.
        detail: the row at a position in words, as lines of a width.
    """

    rows: Sequence[ProbeRow]
    noun: str
    nouns: str
    orders: Mapping[str, Order]
    written: Callable[[int, Style], IntervalTable]
    detail: Callable[[int, int, Style], list[Text]]

    def select(self, text: str, order: int) -> list[ProbeRow]:
        """Return the rows that pass a filter, in one of the orders."""
        names = self.rows[0].numbers if self.rows else {}
        columns = {name: _column(name) for name in names}
        return sorted(filter_rows(self.rows, text, columns), key=list(self.orders.values())[order])

    def row(self, index: int) -> ProbeRow | None:
        """Return the row of an index, if there is one."""
        return next((row for row in self.rows if row.index == index), None)


@dataclass(frozen=True, eq=False)
class ImageRowsView:
    """Rows of images.

    Attributes:
        rows: of images.
        detail: all of them in words, and the test example of a number (None: none), in so many lines of a width.
    """

    rows: Callable[[Style], tuple[ImageRow, ...]]
    detail: Callable[[int | None, int, int, Style], list[Text]]


@dataclass(frozen=True, eq=False)
class ProbeView:
    """The view of a probe.

    Attributes:
        summary: in a sentence without its full stop.
        series: the images of table rows by index, or of image rows by number, to be opened large.
        table: a table; None where images are shown.
        images: rows of images; None where a table is shown.
        empty: why there is nothing to see; empty if there is something.
    """

    summary: Callable[[Style], str]
    series: Callable[[Sequence[int]], ImageSeries]
    table: TableView | None = None
    images: ImageRowsView | None = None
    empty: str = ""


def _column(name: str) -> Callable[[ProbeRow], float]:
    return lambda row: row.numbers[name]
