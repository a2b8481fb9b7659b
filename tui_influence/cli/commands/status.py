"""`tinfl status`: the progress of a run. Loads neither numpy nor pydantic, so that it answers at once."""

import os
from typing import Any

from tui_influence.cli import diagnostics, output
from tui_influence.cli.options.watching import StatusOptions
from tui_influence.errors import TinflError
from tui_influence.render.run_words import status_lines
from tui_influence.roles import Role
from tui_influence.runs.control import record_stopped
from tui_influence.runs.heartbeat import State
from tui_influence.runs.overview import Overview, overview
from tui_influence.store.growth import Growth
from tui_influence.store.paths import Paths


def status(options: StatusOptions) -> None:
    """Show the progress of a run."""
    paths = Paths(options.results)
    if os.access(options.results, os.W_OK):  # the run of another user is only read
        try:
            record_stopped(paths)
        except TinflError as error:  # such as a full disk: the progress can still be shown
            diagnostics.warn(f"could not record that the run stopped: {error}")
    run = overview(paths)
    document = _document(run)
    if run.owner and run.is_active:
        document["pid"], document["host"] = run.owner.pid, run.owner.host
    if options.json:
        output.write_json(document)
    else:
        for line in status_lines(run, options.results):
            output.write_line(line)


def _document(run: Overview) -> dict[str, Any]:
    """Return the state of a run as JSON values."""
    info, heartbeat = run.info, run.heartbeat
    active = heartbeat is not None and run.is_active
    return {
        "run": info.name if info else None,
        "state": run.state.value,
        "reason": heartbeat.reason if heartbeat and run.state in (State.FAILED, State.LOST) else "",
        "stage": heartbeat.stage if active and heartbeat else "",
        "design": info.design_label if info else "",
        "training": info.training if info else "",
        "targets": [target.name for target in info.targets] if info else [],
        "planned": _by_name(run.planned),
        "done": _by_name(run.done),
        "failed": _by_name(run.failed),
        "failures": [
            {"role": failure.role.value, "index": failure.index, "reason": failure.reason} for failure in run.failures
        ],
        "models_per_hour": heartbeat.models_per_hour if heartbeat else 0.0,
        "eta_seconds": list(heartbeat.eta) if active and heartbeat and heartbeat.eta else None,
        "growth": _growth(run.growth),
        "clusters": _clusters(run),
        "source_accuracy": heartbeat.source_accuracy if heartbeat else None,
        "target_accuracy": heartbeat.target_accuracy if heartbeat else [],
        "target_class_accuracy": heartbeat.target_class_accuracy if heartbeat else [],
        "skipped_images": info.source.skipped + sum(target.skipped for target in info.targets) if info else 0,
        "warnings": heartbeat.warnings if heartbeat else [],
        "workers": [vars(worker) for worker in heartbeat.workers] if active and heartbeat else [],
        "devices": [vars(device) for device in heartbeat.devices] if active and heartbeat else [],
        "tasks": [vars(task) for task in heartbeat.tasks] if active and heartbeat else [],
        "silent": run.is_silent,
        "heartbeat_age": round(run.heartbeat_age, 1) if run.heartbeat_age is not None else None,
    }


def _growth(growth: Growth) -> dict[str, Any] | None:
    """Return the latest reliability of a sweep with the models it needs, and the decisions before."""
    if growth.latest is None:
        return None
    return {**vars(growth.latest), "decisions": [vars(decision) for decision in growth.decisions]}


def _clusters(run: Overview) -> dict[str, Any] | None:
    """Return the class clusters of the first stage, and the models with masks over clusters and over classes."""
    info, clusters = run.info, run.class_clusters
    if info is None or not info.n_clusters:
        return None
    is_decided = clusters is not None and clusters.cluster_rows is not None
    cluster_models = clusters.stage.planned_rows if clusters else None
    return {
        "clusters": info.n_clusters,
        "cluster_models": cluster_models,
        "class_models": info.models - cluster_models if is_decided and cluster_models is not None else None,
        "is_decided": is_decided,
        "text": run.clusters,
    }


def _by_name(counts: dict[Role, int]) -> dict[str, int]:
    return {role.value: count for role, count in counts.items()}
