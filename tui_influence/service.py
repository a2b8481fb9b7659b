"""The supervisor of a run, with the extension of its plan; run as a program, it works in the background."""

import sys
from pathlib import Path

from tui_influence.designs import Row
from tui_influence.growth.extension import extend_sweep
from tui_influence.growth.measurement import publish_forecast
from tui_influence.pruning.stages import extend_pruning
from tui_influence.runs import supervisor
from tui_influence.runs.cluster import ray, slurm
from tui_influence.runs.heartbeat import Heartbeat
from tui_influence.runs.launch import serve_request
from tui_influence.runs.supervisor import Observer, Request
from tui_influence.store.paths import Paths


def extend_plan(paths: Paths) -> list[Row]:
    """Return the whole plan of a run, all of which is recorded, with the rows that follow from its records.

    Raises:
        TinflError: the records cannot be read.
    """
    return extend_pruning(paths) if paths.arms.exists() else extend_sweep(paths)


def supervise(request: Request, observer: Observer) -> Heartbeat:
    """Execute a run until it is done, stopped or failed; see `runs.supervisor.supervise`."""
    if request.config.compute.executor == "ray":
        return ray.supervise(request, observer, extend_plan, publish_forecast)
    return supervisor.supervise(request, observer, extend_plan, publish_forecast)


def main() -> int:
    """Supervise a run on this machine, or (`--plan RESULTS ROUND DIGEST`) plan a round of a run on Slurm."""
    if sys.argv[1:2] == ["--plan"]:
        root, after, digest = sys.argv[2:5]
        return slurm.run_planner(Path(root), int(after), digest, extend_plan, publish_forecast)
    return serve_request(supervise)


if __name__ == "__main__":
    sys.exit(main())
