"""Starting a run from the command line: what `sweep`, `resume` and `demo` share.

Starting a run on a cluster from the command line: submit, say what was submitted, and leave.

Progress on stderr: one line that is rewritten on a terminal, a plain line now and then anywhere else.
"""

import shlex
import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from tui_influence.cli import diagnostics
from tui_influence.errors import RunFailedError
from tui_influence.render.run_words import (
    retry_command,
)
from tui_influence.runs.heartbeat import FINISHED, Heartbeat, State
from tui_influence.text import (
    format_duration,
    pluralize,
    printable,
)

if TYPE_CHECKING:
    from tui_influence.runs.supervisor import Request


def start(request: "Request", *, foreground: bool, reading: str | None = None) -> None:
    """Start a supervisor, in the background or here, and say what comes next.

    Args:
        request: what to run.
        foreground: stay until it ends.
        reading: the command that reads its results; `tinfl rank` if None.
    """
    from tui_influence.runs.heartbeat import FINISHED, observe
    from tui_influence.runs.launch import start as start_in_background
    from tui_influence.store.paths import Paths

    root, name = request.root, request.config.run.name
    reading = reading or f"tinfl rank {shown(root)}"
    if request.config.compute.executor == "slurm":
        submit_to_slurm(request, reading, wait=foreground)
        return
    if foreground:
        last = run_here(request)
        diagnostics.say(f"next: {reading}")
        refuse_failed_models(root, last, is_code=request.config.model.is_user_code)
        return
    try:
        with StageLine() as line:
            pid = start_in_background(request, line)
    except KeyboardInterrupt:
        diagnostics.say(f"the run goes on in the background; to end it: tinfl stop {shown(root)}")
        raise
    state, heartbeat, _ = observe(Paths(root))
    if state in FINISHED and heartbeat:
        diagnostics.say(f"{name}: nothing left to train, {heartbeat.done} of {heartbeat.total} models are done")
        diagnostics.say(f"next: {reading}")
        refuse_failed_models(root, heartbeat, is_code=request.config.model.is_user_code)
        return
    for warning in heartbeat.warnings if heartbeat else []:
        diagnostics.warn(warning)
    workers = len(heartbeat.workers) if heartbeat else 0
    left = heartbeat.total - heartbeat.done - heartbeat.failed if heartbeat else 0
    diagnostics.say(f"{name}: under way, {left} models to train on {workers} worker{'' if workers == 1 else 's'}")
    diagnostics.say(f"  pid  {pid}")
    diagnostics.say(f"  log  {root / 'logs'}")
    diagnostics.say(f"next: tinfl status {shown(root)}    tinfl logs -f {shown(root)}    tinfl stop {shown(root)}")
    diagnostics.say(f"      {reading}   works at any time")


def device_list(devices: str | None) -> list[str] | str | None:
    """Return what `--devices` names."""
    if devices is None or devices == "auto":
        return devices
    return [device.strip() for device in devices.split(",") if device.strip()]


def shown(path: Path) -> str:
    """Return a path as it can be pasted into a shell."""
    return shlex.quote(str(path))


_POLL = 2.0


def submit_to_slurm(request: "Request", reading: str, *, wait: bool) -> None:
    """Submit a run to Slurm and say what comes next.

    Args:
        request: what to run.
        reading: the command that reads its results.
        wait: stay until the run has ended.

    Raises:
        TinflError: it was refused, or, if we wait, failed.
    """
    from tui_influence.runs.cluster.slurm import submit

    job, root = submit(request), request.root
    diagnostics.say(f"{request.config.run.name}: submitted to Slurm as job {job}, which packs the data and")
    diagnostics.say("submits the tasks that train; nothing runs on this machine")
    diagnostics.say(f"  log  {root / 'cluster'}")
    diagnostics.say(f"next: tinfl status {shown(root)}    tinfl logs -f {shown(root)}    tinfl stop {shown(root)}")
    diagnostics.say(f"      {reading}   works at any time")
    if wait:
        _wait(request)


def _wait(request: "Request") -> None:
    from tui_influence.errors import RunFailedError
    from tui_influence.runs.heartbeat import ACTIVE, FINISHED
    from tui_influence.runs.overview import overview
    from tui_influence.store.paths import Paths

    with StageLine() as line:
        while True:
            seen = overview(Paths(request.root))
            if seen.state not in ACTIVE:
                break
            if seen.heartbeat:
                line.beat(seen.heartbeat)
            time.sleep(_POLL)
    reason = seen.heartbeat.reason if seen.heartbeat else ""
    if seen.state not in FINISHED:
        raise RunFailedError(reason or f"the run is {seen.state.value}; `tinfl status` says how it stands")
    if seen.heartbeat:
        refuse_failed_models(request.root, seen.heartbeat, is_code=request.config.model.is_user_code)


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
        left = (
            f", {format_duration(heartbeat.eta[0])} left" if heartbeat.eta and heartbeat.state is State.RUNNING else ""
        )
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
            f"{pluralize(last.failed, 'model')} of {last.total} failed and {'was' if last.failed == 1 else 'were'} "
            f"left out; `tinfl status` says why; to try again: {retry_command(root, is_code=is_code)}"
        )


def run_here(request: "Request") -> Heartbeat:
    """Run a supervisor in this process, with its progress shown.

    Raises:
        KeyboardInterrupt: it was asked to stop before it was done.
        TinflError: it failed.
    """
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
