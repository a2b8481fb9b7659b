"""The events that the tasks of a round wrote, copied into the run's event log by the planner, its only writer."""

import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any

from tui_influence.runs.cluster.rounds import Round, TaskTiming
from tui_influence.store.events import EventLog, read_events
from tui_influence.store.files import last_line
from tui_influence.store.paths import Paths


@dataclass
class RoundReport:
    """Summary of the events of a round's tasks.

    Attributes:
        timing: durations; None if no model was finished.
        died: tasks that began and did not record their end, with their number of workers.
        silent: number of submitted tasks without any event.
        cut_short: number of tasks that Slurm ended early, by a time limit or for other jobs.
        failed: number of tasks that failed.
        reason: why the last failed task failed; empty if none did.
        last_log_line: of a task that never began, if no task failed; else empty.
        metrics: of the finished models, one list per model.
        succeeded: tasks that ended as they should.
    """

    timing: TaskTiming | None = None
    died: dict[int, int] = field(default_factory=dict)
    silent: int = 0
    cut_short: int = 0
    failed: int = 0
    reason: str = ""
    last_log_line: str = ""
    metrics: list[list[dict[str, float]]] = field(default_factory=list)
    succeeded: list[int] = field(default_factory=list)


def collect_reports(paths: Paths, planned: Round, submitted: int, log: EventLog) -> RoundReport:
    """Copy the events of a round's tasks into the run's event log, and summarise them; `remove_reports` removes them.

    Args:
        paths: of the run.
        planned: the round.
        submitted: number of its tasks that were submitted, the first ones; 0 where that is not known.
        log: of the run.
    """
    report, all_events = RoundReport(), []
    seconds: list[float] = []
    starts: list[float] = []
    workers: list[int] = []
    reporting = tasks_with_reports(paths, planned.number)
    for task in reporting:
        events = [event for event, _ in read_events(paths.task_events(planned.number, task))]
        all_events += events
        kinds = Counter(event["event"] for event in events)
        models = [event for event in events if event["event"] == "model"]
        seconds += [float(event["seconds"]) for event in models if isinstance(event.get("seconds"), int | float)]
        report.metrics += [event["metrics"] for event in models if isinstance(event.get("metrics"), list)]
        starts += _start(events)
        workers.append(len({event.get("worker") for event in events if event["event"] == "worker-ready"}))
        reasons = [str(event.get("reason", "")) for event in events if event["event"] == "task-failed"]
        report.reason = reasons[-1] if reasons else report.reason
        report.failed += bool(reasons)
        report.cut_short += bool(kinds["stopping"])
        if kinds["task-ended"]:
            report.succeeded.append(task)
        elif kinds["task-started"] and not reasons and (task < submitted or not submitted):
            report.died[task] = max(1, workers[-1])
    report.silent = submitted - sum(task < submitted for task in reporting)
    if report.silent and not report.reason:
        report.last_log_line = _last_log_line(paths, planned.number)
    if seconds:
        timing = TaskTiming(fmean(seconds), median(starts) if starts else 0.0, max(1, round(median(workers))))
        report.timing = timing
    log.append(sorted(all_events, key=lambda event: float(event["time"])))
    return report


def tasks_with_reports(paths: Paths, number: int) -> list[int]:
    """Return the tasks of a round that have events which are not collected yet."""
    files = paths.tasks(number).glob("*/*.jsonl")
    return sorted(int(path.stem) for path in files if path.stem.isdecimal())


def suspect_rows(planned: Round, died: dict[int, int], undone: set[int]) -> Iterable[int]:
    """Yield the rows that tasks may have died of: of each, as many undone rows as it had workers, the first ones."""
    for task, workers in died.items():
        if task < len(planned.tasks):
            yield from [row for row in planned.tasks[task] if row in undone][:workers]


def _last_log_line(paths: Paths, number: int) -> str:
    """Return the last log line of a task that never began: a line of its setup may have failed."""
    for path in paths.tasks(number).glob("*/*.log"):
        if not path.with_suffix(".jsonl").exists() and (line := last_line(path)):
            return line
    return ""


def _start(events: Sequence[dict[str, Any]]) -> list[float]:
    """Return the seconds from a task's start to its first worker's readiness."""
    began = next((float(event["time"]) for event in events if event["event"] == "task-started"), None)
    ready = next((float(event["time"]) for event in events if event["event"] == "worker-ready"), None)
    return [] if began is None or ready is None else [max(0.0, ready - began)]


def remove_reports(paths: Paths, number: int, succeeded: Sequence[int]) -> None:
    """Remove the event files of a round's tasks, once their events are in the run's event log.

    Logs of tasks that succeeded are removed too; those of others stay where they are.

    Args:
        paths: of the run.
        number: of the round.
        succeeded: tasks that ended as they should.
    """
    has_logs, ended = False, set(succeeded)
    for path in list(paths.tasks(number).glob("*/*")):
        task = path.name.partition(".")[0]
        if path.suffix == ".jsonl" or (task.isdecimal() and int(task) in ended):
            path.unlink(missing_ok=True)
        else:
            has_logs = True
    if not has_logs:
        shutil.rmtree(paths.tasks(number), ignore_errors=True)
