"""What the modes have in common: the line at the top, a hint on the first visit, the footer.

What the modes that show estimates have in common: the keys that change the question, and images opened large.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Footer, Input, Static

from tui_influence.analysis.question import Question, carry_comparison
from tui_influence.analysis.types import ImageSeries
from tui_influence.influence.estimators import ESTIMATORS
from tui_influence.render.format import plain
from tui_influence.store.run_info import RunInfo, TargetInfo
from tui_influence.tui.actions import CHANGING, names_of
from tui_influence.tui.image_cache import ImageKey
from tui_influence.tui.keymap import keys_of
from tui_influence.tui.screens.dialogs import ChooseScreen
from tui_influence.tui.screens.image import ImageScreen
from tui_influence.tui.state import RunState
from tui_influence.tui.widgets.image_grid import ImageGrid
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


_OUTPUTS = ("margin", "probability", "correct")
_QUESTIONS = ("target", "target_class", "versus", "estimator", "output")


class AskingScreen(ModeScreen):
    """A mode that asks about one target, by one estimator and output."""

    class Asked(Message):
        """Another question is asked, or another one to compare it with."""

        def __init__(self, question: Question, versus: Question | None) -> None:
            self.question, self.versus = question, versus
            super().__init__()

    class GroupChosen(Message):
        """A source group is looked at, by its column in the masks."""

        def __init__(self, group: int) -> None:
            self.group = group
            super().__init__()

    class PicturesWanted(Message):
        """Pictures are to be drawn."""

        def __init__(self, keys: list[ImageKey]) -> None:
            self.keys = keys
            super().__init__()

    @on(ImageGrid.Turned)
    def ask_for_pictures(self) -> None:
        """Have the pictures drawn that are to be seen; once they are there, those of the next pages."""
        grids = [grid for grid in self.query(ImageGrid) if grid.display]
        for pages in (0, 1):
            keys = [key for grid in grids for key in grid.missing(pages=pages)]
            new = self.state.album.request(keys)
            if new:
                self.post_message(self.PicturesWanted(new))
            if keys:
                return

    def allows(self, action: str) -> bool:
        """A question needs a run that is known."""
        return action not in _QUESTIONS or (self.state.overview is not None and self.state.overview.info is not None)

    def action_estimator(self) -> None:
        """Estimate by the next method."""
        self.ask(replace(self.state.question, estimator=_next(tuple(ESTIMATORS), self.state.question.estimator)))

    def action_output(self) -> None:
        """Ask for the next output kind."""
        self.ask(replace(self.state.question, output_kind=_next(_OUTPUTS, self.state.question.output_kind)))

    def action_target(self) -> None:
        """Choose another target."""
        names = [target.name for target in self.targets()]
        if len(names) == 1:
            self.notify(f"This run has one target: {plain(names[0], self.state.style.ascii)[:60]}", markup=False)
            return
        asked = self.state.question
        self.choose(
            "Which target?", names, lambda place: self.ask(replace(asked, target=names[place], target_class=None))
        )

    def action_target_class(self) -> None:
        """Choose one class of the target, or all."""
        asked = self.state.question
        names = list(self.target_asked().classes)
        self.choose(
            "Influence on which class?",
            ["all classes", *names],
            lambda place: self.ask(replace(asked, target_class=names[place - 1] if place else None)),
        )

    def info(self) -> RunInfo:
        """Return what the run is."""
        overview = self.state.overview
        assert overview is not None
        assert overview.info is not None
        return overview.info

    def targets(self) -> list[TargetInfo]:
        """Return the targets of the run."""
        return self.info().targets

    def target_asked(self) -> TargetInfo:
        """Return the target that is asked about."""
        targets = self.targets()
        return next((found for found in targets if found.name == self.state.question.target), targets[0])

    def choose(self, title: str, names: Sequence[str], chosen: Callable[[int], object]) -> None:
        """Have one of some names chosen."""

        def answered(place: int | None) -> None:
            if place is not None:
                chosen(place)

        self.app.push_screen(ChooseScreen(title, names, self.state.style), answered)

    def open_image(self, series: ImageSeries, place: int, closed: Callable[[int], object]) -> None:
        """Open one of some images large; afterwards `closed` is told which of them was shown last."""

        def left(last: int | None) -> None:
            if last is not None:
                closed(last)

        self.app.push_screen(ImageScreen(self.state, series, place), left)

    def ask(self, question: Question) -> None:
        """Ask another question; what it is compared with stays, as far as that makes sense."""
        self.post_message(self.Asked(question, carry_comparison(self.info(), question, self.state.versus)))


def _next(values: tuple[str, ...], value: str) -> str:
    return values[(values.index(value) + 1) % len(values)]
