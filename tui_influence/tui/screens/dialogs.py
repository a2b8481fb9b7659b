"""Dialogs on top of a mode: a confirmation, a line of text, one of many names, the help."""

from collections.abc import Sequence

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from tui_influence.render.format import cut, plain
from tui_influence.render.style import Style
from tui_influence.tui.actions import bindings
from tui_influence.tui.help import Section
from tui_influence.tui.keymap import keys_of
from tui_influence.tui.widgets.input import LIST_FILTER, PATH, Field


class ConfirmScreen(ModalScreen[bool]):
    """Says what would be done, what it costs and the command that does the same; `y` does it, anything else not."""

    BINDINGS = bindings("confirm")

    def __init__(self, title: str, lines: Sequence[str], command: str) -> None:
        super().__init__()
        self._title, self._lines, self._command = title, lines, command

    def compose(self) -> ComposeResult:
        """Lay out the question."""
        with VerticalScroll(classes="dialog"):  # where it is low, the cost may be below
            yield Static(self._title, classes="title", markup=False)
            yield Static("\n".join(self._lines), markup=False)
            yield Static(f"Command: {self._command}", classes="quiet", markup=False)
            yield Static("", markup=False)
            yield Static(
                keys_of(self.app).put_into("<confirm.yes>  yes      <confirm.no>  no"), classes="keys", markup=False
            )


class FieldScreen(ModalScreen[str | None]):
    """Asks for a line of text, a path if nothing else is said; ends with it, or None."""

    scope = "path"
    BINDINGS = bindings("path")

    def __init__(
        self, title: str, value: str, note: str, *, help: str = PATH, verb: str = "write", empty: bool = False
    ) -> None:
        """Ask.

        Args:
            title: the question.
            value: what is answered unless its user says otherwise.
            note: what there is to know of it.
            help: what may be typed.
            verb: what enter does.
            empty: nothing at all is an answer too.
        """
        super().__init__()
        self._title, self._value, self._note, self._help, self._verb = title, value, note, help, verb
        self._empty = empty

    def compose(self) -> ComposeResult:
        """Lay out the question."""
        with Vertical(classes="dialog"):
            yield Static(self._title, classes="title", markup=False)
            yield Field(self._help, self._value)
            yield Static(self._note, classes="quiet", markup=False)
            yield Static("", markup=False)
            yield Static(
                keys_of(self.app).put_into(f"enter  {self._verb}      <path.back>  back"),
                classes="keys",
                markup=False,
            )

    @on(Input.Submitted)
    def _submit(self, event: Input.Submitted) -> None:
        value = event.value.strip()
        if value or self._empty:
            self.dismiss(value)


class HelpScreen(ModalScreen[None]):
    """The help on the widget that has the focus, and on the keys."""

    BINDINGS = bindings("help")

    def __init__(self, sections: Sequence[Section]) -> None:
        super().__init__()
        self._sections = sections

    def compose(self) -> ComposeResult:
        """Lay out a title, sentences and a line a key for each section."""
        with VerticalScroll(classes="dialog"):
            for index, section in enumerate(self._sections):
                yield Static(section.title, classes="title" if index else "title -first", markup=False)
                if section.text:
                    yield Static(section.text, markup=False)
                if section.keys:
                    yield Static("\n".join(section.keys), classes="listed", markup=False)


_MAX_NAMES = 300
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
            yield Field(LIST_FILTER, placeholder="type to narrow")
            yield OptionList(compact=True)

    def on_mount(self) -> None:
        """Show all names."""
        self._fill("")
        self.query_one(Input).focus()

    @on(Input.Changed)
    def _narrow(self, event: Input.Changed) -> None:
        self._fill(event.value)

    @on(Input.Submitted)
    def _choose_highlighted(self) -> None:
        chosen = self.query_one(OptionList).highlighted_option
        if chosen is not None and chosen.id is not None:
            self.dismiss(int(chosen.id))

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
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
        text = part.strip().casefold()
        indices = [index for index, name in enumerate(self._names) if text in name.casefold()]
        names = self.query_one(OptionList)
        names.clear_options()
        ellipsis = self._style.ellipsis
        names.add_options(
            [Option(Text(cut(self._names[index], 60, ellipsis)), id=str(index)) for index in indices[:_MAX_NAMES]]
        )
        if len(indices) > _MAX_NAMES:
            names.add_option(Option(Text(f"and {len(indices) - _MAX_NAMES:,} more: type to find them"), disabled=True))
        if indices:
            names.highlighted = 0
