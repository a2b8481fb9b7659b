"""What the modes have in common: the line at the top, a hint on the first visit, the footer."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Footer, Input, Static

from tui_influence.tui.actions import CHANGING, names_of
from tui_influence.tui.keys import keys_of
from tui_influence.tui.state import RunState
from tui_influence.tui.widgets.mode_bar import ModeBar


class ModeScreen(Screen[None]):
    """A mode: it shows a `RunState`, and is told when that has changed while it is on the screen."""

    mode: ClassVar[str]
    hint: ClassVar[str] = ""

    def __init__(self, state: RunState) -> None:
        super().__init__()
        self.state = state
        self._offered: tuple[bool | None, ...] = ()

    @property
    def scope(self) -> str:
        """Of its own actions."""
        return self.mode

    def compose(self) -> ComposeResult:
        """Lay out bar, body, hint and footer."""
        yield ModeBar(self.state, self.mode)
        yield from self.body()
        yield Static(keys_of(self.app).put_into(self.hint), id="hint", markup=False)
        yield Footer(show_command_palette=False)

    def body(self) -> ComposeResult:
        """Yield what is between the bar and the hint."""
        yield from ()

    def on_mount(self) -> None:
        """Show what is known already."""
        self.show_state()

    def on_screen_resume(self) -> None:
        """Catch up with what happened while another mode was shown."""
        self.show_state()

    def on_screen_suspend(self) -> None:
        """The hint has been seen."""
        if self.is_mounted:
            self.query_one("#hint").display = False

    def show_state(self) -> None:
        """Draw the state as it is now."""
        bars = self.query(ModeBar)
        if not self.is_mounted or not bars:  # on its way in, or out
            return
        bars.first().show_state()
        self.show()

    def show(self) -> None:
        """Draw this mode's part of the state."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key does this now: not under a dialog, nor while a field has the keys."""
        if action not in names_of(self.mode):
            return True
        if self.app.screen is not self or isinstance(self.focused, Input):
            return False
        return self.is_possible(action)

    def is_possible(self, action: str) -> bool:
        """Whether this mode's action makes sense now."""
        return not (self.state.readonly and action in CHANGING) and self.allows(action)

    def allows(self, action: str) -> bool:
        """Whether the state of the run allows this mode's action."""
        return True

    def offer(self, *actions: str) -> None:
        """Draw the footer again if it may offer something else than before, and only then."""
        offered = tuple(self.is_possible(action) for action in actions)
        if offered != self._offered:
            self._offered = offered
            self.refresh_bindings()

    def focus_on(self, selector: str) -> None:
        """Give the keys to what is shown, unless they are there or the screen has no room for it."""
        wanted = self.query_one(selector)
        if self.focused is not wanted and wanted.focusable:
            self.set_focus(wanted)

    def back(self) -> bool:
        """Close what is open in this mode; whether there was anything."""
        return False
