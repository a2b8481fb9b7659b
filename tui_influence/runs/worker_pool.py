"""A worker as its supervisor sees it: a process with a device, a row in hand, and reports on a pipe.

A supervisor's workers: started, listened to, ended.
"""

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
from tui_influence.runs.devices import (
    worker_environment,
)
from tui_influence.runs.heartbeat import WORKER_OVERDUE, WorkerState
from tui_influence.runs.protocol import Alive, Assignment, Report, from_line, to_line
from tui_influence.store.files import last_line, make_directory, to_results_error
from tui_influence.store.paths import Paths

_LOG_LIMIT = 16 << 20
_KILL_PATIENCE = 5.0
"""Seconds that a process has to go after SIGKILL."""
_LONGEST_STEP = 5.0
"""Seconds that pass for a worker between two looks, at most. A supervisor that was suspended, or wrote a matrix for
minutes, must not hold its own absence against its workers."""


class WorkerProcess:
    """One worker process.

    Attributes:
        worker: its number, which names its log.
        device: what it trains on.
        row: what it has in hand.
        models: how many models it has finished, and those of its number before it.
        ready: whether data and network are on its device.
        begun: whether it has said that it began the row in hand.
        ending: whether it ends, by its own report or by the supervisor's will: it gets no more rows.
        dismissed: whether no other worker is to take its number.
        reason: why it ends or was ended, if that is known.
        has_reported: whether it has said anything or given a sign of life.
        silence: seconds without any sign of life.
        spent: seconds that its row has been in hand; while it is not ready or is ending, seconds of that.
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
        self.ready = self.begun = self.ending = self.dismissed = False
        self.has_reported = False
        self.reason = ""
        self.silence = self.spent = 0.0
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
            raise to_results_error(error, "start a worker that logs to", self._log) from error

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def let_pass(self, seconds: float) -> None:
        """Let so many seconds pass, after everything it has sent was read."""
        step = min(seconds, _LONGEST_STEP)
        self.silence += step
        self.spent += step

    def free(self) -> Row | None:
        """Take the row out of its hands; return it."""
        row, self.row = self.row, None
        self.begun, self.spent = False, 0.0
        return row

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
        self.begun, self.spent = False, 0.0
        try:
            self._process.stdin.write(to_line(Assignment(row.role, row.index)))
        except (BrokenPipeError, ValueError):  # ValueError: it was released
            return

    def reports(self) -> list[Report] | None:
        """Return its reports since the last call, without waiting; None when it has ended.

        Signs of life count, but are not returned.
        """
        content = os.read(self.fileno(), 1 << 16)
        if not content:
            return None
        self.silence, self.has_reported = 0.0, True
        *lines, self._buffer = (self._buffer + content).split(b"\n")
        messages = (from_line(line) for line in lines)
        return [message for message in messages if message is not None and not isinstance(message, Alive)]

    def release(self) -> None:
        """Let it end after the row in hand: it will get no more. Once more does no harm."""
        assert self._process.stdin is not None
        if not self.ending:
            self.ending, self.spent = True, 0.0
        self._process.stdin.close()

    def is_gone(self) -> bool:
        """Whether the process has ended; one that hangs in its driver may outlive SIGKILL for long."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """End it now."""
        self._process.kill()

    def end(self, patience: float = 20.0) -> str:
        """Wait until it has ended, killing it after `patience` seconds; return how it ended in a few words.

        One that SIGKILL cannot end (it hangs in a driver, or waits for a disk) is left behind.
        """
        code: int | None = None
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(patience)
        if code is None:
            self.kill()
            with suppress(subprocess.TimeoutExpired):
                code = self._process.wait(_KILL_PATIENCE)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        if code is None:
            return "not ended: SIGKILL has no effect"
        if code >= 0:
            return f"exit code {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"killed by {name}" + (" (out of memory, perhaps)" if name == "SIGKILL" else "")

    def last_words(self) -> str:
        """Return the last line of its log since it started, safe to show."""
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
        """Have no workers yet.

        Args:
            paths: of the run.
            threads: of a worker on the CPU.
            allow_code: whether workers may import the user's network.
            log: where a worker logs to; the run's own log of its number if None.
        """
        self._log = log or paths.worker_log
        self._paths, self._threads, self._allow_code = paths, threads, allow_code
        self._selector = selectors.DefaultSelector()
        self._workers: list[WorkerProcess] = []
        self._models: dict[int, int] = {}
        """Finished by the workers of each number that have ended."""

    def __iter__(self) -> Iterator[WorkerProcess]:
        return iter(self._workers)

    def __len__(self) -> int:
        return len(self._workers)

    @property
    def is_idle(self) -> bool:
        """Whether nobody has a row in hand."""
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
        """Yield the reports of workers within `timeout` seconds; one that has ended is no longer of the crew."""
        for key, _ in self._selector.select(timeout):
            worker = key.fileobj
            assert isinstance(worker, WorkerProcess)
            reports = worker.reports()
            if reports is not None:
                yield from ((worker, report) for report in reports)
                continue
            self._remove(worker)
            yield worker, WorkerExit(worker.end(), worker.last_words())

    def end(self, *, at_once: bool) -> None:
        """End all workers: those with nothing in hand by letting go of them, the rest so only if not `at_once`."""
        for worker in self._workers:
            worker.kill() if at_once or not worker.ready else worker.release()
        for worker in self._workers:
            self._selector.unregister(worker)
            worker.end()
        self._workers.clear()

    def kill(self, worker: WorkerProcess) -> WorkerExit:
        """End a worker now, whether or not it still reacts; return how it ended."""
        self._remove(worker)
        how = worker.end(0)
        return WorkerExit("killed by its supervisor" if worker.is_gone() else how, worker.last_words())

    def _remove(self, worker: WorkerProcess) -> None:
        self._selector.unregister(worker)
        self._workers.remove(worker)
        self._models[worker.worker] = worker.models

    def states(self) -> list[WorkerState]:
        """Return what each worker is doing."""
        return [
            WorkerState(
                worker.worker,
                worker.device,
                worker.pid,
                f"{worker.row.role.value} {worker.row.index}" if worker.row else "",
                worker.models,
                worker.seconds,
                silence=worker.silence if worker.silence > WORKER_OVERDUE else None,
            )
            for worker in sorted(self._workers, key=lambda worker: worker.worker)
        ]
