"""Starting a supervisor in the background, and not returning before the run is truly under way.

The supervisor is this program again, in a session of its own with its stdio on files, so that it survives the
terminal. Until its first worker is ready it reports on a pipe: what is wrong with a config, a dataset or a device
is said in the foreground.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from tui_influence.config.loader import config_from_json, config_to_json
from tui_influence.errors import ExitCode, RunFailedError, TinflError
from tui_influence.runs.heartbeat import FINISHED, Heartbeat, State
from tui_influence.runs.supervisor import Observer, Request
from tui_influence.store.files import make_directory, to_results_error
from tui_influence.store.paths import Paths
from tui_influence.store.pruning_plan import arms_from_json, arms_to_json
from tui_influence.store.results_directory import make_results_directory
from tui_influence.text import printable

_SERVICE = "tui_influence.service"
"""The module that is run: it knows more kinds of plans than this layer may."""


def start(request: Request, observer: Observer) -> int:
    """Start a run in the background.

    Args:
        request: what to run.
        observer: is told what is being prepared until the run is under way.

    Returns:
        the pid of the supervisor, once models are being trained (or there is nothing left to train); 0 where it is
        handed to Slurm, which needs none.

    Raises:
        TinflError: it could not be started; with the exit code the supervisor ended with.
    """
    if request.config.compute.executor == "slurm":
        from tui_influence.runs.cluster.slurm import submit

        submit(request)
        return 0
    paths = Paths(request.root)
    make_results_directory(paths.root)
    make_directory(paths.logs)
    log_path = paths.logs / "supervisor.log"
    try:
        with log_path.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", _SERVICE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
    except OSError as error:
        raise to_results_error(error, "write", log_path) from error
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError), process.stdin as pipe:  # one that is dead already says why by saying nothing
        pipe.write(_to_bytes(request))
    for said in _messages(process.stdout):
        match said.get("say"):
            case "stage":
                observer.stage(str(said["what"]), int(said["done"]), int(said["total"]))
            case "under way":
                return process.pid
            case "stopped":
                process.wait()
                raise RunFailedError("stopped before the run was under way")
            case "error":
                process.wait()
                failure = RunFailedError(str(said["reason"]))
                failure.exit_code, failure.details = ExitCode(said["exit_code"]), tuple(said["details"])
                raise failure
    process.wait()
    raise RunFailedError(f"the supervisor ended before the run was under way; see {printable(str(log_path))}")


class _Pipe:
    """Tells the foreground, for as long as there is one."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe: IO[bytes] | None = pipe
        self._last = 0.0

    def stage(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last > 0.1 or done >= total:
            self._last = now
            self._say(say="stage", what=what, done=done, total=total)

    def under_way(self, heartbeat: Heartbeat) -> None:
        self._say(say="under way")
        self.close()

    def ended(self, heartbeat: Heartbeat) -> None:
        self._say(say="under way" if heartbeat.state in FINISHED else "stopped")
        self.close()

    def beat(self, heartbeat: Heartbeat) -> None:
        pass

    def error(self, error: TinflError) -> None:
        self._say(say="error", reason=str(error), exit_code=int(error.exit_code), details=error.details)

    def close(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None

    def _say(self, **message: Any) -> None:
        if self._pipe is None:
            return
        try:
            self._pipe.write(json.dumps(message).encode() + b"\n")
            self._pipe.flush()
        except BrokenPipeError:  # the terminal is gone; the run goes on
            self._pipe = None


def _to_bytes(request: Request) -> bytes:
    fields = {
        "config": config_to_json(request.config),
        "root": str(request.root.absolute()),
        "allow_code": request.allow_code,
        "retry_failed": request.retry_failed,
        "pruning": None if request.pruning is None else arms_to_json(request.pruning),
        "own": request.trusted,
    }
    return json.dumps(fields).encode()


def _messages(stream: IO[bytes]) -> Iterator[dict[str, Any]]:
    with stream:
        for line in stream:
            yield json.loads(line)


def serve_request(supervise: Callable[[Request, Observer], Heartbeat]) -> int:
    """Be the background supervisor: the request on stdin, reports on stdout until the run is under way."""
    found = json.loads(sys.stdin.buffer.read())
    pipe = _Pipe(os.fdopen(os.dup(sys.stdout.fileno()), "wb"))
    with Path(os.devnull).open("r+b") as null:
        os.dup2(null.fileno(), sys.stdin.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    pruning = None if found["pruning"] is None else arms_from_json(found["pruning"], "the plan")
    request = Request(
        config_from_json(found["config"]),
        Path(found["root"]),
        allow_code=bool(found["allow_code"]),
        retry_failed=bool(found["retry_failed"]),
        trusted=bool(found["own"]),
        pruning=pruning,
    )
    try:
        last = supervise(request, pipe)
    except TinflError as error:
        sys.stderr.write(f"{error}\n")
        pipe.error(error)
        return int(error.exit_code)
    pipe.ended(last)  # where nothing was left to do, this is the first that is heard
    return int(ExitCode.RUN_FAILED if last.state is State.DONE_WITH_FAILURES else ExitCode.OK)
