"""`tinfl status`: how a run is going. Loads neither numpy nor pydantic: it answers at once."""

import os
from pathlib import Path
from typing import Any

from tui_influence.cli import diagnostics, output
from tui_influence.cli.options import Json, Results
from tui_influence.errors import TinflError
from tui_influence.render.run_words import (
    SILENT_SIGN,
    STATE_SIGNS,
    by_state,
    columns,
    device_cells,
    device_name,
    lost_reason,
    retry_command,
    silent_reason,
    state_word,
    where,
    why_waiting,
    worker_cells,
)
from tui_influence.roles import Role
from tui_influence.runs.cluster.slurm_client import SlurmTask
from tui_influence.runs.control import record_stopped
from tui_influence.runs.heartbeat import ACTIVE, Heartbeat, State
from tui_influence.runs.overview import Overview, overview
from tui_influence.store.paths import Paths
from tui_influence.text import (
    format_duration,
    printable,
)


def status(results: Results, json: Json = False) -> None:
    """Say how a run is going."""
    paths = Paths(results)
    if os.access(results, os.W_OK):  # the run of somebody else is only looked at
        try:
            record_stopped(paths)
        except TinflError as error:  # a full disk, say: how the run stands can be shown all the same
            diagnostics.warn(f"that it has stopped is not written down: {error}")
    seen = overview(paths)
    found = _found(seen)
    if seen.owner and seen.is_active:
        found["pid"], found["host"] = seen.owner.pid, seen.owner.host
    if json:
        output.write_json(found)
    else:
        for line in _lines(found, seen, results):
            output.line(line)


def _found(seen: Overview) -> dict[str, Any]:
    """What there is to say, from the records themselves where they can tell."""
    info, heartbeat = seen.info, seen.heartbeat
    active = heartbeat is not None and seen.is_active
    return {
        "run": info.name if info else None,
        "state": seen.state.value,
        "reason": heartbeat.reason if heartbeat and seen.state in (State.FAILED, State.LOST) else "",
        "stage": heartbeat.stage if active and heartbeat else "",
        "design": info.design_label if info else "",
        "targets": [target.name for target in info.targets] if info else [],
        "planned": _by_name(seen.planned),
        "done": _by_name(seen.done),
        "failed": _by_name(seen.failed),
        "failures": [
            {"role": failure.role.value, "index": failure.index, "reason": failure.reason} for failure in seen.failures
        ],
        "models_per_hour": heartbeat.models_per_hour if heartbeat else 0.0,
        "eta_seconds": list(heartbeat.eta) if active and heartbeat and heartbeat.eta else None,
        "source_accuracy": heartbeat.source_accuracy if heartbeat else None,
        "target_accuracy": heartbeat.target_accuracy if heartbeat else [],
        "skipped_images": info.source.skipped + sum(target.skipped for target in info.targets) if info else 0,
        "warnings": heartbeat.warnings if heartbeat else [],
        "workers": [vars(worker) for worker in heartbeat.workers] if active and heartbeat else [],
        "devices": [vars(device) for device in heartbeat.devices] if active and heartbeat else [],
        "tasks": [vars(task) for task in heartbeat.tasks] if active and heartbeat else [],
        "silent": seen.is_silent,
        "heartbeat_age": round(seen.heartbeat_age, 1) if seen.heartbeat_age is not None else None,
    }


def _by_name(counts: dict[Role, int]) -> dict[str, int]:
    return {role.value: count for role, count in counts.items()}


def _lines(found: dict[str, Any], seen: Overview, root: Path) -> list[str]:
    state = seen.state
    name = printable(found["run"] or "run", 60)
    mark = SILENT_SIGN if seen.is_silent else STATE_SIGNS[state]
    stage = f", {printable(found['stage'], 80)}" if found["stage"] else ""
    lines = [f"{mark} {name}: {state_word(state, silent=seen.is_silent)}{stage}"]
    if seen.is_silent and seen.heartbeat_age is not None:
        lines.append(f"  silent    for {format_duration(seen.heartbeat_age)}; {silent_reason(seen.owner)}")
    if state is State.LOST:
        lines.append(f"  why       {lost_reason(seen.heartbeat)}")
    elif found["reason"]:
        lines.append(f"  why       {printable(found['reason'])}")
    if found["planned"]:
        done, total = sum(found["done"].values()), sum(found["planned"].values())
        failed = sum(found["failed"].values())
        bar = _bar(done / total if total else 1.0)
        lines.append(f"  models    {bar} {done} of {total}" + (f", {failed} failed" if failed else ""))
        lines.append(f"            {_purposes(found, seen)}")
    if found["models_per_hour"] and state in ACTIVE:
        lines.append(f"  rate      {found['models_per_hour']:,.0f} models an hour{_eta(found['eta_seconds'])}")
    if found["source_accuracy"] is not None:
        targets = zip(found["targets"], found["target_accuracy"], strict=False)
        accuracies = "".join(f", {printable(target, 30)} {value:.1%}" for target, value in targets)
        lines.append(f"  accuracy  source {found['source_accuracy']:.1%}{accuracies}")
    if seen.heartbeat and seen.is_active:
        lines += _crew(seen.heartbeat)
        lines += _tasks(seen.heartbeat.tasks)
    if found["skipped_images"]:
        lines.append(f"  skipped   {found['skipped_images']} unreadable images")
    lines += [
        f"  failed    {failure['role']} {failure['index']}: {printable(failure['reason'], 200)}"
        for failure in found["failures"]
    ]
    more = sum(found["failed"].values()) - len(found["failures"])
    if found["failures"] and more > 0:
        lines.append(f"            and {more} more")
    if state is State.DONE_WITH_FAILURES:
        model = seen.info.config.get("model") if seen.info else None
        is_code = isinstance(model, dict) and ":" in str(model.get("arch"))
        lines.append(f"            to try again: {retry_command(root, is_code=is_code)}")
    lines += [f"  warning   {printable(warning)}" for warning in found["warnings"]]
    return lines


def _purposes(found: dict[str, Any], seen: Overview) -> str:
    done = found["done"]
    if Role.ARM in seen.planned:
        return "retrainings of a pruning; `tinfl prune` of its sweep shows what they gain"
    return f"{done['estimate']} to estimate from, {done['heldout']} held out; design {found['design']}"


def _crew(heartbeat: Heartbeat) -> list[str]:
    """A line a device, then a line a worker."""
    devices, workers = heartbeat.devices, heartbeat.workers
    gauges = columns([device_cells(device) for device in devices])
    labels = [printable(device.device, 12) for device in devices] + [f"worker {worker.worker}" for worker in workers]
    texts = [f"{gauge}  {device_name(device)}" for gauge, device in zip(gauges, devices, strict=True)]
    texts += columns([worker_cells(worker) for worker in workers])
    return [f"  {label:<8}  {text.rstrip()}" for label, text in zip(labels, texts, strict=True)]


def _tasks(tasks: list[SlurmTask]) -> list[str]:
    """What the engine says of a run's tasks: how many run and where, how many wait and why, and the job numbers."""
    running, waiting = by_state(tasks)
    lines = [f"  tasks     {where(running)}"] if running else []
    lines += [f"  waiting   {why_waiting(task)} (job {task.job})" for task in waiting[:4]]
    numbers = sorted({task.job.partition("_")[0] for task in running}, key=lambda number: number.zfill(12))
    if numbers:
        lines.append(f"  jobs      {', '.join(numbers)}")
    return lines


def _bar(fraction: float, width: int = 24) -> str:
    filled = int(fraction * width)
    return "█" * filled + "░" * (width - filled)


def _eta(eta: list[float] | None) -> str:
    if not eta:
        return ""
    expected, low, high = (format_duration(seconds) for seconds in eta)
    return f", {expected} left" + (f" ({low} to {high})" if low != high else "")
