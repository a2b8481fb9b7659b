"""`tinfl status`: how a run is going. Loads neither numpy nor pydantic: it answers at once."""

import time
from typing import Any

from tui_influence.cli import output
from tui_influence.cli.parameters import Json, Results
from tui_influence.roles import Role
from tui_influence.runs.heartbeat import ACTIVE, Heartbeat, State, observe
from tui_influence.store.listing import completed, failure_reason, list_failures
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo, read_run_info
from tui_influence.text import printable

_SHOWN_FAILURES = 3
_MARK = {
    State.QUEUED: "○",
    State.PREPARING: "◌",
    State.RUNNING: "▶",
    State.STOPPING: "◧",
    State.STOPPED: "■",
    State.DONE: "✔",
    State.FAILED: "✘",
    State.LOST: "?",
}


def status(results: Results, json: Json = False) -> None:
    """Say how a run is going."""
    paths = Paths(results)
    state, heartbeat, owner = observe(paths)
    info = read_run_info(results) if paths.run.exists() or heartbeat is None else None
    found = _found(paths, state, heartbeat, info)
    if owner and state in ACTIVE:
        found["pid"], found["host"] = owner.pid, owner.host
    if json:
        output.write_json(found)
    else:
        for line in _lines(found):
            output.line(line)


def _found(paths: Paths, state: State, heartbeat: Heartbeat | None, info: RunInfo | None) -> dict[str, Any]:
    """What there is to say, from the records themselves where they can tell."""
    targets = len(info.targets) if info else 0
    planned = {Role.ESTIMATE: info.models, Role.HELDOUT: info.heldout} if info else {}
    finished = {role: completed(paths, role, targets, count) for role, count in planned.items()}
    done = {role.value: len(indices) for role, indices in finished.items()}
    failed = {role.value: list_failures(paths, role) - indices for role, indices in finished.items()}
    reasons = [
        {"role": role, "index": index, "reason": failure_reason(paths, Role(role), index)}
        for role, indices in failed.items()
        for index in sorted(indices)[-_SHOWN_FAILURES:]
    ]
    active = heartbeat is not None and state in ACTIVE
    return {
        "run": info.name if info else None,
        "state": state.value,
        "reason": heartbeat.reason if heartbeat and state is State.FAILED else "",
        "stage": heartbeat.stage if active and heartbeat else "",
        "design": info.design_label if info else "",
        "targets": [target.name for target in info.targets] if info else [],
        "planned": {"estimate": info.models, "heldout": info.heldout} if info else {},
        "done": done,
        "failed": {role: len(indices) for role, indices in failed.items()},
        "failures": reasons,
        "models_per_hour": heartbeat.models_per_hour if heartbeat else 0.0,
        "eta_seconds": list(heartbeat.eta) if active and heartbeat and heartbeat.eta else None,
        "source_accuracy": heartbeat.source_accuracy if heartbeat else None,
        "target_accuracy": heartbeat.target_accuracy if heartbeat else [],
        "skipped_images": info.source.skipped + sum(target.skipped for target in info.targets) if info else 0,
        "warnings": heartbeat.warnings if heartbeat else [],
        "workers": [vars(worker) for worker in heartbeat.workers] if active and heartbeat else [],
        "heartbeat_age": round(time.time() - heartbeat.time, 1) if heartbeat else None,
    }


def _lines(found: dict[str, Any]) -> list[str]:
    state = State(found["state"])
    name = printable(found["run"] or "run", 60)
    lines = [f"{_MARK[state]} {name}: {state.value}" + (f", {printable(found['stage'], 80)}" if found["stage"] else "")]
    if found["reason"]:
        lines.append(f"  why       {printable(found['reason'])}")
    if state is State.LOST:
        lines.append("  why       the supervisor ended without a last word; `tinfl resume` goes on from the records")
    if found["planned"]:
        done, total = sum(found["done"].values()), sum(found["planned"].values())
        failed = sum(found["failed"].values())
        bar = _bar(done / total if total else 1.0)
        lines.append(f"  models    {bar} {done} of {total}" + (f", {failed} failed" if failed else ""))
        lines.append(
            f"            {found['done']['estimate']} to estimate from, {found['done']['heldout']} held out; "
            f"design {found['design']}"
        )
    if found["models_per_hour"] and state in ACTIVE:
        lines.append(f"  rate      {found['models_per_hour']:,.0f} models an hour{_eta(found['eta_seconds'])}")
    if found["source_accuracy"] is not None:
        targets = zip(found["targets"], found["target_accuracy"], strict=False)
        accuracies = "".join(f", {printable(target, 30)} {value:.1%}" for target, value in targets)
        lines.append(f"  accuracy  source {found['source_accuracy']:.1%}{accuracies}")
    for worker in found["workers"]:
        row = printable(worker["row"], 40) or "idle"
        device = printable(worker["device"], 20)
        lines.append(f"  worker {worker['worker']}  {device}, {row}, {worker['models']} models done")
    if found["skipped_images"]:
        lines.append(f"  skipped   {found['skipped_images']} unreadable images")
    lines += [
        f"  failed    {failure['role']} {failure['index']}: {printable(failure['reason'], 200)}"
        for failure in found["failures"]
    ]
    lines += [f"  warning   {printable(warning)}" for warning in found["warnings"]]
    return lines


def _bar(fraction: float, width: int = 24) -> str:
    filled = int(fraction * width)
    return "█" * filled + "░" * (width - filled)


def _eta(eta: list[float] | None) -> str:
    if not eta:
        return ""
    expected, low, high = (duration(seconds) for seconds in eta)
    return f", {expected} left" + (f" ({low} to {high})" if low != high else "")


def duration(seconds: float) -> str:
    """Return a time span in its two largest units."""
    whole = round(seconds)
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
