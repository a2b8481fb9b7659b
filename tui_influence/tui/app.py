"""The app: owns the state of the run on the screen, and answers what its screens ask.

Handlers are the only place where the state changes. What reads files or takes a while is done by `background` and
comes back as a message; at most two updates a second reach the screen, and nothing moves by itself.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual import on
from textual.command import Provider
from textual.screen import Screen

from tui_influence.render.style import Style
from tui_influence.runs.overview import Overview
from tui_influence.text import printable
from tui_influence.tui import background, carry_out
from tui_influence.tui.actions import bindings
from tui_influence.tui.background import Background, Watcher
from tui_influence.tui.findings import take
from tui_influence.tui.keymap import Keys, keys_of
from tui_influence.tui.large import show_large
from tui_influence.tui.looking import Looking
from tui_influence.tui.messages import (
    Broke,
    EffectsFound,
    Finding,
    Grown,
    LogRead,
    OverviewFailed,
    OverviewRead,
    Ranked,
    Started,
)
from tui_influence.tui.palette import ActionCommands
from tui_influence.tui.probe_app import ProbingApp
from tui_influence.tui.probe_state import Probed
from tui_influence.tui.pruning_jobs import PruningJobs
from tui_influence.tui.pruning_state import PruningFinding
from tui_influence.tui.ranking_jobs import Jobs
from tui_influence.tui.run_list import is_run, list_runs
from tui_influence.tui.screens.base import AskingScreen, ModeScreen
from tui_influence.tui.screens.image import ImageScreen
from tui_influence.tui.screens.log import LogScreen
from tui_influence.tui.screens.probe import ProbeScreen
from tui_influence.tui.screens.prune import PruneScreen
from tui_influence.tui.screens.rank import RankScreen
from tui_influence.tui.screens.run_picker import PickerScreen
from tui_influence.tui.screens.source_class import ClassScreen
from tui_influence.tui.screens.sweep import SweepScreen
from tui_influence.tui.state import RunState, being_started
from tui_influence.tui.theme import DARK, LIGHT
from tui_influence.tui.verifying_app import VerifyingApp
from tui_influence.tui.verifying_jobs import VerifyingJobs
from tui_influence.tui.verifying_state import VerifyingFinding
from tui_influence.tui.widgets.image_view import ImageView
from tui_influence.tui.widgets.mode_bar import ModeBar

SCREENS: tuple[type[ModeScreen], ...] = (SweepScreen, RankScreen, ClassScreen, PruneScreen, LogScreen, ProbeScreen)
"""The modes, in the order of their keys."""


class ExploreApp(ProbingApp, VerifyingApp):
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
        seen: Overview | None = None,
        readonly: bool = False,
        ascii: bool = False,
        dark: bool = True,
        coloured: bool = True,
        keys: Keys | None = None,
    ) -> None:
        """Explore a run, or a folder of runs.

        Args:
            root: its results directory, or the folder.
            seen: how the run stands, if that is known by now: the first screen shows it.
            readonly: change nothing.
            ascii: draw with ASCII characters only.
            dark: for a dark background.
            coloured: whether there are colours at all.
            keys: that the user has chosen.
        """
        folder = None if is_run(root) else root
        # Of this app, where Textual has one for all: a mode that is changed to, as it begins, comes a tenth later.
        self.DEFAULT_MODE = "sweep" if folder is None else "picker"  # type: ignore[misc]
        super().__init__(keys, ansi_color=not coloured)
        self.animation_level = "none"
        self._readonly, self._folder, self._leaving = readonly, folder, False
        self._style = Style(ascii, dark, coloured, few_colours=self.console.color_system == "256")
        self.state = RunState(root, style=self._style)
        self._watcher: Watcher | None = None
        self._background = Background(self._broke)
        self._jobs = Jobs(self._background, self._tell)
        self._prunings = PruningJobs(self._background, self._tell, self._broke)
        self._verifying = VerifyingJobs(self._tell, self._broke)
        self._closely = Background(self._broke)
        self._looking = Looking(self._closely, self._tell)
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name if dark else LIGHT.name
        self.set_class(ascii, "-ascii")
        if folder is None:
            self._take(root, seen)
        else:
            self.add_mode("picker", lambda: PickerScreen(folder, self._style))

    def on_mount(self) -> None:
        """Begin to look at the run; a list of runs asks for it by itself."""
        if self._folder is None:
            self._watch()

    def on_ready(self) -> None:
        """The app stands."""
        background.freeze_and_enable_gc()

    def on_unmount(self) -> None:
        """Look no more."""
        self._background.close()
        self._closely.close()
        self._prunings.rest()
        self._verifying.rest()
        if self._watcher is not None:
            self._watcher.close()

    def _open(self, root: Path) -> None:
        self._take(root)
        self._watch()
        self.switch_mode("sweep")

    def _take(self, root: Path, seen: Overview | None = None) -> None:
        """Have a state and modes for a run."""
        self.state = RunState(root, self._readonly, self._folder is not None, self._style, seen)
        self._jobs.forget()
        self._prunings.forget()
        for screen in SCREENS:
            self.add_mode(screen.mode, partial(screen, self.state))

    def _watch(self) -> None:
        """Look at the run from now on."""
        state = self.state
        self._watcher = Watcher(
            state.root,
            lambda overview: self._tell(state, OverviewRead(overview)),
            lambda reason: self._tell(state, OverviewFailed(reason)),
            lambda lines: self._tell(state, LogRead(lines)),
            self._broke,
            state.overview,
        )
        if state.overview is not None:
            self.call_after_refresh(self._consider)

    def _tell(self, state: RunState, message: Finding) -> None:
        """From any thread: what was found out about a run."""
        message.about = state
        self.post_message(message)

    async def _close_run(self) -> None:
        self._prunings.rest()
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        await self.switch_mode("picker")
        for screen in SCREENS:
            await self.remove_mode(screen.mode)

    @on(PickerScreen.Picked)
    def _picked(self, message: PickerScreen.Picked) -> None:
        self._open(message.root)

    @on(PickerScreen.LookAsked)
    def _look_at_folder(self) -> None:
        folder = self._folder
        if folder is not None:
            self._background.submit("folder", lambda: carry_out.list_runs(self, folder, list_runs))

    @on(carry_out.RunsFound)
    def _runs_found(self, message: carry_out.RunsFound) -> None:
        if message.problem:
            self.notify(printable(message.problem, 300), severity="warning", markup=False)
        elif isinstance(self.screen, PickerScreen):
            self.screen.show(message.runs)

    @on(Finding)
    def _found(self, message: Finding) -> None:
        if message.about is not self.state:
            return  # another run has been opened meanwhile
        take(self.state, message)
        self._show()
        match message:
            case OverviewRead():
                self.call_after_refresh(self._consider)  # what is worked out competes with what is drawn
            case Ranked() | Grown() | EffectsFound() | Probed():
                self._consider()  # models may have come meanwhile, and no more that would say so
            case Started():
                self._say_started(message.reason)
            case PruningFinding():
                self._pruning_found(message)
            case VerifyingFinding():
                self._verifying_found(message)

    @on(AskingScreen.GroupChosen)
    def _group_chosen(self, message: AskingScreen.GroupChosen) -> None:
        if message.group != self.state.group:
            self.state.group = message.group
            if isinstance(self._base(), ClassScreen):
                self._show()
                self._look_at_group()

    def _look_at_group(self) -> None:
        """Look closely at the group that is chosen, unless that was done by the same effects."""
        state = self.state
        if state.effects is None or state.group is None or not isinstance(self._base(), ClassScreen):
            return
        if state.seen is None or state.seen.effects is not state.effects or state.seen.group != state.group:
            self._looking.at_group(state, state.effects, state.group)

    @on(AskingScreen.PicturesWanted)
    def _pictures_wanted(self, message: AskingScreen.PicturesWanted) -> None:
        self._looking.draw(self.state, message.keys)

    @on(ImageView.Wanted)
    def _picture_wanted(self, message: ImageView.Wanted) -> None:
        self._looking.draw(self.state, self.state.album.request([message.key]))

    @on(ImageScreen.LookAsked)
    def _look_at_image(self, message: ImageScreen.LookAsked) -> None:
        self._looking.at_image(self.state, message.reading, message.asked)

    @on(ImageScreen.LargeAsked)
    def _show_large(self, message: ImageScreen.LargeAsked) -> None:
        show_large(self, self.state.root, message.question, dark=self._style.dark)

    def has_ended(self, patience: float) -> bool:
        """Whether, once the app has closed, nothing is being worked out any more."""
        return self._background.has_ended(patience) and self._closely.has_ended(patience)

    def _broke(self, error: Exception) -> None:
        self.post_message(Broke(error))

    @on(Broke)
    def _show_bug(self, message: Broke) -> None:
        raise message.error

    def _base(self) -> Screen[Any] | None:
        """The mode's screen, below dialogs; None while the app closes."""
        return self.screen_stack[0] if self.screen_stack else None

    def _show(self) -> None:
        base = self._base()
        if isinstance(base, ModeScreen):
            base.show_state()
        if self.screen_stack and isinstance(self.screen, ImageScreen):
            self.screen.show()

    def _consider(self) -> None:
        """Work out again what the mode on the screen shows, where new models have come."""
        base = self._base()
        if isinstance(base, PruneScreen):
            self._prunings.consider(self.state)
            return
        self._prunings.rest()
        if isinstance(base, ProbeScreen):
            self._jobs.consider_probe(self.state)
        elif isinstance(base, AskingScreen):
            self._jobs.consider_ranking(self.state)
            state, overview = self.state, self.state.overview
            known = state.effects is not None and state.effects.question == state.question
            # What is asked after the ranking of a run that has ended is probably what its first class does.
            ahead = not known and overview is not None and not overview.is_active
            if state.answered == state.question and (isinstance(base, ClassScreen) or ahead):
                self._jobs.consider_effects(state)
            self._look_at_group()
        elif isinstance(base, SweepScreen):
            self._jobs.consider_growth(self.state)

    @on(AskingScreen.Asked)
    def _asked(self, message: AskingScreen.Asked) -> None:
        state = self.state
        if message.question != state.question:
            self._jobs.forget()
            state.growth = None
            state.probe.forget_problems()
        if message.versus != state.versus:
            self._jobs.comparing.forget()
            state.versus_problem = ""
        state.question, state.versus = message.question, message.versus
        self._show()
        self._consider()

    @on(LogScreen.Wanted)
    def _log_wanted(self) -> None:
        if self._watcher is not None:
            self._watcher.read_log()

    def _look_now(self) -> None:
        if self._watcher is not None:
            self._watcher.look_now()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key does this now: modes, and going back, are those of a run."""
        if not super().check_action(action, parameters):
            return False
        return action not in ("mode", "back") or isinstance(self.screen, ModeScreen)

    @on(ModeBar.Chosen)
    async def _mode_chosen(self, message: ModeBar.Chosen) -> None:
        await self.action_mode(message.mode)

    async def action_mode(self, mode: str) -> None:
        """Go to a mode; the next key is that mode's."""
        await self.switch_mode(mode)
        self.call_after_refresh(self._consider)

    async def action_back(self) -> None:
        """Close what is open; from a run of a folder, go back to the list."""
        screen = self.screen
        if isinstance(screen, ModeScreen) and not screen.back() and self._folder is not None:
            await self._close_run()

    def action_theme(self) -> None:
        """Change between dark and light."""
        dark = not self._style.dark
        self._style = replace(self._style, dark=dark)
        self.state.style = self._style
        self.theme = DARK.name if dark else LIGHT.name
        if isinstance(self.screen, PickerScreen):
            self.screen.redraw(self._style)
        self._show()

    async def action_quit(self) -> None:
        """Leave; what runs goes on, and the last line says so. What is still being started would not: ask again."""
        starting = being_started(self.state)
        if starting and not self._leaving:
            self._leaving = True
            text = f"Still being started: {printable(starting, 200)}. <app.quit> again leaves, and nothing is begun."
            self.notify(keys_of(self).put_into(text), severity="warning", markup=False)
            return
        overview = self.state.overview
        self.exit(carry_out.goes_on(self.state) if overview is not None and overview.is_active else "")
