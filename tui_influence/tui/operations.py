"""Operations of a user on a run: start, stop, resume, export, copy, and images outside the app.

Each asks first where something is changed, stating run, cost and command, and does what the command does.
"""

import hashlib
import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from platformdirs import user_state_path
from textual.app import App, SuspendNotSupported

from tui_influence.analysis.question import Question
from tui_influence.errors import TinflError
from tui_influence.export.csv import write_csv
from tui_influence.export.files import write_text_atomically
from tui_influence.export.result_table import ResultTable
from tui_influence.images import graphics
from tui_influence.pruning.options import class_list_text, counterfactual_command
from tui_influence.pruning.types import CounterfactualPreview, PruningProposal
from tui_influence.render.counterfactual import counterfactual_plan, plan_size
from tui_influence.render.pruning_plan import PlanSummary
from tui_influence.runs.control import StopLevel, request_stop, stop_request
from tui_influence.runs.heartbeat import State
from tui_influence.store.files import make_directory
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo
from tui_influence.text import format_duration, pluralize, printable
from tui_influence.tui.background import attempt
from tui_influence.tui.clipboard import copy_text
from tui_influence.tui.keymap import keys_of
from tui_influence.tui.messages import Preparing, Started, StateChanged
from tui_influence.tui.queries import QueryRunner
from tui_influence.tui.screens.dialogs import ConfirmScreen, FieldScreen
from tui_influence.tui.state import Query, Result, RunHandle, RunState, run_query

if TYPE_CHECKING:
    from tui_influence.analysis.snapshot import RunSnapshot
    from tui_influence.runs.cost import Cost
    from tui_influence.runs.heartbeat import Heartbeat
    from tui_influence.runs.supervisor import Observer
    from tui_influence.tui.retrainings import Launcher

Q = TypeVar("Q")
T = TypeVar("T")

_SLOWER = "The sweep is being trained too: each will slow the other down."
_UNSAFE_CHARACTERS = re.compile(r"[^\w.=+-]+")
"""Characters that do not belong into the name of a file."""


def run_command(name: str, root: Path) -> str:
    """Return a command on a run, ready to be pasted into a shell."""
    return shlex.join(["tinfl", name, "--", str(root)] if str(root).startswith("-") else ["tinfl", name, str(root)])


def has_graphics() -> bool:
    """Return whether this terminal is known to draw images, and the library that writes them is installed."""
    return graphics.detect_protocol(os.environ).protocol is not None and not graphics.library_problem()


class RunOperations:
    """Operations on one run: those that change it, or leave the app."""

    def __init__(
        self, app: App[str], state: RunState, runner: QueryRunner, refresh_run: Callable[[RunHandle], None]
    ) -> None:
        """Operate on one run.

        Args:
            app: shows dialogs and notifications.
            state: of the run.
            runner: its thread for details does what need not be waited for.
            refresh_run: reads a run at once.
        """
        self._app, self._state, self._runner, self._refresh_run = app, state, runner, refresh_run

    # Runs: the sweep, a pruning or a counterfactual

    def stop(self, run: RunHandle) -> None:
        """Stop a run, after asking."""
        overview, paths = run.overview, Paths(run.root)
        if overview is None:
            return
        again = stop_request(paths) is not StopLevel.NO
        if overview.heartbeat and overview.heartbeat.tasks:  # on a cluster, where nobody counts the current models
            given_up, finished = "current models", "running tasks finish their current models first."
        else:
            hands = sum(1 for worker in overview.heartbeat.workers if worker.row) if overview.heartbeat else 0
            given_up = f"{pluralize(hands, 'model')} in training"
            finished = f"{given_up} will be finished first."
        cost = f"{given_up} given up, to be trained again later." if again else finished
        lines = [
            f"Run: {run.name}, {overview.finished:,} of {overview.total:,} models done",
            f"Cost: {cost} Recorded models are kept; R resumes.",
        ]

        def stop() -> None:
            try:
                level = request_stop(paths)
            except TinflError as error:
                self._refuse(str(error), timeout=10)
                return
            self._notify("Stopping at once" if level is StopLevel.AT_ONCE else "Stopping after the current models")
            self._refresh_run(run)

        title = "Stop at once?" if again else f"Stop the {run.kind}?"
        self._confirm(title, lines, run_command("stop", run.root), stop)

    def resume(self, run: RunHandle) -> None:
        """Continue a run in the background, after asking."""
        overview = run.overview
        if overview is None:
            return
        rate = overview.heartbeat.models_per_hour if overview.heartbeat else 0.0
        takes = f", about {format_duration(3600 * overview.left / rate)} at the last rate" if rate > 0 else ""
        location = overview.info.location if overview.info else "on this machine"
        retries = overview.state is State.DONE_WITH_FAILURES and not overview.left
        cost = f"{pluralize(overview.given_up, 'model')} that failed" if retries else f"{overview.left:,} models"
        lines = [
            f"Run: {run.name}, {overview.finished:,} of {overview.total:,} models done",
            f"Cost: {cost} to train {location}{takes}.",
        ]
        words = [run_command("resume", run.root), *(["--retry-failed"] if retries else [])]

        def begin(observer: "Observer") -> None:
            self._launcher().resume(run.root, retries, observer)

        start = partial(self._start, run, "the supervisor", begin)
        self._confirm(f"Resume the {run.kind}?", lines, " ".join(words), start)

    def note_start(self, message: Started) -> None:
        """Say that a run was started, or why it was not."""
        run, pruning = message.run, self._state.pruning
        if message.error:
            self._refuse(message.error)
            if run.kind == "pruning":
                pruning.names.throttle.invalidate()  # it may have got so far as to exist
        elif run.kind == "sweep":
            self._notify("The sweep goes on in the background; leaving does not stop it.")
        else:
            self._notify("The retrainings go on in the background; leaving does not stop them.")
            if run.kind == "pruning":
                pruning.note_start(run.root.name)
        self._refresh_run(run)

    # Prunings

    def start_pruning(self) -> None:
        """Start the retrainings that are proposed, after asking."""
        state, pruning, info = self._state, self._state.pruning, self._state.info
        plan, proposal, run = pruning.plan.value, pruning.plan.answered, pruning.run
        if plan is None or proposal is None or info is None:
            return
        summary = plan_summary(state)
        first, *then = summary.models()
        takes = summary.duration()
        lines = [
            f"Run: {state.sweep.name}, pruning {run.name}",
            f"Cost: {first}, {info.location}{f': {takes}' if takes else ''}",
            *(f"      {text}" for text in then),
        ]
        if state.sweep.is_active:
            lines.append(_SLOWER)
        list_file = _list_file(proposal)

        def begin(observer: "Observer") -> None:
            _write_list(list_file, proposal)
            self._launcher().start_pruning(info, proposal, observer)

        start = partial(self._start, run, "what is to be retrained", begin)
        self._confirm("Retrain?", lines, _pruning_command(state, proposal, list_file), start)

    def time_pruning(self) -> None:
        """Time a few training steps of what is proposed."""
        pruning, info = self._state.pruning, self._state.info
        proposal = pruning.plan.answered
        if proposal is None or info is None:
            return

        def compute(observer: "Observer", proposal: PruningProposal) -> "Cost":
            return self._launcher().time_pruning(info, proposal, observer)

        pruning.cost.ask(proposal)
        self._compute(pruning.run, "what is to be timed", pruning.cost, proposal, compute)

    def export_arms(self) -> None:
        """Ask for a file, and write the arms of the pruning to it."""
        from tui_influence.export.pruning import pruning_table  # here, because it loads numpy

        measured = self._state.pruning.arms.value
        if measured is not None:
            name = (self._state.sweep.name, self._state.pruning.name, "arms")
            note = "All arms as measured so far; a file of that name is replaced."
            self.export_csv(name, note, pluralize(len(measured.results), "arm"), lambda: pruning_table(measured))

    def copy_pruning_command(self) -> None:
        """Copy the command that retrains the same; its list of groups is written to a file that it names."""
        state = self._state
        proposal = state.pruning.plan.question
        if proposal is None:
            return
        list_file = _list_file(proposal)
        self._runner.details.submit("list", partial(_write_list, list_file, proposal))
        self.copy_command(_pruning_command(state, proposal, list_file))

    # Counterfactuals

    def start_counterfactual(self, snapshot: "RunSnapshot", question: Question) -> None:
        """Start the counterfactual of an example, resume it, or show a message where neither is possible."""
        state, counterfactual = self._state, self._state.counterfactual
        run = counterfactual.run
        if run is None or run.root in state.preparing:
            return
        if counterfactual.exists:
            self._resume_counterfactual(run, question)
            return
        sweep = state.overview

        def compute(observer: "Observer", question: Question) -> CounterfactualPreview:
            return self._launcher().preview_counterfactual(snapshot, sweep, question)

        counterfactual.preview.ask(question)
        self._compute(run, "the harmful groups", counterfactual.preview, question, compute)

    def confirm_counterfactual(self, preview: CounterfactualPreview) -> None:
        """Start a counterfactual that was previewed, after asking."""
        state, run, info = self._state, self._state.counterfactual.run, self._state.info
        if run is None or info is None:
            return

        def begin(observer: "Observer") -> None:
            self._launcher().start_counterfactual(info, run.root, preview, observer)

        start = partial(self._start, run, "what is to be retrained", begin)
        command = counterfactual_command(preview.question, state.root)
        self._confirm("Retrain without these?", self._counterfactual_plan(preview, info), command, start)

    def _counterfactual_plan(self, preview: CounterfactualPreview, info: RunInfo) -> list[str]:
        """Return what is to be retrained, and what it costs."""
        state, report, seconds = self._state, self._state.example.value, preview.seconds
        is_correct = report is not None and report.example == preview.question.example and report.overall.accuracy > 0.5
        first, *lines = counterfactual_plan(preview, state.style, is_correct=is_correct)
        time = f": about {format_duration(seconds)}, at the sweep's rate" if seconds is not None else ""
        lines = [
            f"Run: {state.sweep.name}, {first}",
            *lines,
            f"Cost: {plan_size(preview.pruning)}, {info.location}{time}",
        ]
        return [*lines, _SLOWER] if state.sweep.is_active else lines

    def _resume_counterfactual(self, run: RunHandle, question: Question) -> None:
        overview = run.overview
        assert overview is not None
        if overview.is_active:
            text = (
                "It is running. To stop it: <image.close>, Prune (<app.prune>), "
                f"{run.root.name} (<prune.name>), <prune.stop>."
            )
            self._notify(keys_of(self._app).put_into(text))
        elif overview.state is State.DONE and not overview.left:
            command = counterfactual_command(question, self._state.root, seeds=20)
            text = f"Its counterfactual is done: see beside the image. To retrain more: {command}"
            self._app.notify(printable(text, 400), timeout=15, markup=False)
        else:
            self.resume(run)

    # Files, the clipboard, the terminal

    def export_csv(self, name: Sequence[str], note: str, description: str, table: Callable[[], ResultTable]) -> None:
        """Ask for a file, and write a table to it as CSV, with the facts about it beside it.

        Args:
            name: the parts of the name that is proposed.
            note: a remark on the file.
            description: its content, in words.
            table: returns it.
        """

        def write(path: str | None) -> None:
            if path is None:
                return
            try:
                file = Path(path).expanduser()
                write_csv(file, table())
            except RuntimeError:  # "~somebody" whom this machine does not know
                self._refuse(f"{printable(path)}: no such home directory", timeout=10)
            except TinflError as error:
                self._refuse(str(error), timeout=10)
            else:
                self._notify(f"Wrote {description} to {printable(str(file))}")

        proposed = "-".join(_UNSAFE_CHARACTERS.sub("_", part)[:40].strip("._") or "x" for part in name)
        self._app.push_screen(FieldScreen("Export as CSV", f"{proposed}.csv", note), write)

    def copy(self, text: str, description: str) -> None:
        """Copy text, and say where it is; tmux and the disk are not waited for."""

        def copy() -> None:
            self._app.call_from_thread(self._say_copied, text, description, *copy_text(text))

        self._runner.details.submit("copy", copy)

    def copy_command(self, command: str) -> None:
        """Copy a command."""
        self.copy(command, "the command")

    def open_in_terminal_graphics(self, question: Question) -> None:
        """Show an example by the terminal's own graphics until a key is pressed, with the app out of the way."""
        theme = "dark" if self._state.style.dark else "light"
        words = question.arguments(self._state.root, "show")
        command = [sys.executable, "-m", "tui_influence", words[0], "--wait", f"--theme={theme}", *words[1:]]
        try:
            with self._app.suspend():
                subprocess.run(command, check=False)  # what goes wrong it says itself, and waits for a key
        except SuspendNotSupported:
            self._app.notify("This terminal cannot be left for a moment.", severity="warning", markup=False)

    def _say_copied(self, text: str, description: str, in_tmux: bool, file: str) -> None:
        if not in_tmux:
            self._app.copy_to_clipboard(text)
        where = "tmux's buffer" if in_tmux else "the clipboard, if the terminal allows it,"
        self._app.notify(f"Copied {description} to {where} and to {printable(file, 200)}", timeout=6, markup=False)

    # Dialogs and threads

    def _confirm(self, title: str, lines: Sequence[str], command: str, act: Callable[[], object]) -> None:
        def answer(yes: bool | None) -> None:
            if yes:
                act()

        self._app.push_screen(ConfirmScreen(title, lines, printable(command)), answer)

    def _start(self, run: RunHandle, step: str, begin: "Callable[[Observer], None]") -> None:
        """Start a run in a thread; the app gets `Started`."""
        state = self._state

        def start(observer: "Observer") -> None:
            error = "the supervisor was not started; this is a bug in tinfl"
            try:
                _, error = attempt(partial(begin, observer))
            finally:
                self._app.post_message(Started(state, run, error))

        self._in_thread(run.root, step, start)

    def _compute(
        self, run: RunHandle, step: str, query: Query[Any, T], question: Q, compute: "Callable[[Observer, Q], T]"
    ) -> None:
        """Answer a query about a run that could be started, in a thread; the app gets `Result`."""

        def answer(observer: "Observer") -> None:
            result = Result(query, question, None, "this is a bug in tinfl")
            try:
                result = run_query(query, question, partial(compute, observer))
            finally:
                self._app.post_message(Preparing(self._state, run.root, ""))
                self._app.post_message(result)

        self._in_thread(run.root, step, answer)

    def _in_thread(self, root: Path, step: str, work: "Callable[[Observer], None]") -> None:
        state = self._state
        state.preparing[root] = step
        self._app.post_message(StateChanged())
        observer = _StepObserver(lambda text: self._app.post_message(Preparing(state, root, text)))
        # A daemon: leaving does not wait for it, and a supervisor that it has started goes on by itself.
        threading.Thread(target=work, args=(observer,), daemon=True).start()

    def _launcher(self) -> "Launcher":
        from tui_influence.tui.retrainings import Launcher  # here, in a thread, because it loads numpy and pydantic

        return Launcher(Paths(self._state.root))

    def _notify(self, text: str) -> None:
        self._app.notify(text, markup=False)

    def _refuse(self, reason: str, timeout: float = 15) -> None:
        self._app.notify(printable(reason, 400), severity="error", timeout=timeout, markup=False)


class _StepObserver:
    """Passes the steps of a supervisor that is being started on, as text."""

    def __init__(self, on_step: Callable[[str], object]) -> None:
        self._on_step = on_step

    def stage(self, what: str, done: int, total: int) -> None:
        self._on_step(f"{what} {done} of {total}" if total else what)

    def under_way(self, heartbeat: "Heartbeat") -> None:
        pass

    def beat(self, heartbeat: "Heartbeat") -> None:
        pass


def _list_file(proposal: PruningProposal) -> Path | None:
    """Return the file for the groups that were chosen by hand, so that a command can name it; None without any."""
    if not proposal.request.lists:
        return None
    groups = proposal.request.lists[0].groups
    digest = hashlib.blake2b("\n".join(groups).encode(), digest_size=4).hexdigest()
    return user_state_path("tinfl") / "lists" / f"{len(groups)}-classes-{digest}.txt"


def _write_list(file: Path | None, proposal: PruningProposal) -> None:
    """Write the groups that were chosen by hand to a file; nothing without a file."""
    if file is not None:
        make_directory(file.parent)
        write_text_atomically(file, class_list_text(proposal.request.lists[0].groups))


def _pruning_command(state: RunState, proposal: PruningProposal, list_file: Path | None) -> str:
    return proposal.request.command(state.root, proposal.name, question=proposal.question, list_file=list_file)


def plan_summary(state: RunState) -> PlanSummary:
    """Return the pruning that is proposed, and what is known of its plan and its cost."""
    pruning, info = state.pruning, state.info
    overview, cost = pruning.run.overview, pruning.cost
    return PlanSummary(
        pruning.request,
        state.question,
        info.targets[0].name if info else "",
        len(pruning.marked),
        pruning.exists,
        pruning.plan.value,
        cost.value if cost.answered == pruning.plan.answered else None,
        overview.finished if overview else 0,
    )
