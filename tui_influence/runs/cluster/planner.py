"""The planner: a short step between two rounds, after which the tasks of the next round are submitted.

It owns the run while it works: it alone writes `run.json`, the plan, the event log, the heartbeat and the rounds. All
it knows is on disk, so it may be killed at any moment and started again.
"""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from tui_influence.config.types import parse_minutes
from tui_influence.designs import Row
from tui_influence.errors import RunFailedError, TinflError
from tui_influence.roles import Role
from tui_influence.runs.cluster.rounds import Round, TaskTiming, divide_rows, last_round, read_round, write_round
from tui_influence.runs.cluster.task_reports import RoundReport, collect_reports, remove_reports, suspect_rows
from tui_influence.runs.control import StopLevel, stop_request
from tui_influence.runs.devices import node_name
from tui_influence.runs.heartbeat import Heartbeat, State, read_heartbeat, with_node_warnings, write_heartbeat
from tui_influence.runs.prepare import PlanExtender, extend_plan, package_versions, prepare, version_warnings
from tui_influence.runs.progress import ModelStatistics
from tui_influence.runs.protocol import Done, FailureKind
from tui_influence.runs.record_check import quarantine_damaged, remove_stale_files
from tui_influence.runs.row_queue import forget_failures
from tui_influence.runs.supervisor import PlanForecaster, Request, no_forecast
from tui_influence.store.events import EventLog
from tui_influence.store.files import make_directory, write_json
from tui_influence.store.listing import list_completed, list_failures
from tui_influence.store.matrix import compact
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo
from tui_influence.text import pluralize


@dataclass(frozen=True)
class NextStep:
    """The next round, or the end of the run.

    Attributes:
        round: to be submitted; None at the end.
        heartbeat: the state of the run.
    """

    round: Round | None
    heartbeat: Heartbeat


_MAX_FRUITLESS = 3
"""Consecutive rounds whose tasks all end before a model is finished, after which the run fails."""


class _StoppedEarlyError(Exception):
    """The run was stopped while its data were being packed."""


class Planner:
    """Plans rounds, one per step; the datasets are opened in the first step only."""

    def __init__(
        self,
        request: Request,
        extender: PlanExtender,
        beat: Callable[[Heartbeat], None] | None = None,
        slots: int | None = None,
        digest: str = "",
        forecaster: PlanForecaster = no_forecast,
    ) -> None:
        """Prepare to plan.

        Args:
            request: the run.
            extender: returns an extended plan once all of the present one is done.
            beat: called with a heartbeat during the preparation.
            slots: tasks that run at a time, if that is known.
            digest: of the request; its rounds are marked with it.
            forecaster: called once a round.
        """
        self._request, self._extender, self._beat, self._digest = request, extender, beat, digest
        self._forecaster = forecaster
        self._slots = slots or request.config.compute.slurm.array_concurrency
        self._paths = Paths(request.root)
        before = read_heartbeat(self._paths)
        self._started = before.started if before else time.time()
        self._last_beat = 0.0
        self._info: RunInfo | None = None
        self._rows: list[Row] = []
        self._collected: tuple[int, Sequence[int]] | None = None
        """Number of the round whose reports are collected, and its tasks that succeeded."""

    def step(self, *, first: bool, submitted: int | None = None) -> NextStep:
        """Collect the reports of the last round, and plan the next.

        Args:
            first: the run was just requested by the user: forget failures if requested, and check every record.
            submitted: number of tasks of the last round that were submitted, the first ones; all if None.

        Raises:
            TinflError: the run cannot continue; the heartbeat has the reason too.
        """
        make_directory(self._paths.cluster)
        log = EventLog(self._paths.events)
        try:
            return self._step(log, first=first, submitted=submitted)
        except _StoppedEarlyError:
            return self._end(log, self._preparing("", State.STOPPED))
        except TinflError as error:
            self.record_failure(error, log)
            raise
        finally:
            if self._collected is not None:  # not before: a planner that is killed collects them again
                remove_reports(self._paths, *self._collected)
                self._collected = None
            log.close()

    def record_failure(self, error: TinflError, log: EventLog | None = None) -> None:
        """Write that the run has failed, and why."""
        heartbeat = read_heartbeat(self._paths) or Heartbeat(State.FAILED, time.time(), self._started)
        last = replace(heartbeat, state=State.FAILED, time=time.time(), reason=str(error), stage="")
        write_heartbeat(self._paths, last, durable=True)
        if log is not None:
            log.write("failed-run", reason=str(error))

    def _step(self, log: EventLog, *, first: bool, submitted: int | None) -> NextStep:
        paths, request = self._paths, self._request
        number = last_round(paths)
        before = read_round(paths, number) if number else None
        if before is None or first:  # tasks that a stop cancelled do not count as submitted either
            submitted = 0
        elif submitted is None:
            submitted = len(before.tasks)
        report = RoundReport()
        if before:
            report = collect_reports(paths, before, submitted, log)
            self._collected = (number, report.succeeded)
        log.write("planning", node=node_name(), versions=package_versions())
        self._info, self._rows = prepare(request.config, paths, self._show_stage, trusted=request.trusted)
        if first:
            remove_stale_files(paths)
            shutil.rmtree(paths.node_warnings, ignore_errors=True)
            if request.retry_failed:
                forget_failures(paths)
            self._show_stage("checking the records", 0, 0)
            for line in quarantine_damaged(paths, self._info, self._rows):
                log.write("damaged", reason=line)
        self._compact()
        undone = self._undone()
        forgets_deaths = first and request.retry_failed
        deaths = Counter({} if before is None or forgets_deaths else before.deaths)
        suspects = list(suspect_rows(before, report.died, set(undone))) if before else []
        deaths.update(suspects)
        given_up = {row for row in suspects if deaths[row] >= request.config.compute.attempts}
        for row in given_up:
            self._give_up(self._rows[row], log)
        undone = [row for row in undone if row not in given_up] or self._extension(log)
        deaths = Counter({row: deaths[row] for row in undone if deaths[row]})
        heartbeat = self._heartbeat(report, len(undone))
        if stop_request(paths) is not StopLevel.NO:
            return self._end(log, replace(heartbeat, state=State.STOPPED))
        if not undone:
            state = State.DONE_WITH_FAILURES if heartbeat.failed else State.DONE
            return self._end(log, replace(heartbeat, state=state))
        timing = report.timing or (before.timing if before else None)
        finished = len(self._rows) - len(undone)
        fruitless = 0
        if before and submitted and finished <= before.done and not suspects:
            fruitless = before.fruitless + 1
            if fruitless >= _MAX_FRUITLESS or not report.cut_short:
                rounds = f"{fruitless} rounds" if fruitless > 1 else f"a round of {pluralize(submitted, 'task')}"
                raise RunFailedError(f"{rounds} trained nothing: {self._fruitless_reason(report)}")
        tasks = self._divide(undone, timing, deaths)
        planned = Round(number + 1, tuple(tasks), finished, timing, deaths, fruitless, self._digest)
        self._forecaster(paths)
        write_round(paths, planned)
        log.write("round", number=planned.number, tasks=len(planned.tasks), rows=sum(map(len, planned.tasks)))
        write_heartbeat(paths, heartbeat)
        return NextStep(planned, heartbeat)

    def _divide(self, undone: list[int], timing: TaskTiming | None, deaths: Collection[int]) -> list[tuple[int, ...]]:
        compute = self._request.config.compute
        is_slurm = compute.executor == "slurm"
        limit = parse_minutes(compute.slurm.time_limit) - compute.slurm.warn_seconds / 60 if is_slurm else 1e6
        return divide_rows(
            undone,
            timing,
            minutes=compute.block_minutes,
            limit_minutes=limit,
            slots=self._slots,
            suspects=[row for row in undone if row in deaths],
        )

    def _undone(self) -> list[int]:
        """Return the positions in the plan that have neither records nor a recorded failure."""
        assert self._info is not None
        over = {
            role: list_completed(self._paths, role, len(self._info.targets)) | list_failures(self._paths, role)
            for role in Role
        }
        return [position for position, row in enumerate(self._rows) if row.index not in over[row.role]]

    def _extension(self, log: EventLog) -> list[int]:
        """Extend the plan, now that all of it is recorded; return the positions of the new rows."""
        assert self._info is not None
        planned = len(self._rows)
        self._info, rows = extend_plan(self._paths, self._info, planned, self._extender, log)
        if len(rows) <= planned:
            return []
        self._rows = rows
        return self._undone()

    def _give_up(self, row: Row, log: EventLog) -> None:
        reason = "every task that trained it died"
        path = self._paths.failure(row.role, row.index)
        make_directory(path.parent)
        kind = FailureKind.ERROR.value
        write_json(path, {"role": row.role.value, "index": row.index, "kind": kind, "reason": reason})
        log.write("failed", role=row.role.value, index=row.index, reason=reason)

    def _compact(self) -> None:
        assert self._info is not None
        for role in Role:
            for target in range(len(self._info.targets)):
                compact(self._paths, self._info, role, target)

    def _heartbeat(self, report: RoundReport, left: int) -> Heartbeat:
        assert self._info is not None
        paths, statistics = self._paths, ModelStatistics(workers=1)
        for metrics in report.metrics:
            statistics.add(Done(Role.ESTIMATE, 0, 0.0, metrics))
        before = read_heartbeat(paths)
        failed = sum(len(list_failures(paths, role)) for role in Role)
        if statistics.source_accuracy.count:
            source_accuracy: float | None = statistics.source_accuracy.mean
            target_accuracy = [mean.mean for mean in statistics.target_accuracy]
            target_class_accuracy = [mean.mean for mean in statistics.target_class_accuracy]
        else:
            source_accuracy = before.source_accuracy if before else None
            target_accuracy = before.target_accuracy if before else []
            target_class_accuracy = before.target_class_accuracy if before else []
        warnings = [
            *version_warnings(self._info),
            *self._task_warnings(report),
            *statistics.warnings(self._info.target_sizes),
        ]
        return Heartbeat(
            state=State.RUNNING,
            time=time.time(),
            started=self._started,
            done=max(0, len(self._rows) - left - failed),
            failed=failed,
            total=max(len(self._rows), sum(self._info.planned_rows.values())),
            source_accuracy=source_accuracy,
            target_accuracy=target_accuracy,
            target_class_accuracy=target_class_accuracy,
            warnings=with_node_warnings(warnings, paths),
        )

    def _task_warnings(self, report: RoundReport) -> list[str]:
        """Return warnings about tasks of the last round that failed or wrote nothing."""
        if stop_request(self._paths) is not StopLevel.NO:
            return []
        warnings = []
        if report.failed:
            warnings.append(f"{pluralize(report.failed, 'task')} of the last round failed: {report.reason}")
        if report.silent:
            tasks = pluralize(report.silent, "task")
            warnings.append(f"{tasks} of the last round never began: {self._silence_reason(report)}")
        return warnings

    def _silence_reason(self, report: RoundReport) -> str:
        return report.last_log_line or f"cancelled, or on nodes that do not see {self._paths.root.absolute()}"

    def _fruitless_reason(self, report: RoundReport) -> str:
        """Return why a round trained nothing."""
        if report.reason or report.last_log_line:
            return report.reason or report.last_log_line
        if report.cut_short:
            slurm = self._request.config.compute.slurm
            limit = f"time_limit = {slurm.time_limit}, warn_seconds = {slurm.warn_seconds}, or for other jobs"
            by = f" (by {limit})" if self._request.config.compute.executor == "slurm" else ""
            return f"every task was ended before it finished a model{by}"
        if report.silent:
            return f"its tasks never began: {self._silence_reason(report)}"
        return "its tasks ended without a finished model"

    def _end(self, log: EventLog, last: Heartbeat) -> NextStep:
        log.write(last.state.value)
        write_heartbeat(self._paths, last, durable=True)
        return NextStep(None, last)

    def _show_stage(self, what: str, done: int, total: int) -> None:
        now = time.time()
        if now - self._last_beat < 1.0:
            return
        self._last_beat = now
        if stop_request(self._paths) is not StopLevel.NO:
            raise _StoppedEarlyError
        heartbeat = self._preparing(what + (f" {done} of {total}" if total else ""), State.PREPARING)
        write_heartbeat(self._paths, heartbeat, durable=False)
        if self._beat is not None:
            self._beat(heartbeat)

    def _preparing(self, stage: str, state: State) -> Heartbeat:
        now = time.time()
        before = read_heartbeat(self._paths) or Heartbeat(state, now, self._started)
        return replace(before, state=state, time=now, stage=stage, reason="")
