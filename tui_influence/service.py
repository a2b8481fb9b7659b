"""The supervisor of a run, with the extension of prunings; run as a program, it works in the background."""

import sys
from pathlib import Path

from tui_influence.pruning.stages import extend_plan
from tui_influence.runs import supervisor
from tui_influence.runs.cluster import ray, slurm
from tui_influence.runs.heartbeat import Heartbeat
from tui_influence.runs.launch import serve_request
from tui_influence.runs.supervisor import Observer, Request


def supervise(request: Request, observer: Observer) -> Heartbeat:
    """Execute a run until it is done, stopped or failed; see `runs.supervisor.supervise`."""
    if request.config.compute.executor == "ray":
        return ray.supervise(request, observer, extend_plan)
    return supervisor.supervise(request, observer, extend_plan)


def main() -> int:
    """Supervise a run on this machine, or (`--plan RESULTS ROUND DIGEST`) plan a round of a run on Slurm."""
    if sys.argv[1:2] == ["--plan"]:
        root, after, digest = sys.argv[2:5]
        return slurm.run_planner(Path(root), int(after), digest, extend_plan)
    return serve_request(supervise)


if __name__ == "__main__":
    sys.exit(main())
