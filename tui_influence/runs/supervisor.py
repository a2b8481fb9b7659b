"""The supervisor: owns a run, keeps its workers busy, and says how it goes.

It trains nothing and loads no torch. Everything it knows is on the disk or can be had again from it, so it may be
killed at any moment: `resume` finds the records that exist and goes on with the rest.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from tui_influence.config.schema import Config
from tui_influence.designs import Row
from tui_influence.errors import ResultsError, RunFailedError, TinflError
from tui_influence.roles import Role
from tui_influence.runs.control import StopLevel, StopSignals, clear_stop, stop_request, stop_signals
from tui_influence.runs.devices import worker_devices
from tui_influence.runs.heartbeat import ACTIVE, Heartbeat, State, observe, write_heartbeat
from tui_influence.runs.ownership import Ownership, already_running
from tui_influence.runs.prepare import extend_arms, extend_plan_file, prepare, version_warnings, versions
from tui_influence.runs.record_check import quarantine_damaged, remove_stale_files
from tui_influence.runs.resources import ResourceMonitor
from tui_influence.runs.row_queue import RowQueue, forget_failures
from tui_influence.runs.session import Session
from tui_influence.runs.worker_pool import WorkerPool
from tui_influence.store.events import EventLog, read_events
from tui_influence.store.files import to_results_error, write_atomically
from tui_influence.store.matrix import compact
from tui_influence.store.paths import Paths
from tui_influence.store.pruning_plan import Pruning
from tui_influence.store.results_directory import make_results_directory
from tui_influence.store.run_info import RunInfo

BEAT = 1.0
"""Seconds between heartbeats."""
RESERVE = 64 << 10


@dataclass(frozen=True)
class Request:
    """What a supervisor is asked to do.

    Attributes:
        config: of the run.
        root: its results directory.
        allow_code: the config is the user's own, so a network that is their code may be imported.
        retry_failed: try rows again that were given up.
        own: the config is read from the user's own file, so what it says may be followed to the letter.
        pruning: what the run is to retrain from now on, if it is a pruning that was planned just now.
    """

    config: Config
    root: Path
    allow_code: bool = False
    retry_failed: bool = False
    trusted: bool = False
    pruning: Pruning | None = None


PlanExtender = Callable[[Paths], list[Row]]
"""Says what a plan holds now that all of it is recorded: rows at its end may follow from the records of others."""


def no_extension(paths: Paths) -> list[Row]:
    """Return nothing: a plan that is complete from the start."""
    return []


class Observer(Protocol):
    """Who watches a supervisor."""

    def stage(self, what: str, done: int, total: int) -> None:
        """Say what is being prepared, and how far it is."""

    def under_way(self, heartbeat: Heartbeat) -> None:
        """Say that a worker is ready: from now on models are trained."""

    def beat(self, heartbeat: Heartbeat) -> None:
        """Say how it goes, about once a second."""


def supervise(request: Request, observer: Observer, extender: PlanExtender = no_extension) -> Heartbeat:
    """Run a run until it is done, stopped or failed.

    Args:
        request: what to run.
        observer: is told how it goes.
        extender: is asked for the whole plan again once it is done.

    Returns:
        the last heartbeat.

    Raises:
        AlreadyRunningError: another supervisor owns it.
        TinflError: it could not be prepared; the heartbeat says so too.
    """
    paths = Paths(request.root)
    make_results_directory(paths.root)
    if observe(paths)[0] in ACTIVE:
        raise already_running(paths)
    with Ownership(paths), stop_signals() as asked:
        clear_stop(paths)
        paths.jobs.unlink(missing_ok=True)  # from now on it is a run of this machine
        return _Supervisor(request, paths, observer, asked, extender).run()


class _StoppedEarlyError(Exception):
    """Asked to stop while the run was being prepared."""


class _Supervisor:
    """The life of one run in this process; a session's host."""

    def __init__(
        self, request: Request, paths: Paths, observer: Observer, asked: StopSignals, extender: PlanExtender
    ) -> None:
        self._request, self._paths, self._observer, self._asked, self._extender = (
            request,
            paths,
            observer,
            asked,
            extender,
        )
        self._started = self._last_beat = time.time()
        self._state, self._stage = State.PREPARING, "starting"
        self._failure: TinflError | None = None
        self._session: Session | None = None
        self._info: RunInfo | None = None
        self._devices: list[str] = []
        self._diverged: set[tuple[Role, int]] = set()
        self._warnings: list[str] = []
        self._pool = WorkerPool(paths, request.config.compute.threads, allow_code=request.allow_code)
        self._gauges = ResourceMonitor()
        self._events = EventLog(paths.events)

    def run(self) -> Heartbeat:
        """Prepare, train, and say how it ended.

        Raises:
            TinflError: it failed.
        """
        try:
            # Room that is given back when the disk is full, so that the run can still say why it ended.
            write_atomically(self._paths.reserve, bytes(RESERVE))
            self.beat(force=True)
            self._train(self._prepare())
        except _StoppedEarlyError:
            self._state = State.STOPPED
        except TinflError as error:
            self._failure = error
        except OSError as error:
            self._failure = to_results_error(error)
        except BaseException as error:
            self._failure = RunFailedError(f"the supervisor failed: {type(error).__name__}: {error}")
            raise
        finally:
            self._pool.end(at_once=self._failure is not None or self.stop_level() is StopLevel.AT_ONCE)
            self._gauges.close()
            last = self._last_word()
            self._events.close()
        if self._failure is not None:
            raise self._failure
        return last

    def stop_level(self) -> StopLevel:
        """Return how urgently the run is asked to stop, by a file or by a signal."""
        return max(self._asked.level, stop_request(self._paths))

    def beat(self, *, force: bool = False) -> None:
        """Write a heartbeat, if it is time for one."""
        now = time.time()
        if not force and 0 <= now - self._last_beat < BEAT:
            return
        self._last_beat = now
        heartbeat = self._heartbeat()
        write_heartbeat(self._paths, heartbeat)
        self._observer.beat(heartbeat)

    def under_way(self) -> None:
        """Tell who waits for it that models are being trained."""
        self._stage = ""
        self.beat(force=True)
        self._observer.under_way(self._heartbeat())

    def warn(self, text: str) -> None:
        """Keep a warning for the heartbeats to come."""
        self._warnings.append(text)

    def compact(self) -> None:
        """Write new generations of the compacted matrices, where enough records have come."""
        assert self._info is not None
        for role in Role:
            for target in range(len(self._info.targets)):
                compact(self._paths, self._info, role, target)

    def plan_extension(self) -> list[Row]:
        """Return the rows by which the plan has grown, now that all the others are recorded."""
        assert self._info is not None
        assert self._session is not None
        rows = self._extender(self._paths)
        new = [row for row in rows if row.index >= self._session.queue.total]
        if new:
            self._info = extend_plan_file(self._paths, self._info, rows)
            self._events.write("grown", rows=len(new), total=len(rows))
        return new

    def _prepare(self) -> list[Row]:
        def told(what: str, done: int, total: int) -> None:
            self._stage = what
            self._observer.stage(what, done, total)
            self.beat()
            if self.stop_level() is not StopLevel.NO:
                raise _StoppedEarlyError

        self._events.write("started", pid=os.getpid(), versions=versions())
        # Before hours of packing: a device that is missing ends the run.
        self._devices = worker_devices(self._request.config.compute, warn=self.warn)
        remove_stale_files(self._paths)
        if self._request.pruning is not None:
            extend_arms(self._paths, self._request.pruning)
        self._info, rows = prepare(self._request.config, self._paths, told, trusted=self._request.trusted)
        if self._request.retry_failed:
            self._diverged = forget_failures(self._paths)
        told("checking the records", 0, 0)
        for line in quarantine_damaged(self._paths, self._info, rows):
            self._events.write("damaged", reason=line)
        self._warnings += version_warnings(self._info)
        self._stage = "starting workers"
        return rows

    def _train(self, rows: list[Row]) -> None:
        assert self._info is not None
        compute = self._request.config.compute
        queue = RowQueue(self._paths, rows, len(self._info.targets), compute.attempts, self._diverged)
        self._events.write("prepared", total=queue.total, done=queue.done, failed=queue.failed)
        self._session = Session(queue, self._pool, self._devices, compute, self._events, self)
        groups = {(row.role.value, row.index): int(row.mask.sum()) for row in rows}
        self._session.statistics.remember_events((event for event, _ in read_events(self._paths.events)), groups)
        self._session.run()
        if self._session.failure is not None:
            raise self._session.failure
        self.compact()

    def _heartbeat(self) -> Heartbeat:
        heartbeat = Heartbeat(
            state=self._state,
            time=time.time(),
            started=self._started,
            reason=str(self._failure) if self._failure else "",
            stage=self._stage,
        )
        if self._session is None:
            return heartbeat
        queue, progress = self._session.queue, self._session.statistics
        devices, workers = self._gauges.with_usage(self._pool.states())
        return replace(
            heartbeat,
            state=State.FAILED if self._failure else self._session.state,
            done=queue.done,
            failed=queue.failed,
            total=queue.total,
            models_per_hour=progress.models_per_hour,
            eta=self._session.eta(),
            stage=self._session.pauses() or self._stage,
            source_accuracy=progress.source_accuracy.mean if progress.source_accuracy.count else None,
            target_accuracy=[mean.mean for mean in progress.target_accuracy],
            warnings=[*self._warnings, *self._session.warnings(), *progress.warnings()],
            workers=workers,
            devices=devices,
        )

    def _last_word(self) -> Heartbeat:
        self._stage = ""
        if self._failure is not None:
            self._state = State.FAILED
        self._paths.reserve.unlink(missing_ok=True)
        heartbeat = self._heartbeat()
        with suppress(ResultsError):  # a disk that is full to the last byte: the missing last word says "lost"
            self._events.write(heartbeat.state.value, reason=heartbeat.reason)
            write_heartbeat(self._paths, heartbeat, durable=True)
        with suppress(OSError):
            clear_stop(self._paths)
        return heartbeat
