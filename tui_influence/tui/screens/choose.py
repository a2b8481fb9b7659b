"""Choosing one of many names: a list that narrows as you type."""

from collections.abc import Sequence

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from tui_influence.render.format import cut, plain
from tui_influence.render.style import Style
from tui_influence.tui.actions import bindings
from tui_influence.tui.widgets.field import NARROW, Field

_SHOWN = 300
"""Names in the list at most; typing finds the others."""


class ChooseScreen(ModalScreen[int | None]):
    """Ends with the position of the name that was chosen, or None."""

    scope = "choose"
    BINDINGS = bindings("choose")

    def __init__(self, title: str, names: Sequence[str], style: Style) -> None:
        super().__init__()
        self._title, self._style = title, style
        self._names = [plain(name, style.ascii) for name in names]

    def compose(self) -> ComposeResult:
        """Lay out title, field and list."""
        with Vertical(classes="dialog"):
            yield Static(self._title, classes="title", markup=False)
            yield Field(NARROW, placeholder="type to narrow")
            yield OptionList(compact=True)

    def on_mount(self) -> None:
        """Show all names."""
        self._fill("")
        self.query_one(Input).focus()

    @on(Input.Changed)
    def _narrow(self, event: Input.Changed) -> None:
        self._fill(event.value)

    @on(Input.Submitted)
    def _chosen_by_key(self) -> None:
        chosen = self.query_one(OptionList).highlighted_option
        if chosen is not None and chosen.id is not None:
            self.dismiss(int(chosen.id))

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        if event.option.id is not None:
            self.dismiss(int(event.option.id))

    def action_list(self, by: int) -> None:
        """Move in the list while the field keeps the keys."""
        names = self.query_one(OptionList)
        if by > 0:
            names.action_cursor_down()
        else:
            names.action_cursor_up()

    def _fill(self, part: str) -> None:
        wanted = part.strip().casefold()
        found = [place for place, name in enumerate(self._names) if wanted in name.casefold()]
        names = self.query_one(OptionList)
        names.clear_options()
        ellipsis = self._style.ellipsis
        names.add_options(
            [Option(Text(cut(self._names[place], 60, ellipsis)), id=str(place)) for place in found[:_SHOWN]]
        )
        if len(found) > _SHOWN:
            names.add_option(Option(Text(f"and {len(found) - _SHOWN:,} more: type to find them"), disabled=True))
        if found:
            names.highlighted = 0
