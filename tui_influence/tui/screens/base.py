"""The base classes of the modes: bar, hint and footer of all, and the keys that change the question of most."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import ClassVar

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Footer, Input, Static

from tui_influence.analysis.question import Question, carry_comparison
from tui_influence.analysis.types import ImageSeries
from tui_influence.influence.estimators import available_estimators
from tui_influence.render.format import plain
from tui_influence.store.run_info import RunInfo, TargetInfo
from tui_influence.tui.actions import CHANGING, names_of
from tui_influence.tui.keymap import actions_in, keys_of
from tui_influence.tui.messages import ImagesNeeded, StateChanged
from tui_influence.tui.operations import RunOperations
from tui_influence.tui.screens.dialogs import ChooseScreen
from tui_influence.tui.screens.image import ImageScreen
from tui_influence.tui.state import AnyQuery, RunHandle, RunState
from tui_influence.tui.widgets.image_grid import ImageGrid
from tui_influence.tui.widgets.mode_bar import ModeBar

WIDE = 120
"""Cells from which on a screen shows its parts beside each other, as `app.tcss` has it."""
_HINT = 78
"""Cells of the hints at most."""


class SizeReporter(Widget):
    """A panel that says when its size has changed: long after its screen's, if its neighbours have grown or shrunk."""

    class Sized(Message):
        """It has another size."""

    def on_resize(self) -> None:
        """Say so."""
        self.post_message(self.Sized())


class ModeScreen(Screen[None]):
    """A mode: shows a `RunState`, and says which of its queries have to be answered for that."""

    mode: ClassVar[str]
    hints: ClassVar[tuple[str, ...]] = ()
    """Sentences for the first visit, the most helpful first; keys as action ids in angle brackets."""

    def __init__(self, state: RunState, operations: RunOperations) -> None:
        super().__init__()
        self.state, self.operations = state, operations
        self._offered: tuple[bool | None, ...] = ()

    @property
    def scope(self) -> str:
        """The scope of its own actions."""
        return self.mode

    @property
    def retraining(self) -> RunHandle | None:
        """The pruning that is shown besides the sweep, if any."""
        return None

    def queries(self) -> Iterable[AnyQuery]:
        """Return the queries that it needs now; they are answered when their turn has come."""
        return ()

    def compose(self) -> ComposeResult:
        """Lay out bar, body, hint and footer."""
        yield ModeBar(self.state, self.mode)
        yield from self.body()
        yield Static(id="hint", markup=False)
        yield Footer(show_command_palette=False)

    def body(self) -> ComposeResult:
        """Yield what is between the bar and the hint."""
        yield from ()

    def on_mount(self) -> None:
        """Show the state as far as it has been read."""
        self.show_state()

    def on_resize(self) -> None:
        """Give hints that fit."""
        self._show_hint()

    def on_screen_resume(self) -> None:
        """Catch up with what happened while another mode was shown."""
        self.show_state()

    def on_screen_suspend(self) -> None:
        """Hide the hint after the first visit."""
        if self.is_mounted:
            self.query_one("#hint").display = False

    def show_state(self) -> None:
        """Draw the state as it is now."""
        bars = self.query(ModeBar)
        if not self.is_mounted or not bars:  # on its way in, or out
            return
        bars.first().show_state()
        self.show()
        self._show_hint()

    def hints_now(self) -> Iterable[str]:
        """Return the hints that are true of the state, whether or not their keys do anything."""
        return self.hints

    def _show_hint(self) -> None:
        """Show the hints whose keys all do something now, as many as fit on a line."""
        if not self.is_mounted or not self.query("#hint"):  # on its way in, or out
            return
        hint, room = "", min(self.size.width - 2, _HINT)
        for sentence in self.hints_now():
            if all(self._is_offered(action) for action in actions_in(sentence)):
                longer = f"{hint}  {keys_of(self.app).put_into(sentence)}".strip()
                hint = longer if cell_len(longer) <= room else hint
        line = self.query_one("#hint", Static)
        if line.content != hint:
            line.update(hint)

    def _is_offered(self, action: str) -> bool:
        scope, name = action.split(".", 1)
        return scope != self.scope or self.is_possible(name.replace("-", "_"))

    def show(self) -> None:
        """Draw this mode's part of the state."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether a key does this now: not under a dialog, nor while a field has the keys."""
        if action not in names_of(self.mode):
            return True
        if self.app.screen is not self or isinstance(self.focused, Input):
            return False
        return self.is_possible(action)

    def is_possible(self, action: str) -> bool:
        """Return whether an action of this mode makes sense now."""
        return not (self.state.readonly and action in CHANGING) and self.allows(action)

    def allows(self, action: str) -> bool:
        """Return whether the state of the run allows an action of this mode."""
        return True

    def changed(self) -> None:
        """Show the state after a change, and have its queries answered."""
        self.post_message(StateChanged())

    def offer(self, *actions: str) -> None:
        """Draw the footer again if it may offer something else than before, and only then."""
        offered = tuple(self.is_possible(action) for action in actions)
        if offered != self._offered:
            self._offered = offered
            self.refresh_bindings()

    def focus_on(self, selector: str) -> None:
        """Give the keys to what is shown, unless they are there or the screen has no room for it."""
        widget = self.query_one(selector)
        if self.focused is not widget and widget.focusable:
            self.set_focus(widget)

    def back(self) -> bool:
        """Close what is open in this mode; return whether there was anything."""
        return False


_OUTPUTS = ("margin", "probability", "correct")
_QUESTIONS = ("target", "target_class", "compare", "estimator", "output")


class QueryScreen(ModeScreen):
    """A mode that asks about one target, by one estimator and output."""

    def queries(self) -> Iterable[AnyQuery]:
        """Ask for the ranking, and for the one that it is compared with."""
        state = self.state
        yield state.ranking
        if state.comparison.question is not None:
            yield state.comparison
        # After the ranking of a run that has ended, the effects of its first class are probably asked for.
        if not state.ranking.is_stale and state.effects.is_stale and not state.sweep.is_active:
            yield state.effects

    @on(ImageGrid.Turned)
    def request_images(self) -> None:
        """Have the images drawn that are on the screen; once they are there, those of the next pages."""
        grids = [grid for grid in self.query(ImageGrid) if grid.display]
        for pages in (0, 1):
            keys = [key for grid in grids for key in grid.missing(pages=pages)]
            if keys:
                self.post_message(ImagesNeeded(keys))
                return

    def allows(self, action: str) -> bool:
        """Return whether the state allows an action; a question needs a run that has been read."""
        return action not in _QUESTIONS or self.state.info is not None

    def action_estimator(self) -> None:
        """Estimate by the next method that fits the run."""
        names = available_estimators(has_prior=self.info().prior > 0)
        estimator = _next(names, self.estimator_in_use())
        self.ask(replace(self.state.question, estimator=estimator, is_requested=True))

    def estimator_in_use(self) -> str:
        """Return the name of the estimator behind what is on the screen."""
        return self.state.question.estimator

    def action_output(self) -> None:
        """Ask for the next output kind."""
        self.ask(replace(self.state.question, output_kind=_next(_OUTPUTS, self.state.question.output_kind)))

    def action_target(self) -> None:
        """Choose another target."""
        names = [target.name for target in self.info().targets]
        if len(names) == 1:
            self.notify(f"This run has one target: {plain(names[0], self.state.style.ascii)[:60]}", markup=False)
            return
        question = self.state.question
        self.choose(
            "Which target?", names, lambda index: self.ask(replace(question, target=names[index], target_class=None))
        )

    def action_target_class(self) -> None:
        """Choose one class of the target, or all."""
        question = self.state.question
        names = list(self.current_target().classes)
        self.choose(
            "Influence on which class?",
            ["all classes", *names],
            lambda index: self.ask(replace(question, target_class=names[index - 1] if index else None)),
        )

    def info(self) -> RunInfo:
        """Return the contents of run.json, which must have been read."""
        info = self.state.info
        assert info is not None
        return info

    def current_target(self) -> TargetInfo:
        """Return the target of the question."""
        targets = self.info().targets
        return next((target for target in targets if target.name == self.state.question.target), targets[0])

    def choose(self, title: str, names: Sequence[str], act: Callable[[int], object]) -> None:
        """Have one of some names chosen; `act` receives its index."""

        def answer(index: int | None) -> None:
            if index is not None:
                act(index)

        self.app.push_screen(ChooseScreen(title, names, self.state.style), answer)

    def open_image(self, series: ImageSeries, index: int, on_close: Callable[[int], object]) -> None:
        """Open one of some images large; `on_close` receives the index of the last one that was shown."""

        def close(last: int | None) -> None:
            if last is not None:
                on_close(last)

        self.app.push_screen(ImageScreen(self.state, self.operations, series, index), close)

    def ask(self, question: Question) -> None:
        """Ask another question; it is compared with the same one as before, as far as that makes sense."""
        self.state.ask(question, carry_comparison(self.info(), question, self.state.comparison.question))
        self.changed()


def _next(values: tuple[str, ...], value: str) -> str:
    return values[(values.index(value) + 1) % len(values)]
