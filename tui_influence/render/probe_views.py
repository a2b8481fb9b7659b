"""What the Probe mode shows of one probe, whichever it is: a table or rows of images, with what is said about each.

The screen knows only `Shown`. Loads numpy with what it is made of, so it is imported where there is something to show.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from tui_influence.analysis.filtering import filter_rows
from tui_influence.analysis.types import ImageSeries
from tui_influence.render.image_layout import ImageRow
from tui_influence.render.style import Style

if TYPE_CHECKING:
    from tui_influence.tui.table_models import Written

Order = Callable[["ProbeRow"], tuple[float | str, ...]]


@dataclass(frozen=True)
class ProbeRow:
    """A line of a table.

    Attributes:
        index: by which it is known, also when other models have come.
        group: names that a filter finds it by.
        numbers: that a filter compares, by name; the one without a name is meant where none is written.
        example: the test example it is about; None where it is about many.
        sample: position of its source image among those that are kept; None where it has none.
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
        rows: all lines, in the first of the orders.
        noun: what a line is.
        nouns: what lines are.
        orders: that they may be looked at in, by name.
        written: all rows as lines of a width.
        about: what there is to say of the row at a place, in lines of a width.
    """

    rows: Sequence[ProbeRow]
    noun: str
    nouns: str
    orders: Mapping[str, Order]
    written: "Callable[[int, Style], Written]"
    about: Callable[[int, int, Style], list[Text]]

    def chosen(self, text: str, order: int) -> list[ProbeRow]:
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
        shelves: of them.
        about: what there is to say of the test example of a number (None: of none), and of all, in so many lines of
            a width.
    """

    rows: Callable[[Style], tuple[ImageRow, ...]]
    about: Callable[[int | None, int, int, Style], list[Text]]


@dataclass(frozen=True, eq=False)
class ProbeView:
    """What there is to show of a probe.

    Attributes:
        summary: of it, in a sentence without its full stop.
        series: the images of rows, or of tiles, by index or number, to be opened large.
        csv: as the command writes it.
        what: is in that, in words.
        note: on that.
        sheet: a table; None where images are shown.
        shelved: rows of images; None where a table is shown.
        empty: why there is nothing to be seen; empty if there is something.
    """

    summary: Callable[[Style], str]
    series: Callable[[Sequence[int]], ImageSeries]
    csv: Callable[[], str]
    what: str
    note: str
    table: TableView | None = None
    images: ImageRowsView | None = None
    empty: str = ""


def _column(name: str) -> Callable[[ProbeRow], float]:
    return lambda row: row.numbers[name]
