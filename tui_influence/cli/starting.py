"""Starting a run from the command line: what `sweep`, `resume` and `demo` share."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from tui_influence.cli import diagnostics

if TYPE_CHECKING:
    from tui_influence.runs.supervisor import Request


def start(request: "Request", *, foreground: bool, reading: str | None = None) -> None:
    """Start a supervisor, in the background or here, and say what comes next.

    Args:
        request: what to run.
        foreground: stay until it ends.
        reading: the command that reads its results; `tinfl rank` if None.
    """
    from tui_influence.cli.live import StageLine, refuse_failed_models, run_here
    from tui_influence.runs.heartbeat import FINISHED, observe
    from tui_influence.runs.launch import start as start_in_background
    from tui_influence.store.paths import Paths

    root, name = request.root, request.config.run.name
    reading = reading or f"tinfl rank {shown(root)}"
    if request.config.compute.executor == "slurm":
        from tui_influence.cli.cluster import submit_to_slurm

        submit_to_slurm(request, reading, wait=foreground)
        return
    if foreground:
        last = run_here(request)
        diagnostics.say(f"next: {reading}")
        refuse_failed_models(root, last, is_code=request.config.model.is_user_code)
        return
    try:
        with StageLine() as line:
            pid = start_in_background(request, line)
    except KeyboardInterrupt:
        diagnostics.say(f"the run goes on in the background; to end it: tinfl stop {shown(root)}")
        raise
    state, heartbeat, _ = observe(Paths(root))
    if state in FINISHED and heartbeat:
        diagnostics.say(f"{name}: nothing left to train, {heartbeat.done} of {heartbeat.total} models are done")
        diagnostics.say(f"next: {reading}")
        refuse_failed_models(root, heartbeat, is_code=request.config.model.is_user_code)
        return
    for warning in heartbeat.warnings if heartbeat else []:
        diagnostics.warn(warning)
    workers = len(heartbeat.workers) if heartbeat else 0
    left = heartbeat.total - heartbeat.done - heartbeat.failed if heartbeat else 0
    diagnostics.say(f"{name}: under way, {left} models to train on {workers} worker{'' if workers == 1 else 's'}")
    diagnostics.say(f"  pid  {pid}")
    diagnostics.say(f"  log  {root / 'logs'}")
    diagnostics.say(f"next: tinfl status {shown(root)}    tinfl logs -f {shown(root)}    tinfl stop {shown(root)}")
    diagnostics.say(f"      {reading}   works at any time")


def device_list(devices: str | None) -> list[str] | str | None:
    """Return what `--devices` names."""
    if devices is None or devices == "auto":
        return devices
    return [device.strip() for device in devices.split(",") if device.strip()]


def shown(path: Path) -> str:
    """Return a path as it can be pasted into a shell."""
    return shlex.quote(str(path))
