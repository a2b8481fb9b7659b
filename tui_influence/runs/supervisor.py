"""The supervisor: owns a run, keeps its workers busy, and says how it goes.

It trains nothing and loads no torch. Everything it knows is on the disk or can be had again from it, so it may be
killed at any moment: `resume` finds the records that exist and goes on with the rest.
"""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tui_influence.config.schema import Config
from tui_influence.designs import Row
from tui_influence.errors import ExitCode, ResultsError, RunFailedError, TinflError
from tui_influence.roles import Role
from tui_influence.runs.control import Signals, Stop, clear_stop, stop_request, stop_signals
from tui_influence.runs.crew import Crew, Ended
from tui_influence.runs.devices import worker_devices
from tui_influence.runs.heartbeat import Heartbeat, State, write_heartbeat
from tui_influence.runs.ownership import Ownership
from tui_influence.runs.prepare import prepare
from tui_influence.runs.progress import Progress
from tui_influence.runs.protocol import Done, Failed, Fatal, Kind, Ready, Report
from tui_influence.runs.verify import remove_stale, set_damaged_aside
from tui_influence.runs.work import Work, forget_failures
from tui_influence.runs.worker_process import WorkerProcess
from tui_influence.store.events import EventLog
from tui_influence.store.files import make_directory, refusal, write_atomically
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
    with Ownership(paths), stop_signals() as asked:
        clear_stop(paths)
        return _Supervisor(request, paths, observer, asked).run()


class _StoppedEarlyError(Exception):
    """Asked to stop while the run was being prepared."""


class _Supervisor:
    def __init__(self, request: Request, paths: Paths, observer: Observer, asked: Signals) -> None:
        self._request, self._paths, self._observer, self._asked = request, paths, observer, asked
        self._started = self._last_beat = time.time()
        self._state, self._stage = State.PREPARING, "starting"
        self._failure: TinflError | None = None
        self._events = EventLog(paths.events)
        compute = request.config.compute
        self._crew = Crew(paths, compute.threads, allow_code=request.allow_code)
        self._progress = Progress(workers=0)
        self._work: Work | None = None
        self._false_starts = 0

    def run(self) -> Heartbeat:
        try:
            # Room that is given back when the disk is full, so that the run can still say why it ended.
            write_atomically(self._paths.reserve, bytes(RESERVE))
            self._beat(force=True)
            info, rows = self._prepare()
            self._work = work = Work(self._paths, rows, len(info.targets), self._request.config.compute.attempts)
            self._events.write("prepared", total=work.total, done=work.done, failed=work.failed)
            if len(work):
                self._train(info, work)
            else:
                self._state = State.DONE
            if self._failure is None:
                _compact(self._paths, info)
        except _StoppedEarlyError:
            self._state = State.STOPPED
        except TinflError as error:
            self._failure = self._failure or error
        except OSError as error:
            self._failure = self._failure or refusal(error)
        except BaseException as error:
            self._failure = RunFailedError(f"the supervisor failed: {type(error).__name__}: {error}")
            raise
        finally:
            self._crew.end(at_once=self._failure is not None or self._asked_to_stop() is Stop.AT_ONCE)
            last = self._last_word()
            self._events.close()
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

    def _train(self, info: RunInfo, work: Work) -> None:
        """Keep the workers busy until the work is done, or must stop."""
        devices = worker_devices(self._request.config.compute)[: len(work)]
        self._progress.workers = len(devices)
        for number, device in enumerate(devices):
            self._start_worker(number, device)
        compacted = work.done
        while self._failure is None:
            level = self._asked_to_stop()
            if level is not Stop.NO and self._state is not State.STOPPING:
                self._state = State.STOPPING
                self._events.write("stopping")
                self._beat(force=True)
            if level is Stop.NO:
                self._hand_out(work)
            if level is Stop.AT_ONCE or (self._crew.is_idle and (level is not Stop.NO or not len(work))):
                break
            for worker, said in self._crew.hear(TICK):
                self._take_in(worker, said, work)
            if work.done - compacted >= max(WORTH_COMPACTING, compacted // 2):
                compacted = work.done
                _compact(self._paths, info)
            self._beat()
        self._state = State.STOPPED if len(work) or not self._crew.is_idle else State.DONE

    def _start_worker(self, number: int, device: str) -> None:
        worker = self._crew.start(number, device)
        self._events.write("worker-started", worker=number, device=device, pid=worker.pid)

    def _hand_out(self, work: Work) -> None:
        for worker in self._crew:
            if worker.ready and worker.row is None:
                row = work.take()
                if row is None:
                    return
                worker.assign(row)

    def _take_in(self, worker: WorkerProcess, said: Report | Ended, work: Work) -> None:
        match said:
            case Ready():
                self._on_ready(worker, said)
            case Done():
                self._on_done(worker, said, work)
            case Failed():
                self._on_failed(worker, said.kind, said.reason, work)
            case Fatal():
                self._failure = RunFailedError(said.reason)
                self._failure.exit_code = ExitCode(said.exit_code)
            case Ended():
                self._on_ended(worker, said, work)

    def _on_ready(self, worker: WorkerProcess, report: Ready) -> None:
        worker.ready, self._false_starts = True, 0
        self._events.write("worker-ready", worker=worker.worker, numerics=report.numerics)
        if self._state is State.PREPARING:
            self._state, self._stage = State.RUNNING, ""
            self._beat(force=True)
            self._observer.under_way(self._heartbeat())

    def _on_done(self, worker: WorkerProcess, report: Done, work: Work) -> None:
        assert worker.row is not None
        work.finish(worker.row)
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

    def _on_failed(self, worker: WorkerProcess, kind: Kind, reason: str, work: Work) -> None:
        assert worker.row is not None
        row, worker.row = worker.row, None
        again = work.fail(row, kind, reason)
        self._events.write(
            "retry" if again else "failed", role=row.role.value, index=row.index, worker=worker.worker, reason=reason
        )
        hopeless = min(max(3, 2 * self._progress.workers), work.total)
        if not again and not self._progress.seconds.count and work.failed >= hopeless:
            forget_failures(self._paths)  # the fault is not theirs: once it is mended, they are to be trained
            self._failure = RunFailedError(f"the first {work.failed} models all failed; the last: {reason}")

    def _on_ended(self, worker: WorkerProcess, ended: Ended, work: Work) -> None:
        """Try the model that a dead worker had in hand again, and start another worker in its place."""
        self._events.write("worker-ended", worker=worker.worker, how=ended.how, last=ended.words)
        if self._failure is not None:
            return
        if worker.row is not None:
            self._on_failed(worker, Kind.ERROR, f"its worker ended: {ended.how}", work)
        self._false_starts += not worker.ready
        if self._false_starts >= FALSE_STARTS:
            self._failure = RunFailedError(
                f"workers end before they are ready ({ended.how}): {ended.words or 'no message'}"
            )
        elif len(work) and self._state is not State.STOPPING:
            self._start_worker(worker.worker, worker.device)

    def _asked_to_stop(self) -> Stop:
        return max(self._asked.level, stop_request(self._paths))

    def _heartbeat(self) -> Heartbeat:
        work, progress = self._work, self._progress
        done, failed, total = (work.done, work.failed, work.total) if work else (0, 0, 0)
        return Heartbeat(
            state=self._state,
            time=time.time(),
            started=self._started,
            done=done,
            failed=failed,
            total=total,
            models_per_hour=progress.models_per_hour,
            eta=progress.eta(total - done - failed),
            source_accuracy=progress.source_accuracy.mean if progress.source_accuracy.count else None,
            target_accuracy=[mean.mean for mean in progress.target_accuracy],
            warnings=progress.warnings(),
            reason=str(self._failure) if self._failure else "",
            stage=self._stage,
            workers=self._crew.states(),
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
        self._stage = ""
        if self._failure is not None:
            self._state = State.FAILED
        self._paths.reserve.unlink(missing_ok=True)
        heartbeat = self._heartbeat()
        with suppress(ResultsError):  # a disk that is full to the last byte: the missing last word says "lost"
            self._events.write(self._state.value, reason=heartbeat.reason)
            write_heartbeat(self._paths, heartbeat, durable=True)
        with suppress(OSError):
            clear_stop(self._paths)
        return heartbeat


def _compact(paths: Paths, info: RunInfo) -> None:
    for role in Role:
        for target in range(len(info.targets)):
            compact(paths, info, role, target)
