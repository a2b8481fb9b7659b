"""A run in plain text, a line each, safe to show: states, events, devices, workers, tasks, and `tinfl status`.

Loads nothing heavy, not even rich: `tinfl status` answers at once.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any

from tui_influence.networks import needs_own_config
from tui_influence.render.reliability_forecast import decision_sentence, growth_lines
from tui_influence.roles import Role
from tui_influence.runs.cluster.slurm_client import SlurmTask
from tui_influence.runs.heartbeat import HEARTBEAT_LOST, DeviceState, Heartbeat, State, WorkerState
from tui_influence.runs.overview import Overview
from tui_influence.runs.ownership import Owner
from tui_influence.store.run_info import RunInfo
from tui_influence.text import format_duration, pluralize, printable, quote_path

STATE_SIGNS: Mapping[State, str] = {
    State.QUEUED: "○",
    State.PREPARING: "◌",
    State.RUNNING: "▶",
    State.STOPPING: "◧",
    State.STOPPED: "■",
    State.DONE: "✔",
    State.DONE_WITH_FAILURES: "▣",
    State.FAILED: "✘",
    State.LOST: "?",
}
"""A sign a state, one cell each: no two states look alike without colour."""

ASCII_STATE_SIGNS: Mapping[State, str] = {
    State.QUEUED: "o",
    State.PREPARING: ":",
    State.RUNNING: ">",
    State.STOPPING: "|",
    State.STOPPED: "#",
    State.DONE: "+",
    State.DONE_WITH_FAILURES: "!",
    State.FAILED: "x",
    State.LOST: "?",
}

SILENT_SIGN, ASCII_SILENT_SIGN = "╱", "/"
"""The sign of a run whose supervisor should speak and does not, whatever state it left."""

_LOST_REASON = "the supervisor died unexpectedly; run `tinfl resume` to continue"
_NO_HEARTBEAT = "its heartbeat is missing or unreadable, and no supervisor is running; run `tinfl resume` to continue"


class Level(IntEnum):
    """How much an event asks to be looked at."""

    INFO = 0
    WARNING = 1
    ERROR = 2


_LEVELS = {
    "warning": Level.WARNING,
    "retry": Level.WARNING,
    "damaged": Level.WARNING,
    "worker-ended": Level.WARNING,
    "worker-hung": Level.WARNING,
    "device-paused": Level.WARNING,
    "device-dismissed": Level.ERROR,
    "done with failures": Level.WARNING,
    "stopping": Level.WARNING,
    "failed": Level.ERROR,
    "failed-run": Level.ERROR,
    "task-failed": Level.ERROR,
}


def retry_command(root: Path, *, needs_own_config: bool) -> str:
    """Return the command that tries the models of a run again that were given up.

    Args:
        root: its results directory.
        needs_own_config: its network is one that `tinfl resume` does not use.
    """
    resume = f"tinfl resume {printable(quote_path(root))} --retry-failed"
    return "the same `tinfl sweep` with --retry-failed" if needs_own_config else resume


def state_word(state: State, *, silent: bool = False) -> str:
    """Return a state as it is believed: with a question mark when its supervisor has fallen silent."""
    return f"{state.value}?" if silent else state.value


def lost_reason(heartbeat: Heartbeat | None) -> str:
    """Return what is known of how a run was lost, and what follows."""
    if heartbeat is None:
        return _NO_HEARTBEAT
    return printable(heartbeat.reason, 400) or _LOST_REASON


def silent_reason(owner: Owner | None) -> str:
    """Return what it may mean that a supervisor is silent, and what follows."""
    if owner is None:  # its jobs are what keeps it going
        return "the cluster cannot be asked about its jobs from here"
    if owner.is_local:
        return "its process lives but says nothing: suspended, or waiting for a disk"
    host = printable(owner.host, 30)
    return f"nothing from {host}; after {format_duration(HEARTBEAT_LOST)} of silence it counts as lost"


def event_level(event: Mapping[str, Any]) -> Level:
    """Return how much an event asks to be looked at."""
    return _LEVELS.get(str(event.get("event")), Level.INFO)


def event_time(event: Mapping[str, Any], form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Return when an event happened, in local time; question marks where it does not say."""
    try:
        return time.strftime(form, time.localtime(float(event.get("time", 0))))
    except (TypeError, ValueError, OverflowError, OSError):
        return time.strftime(form, time.localtime(0)).translate(_UNKNOWN_TIME)


_UNKNOWN_TIME = str.maketrans("0123456789", "??????????")


def event_sentence(event: Mapping[str, Any]) -> str:
    """Return what happened, without the time; events of a later version are shown as they are."""
    kind = str(event["event"])
    row = f"{event.get('role')} {event.get('index')}" if "role" in event else ""
    match kind:
        case "model":
            text = f"{row} done in {_seconds(event)} by worker {event.get('worker')}{_accuracies(event)}"
        case "started":
            versions = event.get("versions")
            version = f", tinfl {versions['tinfl']}" if isinstance(versions, dict) and "tinfl" in versions else ""
            text = f"started by process {event.get('pid')}{version}"
        case "prepared":
            failed = f", {event.get('failed')} failed" if event.get("failed") else ""
            text = f"prepared: {_count(event.get('total'), 'model')}, {event.get('done')} done{failed}"
        case "worker-started":
            text = f"worker {event.get('worker')} on {event.get('device')} started as process {event.get('pid')}"
        case "worker-ready":
            streamed = event.get("streamed_bytes")
            reads = f"; it reads {format_bytes(streamed)} of images as it trains" if isinstance(streamed, int) else ""
            reason = event.get("unrecorded")
            slower = f"; it launches each kernel of a step, as the step {reason}" if isinstance(reason, str) else ""
            text = f"worker {event.get('worker')} is ready; it trains with {event.get('numerics')}{reads}{slower}"
        case "worker-ended":
            last = f"; its log ends with: {event.get('last')}" if event.get("last") else ""
            text = f"worker {event.get('worker')} ended: {event.get('how')}{last}"
        case "warning" | "damaged":
            node = f" from {event.get('node')}" if "node" in event else ""
            text = f"{kind}{node}: {event.get('reason')}"
        case "failed" | "retry":
            text = f"{row} {'failed' if kind == 'failed' else 'failed, will be tried again'}: {event.get('reason')}"
        case "worker-hung":
            text = f"worker {event.get('worker')} on {event.get('device')} is hung and is killed: {event.get('reason')}"
        case "worker-dismissed":
            text = f"worker {event.get('worker')} on {event.get('device')} is not needed: {event.get('reason')}"
        case "device-paused":
            text = f"{event.get('device')} is paused for {_seconds(event)}: {event.get('reason')}"
        case "device-dismissed":
            text = f"{event.get('device')} is not used any more: {event.get('reason')}"
        case "planning":
            text = f"planner on {event.get('node')}"
        case "round":
            tasks = _count(event.get("tasks"), "task")
            text = f"round {event.get('number')}: {_count(event.get('rows'), 'model')} in {tasks}"
        case "growth":
            text = decision_sentence(event)
        case "grown":
            text = f"grown by {_count(event.get('rows'), 'model')} to {event.get('total')}"
            text += f": {event['reason']}" if event.get("reason") else ""
        case "task-started":
            text = f"task {event.get('task')} on {event.get('node')}: {_count(event.get('rows'), 'model')}"
        case "task-ended":
            left = event.get("left")
            text = f"task {event.get('task')} ended" + (f", {_count(left, 'model')} left" if left else "")
        case "task-failed":
            text = f"task {event.get('task')} failed: {event.get('reason')}"
        case _:
            rest = {key: value for key, value in event.items() if key not in ("time", "event")}
            text = kind + "".join(f" {key}={value}" for key, value in rest.items() if value != "")
    return printable(text)


def _seconds(event: Mapping[str, Any]) -> str:
    """Return the time that an event took: two digits of seconds, in minutes and hours where it is longer."""
    seconds = event.get("seconds")
    if not isinstance(seconds, int | float):
        return f"{seconds} s"
    return f"{seconds:#.2g} s" if 0 <= seconds < 9.95 else format_duration(seconds)


def _accuracies(event: Mapping[str, Any]) -> str:
    values = event.get("metrics")
    metrics = [metric for metric in values if isinstance(metric, dict)] if isinstance(values, list) else []
    if not metrics:
        return ""
    targets = ", ".join(_percent(metric.get("target_accuracy")) for metric in metrics)
    return f"; source {_percent(metrics[0].get('source_accuracy'))}, target {targets}"


def _count(value: Any, noun: str) -> str:
    return pluralize(value, noun) if isinstance(value, int) else f"{value} {noun}s"


def _percent(value: Any) -> str:
    return f"{value:.1%}" if isinstance(value, int | float) else "nan%"


UNKNOWN = "-"
_GAP = "  "
_BAR = 24
"""Cells of the progress bar."""
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def format_bytes(count: int) -> str:
    """Return bytes in the unit that leaves one to four digits before the point, such as "1.2 GiB"."""
    value, unit = float(count), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit > 2 else f"{value:.0f} {_UNITS[unit]}"


def device_cells(device: DeviceState, *, short: bool = False, ascii: bool = False) -> list[str]:
    """Return what a device's gauges say: busy, memory, temperature, power; "" or "-" where unknown.

    Args:
        device: what to describe.
        short: for a narrow screen, memory in whole GiB.
        ascii: without a degree sign.
    """
    busy, degrees, watts = device.utilisation, device.temperature, device.power
    return [
        f"{busy:4.0%}" if busy is not None else f"{UNKNOWN:>4}",
        _memory(device, short=short),
        f"{degrees:.0f} {'C' if ascii else '°C'}" if degrees is not None else "",
        f"{watts:.0f} W" if watts is not None else "",
    ]


def device_name(device: DeviceState) -> str:
    """Return what a device is, without the maker that all have in common."""
    return printable(device.name.removeprefix("NVIDIA "), 40)


def worker_cells(worker: WorkerState) -> list[str]:
    """Return a worker's device, row, for how long, models done, cores in percent, memory.

    One that gives no sign of life shows since when instead of for how long it has had its row.
    """
    since = f"for {format_duration(worker.seconds)}" if worker.seconds is not None else ""
    return [
        printable(worker.device, 12),
        printable(worker.row, 24) or "idle",
        since if worker.silence is None else f"silent for {format_duration(worker.silence)}",
        f"{worker.models:,} done",
        f"{worker.cpu:.0%} cpu" if worker.cpu is not None else "",
        format_bytes(worker.memory) if worker.memory is not None else "",
    ]


def align_columns(rows: Sequence[Sequence[str]], width: int | None = None) -> list[str]:
    """Return rows of cells as lines of one length, whose cells line up; what begins with a digit stands to the right.

    Args:
        rows: equally many cells each; a column that is empty everywhere takes no room.
        width: of the lines; columns that do not fit are left out, the last first, but for the first of all.
    """
    filled = [column for column in zip(*rows, strict=True) if any(column)]
    if not filled:
        return [""] * len(rows)
    widths = [max(map(len, column)) for column in filled]
    while width is not None and len(widths) > 1 and sum(widths) + len(_GAP) * (len(widths) - 1) > width:
        widths.pop()
    return [
        _GAP.join(_aligned(cell, room) for cell, room in zip(row, widths, strict=False))
        for row in zip(*filled, strict=True)
    ]


def _aligned(cell: str, room: int) -> str:
    return cell.rjust(room) if cell.lstrip()[:1].isdigit() or cell == UNKNOWN else cell.ljust(room)


def _memory(device: DeviceState, *, short: bool) -> str:
    used, total = device.memory_used, device.memory_total
    if used is None:
        return ""
    if short:
        return f"{used / 2**30:.0f}/{total / 2**30:.0f} GiB" if total else f"{used / 2**30:.0f} GiB"
    return f"{used / 2**30:.1f} of {total / 2**30:.1f} GiB" if total else format_bytes(used)


def split_by_state(tasks: Sequence[SlurmTask]) -> tuple[list[SlurmTask], list[SlurmTask]]:
    """Return the tasks that have a node, and those that wait for one; what is over is left out."""
    alive = [task for task in tasks if not task.is_over]
    return [task for task in alive if task.is_running], [task for task in alive if not task.is_running]


def describe_running(running: Sequence[SlurmTask], most: int = 8) -> str:
    """Return how many tasks run and on which nodes, such as "3 tasks on n1 (2), n2"."""
    nodes = Counter(task.node for task in running)
    named = ", ".join(node + (f" ({count})" if count > 1 else "") for node, count in list(nodes.items())[:most])
    more = f" and {pluralize(len(nodes) - most, 'more node')}" if len(nodes) > most else ""
    return f"{pluralize(len(running), 'task')} on {named}{more}"


def describe_waiting(task: SlurmTask) -> str:
    """Return what waits and for what, in Slurm's word where it has one, such as "97 tasks: Priority"."""
    if task.is_planner and task.reason == "Dependency":
        return "planner of the next round: after the tasks before it"
    what = "planner" if task.is_planner else pluralize(task.count, "task")
    return f"{what}: {task.reason or task.state.lower()}"


def describe_accuracy(heartbeat: Heartbeat, targets: Sequence[str]) -> str:
    """Return the mean accuracies of a run's models, and those over classes where classes of many examples hide others.

    Args:
        heartbeat: of the run.
        targets: their names, safe to print.
    """
    parts = [] if heartbeat.source_accuracy is None else [f"source {heartbeat.source_accuracy:.1%}"]
    over_classes = heartbeat.target_class_accuracy or heartbeat.target_accuracy
    for name, accuracy, of_classes in zip(targets, heartbeat.target_accuracy, over_classes, strict=False):
        mean = "" if f"{accuracy:.1%}" == f"{of_classes:.1%}" else f" ({of_classes:.1%} as a mean over classes)"
        parts.append(f"{name} {accuracy:.1%}{mean}")
    return ", ".join(parts)


def status_lines(overview: Overview, root: Path) -> list[str]:
    """Return the state of a run, its progress, rate, workers and failures, as lines of `tinfl status`."""
    state, info, heartbeat = overview.state, overview.info, overview.heartbeat
    name = printable(info.name if info else "run", 60)
    mark = SILENT_SIGN if overview.is_silent else STATE_SIGNS[state]
    stage = printable(heartbeat.stage, 80) if heartbeat and overview.is_active else ""
    lines = [f"{mark} {name}: {state_word(state, silent=overview.is_silent)}{f', {stage}' if stage else ''}"]
    if overview.is_silent and overview.heartbeat_age is not None:
        lines.append(f"  silent    for {format_duration(overview.heartbeat_age)}; {silent_reason(overview.owner)}")
    if state is State.LOST:
        lines.append(f"  why       {lost_reason(heartbeat)}")
    elif state is State.FAILED and heartbeat and heartbeat.reason:
        lines.append(f"  why       {printable(heartbeat.reason)}")
    if info:
        lines += _progress_lines(overview, info)
    if heartbeat and heartbeat.source_accuracy is not None:
        names = [printable(target.name, 30) for target in info.targets] if info else []
        lines.append(f"  accuracy  {describe_accuracy(heartbeat, names)}")
    if heartbeat and overview.is_active:
        lines += _worker_lines(heartbeat)
        lines += _task_lines(heartbeat.tasks)
    skipped = info.source.skipped + sum(target.skipped for target in info.targets) if info else 0
    if skipped:
        lines.append(f"  skipped   {skipped} unreadable images")
    lines += [
        f"  failed    {failure.role.value} {failure.index}: {printable(failure.reason, 200)}"
        for failure in overview.failures
    ]
    more = overview.given_up - len(overview.failures)
    if overview.failures and more > 0:
        lines.append(f"            and {more} more")
    if state is State.DONE_WITH_FAILURES:
        model = info.config.get("model") if info else None
        weights = model.get("weights") if isinstance(model, dict) else None
        is_own = isinstance(model, dict) and needs_own_config(
            str(model.get("arch")), weights if isinstance(weights, str) else None
        )
        lines.append(f"            to try again: {retry_command(root, needs_own_config=is_own)}")
    return [*lines, *(f"  warning   {printable(text)}" for text in (heartbeat.warnings if heartbeat else []))]


def _progress_lines(overview: Overview, info: RunInfo) -> list[str]:
    if not overview.planned:
        return []
    done, total, heartbeat = overview.finished, overview.total, overview.heartbeat
    filled = int((done / total if total else 1.0) * _BAR)
    bar = "█" * filled + "░" * (_BAR - filled)
    failed = f", {overview.given_up} failed" if overview.given_up else ""
    length = f", {info.training}" if info.training else ""
    if Role.ARM in overview.planned:
        purpose = f"retrainings of a pruning{length}; `tinfl prune` of its sweep shows what they gain"
    else:
        estimate, heldout = overview.done[Role.ESTIMATE], overview.done[Role.HELDOUT]
        prior = f", {pluralize(overview.done[Role.PRIOR], 'prior network')}" if Role.PRIOR in overview.planned else ""
        purpose = f"{estimate} to estimate from, {heldout} held out{prior}; design {info.design_label}{length}"
    lines = [f"  models    {bar} {done} of {total}{failed}", f"            {purpose}"]
    if overview.clusters:
        lines.append(f"  clusters  {printable(overview.clusters, 300)}")
    lines += [
        f"  {label:<8}  {text}"
        for label, text in growth_lines(overview.growth.latest, info, overview.done.get(Role.ESTIMATE, 0))
    ]
    if heartbeat and heartbeat.models_per_hour and overview.is_active:
        left = ""
        if heartbeat.eta:
            expected, low, high = (format_duration(seconds) for seconds in heartbeat.eta)
            left = f", {expected} left" + (f" ({low} to {high})" if low != high else "")
        lines.append(f"  rate      {heartbeat.models_per_hour:,.0f} models an hour{left}")
    return lines


def _worker_lines(heartbeat: Heartbeat) -> list[str]:
    """Return a line a device, then a line a worker."""
    devices, workers = heartbeat.devices, heartbeat.workers
    gauges = align_columns([device_cells(device) for device in devices])
    labels = [printable(device.device, 12) for device in devices] + [f"worker {worker.worker}" for worker in workers]
    texts = [f"{gauge}  {device_name(device)}" for gauge, device in zip(gauges, devices, strict=True)]
    texts += align_columns([worker_cells(worker) for worker in workers])
    return [f"  {label:<8}  {text.rstrip()}" for label, text in zip(labels, texts, strict=True)]


def _task_lines(tasks: list[SlurmTask]) -> list[str]:
    """Return how many tasks run and where, how many wait and why, and the job numbers."""
    running, waiting = split_by_state(tasks)
    lines = [f"  tasks     {describe_running(running)}"] if running else []
    lines += [f"  waiting   {describe_waiting(task)} (job {task.job})" for task in waiting[:4]]
    numbers = sorted({task.job.partition("_")[0] for task in running}, key=lambda number: number.zfill(12))
    return [*lines, f"  jobs      {', '.join(numbers)}"] if numbers else lines
