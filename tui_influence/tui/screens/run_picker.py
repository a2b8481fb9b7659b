"""A folder of runs: which one? Also says what is wrong with those that cannot be opened."""

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Footer, OptionList, Static
from textual.widgets.option_list import Option

from tui_influence.render.format import fit, plain
from tui_influence.render.run_list import run_facts
from tui_influence.render.run_words import state_word
from tui_influence.render.style import Style
from tui_influence.runs.run_list import RunSummary
from tui_influence.text import printable
from tui_influence.tui.actions import bindings


class PickerScreen(Screen[None]):
    """A list of runs with the state of each."""

    scope = "picker"
    help = (
        "The runs in a folder. The one that was active last comes first. The sign and the word say what a run is "
        "doing; what cannot be opened says why when it is tried."
    )
    BINDINGS = bindings("picker")

    class Picked(Message):
        """A run was chosen."""

        def __init__(self, root: Path) -> None:
            self.root = root
            super().__init__()

    class ListNeeded(Message):
        """The folder is to be listed again."""

    def __init__(self, folder: Path, style: Style) -> None:
        super().__init__()
        self._folder, self._style = folder, style
        self._runs: Sequence[RunSummary] = ()

    def compose(self) -> ComposeResult:
        """Lay out title and list."""
        yield Static(f"Runs in {printable(str(self._folder))}", classes="title", markup=False)
        yield OptionList(compact=True)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Begin in the list."""
        self.query_one(OptionList).focus()
        self.post_message(self.ListNeeded())

    def on_screen_resume(self) -> None:
        """Look again when coming back."""
        self.post_message(self.ListNeeded())

    def show(self, runs: Sequence[RunSummary]) -> None:
        """Show what was found."""
        runs_list = self.query_one(OptionList)
        before = runs_list.highlighted or 0
        self._runs = runs
        runs_list.clear_options()
        runs_list.add_options([Option(self._line(run)) for run in runs])
        if runs:
            runs_list.highlighted = min(before, len(runs) - 1)

    def redraw(self, style: Style) -> None:
        """Show the same in other colours."""
        self._style = style
        self.show(self._runs)

    def action_pick(self) -> None:
        """Open the run under the cursor."""
        self.query_one(OptionList).action_select()

    def action_again(self) -> None:
        """Look at the folder again."""
        self.post_message(self.ListNeeded())

    @on(OptionList.OptionSelected)
    def _picked(self, event: OptionList.OptionSelected) -> None:
        run = self._runs[event.option_index]
        if run.error:
            self.notify(printable(run.error, 300), severity="warning", markup=False)
        else:
            self.post_message(self.Picked(run.root))

    def _line(self, run: RunSummary) -> Text:
        style, ellipsis = self._style, self._style.ellipsis
        name = fit(plain(run.root.name, style.ascii), 28, ellipsis=ellipsis)
        if run.error or run.state is None:
            return Text.assemble("  ", name, ("  cannot be opened", style.error))
        text_style = style.state(run.state, silent=run.silent)
        mark = (f"{style.state_sign(run.state, silent=run.silent)} ", text_style)
        models = f"{run.done:,} of {run.total:,} models" if run.total else ""
        state = (f"  {state_word(run.state, silent=run.silent):<10}", text_style)
        facts = plain("  ".join([models, *run_facts(run), str(run.note)]), style.ascii)
        line = Text.assemble(mark, name, state, (f"  {facts}", style.quiet))
        line.truncate(max(self.size.width - 4, 0), overflow="crop" if style.ascii else "ellipsis")
        return line
