"""Start of a supervisor in the background, up to its first ready worker.

The supervisor is this program again, in a separate session with its stdio on files, so that it survives the terminal.
Until its first worker is ready it reports on a pipe, so that errors in the config, the datasets or the devices are
shown in the foreground.
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
from tui_influence.runs.cluster.slurm import submit
from tui_influence.runs.heartbeat import FINISHED, Heartbeat, State
from tui_influence.runs.supervisor import SERVICE, Observer, Request
from tui_influence.store.files import make_directory, to_results_error
from tui_influence.store.paths import Paths
from tui_influence.store.pruning_plan import arms_from_json, arms_to_json
from tui_influence.store.results_directory import make_results_directory
from tui_influence.text import printable


def start(request: Request, observer: Observer) -> int:
    """Start a run in the background.

    Args:
        request: the run.
        observer: gets the progress of the preparation until the run is under way.

    Returns:
        the pid of the supervisor, once models are being trained (or none are left to train); 0 on Slurm, where there
        is no supervisor.

    Raises:
        TinflError: it could not be started; with the exit code the supervisor ended with.
    """
    if request.config.compute.executor == "slurm":
        submit(request)
        return 0
    paths = Paths(request.root)
    make_results_directory(paths.root)
    make_directory(paths.logs)
    log_path = paths.logs / "supervisor.log"
    try:
        with log_path.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", SERVICE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
    except OSError as error:
        raise to_results_error(error, "write", log_path) from error
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError), process.stdin as pipe:  # if it is dead already, it sends no message
        pipe.write(_to_bytes(request))
    for message in _messages(process.stdout):
        match message.get("message"):
            case "stage":
                observer.stage(str(message["what"]), int(message["done"]), int(message["total"]))
            case "under way":
                return process.pid
            case "stopped":
                process.wait()
                raise RunFailedError("stopped before the run began")
            case "error":
                process.wait()
                failure = RunFailedError(str(message["reason"]))
                failure.exit_code, failure.details = ExitCode(message["exit_code"]), tuple(message["details"])
                raise failure
    process.wait()
    raise RunFailedError(f"the supervisor ended before the run began; see {printable(str(log_path))}")


class _ForegroundPipe:
    """An observer that sends messages to the foreground process, as long as there is one."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe: IO[bytes] | None = pipe
        self._last = 0.0

    def stage(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last > 0.1 or done >= total:
            self._last = now
            self._send(message="stage", what=what, done=done, total=total)

    def under_way(self, heartbeat: Heartbeat) -> None:
        self._send(message="under way")
        self.close()

    def ended(self, heartbeat: Heartbeat) -> None:
        self._send(message="under way" if heartbeat.state in FINISHED else "stopped")
        self.close()

    def beat(self, heartbeat: Heartbeat) -> None:
        pass

    def error(self, error: TinflError) -> None:
        self._send(message="error", reason=str(error), exit_code=int(error.exit_code), details=error.details)

    def close(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None

    def _send(self, **fields: Any) -> None:
        if self._pipe is None:
            return
        try:
            self._pipe.write(json.dumps(fields).encode() + b"\n")
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
        "trusted": request.trusted,
    }
    return json.dumps(fields).encode()


def _messages(stream: IO[bytes]) -> Iterator[dict[str, Any]]:
    with stream:
        for line in stream:
            yield json.loads(line)


def serve_request(supervise: Callable[[Request, Observer], Heartbeat]) -> int:
    """Supervise in the background: read the request from stdin, and report on stdout until the run is under way."""
    fields = json.loads(sys.stdin.buffer.read())
    pipe = _ForegroundPipe(os.fdopen(os.dup(sys.stdout.fileno()), "wb"))
    with Path(os.devnull).open("r+b") as null:
        os.dup2(null.fileno(), sys.stdin.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    pruning = None if fields["pruning"] is None else arms_from_json(fields["pruning"], "the plan")
    request = Request(
        config_from_json(fields["config"]),
        Path(fields["root"]),
        allow_code=bool(fields["allow_code"]),
        retry_failed=bool(fields["retry_failed"]),
        trusted=bool(fields["trusted"]),
        pruning=pruning,
    )
    try:
        last = supervise(request, pipe)
    except TinflError as error:
        sys.stderr.write(f"{error}\n")
        pipe.error(error)
        return int(error.exit_code)
    pipe.ended(last)  # if nothing was left to train, this is the first message
    return int(ExitCode.RUN_FAILED if last.state is State.DONE_WITH_FAILURES else ExitCode.OK)
