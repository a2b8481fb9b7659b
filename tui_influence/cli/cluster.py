"""Starting a run on a cluster from the command line: submit, say what was submitted, and leave."""

import time
from typing import TYPE_CHECKING

from tui_influence.cli import diagnostics

if TYPE_CHECKING:
    from tui_influence.runs.supervisor import Request

_POLL = 2.0


def submit_to_slurm(request: "Request", reading: str, *, wait: bool) -> None:
    """Submit a run to Slurm and say what comes next.

    Args:
        request: what to run.
        reading: the command that reads its results.
        wait: stay until the run has ended.

    Raises:
        TinflError: it was refused, or, if we wait, failed.
    """
    from tui_influence.cli.starting import shown
    from tui_influence.runs.cluster.slurm import submit

    job, root = submit(request), request.root
    diagnostics.say(f"{request.config.run.name}: submitted to Slurm as job {job}, which packs the data and")
    diagnostics.say("submits the tasks that train; nothing runs on this machine")
    diagnostics.say(f"  log  {root / 'cluster'}")
    diagnostics.say(f"next: tinfl status {shown(root)}    tinfl logs -f {shown(root)}    tinfl stop {shown(root)}")
    diagnostics.say(f"      {reading}   works at any time")
    if wait:
        _wait(request)


def _wait(request: "Request") -> None:
    from tui_influence.cli.live import StageLine, refuse_failed_models
    from tui_influence.errors import RunFailedError
    from tui_influence.runs.heartbeat import ACTIVE, FINISHED
    from tui_influence.runs.overview import overview
    from tui_influence.store.paths import Paths

    with StageLine() as line:
        while True:
            seen = overview(Paths(request.root))
            if seen.state not in ACTIVE:
                break
            if seen.heartbeat:
                line.beat(seen.heartbeat)
            time.sleep(_POLL)
    reason = seen.heartbeat.reason if seen.heartbeat else ""
    if seen.state not in FINISHED:
        raise RunFailedError(reason or f"the run is {seen.state.value}; `tinfl status` says how it stands")
    if seen.heartbeat:
        refuse_failed_models(request.root, seen.heartbeat, is_code=request.config.model.is_user_code)
