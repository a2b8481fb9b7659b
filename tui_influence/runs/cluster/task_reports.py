"""What the tasks of a round said: taken into the run's event log by the planner, the only one that writes there."""

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
    """What a round's tasks said.

    Attributes:
        timing: how long things took; None if no model was finished.
        died: blocks whose task began and never said how it ended, with its workers.
        silent: how many of the tasks that were handed out never said a word.
        cut_short: how many were asked to end before they were done, by a time limit, or for other jobs.
        failed: how many failed.
        reason: why the last task that failed did so; empty if none did.
        last_words: of a task that never began, where no task failed; empty if there are none.
        metrics: of the models that were finished, a list a model.
        sound: blocks whose tasks ended as they should.
    """

    timing: TaskTiming | None = None
    died: dict[int, int] = field(default_factory=dict)
    silent: int = 0
    cut_short: int = 0
    failed: int = 0
    reason: str = ""
    last_words: str = ""
    metrics: list[list[dict[str, float]]] = field(default_factory=list)
    sound: list[int] = field(default_factory=list)


def collect_reports(paths: Paths, planned: Round, handed: int, log: EventLog) -> RoundReport:
    """Copy what the tasks of a round said into the run's event log, and conclude from it; `clear` forgets it.

    Args:
        paths: of the run.
        planned: the round.
        handed: blocks that an engine was given, from the first; 0 where that is not known.
        log: the run's.
    """
    told, everything = RoundReport(), []
    seconds: list[float] = []
    starts: list[float] = []
    workers: list[int] = []
    heard = tasks_with_reports(paths, planned.number)
    for block in heard:
        events = [event for event, _ in read_events(paths.task_events(planned.number, block))]
        everything += events
        kinds = Counter(event["event"] for event in events)
        models = [event for event in events if event["event"] == "model"]
        seconds += [float(event["seconds"]) for event in models if isinstance(event.get("seconds"), int | float)]
        told.metrics += [event["metrics"] for event in models if isinstance(event.get("metrics"), list)]
        starts += _start(events)
        workers.append(len({event.get("worker") for event in events if event["event"] == "worker-ready"}))
        reasons = [str(event.get("reason", "")) for event in events if event["event"] == "task-failed"]
        told.reason = reasons[-1] if reasons else told.reason
        told.failed += bool(reasons)
        told.cut_short += bool(kinds["stopping"])
        if kinds["task-ended"]:
            told.sound.append(block)
        elif kinds["task-started"] and not reasons and (block < handed or not handed):
            told.died[block] = max(1, workers[-1])
    told.silent = handed - sum(block < handed for block in heard)
    if told.silent and not told.reason:
        told.last_words = _last_words(paths, planned.number)
    if seconds:
        told.timing = TaskTiming(fmean(seconds), median(starts) if starts else 0.0, max(1, round(median(workers))))
    log.append(sorted(everything, key=lambda event: float(event["time"])))
    return told


def tasks_with_reports(paths: Paths, number: int) -> list[int]:
    """Return the blocks of a round whose tasks have said anything that is not taken in yet."""
    found = paths.tasks(number).glob("*/*.jsonl")
    return sorted(int(path.stem) for path in found if path.stem.isdecimal())


def suspect_rows(planned: Round, died: dict[int, int], undone: set[int]) -> Iterable[int]:
    """Yield the rows that tasks may have had in hand when they died: the first undone ones, as many as workers."""
    for block, workers in died.items():
        if block < len(planned.blocks):
            yield from [row for row in planned.blocks[block] if row in undone][:workers]


def _last_words(paths: Paths, number: int) -> str:
    """Return what a task said last that never began: a line of its setup may have failed."""
    for path in paths.tasks(number).glob("*/*.log"):
        if not path.with_suffix(".jsonl").exists() and (said := last_line(path)):
            return said
    return ""


def _start(events: Sequence[dict[str, Any]]) -> list[float]:
    """Return the seconds from a task's start to its first worker's readiness."""
    began = next((float(event["time"]) for event in events if event["event"] == "task-started"), None)
    ready = next((float(event["time"]) for event in events if event["event"] == "worker-ready"), None)
    return [] if began is None or ready is None else [max(0.0, ready - began)]


def remove_reports(paths: Paths, number: int, sound: Sequence[int]) -> None:
    """Forget what the tasks of a round said, once that is in the run's event log.

    Logs of tasks that ended as they should are removed; those of others stay where they are.

    Args:
        paths: of the run.
        number: of the round.
        sound: blocks whose tasks ended as they should.
    """
    kept, ended = False, set(sound)
    for path in list(paths.tasks(number).glob("*/*")):
        block = path.name.partition(".")[0]
        if path.suffix == ".jsonl" or (block.isdecimal() and int(block) in ended):
            path.unlink(missing_ok=True)
        else:
            kept = True
    if not kept:
        shutil.rmtree(paths.tasks(number), ignore_errors=True)
