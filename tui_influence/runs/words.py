"""A run in words: what the command line and the app both say about states, spans of time and events.

Plain text, one line each, safe to show. Loads nothing heavy: `tinfl status` answers at once.
"""

import shlex
import time
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from typing import Any

from tui_influence.runs.heartbeat import SILENCE, Heartbeat, State
from tui_influence.runs.ownership import Owner
from tui_influence.text import counted, printable

MARKS: Mapping[State, str] = {
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

ASCII_MARKS: Mapping[State, str] = {
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

SILENT_MARK, ASCII_SILENT_MARK = "╱", "/"
"""The sign of a run whose supervisor should speak and does not, whatever state it left."""

_LOST_REASON = "the supervisor ended without a last word; `tinfl resume` goes on from the records"


class Level(IntEnum):
    """How much an event asks to be looked at."""

    INFO = 0
    WARNING = 1
    ERROR = 2


_AGES = 1e11
"""Seconds, some thousand years."""

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


def duration(seconds: float) -> str:
    """Return a time span in its two largest units; what no clock can show is "unknown"."""
    if not abs(seconds) < _AGES:
        return "unknown"
    whole = round(seconds)
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def retry_command(root: Path, *, is_code: bool) -> str:
    """Return the command that tries the models of a run again that were given up.

    Args:
        root: its results directory.
        is_code: its network is the user's code, which `tinfl resume` does not import.
    """
    resume = f"tinfl resume {shlex.quote(printable(str(root)))} --retry-failed"
    return "the same `tinfl sweep` with --retry-failed" if is_code else resume


def state_word(state: State, *, silent: bool = False) -> str:
    """Return a state as it is believed: with a question mark when its supervisor has fallen silent."""
    return f"{state.value}?" if silent else state.value


def lost_reason(heartbeat: Heartbeat | None) -> str:
    """Return what is known of how a run was lost, and what follows."""
    return printable(heartbeat.reason, 400) if heartbeat and heartbeat.reason else _LOST_REASON


def silent_reason(owner: Owner | None) -> str:
    """Return what it may mean that a supervisor is silent, and what follows."""
    if owner is None:  # its jobs are what keeps it going
        return "the cluster cannot be asked about its jobs from here"
    if owner.is_local:
        return "its process lives but says nothing: suspended, or waiting for a disk"
    host = printable(owner.host, 30)
    return f"nothing from {host}; after {duration(SILENCE)} of silence it counts as lost"


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
            text = f"{row} done in {event.get('seconds')} s by worker {event.get('worker')}{_accuracies(event)}"
        case "failed" | "retry":
            text = f"{row} {'failed' if kind == 'failed' else 'failed, will be tried again'}: {event.get('reason')}"
        case "worker-hung":
            text = f"worker {event.get('worker')} on {event.get('device')} is hung and is killed: {event.get('reason')}"
        case "worker-dismissed":
            text = f"worker {event.get('worker')} on {event.get('device')} is not needed: {event.get('reason')}"
        case "device-paused":
            text = f"{event.get('device')} rests for {event.get('seconds')} s: {event.get('reason')}"
        case "device-dismissed":
            text = f"{event.get('device')} is not used any more: {event.get('reason')}"
        case "planning":
            text = f"planner on {event.get('node')}"
        case "round":
            tasks = _count(event.get("tasks"), "task")
            text = f"round {event.get('number')}: {_count(event.get('rows'), 'model')} in {tasks}"
        case "grown":
            text = f"grown by {_count(event.get('rows'), 'model')} to {event.get('total')}"
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


def _accuracies(event: Mapping[str, Any]) -> str:
    found = event.get("metrics")
    metrics = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    if not metrics:
        return ""
    targets = ", ".join(_percent(one.get("target_accuracy")) for one in metrics)
    return f"; source {_percent(metrics[0].get('source_accuracy'))}, target {targets}"


def _count(value: Any, noun: str) -> str:
    return counted(value, noun) if isinstance(value, int) else f"{value} {noun}s"


def _percent(value: Any) -> str:
    return f"{value:.1%}" if isinstance(value, int | float) else "nan%"
