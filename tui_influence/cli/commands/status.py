"""`tinfl status`: the progress of a run. Loads neither numpy nor pydantic, so that it answers at once."""

import os
from pathlib import Path
from typing import Any

from tui_influence.cli import diagnostics, output
from tui_influence.cli.options.runs import StatusOptions
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
from tui_influence.text import format_duration, printable


def status(options: StatusOptions) -> None:
    """Show the progress of a run."""
    paths = Paths(options.results)
    if os.access(options.results, os.W_OK):  # the run of another user is only read
        try:
            record_stopped(paths)
        except TinflError as error:  # such as a full disk: the progress can still be shown
            diagnostics.warn(f"could not record that the run stopped: {error}")
    run = overview(paths)
    summary = _summary(run)
    if run.owner and run.is_active:
        summary["pid"], summary["host"] = run.owner.pid, run.owner.host
    if options.json:
        output.write_json(summary)
    else:
        for line in _lines(summary, run, options.results):
            output.write_line(line)


def _summary(run: Overview) -> dict[str, Any]:
    """Return the progress as JSON values; counts of models come from the records."""
    info, heartbeat = run.info, run.heartbeat
    active = heartbeat is not None and run.is_active
    return {
        "run": info.name if info else None,
        "state": run.state.value,
        "reason": heartbeat.reason if heartbeat and run.state in (State.FAILED, State.LOST) else "",
        "stage": heartbeat.stage if active and heartbeat else "",
        "design": info.design_label if info else "",
        "targets": [target.name for target in info.targets] if info else [],
        "planned": _by_name(run.planned),
        "done": _by_name(run.done),
        "failed": _by_name(run.failed),
        "failures": [
            {"role": failure.role.value, "index": failure.index, "reason": failure.reason} for failure in run.failures
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
        "silent": run.is_silent,
        "heartbeat_age": round(run.heartbeat_age, 1) if run.heartbeat_age is not None else None,
    }


def _by_name(counts: dict[Role, int]) -> dict[str, int]:
    return {role.value: count for role, count in counts.items()}


def _lines(summary: dict[str, Any], run: Overview, root: Path) -> list[str]:
    state = run.state
    name = printable(summary["run"] or "run", 60)
    sign = SILENT_SIGN if run.is_silent else STATE_SIGNS[state]
    stage = f", {printable(summary['stage'], 80)}" if summary["stage"] else ""
    lines = [f"{sign} {name}: {state_word(state, silent=run.is_silent)}{stage}"]
    if run.is_silent and run.heartbeat_age is not None:
        lines.append(f"  silent    for {format_duration(run.heartbeat_age)}; {silent_reason(run.owner)}")
    if state is State.LOST:
        lines.append(f"  why       {lost_reason(run.heartbeat)}")
    elif summary["reason"]:
        lines.append(f"  why       {printable(summary['reason'])}")
    if summary["planned"]:
        done, total = sum(summary["done"].values()), sum(summary["planned"].values())
        failed = sum(summary["failed"].values())
        bar = _bar(done / total if total else 1.0)
        lines.append(f"  models    {bar} {done} of {total}" + (f", {failed} failed" if failed else ""))
        lines.append(f"            {_purposes(summary, run)}")
    if summary["models_per_hour"] and state in ACTIVE:
        lines.append(f"  rate      {summary['models_per_hour']:,.0f} models an hour{_eta(summary['eta_seconds'])}")
    if summary["source_accuracy"] is not None:
        targets = zip(summary["targets"], summary["target_accuracy"], strict=False)
        accuracies = "".join(f", {printable(target, 30)} {value:.1%}" for target, value in targets)
        lines.append(f"  accuracy  source {summary['source_accuracy']:.1%}{accuracies}")
    if run.heartbeat and run.is_active:
        lines += _devices_and_workers(run.heartbeat)
        lines += _tasks(run.heartbeat.tasks)
    if summary["skipped_images"]:
        lines.append(f"  skipped   {summary['skipped_images']} unreadable images")
    lines += [
        f"  failed    {failure['role']} {failure['index']}: {printable(failure['reason'], 200)}"
        for failure in summary["failures"]
    ]
    more = sum(summary["failed"].values()) - len(summary["failures"])
    if summary["failures"] and more > 0:
        lines.append(f"            and {more} more")
    if state is State.DONE_WITH_FAILURES:
        model = run.info.config.get("model") if run.info else None
        is_code = isinstance(model, dict) and ":" in str(model.get("arch"))
        lines.append(f"            to retry: {retry_command(root, is_code=is_code)}")
    lines += [f"  warning   {printable(warning)}" for warning in summary["warnings"]]
    return lines


def _purposes(summary: dict[str, Any], run: Overview) -> str:
    done = summary["done"]
    if Role.ARM in run.planned:
        return "retrainings of a pruning; `tinfl prune` of its sweep reports the gain"
    return f"{done['estimate']} to estimate from, {done['heldout']} held out; design {summary['design']}"


def _devices_and_workers(heartbeat: Heartbeat) -> list[str]:
    """Return a line per device, then a line per worker."""
    devices, workers = heartbeat.devices, heartbeat.workers
    gauges = columns([device_cells(device) for device in devices])
    labels = [printable(device.device, 12) for device in devices] + [f"worker {worker.worker}" for worker in workers]
    texts = [f"{gauge}  {device_name(device)}" for gauge, device in zip(gauges, devices, strict=True)]
    texts += columns([worker_cells(worker) for worker in workers])
    return [f"  {label:<8}  {text.rstrip()}" for label, text in zip(labels, texts, strict=True)]


def _tasks(tasks: list[SlurmTask]) -> list[str]:
    """Return the state of a run's tasks: how many run and where, how many wait and why, and the job numbers."""
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
