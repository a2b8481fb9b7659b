"""The worker processes of a supervisor: started, polled for reports, and ended."""

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tui_influence.designs import Row
from tui_influence.runs.devices import worker_environment
from tui_influence.runs.heartbeat import WORKER_OVERDUE, WorkerState
from tui_influence.runs.protocol import Alive, Assignment, Report, from_line, to_line
from tui_influence.store.files import last_line, make_directory, to_results_error
from tui_influence.store.paths import Paths

_MAX_LOG_BYTES = 16 << 20
"""Size above which a worker's log is started anew."""
_KILL_TIMEOUT = 5.0
"""Seconds that a process has to exit after SIGKILL."""
_MAX_STEP = 5.0
"""Maximum number of seconds counted between two polls. When the supervisor was suspended, or wrote a matrix for
minutes, its own absence must not count against its workers."""


class WorkerProcess:
    """One worker process.

    Attributes:
        number: its number, which names its log.
        device: what it trains on.
        row: the row assigned to it.
        models: models finished by this worker and by earlier workers of its number.
        is_ready: whether data and network are on its device.
        has_begun: whether it has reported that it began the assigned row.
        is_ending: whether it is about to exit, by its own report or by the supervisor's decision: it gets no more rows.
        is_dismissed: whether no other worker is to take its number.
        reason: why it ends or was ended, if that is known.
        has_reported: whether it has sent a report or a sign of life.
        silence: seconds without any sign of life.
        elapsed: seconds in its present stage: getting ready, training the assigned row, or exiting.
    """

    def __init__(
        self, number: int, device: str, threads: int, paths: Paths, log_path: Path, *, allow_code: bool
    ) -> None:
        """Start the process.

        Raises:
            ResultsError: its log cannot be written.
        """
        self.number, self.device = number, device
        self.row: Row | None = None
        self._assigned = 0.0
        self.models = 0
        self.is_ready = self.has_begun = self.is_ending = self.is_dismissed = False
        self.has_reported = False
        self.reason = ""
        self.silence = self.elapsed = 0.0
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
            mode = "wb" if self._log.exists() and self._log.stat().st_size > _MAX_LOG_BYTES else "ab"
            with self._log.open(mode) as log:
                self._log_start = log.tell()
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=os.environ | worker_environment(device, threads),
                    start_new_session=True,  # the terminal's Ctrl-C is for the supervisor, not for running models
                    bufsize=0,
                )
        except OSError as error:
            raise to_results_error(error, "start a worker that logs to", self._log) from error

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def add_time(self, seconds: float) -> None:
        """Count the seconds since the last poll, after everything the worker has sent was read."""
        step = min(seconds, _MAX_STEP)
        self.silence += step
        self.elapsed += step

    def unassign(self) -> Row | None:
        """Take the assigned row back; return it."""
        row, self.row = self.row, None
        self.has_begun, self.elapsed = False, 0.0
        return row

    @property
    def seconds(self) -> float | None:
        """Seconds since its row was assigned; None when idle."""
        return time.monotonic() - self._assigned if self.row else None

    def fileno(self) -> int:
        """Return the file descriptor that its reports arrive on."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def assign(self, row: Row) -> None:
        """Send it a row; if it has died meanwhile, `read_reports` will show that."""
        assert self._process.stdin is not None
        self.row, self._assigned = row, time.monotonic()
        self.has_begun, self.elapsed = False, 0.0
        try:
            self._process.stdin.write(to_line(Assignment(row.role, row.index)))
        except (BrokenPipeError, ValueError):  # ValueError: its input is closed
            return

    def read_reports(self) -> list[Report] | None:
        """Return the reports since the last call, without waiting; None when the process has ended.

        Signs of life are counted but not returned.
        """
        content = os.read(self.fileno(), 1 << 16)
        if not content:
            return None
        self.silence, self.has_reported = 0.0, True
        *lines, self._buffer = (self._buffer + content).split(b"\n")
        messages = (from_line(line) for line in lines)
        return [message for message in messages if message is not None and not isinstance(message, Alive)]

    def end_after_row(self) -> None:
        """Let it exit after the assigned row, by closing its input. Can be called more than once."""
        assert self._process.stdin is not None
        if not self.is_ending:
            self.is_ending, self.elapsed = True, 0.0
        self._process.stdin.close()

    def has_exited(self) -> bool:
        """Whether the process has ended; a process that hangs in its driver may outlive SIGKILL for long."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """Send SIGKILL."""
        self._process.kill()

    def wait(self, timeout: float = 20.0) -> str:
        """Wait until it has exited, killing it after `timeout` seconds; return how it ended in a few words.

        A process that SIGKILL cannot end (it hangs in a driver, or waits for a disk) is left behind.
        """
        code: int | None = None
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(timeout)
        if code is None:
            self.kill()
            with suppress(subprocess.TimeoutExpired):
                code = self._process.wait(_KILL_TIMEOUT)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        if code is None:
            return "not ended: SIGKILL has no effect"
        if code >= 0:
            return f"exit code {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"killed by {name}" + (" (out of memory, perhaps)" if name == "SIGKILL" else "")

    def last_log_line(self) -> str:
        """Return the last line of its log since it started, safe to print."""
        return last_line(self._log, self._log_start)


@dataclass(frozen=True)
class WorkerExit:
    """The end of a worker process.

    Attributes:
        cause: in a few words, such as "killed by SIGKILL".
        last_log_line: the last line of its log.
    """

    cause: str
    last_log_line: str


class WorkerPool:
    """The workers of one supervisor."""

    def __init__(
        self, paths: Paths, threads: int, *, allow_code: bool, log: Callable[[int], Path] | None = None
    ) -> None:
        """Create a pool without workers.

        Args:
            paths: of the run.
            threads: threads of a worker on the CPU.
            allow_code: whether workers may import the user's network.
            log: path of the log of each worker number; by default the run's own logs.
        """
        self._log = log or paths.worker_log
        self._paths, self._threads, self._allow_code = paths, threads, allow_code
        self._selector = selectors.DefaultSelector()
        self._workers: list[WorkerProcess] = []
        self._models: dict[int, int] = {}
        """Models finished by the workers of each number that have ended."""

    def __iter__(self) -> Iterator[WorkerProcess]:
        return iter(self._workers)

    def __len__(self) -> int:
        return len(self._workers)

    @property
    def is_idle(self) -> bool:
        """Whether no worker has a row."""
        return not any(worker.row for worker in self._workers)

    def start(self, number: int, device: str) -> WorkerProcess:
        """Start a worker.

        Raises:
            ResultsError: its log cannot be written.
        """
        worker = WorkerProcess(
            number, device, self._threads, self._paths, self._log(number), allow_code=self._allow_code
        )
        worker.models = self._models.get(number, 0)
        self._workers.append(worker)
        self._selector.register(worker, selectors.EVENT_READ)
        return worker

    def poll(self, timeout: float) -> Iterator[tuple[WorkerProcess, Report | WorkerExit]]:
        """Yield the reports of workers within `timeout` seconds; a worker that has ended leaves the pool."""
        for key, _ in self._selector.select(timeout):
            worker = key.fileobj
            assert isinstance(worker, WorkerProcess)
            reports = worker.read_reports()
            if reports is not None:
                yield from ((worker, report) for report in reports)
                continue
            self._remove(worker)
            yield worker, WorkerExit(worker.wait(), worker.last_log_line())

    def end(self, *, at_once: bool) -> None:
        """End all workers; those that have a row finish it, unless `at_once`."""
        for worker in self._workers:
            worker.kill() if at_once or not worker.is_ready else worker.end_after_row()
        for worker in self._workers:
            self._selector.unregister(worker)
            worker.wait()
        self._workers.clear()

    def kill(self, worker: WorkerProcess) -> WorkerExit:
        """Kill a worker, whether or not it still reacts; return how it ended."""
        self._remove(worker)
        cause = worker.wait(0)
        return WorkerExit("killed by its supervisor" if worker.has_exited() else cause, worker.last_log_line())

    def _remove(self, worker: WorkerProcess) -> None:
        self._selector.unregister(worker)
        self._workers.remove(worker)
        self._models[worker.number] = worker.models

    def states(self) -> list[WorkerState]:
        """Return the state of each worker, by number."""
        return [
            WorkerState(
                worker.number,
                worker.device,
                worker.pid,
                f"{worker.row.role.value} {worker.row.index}" if worker.row else "",
                worker.models,
                worker.seconds,
                silence=worker.silence if worker.silence > WORKER_OVERDUE else None,
            )
            for worker in sorted(self._workers, key=lambda worker: worker.number)
        ]
