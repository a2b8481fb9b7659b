"""Mode 2, Rank: all groups with influence, interval, q and counts; filter, order, mark, export, copy.

What is estimated is the core's business: this screen holds a question and shows the answer; while a new one is being
worked out, the old one stays and the line above the table says so.
"""

from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.widgets import Input, Static

from tui_influence.analysis.question import comparison_choices
from tui_influence.render.format import plain
from tui_influence.tui.actions import bindings
from tui_influence.tui.messages import CopyAsked
from tui_influence.tui.screens.base import AskingScreen
from tui_influence.tui.state import RunState
from tui_influence.tui.widgets.incremental_text import IncrementalText
from tui_influence.tui.widgets.input import FILTER, Field
from tui_influence.tui.widgets.table import RankingTable

if TYPE_CHECKING:
    from tui_influence.tui.table_models import Sheet


class RankScreen(AskingScreen):
    """Shows the answer to a question, and asks others."""

    mode = "rank"
    AUTO_FOCUS = "RankingTable"
    hint = (
        "<rank.filter> filters: name, >0.1, q<0.05.  <rank.target>, <rank.target-class>, <rank.versus>, "
        "<rank.estimator>, <rank.output> change the question.  <app.help> help."
    )
    BINDINGS = bindings("rank")

    class ExportAsked(Message):
        """The ranking is to be written to a file."""

    class LinesAsked(Message):
        """Lines are to be copied: groups by their column in the masks."""

        def __init__(self, groups: set[int]) -> None:
            self.groups = groups
            super().__init__()

    class PruneAsked(Message):
        """Classes are to be left out: those that are marked, by name."""

        def __init__(self, marked: tuple[str, ...]) -> None:
            self.marked = marked
            super().__init__()

    def __init__(self, state: RunState) -> None:
        super().__init__(state)
        self._order = 0
        self._filter = ""
        self._fresh = True

    def body(self) -> ComposeResult:
        """Lay out question, filter, table and detail."""
        yield IncrementalText(id="question")
        field = Field(FILTER, placeholder="part of a name, >0.1, |x|>0.2, q<0.05, n>=50", id="filter")
        field.display = False
        yield field
        with Horizontal(id="ranking"):
            yield RankingTable(self.state.style)
            with VerticalScroll(id="detail", can_focus=False):
                yield Static(id="about", markup=False)
        yield Static(id="no-ranking", classes="calm", markup=False)

    def on_mount(self) -> None:
        """Filter while a key is still being handled, not by a message after it: one paint shows both."""
        self.watch(self.query_one("#filter", Input), "value", self._filtered, init=False)

    def on_resize(self) -> None:
        """Draw what is above and beside the table for the new width."""
        self._show_question()
        self.call_after_refresh(self._show_detail)  # only then it is known whether there is room for it

    def show(self) -> None:
        """Show the answer there is, or why there is none."""
        state = self.state
        self._find_sheet()
        self.query_one("#ranking").display = self._sheet is not None
        empty = self.query_one("#no-ranking", Static)
        empty.display = self._sheet is None
        if self._sheet is None:
            empty.update(plain(state.rank_problem or state.problem or "reading the models...", state.style.ascii))
        elif self._shown != (self._sheet, state.style):  # nor what has not changed: a run is looked at every second
            self._shown = (self._sheet, state.style)
            self._show_rows(follow=not self._fresh)
            self._fresh = False
        self._show_question()
        self.offer("sort", "target")

    def back(self) -> bool:
        """Leave the filter, then clear it."""
        field = self.query_one("#filter", Input)
        if not field.display:
            return False
        field.value = ""
        field.display = False
        self.query_one(RankingTable).focus()
        return True

    def allows(self, action: str) -> bool:
        """What needs a ranking only where there is one."""
        if action in ("sort", "mark", "unmark", "export", "copy"):
            return self.state.answer is not None
        return super().allows(action)

    def _filtered(self, value: str) -> None:
        self._filter = value
        self._show_rows(follow=True)
        self._show_question()

    @on(Input.Submitted, "#filter")
    def _filter_kept(self) -> None:
        self.query_one("#filter").display = bool(self._filter.strip())
        self.query_one(RankingTable).focus()

    @on(RankingTable.CursorMoved)
    def _moved(self) -> None:
        self._show_detail()
        row = self.query_one(RankingTable).current
        if row is not None and self.is_current:
            self.post_message(self.GroupChosen(row.index))

    @on(RankingTable.Chosen)
    async def _chosen(self, message: RankingTable.Chosen) -> None:
        self.post_message(self.GroupChosen(message.index))
        await self.app.run_action("app.mode('class')")

    def action_filter(self) -> None:
        """Type a filter."""
        field = self.query_one("#filter", Input)
        field.display = True
        self.set_focus(field)  # now, not later: the next key is meant for it

    def action_sort(self) -> None:
        """Take the next order."""
        self._order += 1
        self._show_rows(follow=False)
        self._show_question()

    def action_mark(self) -> None:
        """Mark the line."""
        self.query_one(RankingTable).toggle_mark()
        self._show_question()

    def action_unmark(self) -> None:
        """Unmark all lines."""
        self.query_one(RankingTable).unmark()
        self._show_question()

    def action_versus(self) -> None:
        """Choose what to compare with, or nothing."""
        asked = self.state.question
        choice = comparison_choices(self.info(), asked, self.state.versus)
        if not choice.names:
            self.notify("There is nothing to compare with: one target, of one class.", markup=False)
            return
        self.choose(
            choice.title, choice.names, lambda place: self.post_message(self.Asked(asked, choice.questions[place]))
        )

    def action_prune(self) -> None:
        """Go to the Prune mode with the marked classes."""
        self.post_message(self.PruneAsked(tuple(row.group for row in self.query_one(RankingTable).marked)))

    def action_export(self) -> None:
        """Ask for the file."""
        self.post_message(self.ExportAsked())

    def action_copy(self) -> None:
        """Copy the marked lines, or the one under the cursor."""
        table = self.query_one(RankingTable)
        rows = table.marked or ([table.current] if table.current else [])
        if rows:
            self.post_message(self.LinesAsked({row.index for row in rows}))

    def action_command(self) -> None:
        """Copy the command that asks the same."""
        command = self.state.question.command(self.state.root, versus=self.state.versus)
        self.post_message(CopyAsked(command, "the command"))

    def _find_sheet(self) -> None:
        """Take what there is to show now; another kind of it has other orders."""
        state = self.state
        made_of = (state.answer, state.second, state.versus is None)
        if made_of == self._made_of:
            return
        before, self._sheet, self._made_of = self._sheet, None, made_of
        if state.answer is not None:
            from tui_influence.tui.table_models import sheet_of  # here, because it loads numpy

            self._sheet = sheet_of(state)
        if before is not None and self._sheet is not None and before.orders != self._sheet.orders:
            self._order, self._fresh = 0, True

    def _show_rows(self, *, follow: bool) -> None:
        sheet = self._sheet
        if sheet is None:
            return
        order = self._order % len(sheet.orders)
        rows = sheet.chosen(self._filter, order)
        self.query_one(RankingTable).show(sheet, rows, self.state.style, follow=follow)
        self._counts = (len(rows), sheet.orders[order])
        self._show_detail()

    def _show_detail(self) -> None:
        sheet, overview = self._sheet, self.state.overview
        if sheet is None or not self.query_one("#detail").display:
            return
        place = self.query_one(RankingTable).current_place
        detailed = (sheet, place, self.state.style)
        if self._detailed == detailed:
            return
        self._detailed = detailed
        sizes = overview.info.source.sizes if overview and overview.info else []
        group = sheet.rows[place].index if place is not None else len(sizes)
        images = sizes[group] if group < len(sizes) else None
        self.query_one("#about", Static).update(sheet.detail(place, images, self.state.style))

    def _show_question(self) -> None:
        from tui_influence.tui.widgets.headers import question_lines

        marks = len(self.query_one(RankingTable).marks)
        lines = question_lines(self.state, self._sheet, *self._counts, marks, self.size.width - 2)
        self.query_one("#question", IncrementalText).show(lines)

    _sheet: "Sheet | None" = None
    _made_of: tuple[object, ...] = ()
    _shown: tuple[object, ...] = ()
    _counts: tuple[int, str] = (0, "")
    _detailed: tuple[object, ...] = ()
