"""Starting a run from the command line: in the background, in the foreground, or on a cluster."""

import time
from pathlib import Path

from tui_influence.cli import diagnostics
from tui_influence.cli.progress import ProgressLine
from tui_influence.config.types import is_device
from tui_influence.errors import ConfigError, RunFailedError
from tui_influence.pruning.options import DEFAULT_NAME
from tui_influence.render.reliability_forecast import decision_sentence
from tui_influence.render.run_words import retry_command
from tui_influence.runs.cluster.slurm import submit
from tui_influence.runs.heartbeat import ACTIVE, FINISHED, Heartbeat, State, observe
from tui_influence.runs.launch import start as start_in_background
from tui_influence.runs.overview import overview
from tui_influence.runs.supervisor import Request
from tui_influence.service import supervise
from tui_influence.store.growth import read_growth
from tui_influence.store.paths import Paths
from tui_influence.text import pluralize, printable, quote_path

_POLL_INTERVAL = 2.0
"""Seconds between two looks at a run on a cluster."""


def start(request: Request, *, foreground: bool, results_command: str | None = None) -> None:
    """Start a run and print the commands that help next.

    Args:
        request: the run to start.
        foreground: wait until it ends.
        results_command: the command that reads its results; `tinfl rank` if None.
    """
    root, name = request.root, request.config.run.name
    path, results_command = quote_path(root), results_command or f"tinfl rank {quote_path(root)}"
    next_commands = f"next: tinfl status {path}    tinfl logs -f {path}    tinfl stop {path}"
    while_running = f"      {results_command}   (also while models are trained)"
    if request.config.compute.executor == "slurm":
        job = submit(request)
        diagnostics.info(f"{name}: submitted to Slurm as job {job}, which packs the data and")
        diagnostics.info("submits the tasks that train; nothing runs on this machine")
        diagnostics.info(f"  log  {root / 'cluster'}")
        diagnostics.info(next_commands)
        diagnostics.info(while_running)
        if foreground:
            _wait(request)
        return
    if foreground:
        last = run_here(request)
        _say_why_it_ended(root)
        diagnostics.info(f"next: {results_command}")
        refuse_failed_models(root, last, needs_own_config=request.config.model.needs_own_config)
        return
    try:
        with ProgressLine() as line:
            pid = start_in_background(request, line)
    except KeyboardInterrupt:
        diagnostics.info(f"the run continues in the background; to end it: tinfl stop {path}")
        raise
    state, heartbeat, _ = observe(Paths(root))
    if state in FINISHED and heartbeat:
        diagnostics.info(f"{name}: nothing left to train, {heartbeat.done} of {heartbeat.total} models are done")
        _say_why_it_ended(root)
        diagnostics.info(f"next: {results_command}")
        refuse_failed_models(root, heartbeat, needs_own_config=request.config.model.needs_own_config)
        return
    for warning in heartbeat.warnings if heartbeat else []:
        diagnostics.warn(warning)
    workers = len(heartbeat.workers) if heartbeat else 0
    left = heartbeat.total - heartbeat.done - heartbeat.failed if heartbeat else 0
    diagnostics.info(f"{name}: running, {left} models to train on {pluralize(workers, 'worker')}")
    diagnostics.info(f"  pid  {pid}")
    diagnostics.info(f"  log  {root / 'logs'}")
    diagnostics.info(next_commands)
    diagnostics.info(while_running)


def _say_why_it_ended(root: Path) -> None:
    """Print why a sweep that trains until a reliability grew and ended; nothing for other runs."""
    growth = read_growth(Paths(root))
    for decision in growth.decisions:
        diagnostics.info(f"  {decision_sentence(vars(decision))}")


def run_here(request: Request) -> Heartbeat:
    """Run a supervisor in this process and show its progress; return its last heartbeat.

    Raises:
        KeyboardInterrupt: it was stopped before it was done.
        TinflError: it failed.
    """
    with ProgressLine() as line:
        last = supervise(request, line)
    for warning in last.warnings:
        diagnostics.warn(warning)
    if last.state not in FINISHED:
        command = f"tinfl resume {quote_path(request.root)}" if last.total else "the same command"
        diagnostics.info(f"stopped with {last.done} of {last.total} models; next: {command}")
        raise KeyboardInterrupt
    return last


def _wait(request: Request) -> None:
    """Show the progress of a run on a cluster until it ends.

    Raises:
        RunFailedError: it failed, or models of it did.
    """
    with ProgressLine() as line:
        while True:
            run = overview(Paths(request.root))
            if run.state not in ACTIVE:
                break
            if run.heartbeat:
                line.beat(run.heartbeat)
            time.sleep(_POLL_INTERVAL)
    reason = run.heartbeat.reason if run.heartbeat else ""
    if run.state not in FINISHED:
        raise RunFailedError(reason or f"the run is {run.state.value}; see `tinfl status {quote_path(request.root)}`")
    if run.heartbeat:
        refuse_failed_models(request.root, run.heartbeat, needs_own_config=request.config.model.needs_own_config)


def refuse_failed_models(root: Path, last: Heartbeat, *, needs_own_config: bool = False) -> None:
    """End the command with an error if models of a finished run failed permanently.

    Args:
        root: results directory of the run.
        last: its last heartbeat.
        needs_own_config: whether its network is one that `tinfl resume` does not use.

    Raises:
        RunFailedError: some models failed.
    """
    if last.state is State.DONE_WITH_FAILURES:
        raise RunFailedError(
            f"{last.failed:,} of {pluralize(last.total, 'model')} failed; `tinfl status {quote_path(root)}` shows the "
            f"reasons. To retry: {retry_command(root, needs_own_config=needs_own_config)}"
        )


def device_list(devices: str | None) -> list[str] | str | None:
    """Return the devices that `--devices` lists; "auto" and None as they are.

    Raises:
        ConfigError: one is not the name of a device, or there is none.
    """
    if devices is None or devices == "auto":
        return devices
    names = [device.strip() for device in devices.split(",") if device.strip()]
    for name in names or [""]:
        if not is_device(name):
            raise ConfigError(
                f'--devices: "{printable(name, 60)}" is not a device; use "cpu", "cuda", "cuda:0", "mps" or "auto"'
            )
    return names


def pruning_command(root: Path) -> str:
    """Return the command that reports the pruning of a results directory, whether it has started or not."""
    sweep, name = root.absolute().parent.parent, root.absolute().name
    if sweep.is_relative_to(Path.cwd()):
        sweep = sweep.relative_to(Path.cwd())
    return f"tinfl prune {quote_path(sweep)}" + ("" if name == DEFAULT_NAME else f" --name {quote_path(Path(name))}")
