"""The supervisor of a run on one machine: it owns the run, keeps workers busy, and publishes the progress.

It trains nothing and loads no torch. Everything it knows is on disk or can be computed again from there, so it may be
killed at any moment: `resume` reads the records that exist and trains the rest.
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
from tui_influence.runs.prepare import (
    PlanExtender,
    extend_arms,
    extend_plan,
    package_versions,
    prepare,
    version_warnings,
)
from tui_influence.runs.progress import MIN_MODELS
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

SERVICE = "tui_influence.service"
"""The program of supervisors and planners: it knows how prunings are extended, which this package must not."""
HEARTBEAT_INTERVAL = 1.0
"""Seconds between heartbeats."""
FORECAST_STEP = 1.25
"""Models, relative to those of the last forecast, from which another is due: the next costs as much as all before."""
RESERVE_BYTES = 64 << 10


@dataclass(frozen=True)
class Request:
    """A request to start or resume a run.

    Attributes:
        config: of the run.
        root: its results directory.
        allow_code: whether a network that is the user's own code may be imported.
        retry_failed: whether rows that failed for good are tried again.
        trusted: whether the config was read from the user's own file, so that its datasets and commands may be used.
        pruning: what the run is to retrain, if it is a pruning that was just planned.
    """

    config: Config
    root: Path
    allow_code: bool = False
    retry_failed: bool = False
    trusted: bool = False
    pruning: Pruning | None = None


PlanForecaster = Callable[[Paths], None]
"""Writes how many models a run needs, by those recorded, to `growth.json`."""


def no_extension(paths: Paths) -> list[Row]:
    """Extend nothing: for a plan that is complete from the start."""
    return []


def no_forecast(paths: Paths) -> None:
    """Forecast nothing."""


class Observer(Protocol):
    """The interface to whoever watches a supervisor."""

    def stage(self, what: str, done: int, total: int) -> None:
        """Show the stage of the preparation, and its progress."""

    def under_way(self, heartbeat: Heartbeat) -> None:
        """Show that a worker is ready: from now on models are trained."""

    def beat(self, heartbeat: Heartbeat) -> None:
        """Show the progress, about once a second."""


def supervise(
    request: Request,
    observer: Observer,
    extender: PlanExtender = no_extension,
    forecaster: PlanForecaster = no_forecast,
) -> Heartbeat:
    """Execute a run until it is done, stopped or failed.

    Args:
        request: the run.
        observer: gets the progress.
        extender: called once the plan is done; returns the whole plan again.
        forecaster: called from time to time, the more models the less often.

    Returns:
        the last heartbeat.

    Raises:
        AlreadyRunningError: another supervisor owns it.
        TinflError: it could not be prepared; the heartbeat has the reason too.
    """
    paths = Paths(request.root)
    make_results_directory(paths.root)
    if observe(paths)[0] in ACTIVE:
        raise already_running(paths)
    with Ownership(paths), stop_signals() as signals:
        clear_stop(paths)
        paths.jobs.unlink(missing_ok=True)  # from now on it is a run of this machine
        return _Supervisor(request, paths, observer, signals, extender, forecaster).run()


class _StoppedEarlyError(Exception):
    """The run was stopped while it was being prepared."""


class _Supervisor:
    """The life of one run in this process; the host of its session."""

    def __init__(
        self,
        request: Request,
        paths: Paths,
        observer: Observer,
        signals: StopSignals,
        extender: PlanExtender,
        forecaster: PlanForecaster,
    ) -> None:
        self._request, self._paths, self._observer = request, paths, observer
        self._signals, self._extender, self._forecaster = signals, extender, forecaster
        self._models_of_forecast = 0
        self._started = self._last_beat = time.time()
        self._state, self._stage = State.PREPARING, "starting"
        self._failure: TinflError | None = None
        self._session: Session | None = None
        self._info: RunInfo | None = None
        self._devices: list[str] = []
        self._diverged: set[tuple[Role, int]] = set()
        self._planned: set[tuple[Role, int]] = set()
        self._warnings: list[str] = []
        self._pool = WorkerPool(paths, request.config.compute.threads, allow_code=request.allow_code)
        self._resources = ResourceMonitor()
        self._events = EventLog(paths.events)

    def run(self) -> Heartbeat:
        """Prepare, train, and publish how it ended.

        Raises:
            TinflError: it failed.
        """
        try:
            # Space that is freed when the disk is full, so that the reason can still be written.
            write_atomically(self._paths.reserve, bytes(RESERVE_BYTES))
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
            self._resources.close()
            last = self._write_final_heartbeat()
            self._events.close()
        if self._failure is not None:
            raise self._failure
        return last

    def stop_level(self) -> StopLevel:
        """Return how urgently the run is to stop, by a file or by a signal."""
        return max(self._signals.level, stop_request(self._paths))

    def beat(self, *, force: bool = False) -> None:
        """Write a heartbeat, if it is time for one."""
        now = time.time()
        if not force and 0 <= now - self._last_beat < HEARTBEAT_INTERVAL:
            return
        self._last_beat = now
        heartbeat = self._heartbeat()
        write_heartbeat(self._paths, heartbeat)
        self._observer.beat(heartbeat)
        if heartbeat.state is State.RUNNING and heartbeat.done >= FORECAST_STEP * self._models_of_forecast + MIN_MODELS:
            self._models_of_forecast = heartbeat.done
            self._forecaster(self._paths)

    def under_way(self) -> None:
        """Publish that models are being trained."""
        self._stage = ""
        self.beat(force=True)
        self._observer.under_way(self._heartbeat())

    def warn(self, text: str) -> None:
        """Add a warning to all further heartbeats."""
        self._warnings.append(text)

    def compact(self) -> None:
        """Write new generations of the compacted matrices that have enough new records."""
        assert self._info is not None
        for role in Role:
            for target in range(len(self._info.targets)):
                compact(self._paths, self._info, role, target)

    def plan_extension(self) -> list[Row]:
        """Extend the plan, now that all of it is recorded; return the new rows."""
        assert self._info is not None
        self._info, rows = extend_plan(self._paths, self._info, len(self._planned), self._extender, self._events)
        new = [row for row in rows if (row.role, row.index) not in self._planned]
        self._planned.update((row.role, row.index) for row in new)
        return new

    def _prepare(self) -> list[Row]:
        def show_stage(what: str, done: int, total: int) -> None:
            self._stage = what
            self._observer.stage(what, done, total)
            self.beat()
            if self.stop_level() is not StopLevel.NO:
                raise _StoppedEarlyError

        self._events.write("started", pid=os.getpid(), versions=package_versions())
        # Before hours of packing: a missing device ends the run.
        self._devices = worker_devices(self._request.config.compute, warn=self.warn)
        remove_stale_files(self._paths)
        if self._request.pruning is not None:
            extend_arms(self._paths, self._request.pruning)
        self._info, rows = prepare(self._request.config, self._paths, show_stage, trusted=self._request.trusted)
        if self._request.retry_failed:
            self._diverged = forget_failures(self._paths)
        show_stage("checking the records", 0, 0)
        for line in quarantine_damaged(self._paths, self._info, rows):
            self._events.write("damaged", reason=line)
        self._warnings += version_warnings(self._info)
        self._stage = "starting workers"
        return rows

    def _train(self, rows: list[Row]) -> None:
        assert self._info is not None
        compute = self._request.config.compute
        self._planned = {(row.role, row.index) for row in rows}
        queue = RowQueue(self._paths, rows, len(self._info.targets), compute.attempts, self._diverged)
        self._events.write("prepared", total=queue.total, done=queue.done, failed=queue.failed)
        planned = sum(self._info.planned_rows.values())
        self._session = Session(queue, self._pool, self._devices, compute, self._events, self, planned=planned)
        groups = {(row.role.value, row.index): int(row.mask.sum()) for row in rows}
        self._session.statistics.add_past_times((event for event, _ in read_events(self._paths.events)), groups)
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
        queue, statistics = self._session.queue, self._session.statistics
        devices, workers = self._resources.with_usage(self._pool.states())
        return replace(
            heartbeat,
            state=State.FAILED if self._failure else self._session.state,
            done=queue.done,
            failed=queue.failed,
            total=self._session.total,
            models_per_hour=statistics.models_per_hour,
            eta=self._session.eta(),
            stage=self._session.pauses() or self._stage,
            source_accuracy=statistics.source_accuracy.mean if statistics.source_accuracy.count else None,
            target_accuracy=[mean.mean for mean in statistics.target_accuracy],
            target_class_accuracy=[mean.mean for mean in statistics.target_class_accuracy],
            warnings=[
                *self._warnings,
                *self._session.warnings(),
                *statistics.warnings(self._info.target_sizes if self._info else ()),
            ],
            workers=workers,
            devices=devices,
        )

    def _write_final_heartbeat(self) -> Heartbeat:
        self._stage = ""
        if self._failure is not None:
            self._state = State.FAILED
        self._paths.reserve.unlink(missing_ok=True)
        heartbeat = self._heartbeat()
        with suppress(ResultsError):  # on a completely full disk the missing final heartbeat reads as "lost"
            self._events.write(heartbeat.state.value, reason=heartbeat.reason)
            write_heartbeat(self._paths, heartbeat, durable=True)
        with suppress(OSError):
            clear_stop(self._paths)
        return heartbeat
