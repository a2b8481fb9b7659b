"""Mode 2, Rank: all groups with influence, interval, q and counts; filter, order, mark, export, copy.

What is estimated is the core's business: this screen holds a question and shows the answer; while a new one is being
worked out, the old one stays and the line above the table says so.
"""

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.widgets import Input, Static

from tui_influence.export.columns import plain
from tui_influence.tui.actions import bindings
from tui_influence.tui.messages import CopyAsked
from tui_influence.tui.screens.asking import AskingScreen
from tui_influence.tui.state import RunState
from tui_influence.tui.widgets.ranking_table import RankingTable


class RankScreen(AskingScreen):
    """Shows the answer to a question, and asks others."""

    mode = "rank"
    AUTO_FOCUS = "RankingTable"
    hint = "/ filters by name, >0.1, q<0.05.  t, c, m, o change the question.  ? the keys."
    BINDINGS = bindings("rank")

    class ExportAsked(Message):
        """The ranking is to be written to a file."""

    class LinesAsked(Message):
        """Lines are to be copied: groups by their column in the masks."""

        def __init__(self, groups: set[int]) -> None:
            self.groups = groups
            super().__init__()

    def __init__(self, state: RunState) -> None:
        super().__init__(state)
        self._order = 0
        self._filter = ""
        self._fresh = True

    def body(self) -> ComposeResult:
        """Lay out question, filter, table and detail."""
        yield Static(id="question", markup=False)
        field = Input(placeholder="part of a name, >0.1, |x|>0.2, q<0.05, n>=50", id="filter", compact=True)
        field.display = False
        yield field
        with Horizontal(id="ranking"):
            yield RankingTable(self.state.look)
            with VerticalScroll(id="detail", can_focus=False):
                yield Static(id="about", markup=False)
        yield Static(id="no-ranking", classes="calm", markup=False)

    def on_resize(self) -> None:
        """Draw what is above and beside the table for the new width."""
        self._show_question()
        self.call_after_refresh(self._show_detail)  # only then it is known whether there is room for it

    def show(self) -> None:
        """Show the answer there is, or why there is none."""
        answer, state = self.state.answer, self.state
        self.query_one("#ranking").display = answer is not None
        empty = self.query_one("#no-ranking", Static)
        empty.display = answer is None
        if answer is None:
            empty.update(plain(state.rank_problem or state.problem or "reading the models...", state.look.ascii))
        else:
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

    @on(Input.Changed, "#filter")
    def _filtered(self, event: Input.Changed) -> None:
        self._filter = event.value
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
        self.post_message(CopyAsked(self.state.question.command(self.state.root), "the command"))

    def _show_rows(self, *, follow: bool) -> None:
        from tui_influence.views import Order, chosen  # here, because it loads numpy

        answer = self.state.answer
        if answer is None:
            return
        orders = list(Order)
        rows = chosen(answer.report.ranking.rows, self._filter, orders[self._order % len(orders)])
        self.query_one(RankingTable).show(answer.report, rows, self.state.look, follow=follow)
        self._counts = (len(rows), len(answer.report.ranking.rows), orders[self._order % len(orders)].value)
        self._show_detail()

    def _show_detail(self) -> None:
        answer, overview = self.state.answer, self.state.overview
        if answer is None or not self.query_one("#detail").display:
            return
        from tui_influence.tui.widgets.detail import detail

        row = self.query_one(RankingTable).current
        about = (row.index if row is not None else None, self.state.look)
        if self._detailed[0] is answer and self._detailed[1] == about:
            return
        self._detailed = (answer, about)
        sizes = overview.info.source.sizes if overview and overview.info else []
        images = sizes[row.index] if row is not None and row.index < len(sizes) else None
        self.query_one("#about", Static).update(detail(answer.report, row, images, self.state.look))

    def _show_question(self) -> None:
        line = self._question_line()
        tall = line.plain.count("\n")
        self.query_one("#question", Static).update(line, layout=tall != self._tall)
        self._tall = tall

    def _question_line(self) -> Text:
        from tui_influence.tui.widgets.question import question_lines

        table = self.query_one(RankingTable)
        counts = self._counts if self.state.answer is not None else None
        return question_lines(self.state, counts, len(table.marks), self.size.width - 2)

    _counts: tuple[int, int, str] | None = None
    _tall = -1
    _detailed: tuple[object, object] = (None, None)
