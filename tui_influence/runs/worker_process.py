"""A worker as its supervisor sees it: a process with a device, a row in hand, and something to say now and then."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tui_influence.designs import Row
from tui_influence.runs.protocol import Assignment, Report, from_line, to_line
from tui_influence.store.files import last_line, make_directory, refusal
from tui_influence.store.paths import Paths
from tui_influence.training.environment import worker_environment

_LOG_LIMIT = 16 << 20


class WorkerProcess:
    """One worker process.

    Attributes:
        worker: its number, which names its log.
        device: what it trains on.
        row: what it has in hand.
        models: how many models it has finished.
        ready: whether data and network are on its device.
        dismissed: whether it is to end, and nobody to take its place.
    """

    def __init__(
        self, worker: int, device: str, threads: int, paths: Paths, log_path: Path, *, allow_code: bool
    ) -> None:
        """Start the process.

        Raises:
            ResultsError: its log cannot be written.
        """
        self.worker, self.device = worker, device
        self.row: Row | None = None
        self._assigned = 0.0
        self.models = 0
        self.ready = self.dismissed = False
        self._buffer = b""
        self._log = log_path
        make_directory(log_path.parent)
        # fmt: off
        command = [
            sys.executable, "-P", "-m", "tui_influence.runs.worker",
            str(paths.root.absolute()), device, str(threads), *(["--allow-code"] if allow_code else []),
        ]
        # fmt: on
        try:
            mode = "wb" if self._log.exists() and self._log.stat().st_size > _LOG_LIMIT else "ab"
            with self._log.open(mode) as log:
                self._log_start = log.tell()
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=os.environ | worker_environment(device, threads),
                    start_new_session=True,  # the terminal's Ctrl-C is for the supervisor, not for models in hand
                    bufsize=0,
                )
        except OSError as error:
            raise refusal(error, "start a worker that logs to", self._log) from error

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def seconds(self) -> float | None:
        """For how long it has had its row in hand; None when idle."""
        return time.monotonic() - self._assigned if self.row else None

    def fileno(self) -> int:
        """Return the descriptor that is readable when it has something to say."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def assign(self, row: Row) -> None:
        """Hand it a row; if it is dead by now, `reports` will say so."""
        assert self._process.stdin is not None
        self.row, self._assigned = row, time.monotonic()
        try:
            self._process.stdin.write(to_line(Assignment(row.role, row.index)))
        except BrokenPipeError:
            return

    def reports(self) -> list[Report] | None:
        """Return what it said since the last call, without waiting; None when it has ended."""
        content = os.read(self.fileno(), 1 << 16)
        if not content:
            return None
        *lines, self._buffer = (self._buffer + content).split(b"\n")
        return [message for line in lines if (message := from_line(line)) is not None]

    def release(self) -> None:
        """Let it end: it will get no more rows. Once more does no harm."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def kill(self) -> None:
        """End it now."""
        self._process.kill()

    def end(self, patience: float = 20.0) -> str:
        """Wait until it has ended, at the latest by killing it; say how it ended in a few words."""
        try:
            code = self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
            code = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        if code >= 0:
            return f"exit code {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"killed by {name}" + (" (out of memory, perhaps)" if name == "SIGKILL" else "")

    def last_words(self) -> str:
        """Return the last line of its log since it started, safe to show."""
        return last_line(self._log, self._log_start)
