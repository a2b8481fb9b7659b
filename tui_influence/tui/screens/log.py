"""Mode 5, Log: what happened to the run, line by line; follow, search, filter by level."""

from textual import on
from textual.app import ComposeResult
from textual.widgets import Input, Static

from tui_influence.render.run_words import Level
from tui_influence.tui.actions import bindings
from tui_influence.tui.messages import LogNeeded
from tui_influence.tui.operations import run_command
from tui_influence.tui.screens.base import ModeScreen
from tui_influence.tui.widgets.input import SEARCH, Field
from tui_influence.tui.widgets.log_view import LogView

_LEVELS = {Level.INFO: "all lines", Level.WARNING: "warnings and errors", Level.ERROR: "errors"}


class LogScreen(ModeScreen):
    """Shows the lines that were read of a run's log."""

    mode = "log"
    AUTO_FOCUS = "LogView"
    hints = (
        "<log.follow> toggles following.",
        "<log.search> searches, <log.next> and <log.previous> go on.",
        "<log.level> filters by level.",
    )
    BINDINGS = bindings("log")

    def body(self) -> ComposeResult:
        """Lay out the line above, the search field and the log."""
        yield Static(id="log-line", markup=False)
        field = Field(SEARCH, placeholder="search", id="search")
        field.display = False
        yield field
        yield LogView(self.state.style)

    def on_mount(self) -> None:
        """Have the log read."""
        super().on_mount()
        self.post_message(LogNeeded())

    def show(self) -> None:
        """Show lines that were added."""
        self.query_one(LogView).show(self.state.log, self.state.style)
        self._show_status()

    def back(self) -> bool:
        """Leave the search."""
        field = self.query_one("#search", Input)
        if not field.display:
            return False
        field.value = ""
        field.display = False
        self.query_one(LogView).focus()
        return True

    @on(Input.Changed, "#search")
    def _search(self, event: Input.Changed) -> None:
        self.query_one(LogView).search(event.value)
        self._show_status()

    @on(Input.Submitted, "#search")
    def _leave_field(self) -> None:
        self.query_one(LogView).focus()

    def action_search(self) -> None:
        """Type what to search for."""
        field = self.query_one("#search", Input)
        field.display = True
        self.set_focus(field)  # now, not later: the next key is meant for it

    def action_next(self) -> None:
        """Go to the next hit."""
        self.query_one(LogView).step(1)
        self._show_status()

    def action_previous(self) -> None:
        """Go to the hit before."""
        self.query_one(LogView).step(-1)
        self._show_status()

    def action_follow(self) -> None:
        """Follow, or stay."""
        view = self.query_one(LogView)
        view.set_follow(not view.follow)
        self._show_status()

    def action_level(self) -> None:
        """Show the next level."""
        view = self.query_one(LogView)
        view.filter(Level((view.level + 1) % len(Level)))
        self._show_status()

    def action_command(self) -> None:
        """Copy the command that shows the same."""
        self.operations.copy_command(run_command("logs", self.state.root))

    def _show_status(self) -> None:
        view = self.query_one(LogView)
        (n_shown, total), (at, hits) = view.counts, view.hits
        if not total:
            self.query_one("#log-line", Static).update("nothing has happened yet")
            return
        parts = [f"{n_shown:,} of {total:,} lines" if n_shown != total else f"{total:,} lines", _LEVELS[view.level]]
        if self.query_one("#search", Input).value:
            parts.append(f"hit {at:,} of {hits:,}" if hits else "not found")
        parts.append("following" if view.follow else "not following")
        self.query_one("#log-line", Static).update(", ".join(parts))
