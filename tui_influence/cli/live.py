"""Progress on stderr: one line that is rewritten on a terminal, a plain line now and then anywhere else."""

import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from tui_influence.cli import diagnostics
from tui_influence.errors import RunFailedError
from tui_influence.runs.heartbeat import FINISHED, Heartbeat, State
from tui_influence.runs.words import duration, retry_command
from tui_influence.text import counted, printable

if TYPE_CHECKING:
    from tui_influence.runs.supervisor import Request

_PLAIN_EVERY = 10.0


class StageLine:
    """Shows what a supervisor is doing; an `Observer`."""

    def __init__(self) -> None:
        self._terminal = diagnostics.is_terminal()
        self._last = 0.0
        self._shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.clear()

    def stage(self, what: str, done: int, total: int) -> None:
        """Show what is being prepared."""
        self._show(f"{printable(what, 80)}" + (f" {done} of {total}" if total else ""))

    def under_way(self, heartbeat: Heartbeat) -> None:
        """Forget the preparation."""
        self.clear()

    def beat(self, heartbeat: Heartbeat) -> None:
        """Show how many models are done and how long the rest takes."""
        if heartbeat.state is State.PREPARING:
            self._show(heartbeat.stage)
            return
        left = f", {duration(heartbeat.eta[0])} left" if heartbeat.eta and heartbeat.state is State.RUNNING else ""
        failed = f", {heartbeat.failed} failed" if heartbeat.failed else ""
        state = heartbeat.stage if heartbeat.state is State.RUNNING else heartbeat.state.value
        state = f" ({printable(state, 120)})" if state else ""
        accuracy = "".join(f", target {value:.1%}" for value in heartbeat.target_accuracy)
        learnt = f", source {heartbeat.source_accuracy:.1%}" if heartbeat.source_accuracy is not None else ""
        self._show(f"{heartbeat.done} of {heartbeat.total} models{state}{failed}{left}{learnt}{accuracy}")

    def clear(self) -> None:
        """Take the line away."""
        if self._terminal and self._shown:
            diagnostics.rewrite("")
        self._shown = ""

    def _show(self, text: str) -> None:
        now = time.monotonic()
        if text == self._shown:
            return
        if self._terminal:
            width = shutil.get_terminal_size().columns
            diagnostics.rewrite(text[: width - 1])
        elif now - self._last >= _PLAIN_EVERY:
            diagnostics.say(text)
        else:
            return
        self._shown, self._last = text, now


def refuse_failed_models(root: Path, last: Heartbeat, *, is_code: bool = False) -> None:
    """Let the command end with an error if models of a run that is finished were given up.

    Args:
        root: its results directory.
        last: its last heartbeat.
        is_code: its network is the user's code, which `tinfl resume` does not import.

    Raises:
        RunFailedError: some were.
    """
    if last.state is State.DONE_WITH_FAILURES:
        raise RunFailedError(
            f"{counted(last.failed, 'model')} of {last.total} failed and {'was' if last.failed == 1 else 'were'} left "
            f"out; `tinfl status` says why; to try again: {retry_command(root, is_code=is_code)}"
        )


def run_here(request: "Request") -> Heartbeat:
    """Run a supervisor in this process, with its progress shown.

    Raises:
        KeyboardInterrupt: it was asked to stop before it was done.
        TinflError: it failed.
    """
    from tui_influence.cli.starting import shown
    from tui_influence.service import supervise

    with StageLine() as line:
        last = supervise(request, line)
    for warning in last.warnings:
        diagnostics.warn(warning)
    if last.state not in FINISHED:
        again = f"tinfl resume {shown(request.root)}" if last.total else "the same command"
        diagnostics.say(f"stopped with {last.done} of {last.total} models; next: {again}")
        raise KeyboardInterrupt
    return last
