"""The supervisor: owns a run, keeps its workers busy, and says how it goes.

It trains nothing and loads no torch. Everything it knows is on the disk or can be had again from it, so it may be
killed at any moment: `resume` finds the records that exist and goes on with the rest.
"""

import os
import selectors
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Protocol

from tui_influence.config.schema import Config
from tui_influence.designs import Row
from tui_influence.errors import ExitCode, ResultsError, RunFailedError, TinflError
from tui_influence.roles import Role
from tui_influence.runs.control import Stop, clear_stop, stop_request
from tui_influence.runs.devices import worker_devices
from tui_influence.runs.heartbeat import Heartbeat, State, WorkerState, write_heartbeat
from tui_influence.runs.ownership import Ownership
from tui_influence.runs.prepare import prepare
from tui_influence.runs.progress import Progress
from tui_influence.runs.protocol import Done, Failed, Fatal, Kind, Ready
from tui_influence.runs.verify import remove_stale, set_damaged_aside
from tui_influence.runs.work import Work, forget_failures
from tui_influence.runs.worker_process import WorkerProcess
from tui_influence.store.events import EventLog
from tui_influence.store.files import make_directory, write_atomically
from tui_influence.store.matrix import WORTH_COMPACTING, compact
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo

TICK = 0.25
"""Seconds between looks at stop requests."""
BEAT = 1.0
"""Seconds between heartbeats."""
FALSE_STARTS = 3
"""Workers in a row that may end before they are ready; then something is wrong with all of them."""
RESERVE = 64 << 10


@dataclass(frozen=True)
class Request:
    """What a supervisor is asked to do.

    Attributes:
        config: of the run.
        root: its results directory.
        allow_code: the config is the user's own, so a network that is their code may be imported.
        retry_failed: try rows again that were given up.
    """

    config: Config
    root: Path
    allow_code: bool = False
    retry_failed: bool = False


class Observer(Protocol):
    """Who watches a supervisor."""

    def stage(self, what: str, done: int, total: int) -> None:
        """Say what is being prepared, and how far it is."""

    def under_way(self, heartbeat: Heartbeat) -> None:
        """Say that a worker is ready: from now on models are trained."""

    def beat(self, heartbeat: Heartbeat) -> None:
        """Say how it goes, about once a second."""


def supervise(request: Request, observer: Observer) -> Heartbeat:
    """Run a run until it is done, stopped or failed.

    Returns:
        the last heartbeat.

    Raises:
        AlreadyRunningError: another supervisor owns it.
        TinflError: it could not be prepared; the heartbeat says so too.
    """
    paths = Paths(request.root)
    make_directory(paths.root)
    with Ownership(paths), _signals() as asked:
        clear_stop(paths)
        return _Supervisor(request, paths, observer, asked).run()


class _Signals:
    """How often the process was asked to end."""

    count = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.count += 1


@contextmanager
def _signals() -> Iterator[_Signals]:
    asked = _Signals()
    wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, asked) for number in wanted}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _StoppedEarlyError(Exception):
    """Asked to stop while the run was being prepared."""


class _Supervisor:
    def __init__(self, request: Request, paths: Paths, observer: Observer, asked: _Signals) -> None:
        self._request, self._paths, self._observer, self._asked = request, paths, observer, asked
        self._started = self._last_beat = time.time()
        self._state, self._reason, self._stage = State.PREPARING, "", "starting"
        self._failure: TinflError | None = None
        self._events = EventLog(paths.events)
        self._work: Work | None = None
        self._progress = Progress(workers=0)
        self._workers: list[WorkerProcess] = []
        self._selector = selectors.DefaultSelector()

    def run(self) -> Heartbeat:
        try:
            # Room that is given back when the disk is full, so that the run can still say why it ended.
            write_atomically(self._paths.reserve, bytes(RESERVE))
            self._beat(force=True)
            info, rows = self._prepare()
            self._work = Work(self._paths, rows, len(info.targets), self._request.config.compute.attempts)
            self._events.write("prepared", total=self._work.total, done=self._work.done, failed=self._work.failed)
            if len(self._work):
                self._train(info)
            elif self._state is State.PREPARING:
                self._state = State.DONE
            self._compact(info)
        except _StoppedEarlyError:
            self._state = State.STOPPED
        except TinflError as error:
            self._fail(error)
        except BaseException as error:
            self._fail(RunFailedError(f"the supervisor failed: {type(error).__name__}: {error}"))
            raise
        finally:
            self._end_workers()
            last = self._last_word()
            self._events.close()
            self._selector.close()
        if self._failure is not None:
            raise self._failure
        return last

    def _prepare(self) -> tuple[RunInfo, list[Row]]:
        def told(what: str, done: int, total: int) -> None:
            self._stage = what
            self._observer.stage(what, done, total)
            self._beat()
            if self._asked_to_stop() is not Stop.NO:
                raise _StoppedEarlyError

        self._events.write("started", pid=os.getpid())
        remove_stale(self._paths)
        info, rows = prepare(self._request.config, self._paths, told)
        if self._request.retry_failed:
            forget_failures(self._paths)
        told("checking the records", 0, 0)
        for line in set_damaged_aside(self._paths, info, rows):
            self._events.write("damaged", reason=line)
        self._stage = "starting workers"
        return info, rows

    def _train(self, info: RunInfo) -> None:
        assert self._work is not None
        devices = worker_devices(self._request.config.compute)[: len(self._work)]
        self._progress.workers = len(devices)
        for number, device in enumerate(devices):
            self._start_worker(number, device)
        compacted, false_starts = self._work.done, 0
        while True:
            level = self._asked_to_stop()
            if level is not Stop.NO and self._state is not State.STOPPING:
                self._state = State.STOPPING
                self._events.write("stopping")
            if level is Stop.AT_ONCE or self._failure is not None:
                break
            self._hand_out(stopping=level is not Stop.NO)
            idle = not any(worker.row for worker in self._workers)
            if idle and (level is not Stop.NO or not len(self._work)):
                break
            for key, _ in self._selector.select(TICK):
                worker: WorkerProcess = key.fileobj  # type: ignore[assignment]
                ready_before = worker.ready
                alive = self._hear(worker)
                if alive:
                    continue
                false_starts = 0 if ready_before else false_starts + 1
                self._replace(worker, false_starts)
            if self._work.done - compacted >= max(WORTH_COMPACTING, compacted // 2):
                compacted = self._work.done
                self._compact(info)
            self._beat()
        if self._failure is None:
            left = len(self._work) or any(worker.row for worker in self._workers)
            self._state = State.STOPPED if left else State.DONE

    def _start_worker(self, number: int, device: str) -> None:
        compute = self._request.config.compute
        worker = WorkerProcess(number, device, compute.threads, self._paths, allow_code=self._request.allow_code)
        self._workers.append(worker)
        self._selector.register(worker, selectors.EVENT_READ)
        self._events.write("worker-started", worker=number, device=device, pid=worker.pid)

    def _hand_out(self, *, stopping: bool) -> None:
        assert self._work is not None
        for worker in self._workers:
            if not worker.ready or worker.row is not None or stopping:
                continue
            row = self._work.take()
            if row is None:
                return
            worker.assign(row)

    def _hear(self, worker: WorkerProcess) -> bool:
        """Take in what a worker says; False when it has ended."""
        reports = worker.reports()
        if reports is None:
            return False
        for report in reports:
            match report:
                case Ready():
                    self._on_ready(worker, report)
                case Done():
                    self._on_done(worker, report)
                case Failed():
                    self._on_failed(worker, report.kind, report.reason)
                case Fatal():
                    self._failure = _error(report)
        return True

    def _on_ready(self, worker: WorkerProcess, report: Ready) -> None:
        worker.ready = True
        self._events.write("worker-ready", worker=worker.worker, numerics=report.numerics)
        if self._state is State.PREPARING:
            self._state, self._stage = State.RUNNING, ""
            self._beat(force=True)
            self._observer.under_way(self._heartbeat())

    def _on_done(self, worker: WorkerProcess, report: Done) -> None:
        assert self._work is not None
        if worker.row is None:
            return
        self._work.finish(worker.row)
        self._progress.add(report)
        worker.row = None
        worker.models += 1
        self._events.write(
            "model",
            role=report.role.value,
            index=report.index,
            worker=worker.worker,
            seconds=round(report.seconds, 4),
            metrics=report.metrics,
        )

    def _on_failed(self, worker: WorkerProcess, kind: Kind, reason: str) -> None:
        assert self._work is not None
        row, worker.row = worker.row, None
        if row is None:
            return
        again = self._work.fail(row, kind, reason)
        self._events.write(
            "retry" if again else "failed", role=row.role.value, index=row.index, worker=worker.worker, reason=reason
        )
        enough = max(3, 2 * self._progress.workers)
        if not again and not self._progress.seconds.count and self._work.failed >= min(enough, self._work.total):
            self._failure = RunFailedError(f"the first {self._work.failed} models all failed; the last: {reason}")

    def _replace(self, worker: WorkerProcess, false_starts: int) -> None:
        """A worker has ended: try its model again, and start another in its place."""
        assert self._work is not None
        self._selector.unregister(worker)
        self._workers.remove(worker)
        how, words = worker.end(), worker.last_words()
        self._events.write("worker-ended", worker=worker.worker, how=how, last=words)
        if self._failure is not None:
            return
        if worker.row is not None:
            self._on_failed(worker, Kind.ERROR, f"its worker was {how}" if "killed" in how else f"its worker: {how}")
        if false_starts >= FALSE_STARTS:
            self._failure = RunFailedError(f"workers end before they are ready ({how}): {words or 'no message'}")
        elif len(self._work):
            self._start_worker(worker.worker, worker.device)

    def _end_workers(self) -> None:
        at_once = self._failure is not None or self._asked_to_stop() is Stop.AT_ONCE
        for worker in self._workers:
            worker.kill() if at_once or not worker.ready else worker.release()
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    def _asked_to_stop(self) -> Stop:
        return max(Stop(min(self._asked.count, int(Stop.AT_ONCE))), stop_request(self._paths))

    def _compact(self, info: RunInfo) -> None:
        if self._failure is None:
            for role in Role:
                for target in range(len(info.targets)):
                    compact(self._paths, info, role, target)

    def _fail(self, error: TinflError) -> None:
        self._failure = self._failure or error

    def _heartbeat(self) -> Heartbeat:
        work, progress = self._work, self._progress
        left = work.total - work.done - work.failed if work else 0
        return Heartbeat(
            state=self._state,
            time=time.time(),
            started=self._started,
            done=work.done if work else 0,
            failed=work.failed if work else 0,
            total=work.total if work else 0,
            models_per_hour=progress.models_per_hour,
            eta=progress.eta(left),
            source_accuracy=progress.source_accuracy.mean if progress.source_accuracy.count else None,
            target_accuracy=[mean.mean for mean in progress.target_accuracy],
            warnings=progress.warnings(),
            reason=self._reason,
            stage=self._stage,
            workers=[
                WorkerState(
                    worker.worker,
                    worker.device,
                    worker.pid,
                    f"{worker.row.role.value} {worker.row.index}" if worker.row else "",
                    worker.models,
                )
                for worker in self._workers
            ],
        )

    def _beat(self, *, force: bool = False) -> None:
        now = time.time()
        if not force and 0 <= now - self._last_beat < BEAT:
            return
        self._last_beat = now
        heartbeat = self._heartbeat()
        write_heartbeat(self._paths, heartbeat)
        self._observer.beat(heartbeat)

    def _last_word(self) -> Heartbeat:
        if self._failure is not None:
            self._state, self._reason = State.FAILED, str(self._failure)
        self._stage = ""
        self._paths.reserve.unlink(missing_ok=True)
        heartbeat = self._heartbeat()
        with suppress(ResultsError):  # a disk that is full to the last byte: the missing last word says "lost"
            self._events.write(self._state.value, reason=self._reason)
            write_heartbeat(self._paths, heartbeat, durable=True)
        with suppress(OSError, ResultsError):
            clear_stop(self._paths)
        return heartbeat


def _error(report: Fatal) -> TinflError:
    """Return the error a worker ended with, with its exit code."""
    error = RunFailedError(report.reason)
    error.exit_code = ExitCode(report.exit_code)
    return error
