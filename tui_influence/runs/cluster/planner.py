"""The planner: a short step between two rounds, after which somebody hands the next one's blocks to an engine.

It owns the run while it works: it alone writes `run.json`, the plan, the event log, the heartbeat and the rounds. All
it knows is on the disk, so it may be killed at any moment and started again.
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
from tui_influence.runs.prepare import extend_plan_file, prepare, version_warnings, versions
from tui_influence.runs.progress import ModelStatistics
from tui_influence.runs.protocol import Done, FailureKind
from tui_influence.runs.record_check import quarantine_damaged, remove_stale_files
from tui_influence.runs.row_queue import forget_failures
from tui_influence.runs.supervisor import PlanExtender, Request
from tui_influence.store.events import EventLog
from tui_influence.store.files import make_directory, write_json
from tui_influence.store.listing import (
    list_completed,
    list_failures,
)
from tui_influence.store.matrix import compact
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo
from tui_influence.text import pluralize


@dataclass(frozen=True)
class NextStep:
    """What follows: a round for an engine, or, without one, the end of the run.

    Attributes:
        round: what is to be handed out; None at the end.
        heartbeat: how the run stands.
    """

    round: Round | None
    heartbeat: Heartbeat


_FRUITLESS = 3
"""Rounds in a row whose tasks were all asked to end before a model was finished, after which the run fails."""


class _StoppedEarlyError(Exception):
    """Asked to stop while the data were being packed."""


class Planner:
    """One step, or several in one process: the datasets of a run are only looked at in the first."""

    def __init__(
        self,
        request: Request,
        extender: PlanExtender,
        beat: Callable[[Heartbeat], None] | None = None,
        slots: int | None = None,
        digest: str = "",
    ) -> None:
        """Plan nothing yet.

        Args:
            request: what is asked.
            extender: says what a plan grows by.
            beat: is told what is being prepared.
            slots: tasks that run at a time, if that is known.
            digest: of the request, which its rounds are marked with.
        """
        self._request, self._extender, self._beat, self._digest = request, extender, beat, digest
        self._slots = slots or request.config.compute.slurm.array_concurrency
        self._paths = Paths(request.root)
        before = read_heartbeat(self._paths)
        self._started = before.started if before else time.time()
        self._told_at = 0.0
        self._info: RunInfo | None = None
        self._rows: list[Row] = []
        self._heard: tuple[int, Sequence[int]] | None = None

    def step(self, *, first: bool, handed: int | None = None) -> NextStep:
        """Take in what the last round left, and plan the next.

        Args:
            first: somebody has just asked for this run: forget what was asked to be forgotten, check every record.
            handed: blocks of the last round that were handed out, from the first; all if None.

        Raises:
            TinflError: the run cannot go on; the heartbeat says so too.
        """
        make_directory(self._paths.cluster)
        log = EventLog(self._paths.events)
        try:
            return self._step(log, first=first, handed=handed)
        except _StoppedEarlyError:
            return self._end(log, self._preparing("", State.STOPPED))
        except TinflError as error:
            self.failed(error, log)
            raise
        finally:
            if self._heard is not None:  # not before: a planner that is killed hears it again
                remove_reports(self._paths, *self._heard)
                self._heard = None
            log.close()

    def failed(self, error: TinflError, log: EventLog | None = None) -> None:
        """Let the run end with a reason."""
        heartbeat = read_heartbeat(self._paths) or Heartbeat(State.FAILED, time.time(), self._started)
        last = replace(heartbeat, state=State.FAILED, time=time.time(), reason=str(error), stage="")
        write_heartbeat(self._paths, last, durable=True)
        if log is not None:
            log.write("failed-run", reason=str(error))

    def _step(self, log: EventLog, *, first: bool, handed: int | None) -> NextStep:
        paths, request = self._paths, self._request
        number = last_round(paths)
        before = read_round(paths, number) if number else None
        if before is None or first:  # what a stop took back was not handed out either
            handed = 0
        elif handed is None:
            handed = len(before.blocks)
        told = RoundReport()
        if before:
            told = collect_reports(paths, before, handed, log)
            self._heard = (number, told.sound)
        log.write("planning", node=node_name(), versions=versions())
        self._info, self._rows = prepare(request.config, paths, self._stage, trusted=request.trusted)
        if first:
            remove_stale_files(paths)
            shutil.rmtree(paths.node_warnings, ignore_errors=True)
            if request.retry_failed:
                forget_failures(paths)
            self._stage("checking the records", 0, 0)
            for line in quarantine_damaged(paths, self._info, self._rows):
                log.write("damaged", reason=line)
        self._compact()
        undone = self._undone()
        tried_anew = first and request.retry_failed
        deaths = Counter({} if before is None or tried_anew else before.deaths)
        died = list(suspect_rows(before, told.died, set(undone))) if before else []
        deaths.update(died)
        given_up = {row for row in died if deaths[row] >= request.config.compute.attempts}
        for row in given_up:
            self._give_up(self._rows[row], log)
        undone = [row for row in undone if row not in given_up] or self._grown(log)
        deaths = Counter({row: deaths[row] for row in undone if deaths[row]})
        heartbeat = self._heartbeat(told, len(undone))
        if stop_request(paths) is not StopLevel.NO:
            return self._end(log, replace(heartbeat, state=State.STOPPED))
        if not undone:
            state = State.DONE_WITH_FAILURES if heartbeat.failed else State.DONE
            return self._end(log, replace(heartbeat, state=state))
        timing = told.timing or (before.timing if before else None)
        finished = len(self._rows) - len(undone)
        fruitless = 0
        if before and handed and finished <= before.done and not died:
            fruitless = before.fruitless + 1
            if fruitless >= _FRUITLESS or not told.cut_short:
                rounds = f"{fruitless} rounds" if fruitless > 1 else f"a round of {pluralize(handed, 'task')}"
                raise RunFailedError(f"{rounds} trained nothing: {self._why(told)}")
        blocks = self._cut(undone, timing, deaths)
        planned = Round(number + 1, tuple(blocks), finished, timing, deaths, fruitless, self._digest)
        write_round(paths, planned)
        log.write("round", number=planned.number, tasks=len(planned.blocks), rows=sum(map(len, planned.blocks)))
        write_heartbeat(paths, heartbeat)
        return NextStep(planned, heartbeat)

    def _cut(self, undone: list[int], timing: TaskTiming | None, deaths: Collection[int]) -> list[tuple[int, ...]]:
        compute = self._request.config.compute
        slurm = compute.executor == "slurm"
        limit = parse_minutes(compute.slurm.time_limit) - compute.slurm.warn_seconds / 60 if slurm else 1e6
        return divide_rows(
            undone,
            timing,
            minutes=compute.block_minutes,
            limit_minutes=limit,
            slots=self._slots,
            suspects=[row for row in undone if row in deaths],
        )

    def _undone(self) -> list[int]:
        """Return the positions in the plan that have neither records nor a failure."""
        assert self._info is not None
        over = {
            role: list_completed(self._paths, role, len(self._info.targets)) | list_failures(self._paths, role)
            for role in Role
        }
        return [position for position, row in enumerate(self._rows) if row.index not in over[row.role]]

    def _grown(self, log: EventLog) -> list[int]:
        """Return the positions of rows that follow, now that all the others are recorded."""
        assert self._info is not None
        rows = self._extender(self._paths)
        if len(rows) <= len(self._rows):
            return []
        log.write("grown", rows=len(rows) - len(self._rows), total=len(rows))
        self._info, self._rows = extend_plan_file(self._paths, self._info, rows), rows
        return self._undone()

    def _give_up(self, row: Row, log: EventLog) -> None:
        reason = "every task that trained it died"
        path = self._paths.failure(row.role, row.index)
        make_directory(path.parent)
        write_json(
            path, {"role": row.role.value, "index": row.index, "kind": FailureKind.ERROR.value, "reason": reason}
        )
        log.write("failed", role=row.role.value, index=row.index, reason=reason)

    def _compact(self) -> None:
        assert self._info is not None
        for role in Role:
            for target in range(len(self._info.targets)):
                compact(self._paths, self._info, role, target)

    def _heartbeat(self, told: RoundReport, left: int) -> Heartbeat:
        assert self._info is not None
        paths, progress = self._paths, ModelStatistics(workers=1)
        for metrics in told.metrics:
            progress.add(Done(Role.ESTIMATE, 0, 0.0, metrics))
        before = read_heartbeat(paths)
        failed = sum(len(list_failures(paths, role)) for role in Role)
        known = progress.source_accuracy.count > 0
        return Heartbeat(
            state=State.RUNNING,
            time=time.time(),
            started=self._started,
            done=max(0, len(self._rows) - left - failed),
            failed=failed,
            total=len(self._rows),
            source_accuracy=progress.source_accuracy.mean if known else before.source_accuracy if before else None,
            target_accuracy=[mean.mean for mean in progress.target_accuracy]
            if known
            else (before.target_accuracy if before else []),
            warnings=with_node_warnings(
                [*version_warnings(self._info), *self._lost(told), *progress.warnings()], paths
            ),
        )

    def _lost(self, told: RoundReport) -> list[str]:
        """Return warnings about tasks of the last round that failed, or of which nothing is heard."""
        if stop_request(self._paths) is not StopLevel.NO:
            return []
        lost = []
        if told.failed:
            lost.append(f"{pluralize(told.failed, 'task')} of the last round failed: {told.reason}")
        if told.silent:
            lost.append(f"{pluralize(told.silent, 'task')} of the last round never began: {self._unheard(told)}")
        return lost

    def _unheard(self, told: RoundReport) -> str:
        where = f"taken back, or on nodes that do not see {self._paths.root.absolute()}"
        return told.last_words or where

    def _why(self, told: RoundReport) -> str:
        """Return why a round trained nothing."""
        if told.reason or told.last_words:
            return told.reason or told.last_words
        if told.cut_short:
            slurm = self._request.config.compute.slurm
            limit = f"time_limit = {slurm.time_limit}, warn_seconds = {slurm.warn_seconds}, or for other jobs"
            by = f" (by {limit})" if self._request.config.compute.executor == "slurm" else ""
            return f"no model was finished before its task was asked to end{by}"
        return f"its tasks never began: {self._unheard(told)}" if told.silent else "its tasks ended with nothing done"

    def _end(self, log: EventLog, last: Heartbeat) -> NextStep:
        log.write(last.state.value)
        write_heartbeat(self._paths, last, durable=True)
        return NextStep(None, last)

    def _stage(self, what: str, done: int, total: int) -> None:
        now = time.time()
        if now - self._told_at < 1.0:
            return
        self._told_at = now
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
