"""What supervises a run: `runs`, told by `pruning` how a plan grows. Run as a program, it does so in the background."""

import sys
from pathlib import Path

from tui_influence.pruning.stages import extend_plan
from tui_influence.runs import supervisor
from tui_influence.runs.cluster import ray, slurm
from tui_influence.runs.heartbeat import Heartbeat
from tui_influence.runs.launch import serve_request
from tui_influence.runs.supervisor import Observer, Request


def supervise(request: Request, observer: Observer) -> Heartbeat:
    """Run a run until it is done, stopped or failed; see `runs.supervisor.supervise`."""
    if request.config.compute.executor == "ray":
        return ray.supervise(request, observer, extend_plan)
    return supervisor.supervise(request, observer, extend_plan)


def main() -> int:
    """Be the supervisor of a run of this machine, or (`--plan RESULTS ROUND DIGEST`) the planner of one on Slurm."""
    if sys.argv[1:2] == ["--plan"]:
        root, after, digest = sys.argv[2:5]
        return slurm.run_planner(Path(root), int(after), digest, extend_plan)
    return serve_request(supervise)


if __name__ == "__main__":
    sys.exit(main())
