"""The part of the app that does what is asked of the sweep on the screen: files, the clipboard, stopping, resuming.

Each asks first where something is changed, and does what the command does: see `carry_out`.
"""

from textual import on

from tui_influence.text import printable
from tui_influence.tui import carry_out
from tui_influence.tui.background import Background
from tui_influence.tui.keyed_app import KeyedApp
from tui_influence.tui.messages import CopyAsked, Finding, Preparing, Started
from tui_influence.tui.screens.rank import RankScreen
from tui_influence.tui.screens.sweep import SweepScreen
from tui_influence.tui.state import RunState


class SweepApp(KeyedApp):
    """What `ExploreApp` does about a sweep besides showing it."""

    state: RunState
    _closely: Background

    def _tell(self, state: RunState, message: Finding) -> None:
        raise NotImplementedError

    def _look_now(self) -> None:
        raise NotImplementedError

    @on(RankScreen.ExportAsked)
    def _export(self) -> None:
        carry_out.export(self, self.state)

    @on(RankScreen.LinesAsked)
    def _copy_lines(self, message: RankScreen.LinesAsked) -> None:
        carry_out.copy_rows(self, self.state, message.groups, self._closely)

    @on(CopyAsked)
    def _copy(self, message: CopyAsked) -> None:
        carry_out.copy(self, message.text, message.what, self._closely)

    @on(SweepScreen.StopAsked)
    def _stop(self) -> None:
        run = carry_out.sweep_of(self.state)
        if run is not None:
            carry_out.stop(self, run, self._look_now)

    @on(SweepScreen.ResumeAsked)
    def _resume(self) -> None:
        state, run = self.state, carry_out.sweep_of(self.state)
        if run is not None:
            carry_out.resume(
                self,
                run,
                lambda what: self._tell(state, Preparing(what)),
                lambda reason: self._tell(state, Started(reason)),
            )

    def _say_started(self, reason: str) -> None:
        if reason:
            self.notify(printable(reason, 400), severity="error", timeout=15, markup=False)
        else:
            self.notify("The sweep goes on in the background; leaving does not stop it.", markup=False)
        self._look_now()
