"""A table that scrolls: lines are drawn when they are seen, ten thousand rows cost no more than ten.

The cursor and the marks are on rows, not on lines: when their order changes under them they go along, and the cursor
stays where it was on the screen.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.segment import Segment
from rich.style import Style as RichStyle
from rich.text import Text
from textual import events
from textual.cache import LRUCache
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui_influence.render.style import Style
from tui_influence.tui.actions import bindings

_MARGIN = 2
"""Cells before a line, for its mark."""
_MAX_STRIPS = 256
"""Lines that are kept as drawn: some screenfuls, for what is filtered away comes back a key later."""


class TableRow(Protocol):
    """A row of a table."""

    @property
    def group(self) -> str:
        """Its name."""

    @property
    def index(self) -> int:
        """The number that it is known by, in whatever order rows are shown."""


class TableLines(Protocol):
    """Rows as lines of text."""

    def header(self) -> Text:
        """Return the line above them."""

    def line(self, index: int, /) -> Text:
        """Return the line of the row at an index."""


class TableModel(Protocol):
    """The rows of a table, and how they are written."""

    @property
    def noun(self) -> str:
        """The noun of a row."""

    @property
    def rows(self) -> Sequence[TableRow]:
        """All rows."""

    @property
    def written(self) -> Callable[[int, Style], TableLines]:
        """Return all rows as lines of a width."""


class Table(ScrollView, can_focus=True):
    """Rows, perhaps a filtered and ordered part of them, with a cursor and marks."""

    scope = "table"
    BINDINGS = bindings("table")

    class CursorMoved(Message):
        """The cursor is on another row."""

    class Chosen(Message):
        """A row is to be opened, by its index."""

        def __init__(self, index: int) -> None:
            self.index = index
            super().__init__()

    def __init__(self, style: Style) -> None:
        super().__init__()
        self.marks: set[int] = set()
        self._style = style
        self._model: TableModel | None = None
        self._rows: Sequence[TableRow] = ()
        self._row_indices: dict[int, int] = {}
        self._cursor = 0
        self._is_moving = False
        self._lines: TableLines | None = None
        self._width, self._base, self._blank = 0, RichStyle(), Strip([])
        self._strips: LRUCache[tuple[int, bool, bool], Strip] = LRUCache(_MAX_STRIPS)

    @property
    def current(self) -> TableRow | None:
        """The row under the cursor."""
        return self._rows[self._cursor] if self._rows else None

    @property
    def current_index(self) -> int | None:
        """The index of the row under the cursor among all rows."""
        return None if self.current is None else self._row_indices[self.current.index]

    @property
    def marked(self) -> list[TableRow]:
        """The marked rows, in the order of all, also those that a filter hides."""
        return [row for row in self._model.rows if row.index in self.marks] if self._model else []

    def show(self, model: TableModel, rows: Sequence[TableRow], style: Style, *, follow: bool = True) -> None:
        """Show these rows of a model.

        Args:
            model: what the rows are of; columns and scale are its.
            rows: some of it, in an order.
            style: colours and signs.
            follow: keep the cursor on its row; otherwise it goes to the first.
        """
        if model is not self._model or style != self._style:
            self._model, self._style, self._lines = model, style, None
            self._row_indices = {row.index: position for position, row in enumerate(model.rows)}
        before, index_before = self._cursor, self.current.index if self.current else None
        self._rows = rows
        position = (
            next((position for position, row in enumerate(rows) if row.index == index_before), None) if follow else None
        )
        with self._keeping_cursor_visible():
            self._cursor = position if position is not None else 0 if not follow else min(before, max(len(rows) - 1, 0))
            self.virtual_size = Size(self.scrollable_content_region.width, len(rows) + 1)
            top = self.scroll_offset.y + self._cursor - before if follow else 0
            self.scroll_to(y=max(top, 0), animate=False, immediate=True)
        self.refresh()
        self.post_message(self.CursorMoved())

    def toggle_mark(self) -> None:
        """Mark the row under the cursor, or unmark it, and go on to the next."""
        if self.current is not None:
            self.marks ^= {self.current.index}
            self.action_move(1)
            self.refresh()

    def unmark(self) -> None:
        """Take all marks away."""
        self.marks.clear()
        self.refresh()

    def select(self, index: int) -> None:
        """Put the cursor on a row, if it is among those that are shown."""
        position = next((position for position, row in enumerate(self._rows) if row.index == index), None)
        if position is not None:
            self._go(position)

    def on_resize(self) -> None:
        """Lay the columns out for the new width."""
        with self._keeping_cursor_visible():
            self.virtual_size = Size(self.scrollable_content_region.width, len(self._rows) + 1)

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the line under the mouse; twice chooses it."""
        position = self.scroll_offset.y + event.y - 1
        if event.y > 0 and position < len(self._rows):
            self._go(position)
            if event.chain > 1:
                self.action_choose()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Take the cursor along where a wheel or the bar would scroll it out of sight."""
        super().watch_scroll_y(old_value, new_value)
        if not self._is_moving and self._rows:
            visible = min(max(self._cursor, self.scroll_offset.y), self.scroll_offset.y + self._room() - 1)
            if visible != self._cursor:
                self._cursor = min(visible, len(self._rows) - 1)
                self.post_message(self.CursorMoved())

    def action_choose(self) -> None:
        """Choose the row under the cursor."""
        if self.current is not None:
            self.post_message(self.Chosen(self.current.index))

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        self._go(self._cursor + by)

    def action_page(self, by: int) -> None:
        """Move the cursor by a screenful."""
        self._go(self._cursor + by * max(self.size.height - 2, 1))

    def action_edge(self, last: int) -> None:
        """Move the cursor to the first or the last line."""
        self._go(len(self._rows) if last else 0)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Draw some lines of the screen, as they are: the stylesheet puts nothing around them.

        A line that was drawn before is the same object again, for which Textual has kept the escape sequences.
        """
        width, base = self.scrollable_content_region.width, self.rich_style
        if (width, base) != (self._width, self._base):
            self._width, self._base, self._lines = width, base, None
            self._blank = Strip.blank(width, base)
        filters, background = self.get_line_filters(), self.background_colors[1]
        strips = []
        for y in crop.line_range:
            strip = self.render_line(y)
            for line_filter in filters:
                strip = strip.apply_filter(line_filter, background)
            strips.append(strip.crop(*crop.column_span))
        return strips

    def render_line(self, y: int) -> Strip:
        """Draw one line of the screen; the first is the header."""
        if self._model is None or self._width <= _MARGIN:
            return self._blank
        if not self._rows and self._model.rows:  # a filter has left none
            text = Text(f"no {self._model.noun} matches", self._style.quiet)
            return self._strip(" " * _MARGIN, text, self._base) if y == 1 else self._blank
        if self._lines is None:
            self._lines = self._model.written(self._width - _MARGIN, self._style)
            self._strips.clear()
        if y == 0:
            return self._strip(" " * _MARGIN, self._lines.header(), self._base)
        position = self.scroll_offset.y + y - 1
        if position >= len(self._rows):
            return self._blank
        row = self._rows[position]
        key = (row.index, row.index in self.marks, position == self._cursor)
        strip = self._strips.get(key)
        if strip is None:
            strip = self._strips[key] = self._row_strip(row, self._lines, cursor=position == self._cursor)
        return strip

    def _row_strip(self, row: TableRow, lines: TableLines, *, cursor: bool) -> Strip:
        mark = self._style.glyph("● ", "* ") if row.index in self.marks else " " * _MARGIN
        base = self._base
        if cursor:
            base += RichStyle.parse(self._style.cursor)
            mark = mark if row.index in self.marks else self._style.glyph("▸ ", "> ")
        return self._strip(mark, lines.line(self._row_indices[row.index]), base)

    def _strip(self, mark: str, text: Text, base: RichStyle) -> Strip:
        segments = [Segment(mark, RichStyle(bold=True)), *text.render(self.app.console)]
        strip = Strip([segment for segment in segments if segment.text != "\n"])
        return strip.adjust_cell_length(self._width).apply_style(base).simplify()

    def _go(self, position: int) -> None:
        with self._keeping_cursor_visible():
            self._cursor = min(max(position, 0), max(len(self._rows) - 1, 0))
        self.refresh()
        self.post_message(self.CursorMoved())

    @contextmanager
    def _keeping_cursor_visible(self) -> Iterator[None]:
        """Move the cursor, or the lines, and then scroll as little as needed for it to be seen below the header."""
        self._is_moving = True
        try:
            yield
            top = self.scroll_offset.y
            needed_top = min(max(top, self._cursor - self._room() + 1), self._cursor)
            if needed_top != top:
                self.scroll_to(y=needed_top, animate=False, immediate=True)
        finally:
            self._is_moving = False

    def _room(self) -> int:
        """Lines below the header."""
        return max(self.size.height - 1, 1)


class RankingTable(Table):
    """Rows of a model; an index is a group's column in the masks."""

    help = (
        "A ranking. A line is a group, and the bar is the 95% interval around the estimate, on one scale for all; "
        "right of the line helps, left of it hurts, and * is significant (q < 0.05 among all groups). Of two "
        "rankings, what helps with one and hurts the other comes first. <rank.mark> marks lines to be copied, "
        "<rank.filter> leaves some out, <rank.sort> orders them."
    )


class ProbeTable(Table):
    """Rows of a `ProbeView`; an index is that of its row."""

    help = (
        "Results of a probe. A line is a test image that most models get wrong, with its most harmful group; or a "
        "class of the target, with what drives its images; or a pair of a source image and a test image. Bars are 95% "
        "intervals around the estimate, on one scale; left of the line hurts, and * is significant (q < 0.05). "
        "<table.choose> opens the image, or the class."
    )


class ArmTable(Table):
    """Gains of arms, or of the classes of an arm; an index is its arm's among the results, or its class's.

    Attributes:
        openable: indices of the rows that can be opened.
    """

    openable: frozenset[int] = frozenset()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether a key does this now: the row under the cursor may have nothing to open."""
        return action != "choose" or (self.current is not None and self.current.index in self.openable)

    help = (
        "Arms of a pruning. A line is an arm, and the bar is the 95% interval of what it gained over keeping "
        "everything, on one scale for all; * is significant. <table.choose> opens the target classes under an arm, "
        "those that lost most first, and on a class goes to the ranking for it; <app.back> goes back."
    )
