"""What a user asks for that leaves the app: files, the clipboard, stopping and resuming.

Each asks first where something is changed, stating run, cost and command; each does what the command does, by the
same functions.
"""

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message

from tui_influence.errors import TinflError
from tui_influence.runs.control import StopLevel, request_stop, stop_request
from tui_influence.runs.heartbeat import State
from tui_influence.runs.overview import Overview
from tui_influence.store.files import to_results_error
from tui_influence.store.paths import Paths
from tui_influence.text import (
    format_duration,
    pluralize,
    printable,
)
from tui_influence.tui.background import Background
from tui_influence.tui.clipboard import keep
from tui_influence.tui.commands import command
from tui_influence.tui.run_list import RunSummary
from tui_influence.tui.screens.dialogs import ConfirmScreen, FieldScreen
from tui_influence.tui.state import RunState

if TYPE_CHECKING:
    from textual.app import App

    from tui_influence.runs.heartbeat import Heartbeat
    from tui_influence.runs.supervisor import Observer

_UNFIT = re.compile(r"[^\w.=+-]+")


class RunsFound(Message):
    """A folder was looked at, or cannot be: then `problem` says why."""

    def __init__(self, runs: Sequence[RunSummary], problem: str = "") -> None:
        self.runs, self.problem = runs, problem
        super().__init__()


def goes_on(state: RunState) -> str:
    """Return the last line of an app that leaves a sweep running."""
    overview = state.overview
    pid = f" (pid {overview.owner.pid})" if overview and overview.owner else ""
    return f"the sweep goes on in the background{pid}; come back: {printable(command('explore', state.root))}"


def list_runs(app: "App[str]", folder: Path, look: Callable[[Path], list[RunSummary]]) -> None:
    """Look at a folder, from any thread."""
    try:
        app.post_message(RunsFound(look(folder)))
    except TinflError as error:
        app.post_message(RunsFound((), str(error)))


def copy(app: "App[str]", text: str, what: str, background: Background) -> None:
    """Copy text, and say where it is; tmux and the disk are not waited for."""

    def kept() -> None:
        app.call_from_thread(_say_copied, app, text, what, *keep(text))

    background.submit("copy", kept)


def _say_copied(app: "App[str]", text: str, what: str, tmux: bool, kept: str) -> None:
    if not tmux:
        app.copy_to_clipboard(text)
    where = "tmux's buffer" if tmux else "the clipboard, if the terminal allows it,"
    app.notify(f"Copied {what} to {where} and to {printable(kept, 200)}", timeout=6, markup=False)


def copy_rows(app: "App[str]", state: RunState, groups: set[int], background: Background) -> None:
    """Copy some groups as CSV."""
    from tui_influence.export.csv import rank_csv  # here, because it loads numpy
    from tui_influence.tui.table_models import sheet_of

    sheet = sheet_of(state)
    if sheet is None:
        return
    copy(app, rank_csv(sheet.part(groups), comments=False), pluralize(len(groups), "line"), background)


def export(app: "App[str]", state: RunState) -> None:
    """Ask for a file and write the ranking, or both, to it, whole, as `tinfl rank --csv` does."""
    from tui_influence.export.csv import rank_csv
    from tui_influence.tui.table_models import sheet_of

    sheet = sheet_of(state)
    if sheet is not None:
        what = pluralize(len(sheet.rows), sheet.noun, sheet.nouns)
        note = "All groups, whatever is filtered or marked; a file of that name is replaced."
        export_csv(app, sheet.name, note, what, lambda: rank_csv(sheet.report))


def export_csv(app: "App[str]", name: Sequence[str], note: str, what: str, text: Callable[[], str]) -> None:
    """Ask for a file and write a CSV to it.

    Args:
        app: asks.
        name: the parts of the name that is proposed.
        note: what there is to know of it.
        what: will have been written, in words.
        text: of the file.
    """
    from tui_influence.export.files import write_text_atomically

    def given(path: str | None) -> None:
        if path is None:
            return
        try:
            file = Path(path).expanduser()
            write_text_atomically(file, text())
        except RuntimeError:  # "~somebody" whom this machine does not know
            app.notify(f"{printable(path)}: no such home directory", severity="error", timeout=10, markup=False)
        except TinflError as error:
            app.notify(str(error), severity="error", timeout=10, markup=False)
        else:
            app.notify(f"Wrote {what} to {printable(str(file))}", markup=False)

    proposed = "-".join(_UNFIT.sub("_", part)[:40].strip("._") or "x" for part in name)
    app.push_screen(FieldScreen("Export as CSV", f"{proposed}.csv", note), given)


@dataclass(frozen=True)
class Controlled:
    """A run that is stopped or gone on with.

    Attributes:
        root: its results directory.
        overview: how it stands.
        what: it is: "sweep" or "pruning".
        name: of it, safe to show.
    """

    root: Path
    overview: Overview
    what: str
    name: str


def sweep_of(state: RunState) -> Controlled | None:
    """Return the run on the screen; None before it was looked at."""
    overview = state.overview
    return Controlled(state.root, overview, "sweep", run_name(state)) if overview is not None else None


def stop(app: "App[str]", run: Controlled, done: Callable[[], None]) -> None:
    """Ask whether to stop, and stop."""
    overview, paths = run.overview, Paths(run.root)
    again = stop_request(paths) is not StopLevel.NO
    if overview.heartbeat and overview.heartbeat.tasks:  # on a cluster, where nobody counts the models in hand
        given_up, finished = "models in hand", "the tasks that run finish their models in hand first."
    else:
        hands = sum(1 for worker in overview.heartbeat.workers if worker.row) if overview.heartbeat else 0
        given_up = f"{pluralize(hands, 'model')} in hand"
        finished = f"{given_up} will be finished first."
    cost = f"{given_up} given up, to be trained again later." if again else finished
    lines = [
        f"Run: {run.name}, {overview.finished:,} of {overview.total:,} models done",
        f"Cost: {cost} Nothing that is recorded is lost; R goes on.",
    ]

    def answered(yes: bool | None) -> None:
        if not yes:
            return
        try:
            level = request_stop(paths)
        except TinflError as error:
            app.notify(str(error), severity="error", timeout=10, markup=False)
            return
        app.notify(
            "Stopping at once" if level is StopLevel.AT_ONCE else "Stopping after the models in hand", markup=False
        )
        done()

    title = "Stop at once?" if again else f"Stop the {run.what}?"
    app.push_screen(ConfirmScreen(title, lines, printable(command("stop", run.root))), answered)


def resume(app: "App[str]", run: Controlled, said: Callable[[str], None], ended: Callable[[str], None]) -> None:
    """Ask whether to go on, and start a supervisor in the background.

    Args:
        app: asks.
        run: to go on with.
        said: is told, from another thread, what is being prepared.
        ended: is told once it is under way, or why it is not.
    """
    overview = run.overview
    rate = overview.heartbeat.models_per_hour if overview.heartbeat else 0.0
    takes = f", about {format_duration(3600 * overview.left / rate)} at the last rate" if rate > 0 else ""
    place = overview.info.location if overview.info else "on this machine"
    retries = overview.state is State.DONE_WITH_FAILURES and not overview.left
    cost = f"{pluralize(overview.given_up, 'model')} that failed" if retries else f"{overview.left:,} models"
    lines = [
        f"Run: {run.name}, {overview.finished:,} of {overview.total:,} models done",
        f"Cost: {cost} to train {place}{takes}.",
    ]
    words = [command("resume", run.root), *(["--retry-failed"] if retries else [])]

    def begin(observer: "Observer") -> None:
        from tui_influence.runs.launch import start
        from tui_influence.runs.resume import request_to_resume  # here, because it loads pydantic

        start(request_to_resume(run.root, retry_failed=retries), observer)

    def answered(yes: bool | None) -> None:
        if yes:
            said("the supervisor")
            in_thread(begin, said, ended)

    app.push_screen(ConfirmScreen(f"Resume the {run.what}?", lines, printable(" ".join(words))), answered)


class _Watching:
    """Hears what a supervisor that is being started does."""

    def __init__(self, said: Callable[[str], None]) -> None:
        self._said = said

    def stage(self, what: str, done: int, total: int) -> None:
        self._said(f"{what} {done} of {total}" if total else what)

    def under_way(self, heartbeat: "Heartbeat") -> None:
        pass

    def beat(self, heartbeat: "Heartbeat") -> None:
        pass


def in_thread(begin: "Callable[[Observer], None]", said: Callable[[str], None], ended: Callable[[str], None]) -> None:
    """Do what takes a while in a thread of its own, and say why it failed, or nothing.

    Args:
        begin: does it, and tells an observer what it does.
        said: is told that, in words.
        ended: is told once it is done.
    """

    def work() -> None:
        reason = "the supervisor was not started; this is a bug in tinfl"
        try:
            begin(_Watching(said))
            reason = ""
        except TinflError as error:
            reason = "; ".join([str(error), *error.details[:3]])
        except OSError as error:
            reason = str(to_results_error(error))
        finally:
            ended(reason)

    # A daemon: leaving does not wait for it, and a supervisor that it has started goes on by itself.
    threading.Thread(target=work, daemon=True).start()


def run_name(state: RunState) -> str:
    """Return the name of the run on the screen, safe to show."""
    overview = state.overview
    return printable(overview.info.name if overview and overview.info else state.root.name, 60)
