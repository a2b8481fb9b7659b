"""The app: owns the state of the run on the screen, and the threads that read and compute for it.

What reads files or takes a while is done in threads and comes back as a message; at most two updates a second reach
the screen, and nothing moves by itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual import on
from textual.app import App
from textual.binding import Binding
from textual.command import Provider
from textual.screen import Screen
from textual.widgets import Input

from tui_influence.render.style import Style
from tui_influence.runs.overview import Overview
from tui_influence.runs.run_list import RunSummary, is_run, list_runs
from tui_influence.text import printable
from tui_influence.tui.actions import WHILE_TYPING, bindings, names_of
from tui_influence.tui.active_retrainings import ActiveRun, active_retrainings, enumerate_runs
from tui_influence.tui.background import Watcher, freeze_and_enable_gc
from tui_influence.tui.help import explain
from tui_influence.tui.keymap import Keys, keys_of, shown_key
from tui_influence.tui.messages import (
    ImagesDrawn,
    ImagesNeeded,
    LogNeeded,
    LogRead,
    OverviewRead,
    Preparing,
    Started,
    StateChanged,
    WorkerError,
)
from tui_influence.tui.operations import RunOperations, run_command
from tui_influence.tui.palette import ActionCommands
from tui_influence.tui.queries import QueryRunner
from tui_influence.tui.screens.base import ModeScreen
from tui_influence.tui.screens.dialogs import HelpScreen
from tui_influence.tui.screens.image import ImageScreen
from tui_influence.tui.screens.log import LogScreen
from tui_influence.tui.screens.probe import ProbeScreen
from tui_influence.tui.screens.prune import PruneScreen
from tui_influence.tui.screens.rank import RankScreen
from tui_influence.tui.screens.run_picker import PickerScreen
from tui_influence.tui.screens.source_class import ClassScreen
from tui_influence.tui.screens.sweep import SweepScreen
from tui_influence.tui.state import AnyQuery, Query, Result, RunHandle, RunState, run_query
from tui_influence.tui.theme import DARK, LIGHT
from tui_influence.tui.widgets.mode_bar import ModeBar

SCREENS: tuple[type[ModeScreen], ...] = (SweepScreen, RankScreen, ClassScreen, PruneScreen, LogScreen, ProbeScreen)
"""The modes, in the order of their keys."""
_ACTIONS = names_of("app")


class ExploreApp(App[str]):
    """`tinfl explore`; its result is a last line for the terminal."""

    TITLE = "tinfl"
    CSS_PATH = "app.tcss"
    BINDINGS = bindings("app")
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {ActionCommands}
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (60, "-narrow"), (120, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (16, "-low"), (32, "-tall")]  # noqa: RUF012

    def __init__(
        self,
        root: Path,
        *,
        overview: Overview | None = None,
        readonly: bool = False,
        ascii: bool = False,
        dark: bool = True,
        coloured: bool = True,
        keys: Keys | None = None,
    ) -> None:
        """Explore a run, or a folder of runs.

        Args:
            root: its results directory, or the folder.
            overview: of the run, if it has been read: the first screen shows it.
            readonly: change nothing.
            ascii: draw with ASCII characters only.
            dark: for a dark background.
            coloured: whether there are colours at all.
            keys: of the user's config.
        """
        folder = None if is_run(root) else root
        # Of this app, where Textual has one for all: a mode that is changed to, as it begins, comes a tenth later.
        self.DEFAULT_MODE = "sweep" if folder is None else "picker"  # type: ignore[misc]
        super().__init__(ansi_color=not coloured)
        self.keys = keys or Keys()
        self.set_keymap(self.keys.changed)
        self.animation_level = "none"
        self._readonly, self._folder, self._is_leaving = readonly, folder, False
        self._style = Style(ascii, dark, coloured, few_colours=self.console.color_system == "256")
        self.runner = QueryRunner(self.post_message, self._on_worker_error)
        self.watchers: dict[RunHandle, Watcher] = {}
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name if dark else LIGHT.name
        self.set_class(ascii, "-ascii")
        self._load(root, overview)
        if folder is not None:
            self._runs: Query[Path, Sequence[RunSummary]] = Query("runs", folder)
            self.add_mode("picker", lambda: PickerScreen(folder, self._style))

    def on_mount(self) -> None:
        """Start to read the run; a list of runs is asked for by its screen."""
        if self._folder is None:
            self._watch_runs()
            if self.state.overview is not None:
                self.call_after_refresh(self._refresh_queries)

    def on_ready(self) -> None:
        """Enable garbage collection again."""
        freeze_and_enable_gc()

    def on_unmount(self) -> None:
        """Stop all threads."""
        self.runner.close()
        self._close_watchers()

    def has_ended(self, patience: float) -> bool:
        """Return whether, once the app has closed, nothing is being computed any more."""
        return self.runner.has_ended(patience)

    # Opening and closing runs

    def _load(self, root: Path, overview: Overview | None = None) -> None:
        """Make the state of a run, and its screens."""
        self.state = RunState(root, self._readonly, self._folder is not None, self._style, overview)
        self.operations = RunOperations(self, self.state, self.runner, self._read_now)
        if is_run(root) or self._folder is None:
            for screen in SCREENS:
                self.add_mode(screen.mode, partial(screen, self.state, self.operations))

    async def _close_run(self) -> None:
        self._close_watchers()
        await self.switch_mode("picker")
        for screen in SCREENS:
            await self.remove_mode(screen.mode)

    @on(PickerScreen.Picked)
    def _open_run(self, message: PickerScreen.Picked) -> None:
        self._load(message.root)
        self._watch_runs()
        self.switch_mode("sweep")

    @on(PickerScreen.ListNeeded)
    def _list_runs(self) -> None:
        if self._folder is not None:
            folder, query = self._folder, self._runs
            self.runner.estimates.submit("runs", lambda: self.post_message(run_query(query, folder, list_runs)))

    # What threads and screens say

    @on(OverviewRead)
    def _take_overview(self, message: OverviewRead) -> None:
        run = message.run
        run.error = message.error
        if message.overview is not None or not message.error:
            run.overview = message.overview
        self._show()
        self.call_after_refresh(self._refresh_queries)  # what is computed competes with what is drawn

    @on(LogRead)
    def _take_log(self, message: LogRead) -> None:
        message.state.log.extend(message.lines)
        self._show()

    @on(ImagesDrawn)
    def _take_images(self, message: ImagesDrawn) -> None:
        message.state.images.store(message.images)
        message.state.image_errors |= message.errors
        self._show()

    @on(Preparing)
    def _take_step(self, message: Preparing) -> None:
        if message.text:
            message.state.preparing[message.root] = message.text
        else:
            self._end_preparation(message.state, message.root)
        self._show()

    @on(Started)
    def _take_start(self, message: Started) -> None:
        self._end_preparation(message.state, message.run.root)
        if message.state is self.state:
            self.operations.note_start(message)
            self._change_state()

    def _end_preparation(self, state: RunState, root: Path) -> None:
        state.preparing.pop(root, None)
        if not state.preparing:
            self._is_leaving = False  # a run that is started later is warned of again

    @on(Result)
    def _take_result(self, message: "Result[Any, Any]") -> None:
        if not message.query.accept(message):
            return
        if message.query.name == "runs":
            self._show_list(message.error)
        elif message.query is self.state.pruning.cost and message.error:
            self.notify(printable(message.error, 400), severity="error", timeout=15, markup=False)
        elif message.query is self.state.counterfactual.preview:
            if message.value is not None:
                self.operations.confirm_counterfactual(message.value)
            else:
                self.notify(printable(message.error, 400), timeout=10, markup=False)
        self._change_state()  # models may have come meanwhile, and no more that would say so

    @on(StateChanged)
    def _change_state(self) -> None:
        self.state.update()
        self._show()
        self._refresh_queries()

    @on(ImagesNeeded)
    def _draw_images(self, message: ImagesNeeded) -> None:
        self.runner.draw(self.state, message.keys)

    @on(LogNeeded)
    def _read_log(self) -> None:
        watcher = self.watchers.get(self.state.sweep)
        if watcher is not None:
            watcher.read_log()

    def _on_worker_error(self, error: Exception) -> None:
        self.post_message(WorkerError(error))

    @on(WorkerError)
    def _raise_worker_error(self, message: WorkerError) -> None:
        raise message.error

    # Showing and refreshing

    def _base(self) -> Screen[Any] | None:
        """Return the mode's screen, below dialogs; None while the app closes."""
        return self.screen_stack[0] if self.screen_stack else None

    def _show(self) -> None:
        base = self._base()
        if isinstance(base, ModeScreen):
            base.show_state()
        if self.screen_stack and isinstance(self.screen, ImageScreen):
            self.screen.show()

    def _show_list(self, error: str) -> None:
        if error:
            self.notify(printable(error, 300), severity="warning", markup=False)
        elif isinstance(self.screen, PickerScreen) and self._runs.value is not None:
            self.screen.show(self._runs.value)

    def _refresh_queries(self) -> None:
        """Answer the queries of the screen that are due, and follow the runs that it shows."""
        base = self._base()
        if not isinstance(base, ModeScreen):
            return
        self._watch_runs()
        queries: list[AnyQuery] = [*base.queries()]
        for screen in self.screen_stack:
            if isinstance(screen, ImageScreen):
                queries += screen.queries()
        self.runner.refresh(self.state, queries)

    def _watch_runs(self) -> None:
        """Watch the sweep and the retrainings on the screen, and no other run."""
        screens = [screen for screen in self.screen_stack if isinstance(screen, ModeScreen | ImageScreen)]
        runs = [self.state.sweep, *(run for screen in screens if (run := screen.retraining) is not None)]
        for run in [run for run in self.watchers if run not in runs]:
            self.watchers.pop(run).close()
        for run in runs:
            if run not in self.watchers:
                self.watchers[run] = self._watch(run)

    def _watch(self, run: RunHandle) -> Watcher:
        state = self.state

        def fail(reason: str) -> None:
            # Most examples have no counterfactual, which is no error.
            is_missing = run.kind != "sweep" and not run.root.exists()
            self.post_message(OverviewRead(run, None, "" if is_missing else reason))

        return Watcher(
            run.root,
            lambda overview: self.post_message(OverviewRead(run, overview)),
            fail,
            lambda lines: self.post_message(LogRead(state, lines)),
            self._on_worker_error,
            run.overview if run.kind == "sweep" else None,
        )

    def _close_watchers(self) -> None:
        for watcher in self.watchers.values():
            watcher.close()
        self.watchers.clear()

    def _read_now(self, run: RunHandle) -> None:
        watcher = self.watchers.get(run)
        if watcher is not None:
            watcher.refresh()

    # Keys and actions

    def get_key_display(self, binding: Binding) -> str:
        """Return a key as the footer shows it: as help and palette do."""
        return shown_key(binding.key)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether a key does this now: not under a dialog, nor, with exceptions, while a field has the keys."""
        if action not in _ACTIONS or not self.screen_stack:
            return True
        screen = self.screen
        if isinstance(screen.focused, Input) and action not in WHILE_TYPING:
            return False
        if action in ("help", "explain"):
            return bool(_scope(screen))
        if len(self.screen_stack) > 1:
            return False
        return action not in ("mode", "back") or isinstance(screen, ModeScreen)

    def action_help(self) -> None:
        """Explain what has the focus, and the keys of the screen."""
        self.push_screen(HelpScreen(explain(self.screen, _scope(self.screen), self.keys)))

    action_explain = action_help
    """The same action, under the key that also works while a field has the keys."""

    @on(ModeBar.Chosen)
    async def _go_to_mode(self, message: ModeBar.Chosen) -> None:
        await self.action_mode(message.mode)

    async def action_mode(self, mode: str) -> None:
        """Go to a mode; the next key is that mode's."""
        await self.switch_mode(mode)
        self.call_after_refresh(self._refresh_queries)

    async def action_back(self) -> None:
        """Close what is open; from a run of a folder, go back to the list."""
        screen = self.screen
        if isinstance(screen, ModeScreen) and not screen.back() and self._folder is not None:
            await self._close_run()

    def action_theme(self) -> None:
        """Change between dark and light."""
        self._style = replace(self._style, dark=not self._style.dark)
        self.state.style = self._style
        self.theme = DARK.name if self._style.dark else LIGHT.name
        if isinstance(self.screen, PickerScreen):
            self.screen.redraw(self._style)
        self._show()

    async def action_quit(self) -> None:
        """Leave; active runs go on, and the last line names them. One that is being started would not: warn first."""
        step = next(iter(self.state.preparing.values()), "")
        if step and not self._is_leaving:
            self._is_leaving = True
            text = f"Still being started: {printable(step, 200)}. <app.quit> again to quit; the run will not start."
            self.notify(keys_of(self).put_into(text), severity="warning", markup=False)
            return
        overview, root = self.state.overview, self.state.root
        sweep = [ActiveRun("the sweep", overview.owner)] if overview is not None and overview.is_active else []
        active = [*sweep, *active_retrainings(root)]
        verb = "goes" if len(active) == 1 else "go"
        command = printable(run_command("explore", root))
        line = f"{enumerate_runs(active)} {verb} on in the background; come back: {command}"
        self.exit(line if active else "")


def _scope(screen: Screen[Any]) -> str:
    """Return the scope of a screen's actions; empty if the table has none."""
    return str(getattr(screen, "scope", ""))
