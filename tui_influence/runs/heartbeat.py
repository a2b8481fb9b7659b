"""The heartbeat of a run: its progress as its supervisor or planner wrote it last, and the state that follows."""

import time
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from tui_influence.errors import ResultsError, TinflError
from tui_influence.runs.cluster.slurm_client import (
    RESULTS_NOT_VISIBLE,
    SlurmTask,
    SubmittedJobs,
    describe_ends,
    exit_code,
    node_warnings,
    query_tasks,
    read_jobs,
)
from tui_influence.runs.ownership import Owner, read_owner
from tui_influence.store.files import is_gone, last_line, read_json, to_results_error, write_json
from tui_influence.store.json_values import array, count, number, table, text
from tui_influence.store.paths import Paths
from tui_influence.text import printable

HEARTBEAT_OVERDUE = 10.0
"""Seconds without a heartbeat after which a supervisor, which writes one every second, is reported as silent."""
HEARTBEAT_LOST = 60.0
"""Seconds without a heartbeat after which a supervisor on another machine counts as lost."""
WORKER_OVERDUE = 15.0
"""Seconds without a sign of life after which a worker, which sends one every few seconds, is reported as silent."""
_MAX_TIME = 253402300800.0  # the year 10000, where calendars end
_MAX_ENTRIES = 4096


class State(StrEnum):
    """The states of a run."""

    QUEUED = "queued"
    """Planned, but never started."""
    PREPARING = "preparing"
    """Packing data, starting workers."""
    RUNNING = "running"
    STOPPING = "stopping"
    """A stop was requested; the models in training are being finished."""
    STOPPED = "stopped"
    DONE = "done"
    DONE_WITH_FAILURES = "done with failures"
    """Nothing is left to train, but some models failed for good; `resume --retry-failed` tries them again."""
    FAILED = "failed"
    LOST = "lost"
    """The supervisor ended without recording it: killed, or its machine went down. `resume` continues."""


ACTIVE = (State.PREPARING, State.RUNNING, State.STOPPING)
FINISHED = (State.DONE, State.DONE_WITH_FAILURES)


@dataclass(frozen=True)
class WorkerState:
    """One worker process.

    Attributes:
        worker: its number.
        device: what it trains on.
        pid: its process.
        row: what it trains, such as "estimate 12"; empty when idle.
        models: number of models it has finished.
        seconds: since its row was assigned; None when idle.
        cpu: cores that it keeps busy; None until measured.
        memory: resident, in bytes; None until measured.
        silence: seconds without a sign of life; None while that is normal.
    """

    worker: int
    device: str
    pid: int
    row: str
    models: int
    seconds: float | None = None
    cpu: float | None = None
    memory: int | None = None
    silence: float | None = None


@dataclass(frozen=True)
class DeviceState:
    """A device that workers use: a GPU as its driver describes it, or the share of the CPU that the workers use.

    Attributes:
        device: by torch's name, such as "cuda:1".
        name: of the product; of the CPU, the cores that the run may use.
        utilisation: busy share of the time, or of the cores, from 0 to 1; None where unknown, like all below.
        memory_used: bytes.
        memory_total: bytes.
        temperature: degrees Celsius.
        power: watts drawn.
    """

    device: str
    name: str = ""
    utilisation: float | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    temperature: float | None = None
    power: float | None = None


@dataclass(frozen=True)
class Heartbeat:
    """Progress of a run.

    Attributes:
        state: as the supervisor sees it.
        time: when it was written, seconds since 1970.
        started: when the supervisor started.
        done: models recorded, over all roles.
        failed: models that failed for good.
        total: models planned.
        models_per_hour: of this session; 0 until measured.
        eta: seconds left, with a 95% range; None until there is an estimate.
        source_accuracy: mean training accuracy of the source models of this session.
        target_accuracy: mean test accuracy of each target, in config order.
        target_class_accuracy: mean over the classes of each target, likewise.
        warnings: for the user.
        reason: why it failed.
        stage: of the preparation.
        workers: one per process.
        devices: those that the workers use.
        tasks: on a cluster, those that the scheduler lists; not written to the file.
    """

    state: State
    time: float
    started: float
    done: int = 0
    failed: int = 0
    total: int = 0
    models_per_hour: float = 0.0
    eta: tuple[float, float, float] | None = None
    source_accuracy: float | None = None
    target_accuracy: list[float] = field(default_factory=list)
    target_class_accuracy: list[float] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    reason: str = ""
    stage: str = ""
    workers: list[WorkerState] = field(default_factory=list)
    devices: list[DeviceState] = field(default_factory=list)
    tasks: list[SlurmTask] = field(default_factory=list)


def write_heartbeat(paths: Paths, heartbeat: Heartbeat, *, durable: bool = False) -> None:
    """Replace the heartbeat."""
    values = asdict(heartbeat)
    del values["tasks"]
    write_json(paths.heartbeat, values, durable=durable)


def read_heartbeat(paths: Paths) -> Heartbeat | None:
    """Read the heartbeat; None if there is none or it is damaged."""
    if not paths.heartbeat.exists():
        return None
    try:
        values = table(read_json(paths.heartbeat, limit=1 << 20))
        accuracy = values["source_accuracy"]
        return Heartbeat(
            state=State(values["state"]),
            time=number(values["time"], 0, _MAX_TIME),
            started=number(values["started"], 0, _MAX_TIME),
            done=count(values["done"]),
            failed=count(values["failed"]),
            total=count(values["total"]),
            models_per_hour=number(values["models_per_hour"], 0, 1e9),
            eta=_eta(values["eta"]) if values["eta"] else None,
            source_accuracy=None if accuracy is None else number(accuracy),
            target_accuracy=[number(value) for value in _entries(values["target_accuracy"])],
            target_class_accuracy=[  # older ones lack it
                number(value) for value in _entries(values.get("target_class_accuracy", []))
            ],
            warnings=[text(warning) for warning in _entries(values["warnings"])],
            reason=text(values["reason"]),
            stage=text(values["stage"]),
            workers=[_worker(table(worker)) for worker in _entries(values["workers"])],
            devices=[_device(table(device)) for device in _entries(values.get("devices", []))],  # older ones lack it
        )
    except (ResultsError, KeyError, TypeError, ValueError):
        return None


def _entries(values: Any) -> list[Any]:
    """Return a list of limited length, so that a damaged file cannot fill the reader's memory."""
    if len(array(values)) > _MAX_ENTRIES:
        raise ValueError(f"more than {_MAX_ENTRIES} entries")
    return array(values)


def _worker(values: dict[str, Any]) -> WorkerState:
    return WorkerState(
        worker=count(values["worker"]),
        device=text(values["device"]),
        pid=count(values["pid"]),
        row=text(values["row"]),
        models=count(values["models"]),
        seconds=_measurement(values, "seconds", 1e9),
        cpu=_measurement(values, "cpu", 1e4),
        memory=_bytes(values, "memory"),
        silence=_measurement(values, "silence", 1e9),
    )


def _device(values: dict[str, Any]) -> DeviceState:
    return DeviceState(
        device=text(values["device"]),
        name=text(values["name"]),
        utilisation=_measurement(values, "utilisation", 1.0),
        memory_used=_bytes(values, "memory_used"),
        memory_total=_bytes(values, "memory_total"),
        temperature=_measurement(values, "temperature", 1e3),
        power=_measurement(values, "power", 1e5),
    )


def _measurement(values: dict[str, Any], key: str, maximum: float) -> float | None:
    """Return a measured value; None if it is missing or out of range."""
    value = values.get(key)
    return float(value) if isinstance(value, int | float) and 0 <= value <= maximum else None


def _bytes(values: dict[str, Any], key: str) -> int | None:
    value = _measurement(values, key, 1e18)
    return None if value is None else int(value)


def _eta(values: Any) -> tuple[float, float, float]:
    expected, low, high = (number(value) for value in array(values))
    return expected, low, high


def state_of(heartbeat: Heartbeat | None, owner: Owner | None, now: float | None = None) -> State:
    """Return the state of a run from its heartbeat and whether its supervisor is alive.

    Args:
        heartbeat: of the run, if any.
        owner: the supervisor that wrote it, if known.
        now: seconds since 1970.
    """
    if heartbeat is None:
        return State.PREPARING if owner and owner.is_alive() else State.QUEUED if owner is None else State.LOST
    if heartbeat.state not in ACTIVE:
        return heartbeat.state
    alive = owner.is_alive() if owner else False
    if alive is None:  # on another machine: only the age of the heartbeat is known
        alive = abs((now if now is not None else time.time()) - heartbeat.time) < HEARTBEAT_LOST
    return heartbeat.state if alive else State.LOST


def observe(paths: Paths) -> tuple[State, Heartbeat | None, Owner | None]:
    """Return the state of a run, its heartbeat and its owner, cheaply.

    A run on a cluster has no owner: its jobs carry it on, and the scheduler is queried about them.
    """
    heartbeat, jobs = read_heartbeat(paths), read_jobs(paths)
    if jobs is not None and heartbeat is not None:
        if heartbeat.state in ACTIVE:
            heartbeat = _with_jobs(heartbeat, jobs, paths)
        return heartbeat.state, heartbeat, None
    owner = read_owner(paths)
    if owner and heartbeat and heartbeat.state in ACTIVE and owner.trains_elsewhere(paths.root):
        return State.LOST, replace(heartbeat, reason=_copy_reason(owner)), None
    return state_of(heartbeat, owner), heartbeat, owner


def _copy_reason(owner: Owner) -> str:
    return (
        f"this is a copy of a run that was being trained in {printable(owner.directory, 200)}; "
        "`tinfl resume` trains the rest here"
    )


def with_node_warnings(warnings: list[str], paths: Paths) -> list[str]:
    """Return warnings, followed by those of tasks about their nodes, without duplicates."""
    return list(dict.fromkeys([*warnings, *node_warnings(paths)]))


def _with_jobs(heartbeat: Heartbeat, jobs: SubmittedJobs, paths: Paths) -> Heartbeat:
    """Update a planner's heartbeat with the state of its jobs on the cluster."""
    try:
        tasks = query_tasks(jobs)
    except TinflError as error:  # a copy on a laptop, or a controller that is down: the heartbeat is all there is
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(heartbeat.time))
        return replace(heartbeat, warnings=[*heartbeat.warnings, f"as of {since}: {error}"])
    now = time.time()
    current = replace(heartbeat, time=now, tasks=tasks, warnings=with_node_warnings(heartbeat.warnings, paths))
    alive = [task for task in tasks if not task.is_over]
    training = sum(task.is_running and not task.is_planner for task in alive)
    if not alive:
        last = read_heartbeat(paths)  # the planner may have ended since the heartbeat was read
        return last if last and last.state not in ACTIVE else _after_all_jobs(current, heartbeat.time, jobs, paths)
    if _stop_requested_at(paths) is not None:
        return replace(current, state=State.STOPPING, stage="")
    if training:
        rate = training * jobs.models_per_hour
        return replace(current, state=State.RUNNING, stage="", models_per_hour=rate)
    if any(task.is_running for task in alive):
        waited = heartbeat.stage.startswith("waiting for Slurm")  # written when it was submitted
        return replace(current, state=State.PREPARING, stage="the planner has begun" if waited else heartbeat.stage)
    reasons = dict.fromkeys(task.reason for task in alive if task.reason and task.reason != "Dependency")
    return replace(current, state=State.PREPARING, stage=f"waiting for Slurm ({', '.join(reasons) or 'Dependency'})")


def _stop_requested_at(paths: Paths) -> float | None:
    """Return when a stop was requested, in seconds since 1970; None if it was not."""
    try:
        return paths.stop.stat().st_mtime
    except OSError as error:
        if not is_gone(error):
            raise to_results_error(error, "read", paths.stop) from error
        return None


def _after_all_jobs(current: Heartbeat, since: float, jobs: SubmittedJobs, paths: Paths) -> Heartbeat:
    """Return the heartbeat of a run of which no job is left, and whose planner wrote the last one at `since`."""
    stop_time, tasks = _stop_requested_at(paths), current.tasks
    if stop_time is not None:
        return replace(current, state=State.STOPPED, stage="", time=max(stop_time, since))
    if not tasks and current.time - jobs.submitted < HEARTBEAT_OVERDUE:
        return replace(current, state=State.PREPARING)  # the scheduler may list a new job only after a moment
    planners = [task for task in tasks if task.is_planner and task.job == (jobs.planner or task.job)]
    if jobs.planner and any(task.state == "COMPLETED" for task in planners):
        return current  # it wrote a heartbeat, or submitted jobs, that this machine's view of the disk lacks so far
    code = exit_code(jobs.planner)
    has_begun = (paths.cluster / "planner.log").exists()
    was_ended = any(task.state != "FAILED" for task in planners)
    ended = replace(current, stage="", time=since)
    if code == RESULTS_NOT_VISIBLE or not (has_begun or was_ended):
        where = ", ".join(dict.fromkeys(task.node for task in tasks if task.node)) or "its node"
        reason = f"the planner (job {jobs.planner}) left no trace: does {where} see {paths.root.absolute()}?"
        return replace(ended, state=State.FAILED, reason=reason)
    tasks = [*planners, *(task for task in tasks if task.job.partition("_")[0] in jobs.arrays)]
    reason = describe_ends(tasks, code) or "its jobs ended without recording it"
    log_line = last_line(paths.cluster / "planner.log") if has_begun else ""
    reason += f"; its planner's log ends with: {log_line}" if log_line else ""
    command = "run `tinfl resume` to continue" if paths.run.exists() else "run the same command to start it again"
    return replace(ended, state=State.LOST, reason=f"{reason}; {command}")
