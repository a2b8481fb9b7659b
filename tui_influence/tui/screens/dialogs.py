"""Short questions on top of a mode: is this really meant, and where should it go."""

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from tui_influence.tui.actions import actions_of


class ConfirmScreen(ModalScreen[bool]):
    """Says what would be done, what it costs and the command that does the same; `y` does it, anything else not."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "Yes", tooltip="Do it", id="confirm.yes"),
        Binding("n,escape,q,enter", "dismiss(False)", "No", tooltip="Leave everything as it is", id="confirm.no"),
    ]

    def __init__(self, title: str, lines: Sequence[str], command: str) -> None:
        super().__init__()
        self._title, self._lines, self._command = title, lines, command

    def compose(self) -> ComposeResult:
        """Lay out the question."""
        with Vertical(classes="dialog"):
            yield Static(self._title, classes="title", markup=False)
            yield Static("\n".join(self._lines), markup=False)
            yield Static(f"Command: {self._command}", classes="quiet", markup=False)
            yield Static("", markup=False)
            yield Static("y  yes      n  no", classes="keys", markup=False)


class PathScreen(ModalScreen[str | None]):
    """Asks for a file; ends with its path, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Back", tooltip="Write nothing", id="path.back")
    ]

    def __init__(self, title: str, path: str, note: str) -> None:
        super().__init__()
        self._title, self._path, self._note = title, path, note

    def compose(self) -> ComposeResult:
        """Lay out the question."""
        with Vertical(classes="dialog"):
            yield Static(self._title, classes="title", markup=False)
            yield Input(self._path, compact=True, select_on_focus=False)
            yield Static(self._note, classes="quiet", markup=False)
            yield Static("", markup=False)
            yield Static("enter  write      esc  back", classes="keys", markup=False)

    @on(Input.Submitted)
    def _given(self, event: Input.Submitted) -> None:
        if event.value.strip():
            self.dismiss(event.value.strip())


class HelpScreen(ModalScreen[None]):
    """What the keys of a mode do, made from the table of actions."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter", "dismiss", "Close", tooltip="Close the help", id="help.close")
    ]

    def __init__(self, scope: str, hint: str) -> None:
        super().__init__()
        self._scope, self._hint = scope, hint

    def compose(self) -> ComposeResult:
        """Lay out a line an action."""
        with VerticalScroll(classes="dialog"):
            yield Static(f"Keys: {self._scope.capitalize()}", classes="title", markup=False)
            lines = [f"{action.key:<8} {action.tooltip}" for action in actions_of(self._scope)]
            lines.append(f"{'ctrl+p':<8} The palette: every action that is possible now, by name")
            yield Static("\n".join(lines), markup=False)
            yield Static(self._hint, classes="quiet", markup=False)
