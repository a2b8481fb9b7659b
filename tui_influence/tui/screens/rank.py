"""Mode 2, Rank: all groups with influence, interval, q and counts; filter, order, mark, export, copy.

While another question is being answered, the earlier answer stays, and the line above the table says so.
"""

from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Input, Static

from tui_influence.analysis.question import comparison_choices
from tui_influence.export.csv import csv_text
from tui_influence.export.ranking import ranking_table
from tui_influence.render.format import plain
from tui_influence.text import pluralize
from tui_influence.tui.actions import bindings
from tui_influence.tui.operations import RunOperations
from tui_influence.tui.screens.base import QueryScreen
from tui_influence.tui.state import RunState
from tui_influence.tui.widgets.headers import question_lines
from tui_influence.tui.widgets.incremental_text import IncrementalText
from tui_influence.tui.widgets.input import FILTER, Field
from tui_influence.tui.widgets.table import RankingTable

if TYPE_CHECKING:
    from tui_influence.tui.table_models import RankModel


class RankScreen(QueryScreen):
    """Shows the answer to a question, and asks others."""

    mode = "rank"
    AUTO_FOCUS = "RankingTable"
    hints = (
        "<rank.filter> filters: name, >0.1, q<0.05.",
        "<rank.target>, <rank.target-class>, <rank.compare>, <rank.estimator>, <rank.output> change the question.",
        "<app.help> help.",
    )
    BINDINGS = bindings("rank")

    def __init__(self, state: RunState, operations: RunOperations) -> None:
        super().__init__(state, operations)
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
                yield Static(id="group-detail", markup=False)
        yield Static(id="no-ranking", classes="calm", markup=False)

    def on_mount(self) -> None:
        """Filter while a key is still being handled, not by a message after it: one paint shows both."""
        self.watch(self.query_one("#filter", Input), "value", self._apply_filter, init=False)

    def on_resize(self) -> None:
        """Draw what is above and beside the table for the new width."""
        self._show_question()
        self.call_after_refresh(self._show_detail)  # only then it is known whether there is room for it

    def show(self) -> None:
        """Show the ranking, or why there is none."""
        state = self.state
        self._update_model()
        self.query_one("#ranking").display = self._model is not None
        empty = self.query_one("#no-ranking", Static)
        empty.display = self._model is None
        if self._model is None:
            empty.update(plain(state.ranking.error or state.sweep.error or "reading the models...", state.style.ascii))
        elif self._table_sources != (
            self._model,
            state.style,
        ):  # a run is read every second, and most of the time nothing has changed
            self._table_sources = (self._model, state.style)
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
        """Return whether the state allows an action; some need a ranking."""
        if action in ("sort", "mark", "unmark", "export", "copy"):
            return self.state.ranking.value is not None
        return super().allows(action)

    def _apply_filter(self, value: str) -> None:
        self._filter = value
        self._show_rows(follow=True)
        self._show_question()

    @on(Input.Submitted, "#filter")
    def _leave_field(self) -> None:
        self.query_one("#filter").display = bool(self._filter.strip())
        self.query_one(RankingTable).focus()

    @on(RankingTable.CursorMoved)
    def _follow_cursor(self) -> None:
        self._show_detail()
        row = self.query_one(RankingTable).current
        if row is not None and self.is_current:
            self.state.group = row.index

    @on(RankingTable.Chosen)
    async def _open_class(self, message: RankingTable.Chosen) -> None:
        self.state.group = message.index
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

    def action_compare(self) -> None:
        """Choose what to compare with, or nothing."""
        state = self.state
        choice = comparison_choices(self.info(), state.question, state.comparison.question)
        if not choice.names:
            self.notify("There is nothing to compare with: one target, of one class.", markup=False)
            return

        def compare(index: int) -> None:
            state.ask(state.question, choice.questions[index])
            self.changed()

        self.choose(choice.title, choice.names, compare)

    async def action_prune(self) -> None:
        """Go to the Prune mode with the marked classes."""
        marked = tuple(row.group for row in self.query_one(RankingTable).marked)
        if marked:
            self.state.mark(marked)
        await self.app.run_action("app.mode('prune')")

    def action_export(self) -> None:
        """Write the whole ranking to a file, or both, as `tinfl rank --csv` does."""
        model = self._model
        if model is not None:
            what = pluralize(len(model.rows), model.noun, model.nouns)
            note = "All groups, whatever is filtered or marked; a file of that name is replaced."
            self.operations.export_csv(model.file_name, note, what, lambda: ranking_table(model.report))

    def action_copy(self) -> None:
        """Copy the marked lines, or the one under the cursor."""
        table = self.query_one(RankingTable)
        rows = table.marked or ([table.current] if table.current else [])
        if rows and self._model is not None:
            lines = csv_text(ranking_table(self._model.subset({row.index for row in rows})))
            self.operations.copy(lines, pluralize(len(rows), "line"))

    def action_command(self) -> None:
        """Copy the command that asks the same."""
        state = self.state
        self.operations.copy_command(state.question.command(state.root, comparison=state.comparison.question))

    def _update_model(self) -> None:
        """Update the model of the table; another kind of model has other orders."""
        state = self.state
        sources = (state.ranking.value, state.comparison.value, state.comparison.question is None)
        if sources == self._model_sources:
            return
        before, self._model, self._model_sources = self._model, None, sources
        if state.ranking.value is not None:
            from tui_influence.tui.table_models import rank_model  # here, because it loads numpy

            self._model = rank_model(state)
        if before is not None and self._model is not None and before.orders != self._model.orders:
            self._order, self._fresh = 0, True

    def _show_rows(self, *, follow: bool) -> None:
        model = self._model
        if model is None:
            return
        order = self._order % len(model.orders)
        rows = model.filtered(self._filter, order)
        self.query_one(RankingTable).show(model, rows, self.state.style, follow=follow)
        self._counts = (len(rows), model.orders[order])
        self._show_detail()

    def _show_detail(self) -> None:
        model, overview = self._model, self.state.overview
        if model is None or not self.query_one("#detail").display:
            return
        index = self.query_one(RankingTable).current_index
        sources = (model, index, self.state.style)
        if self._detail_sources == sources:
            return
        self._detail_sources = sources
        sizes = overview.info.source.sizes if overview and overview.info else []
        group = model.rows[index].index if index is not None else len(sizes)
        images = sizes[group] if group < len(sizes) else None
        self.query_one("#group-detail", Static).update(model.detail(index, images, self.state.style))

    def _show_question(self) -> None:
        marks = len(self.query_one(RankingTable).marks)
        lines = question_lines(self.state, self._model, *self._counts, marks, self.size.width - 2)
        self.query_one("#question", IncrementalText).show(lines)

    _model: "RankModel | None" = None
    _model_sources: tuple[object, ...] = ()
    _table_sources: tuple[object, ...] = ()
    _counts: tuple[int, str] = (0, "")
    _detail_sources: tuple[object, ...] = ()
