"""`tinfl sweep`: start a run in the background, or go on with it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tui_influence.cli import diagnostics
from tui_influence.cli.parameters import ConfigFile, Devices, Foreground, RetryFailed

if TYPE_CHECKING:
    from tui_influence.config.schema import Config
    from tui_influence.runs.supervisor import Request


def sweep(
    config_file: ConfigFile,
    foreground: Foreground = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and stop.")] = False,
    devices: Devices = None,
    retry_failed: RetryFailed = False,
) -> None:
    """Train the models of a config, in the background; the same config again goes on where it stopped."""
    from tui_influence.config.loader import load_config
    from tui_influence.runs.supervisor import Request

    config = with_devices(load_config(config_file), devices)
    extension = check_against_results(config, config.output)
    if dry_run:
        from tui_influence.cli.check import show_plan

        show_plan(config)
        return
    if extension:
        diagnostics.say(extension)
    start(Request(config, config.output, allow_code=True, retry_failed=retry_failed), foreground=foreground)


def start(request: "Request", *, foreground: bool) -> None:
    """Start a supervisor, in the background or here, and say what comes next."""
    from tui_influence.cli.live import StageLine, run_here
    from tui_influence.runs.heartbeat import State, observe
    from tui_influence.runs.launch import start as start_in_background
    from tui_influence.store.paths import Paths

    root, name = request.root, request.config.run.name
    if foreground:
        run_here(request)
        diagnostics.say(f"next: tinfl rank {shown(root)}")
        return
    try:
        with StageLine() as line:
            pid = start_in_background(request, line)
    except KeyboardInterrupt:
        diagnostics.say(f"the run goes on in the background; to end it: tinfl stop {shown(root)}")
        raise
    state, heartbeat, _ = observe(Paths(root))
    if state is State.DONE and heartbeat:
        diagnostics.say(f"{name}: nothing left to train, {heartbeat.done} of {heartbeat.total} models are done")
        diagnostics.say(f"next: tinfl rank {shown(root)}")
        return
    workers = len(heartbeat.workers) if heartbeat else 0
    left = heartbeat.total - heartbeat.done - heartbeat.failed if heartbeat else 0
    diagnostics.say(f"{name}: under way, {left} models to train on {workers} worker{'' if workers == 1 else 's'}")
    diagnostics.say(f"  pid  {pid}")
    diagnostics.say(f"  log  {root / 'logs'}")
    diagnostics.say(f"next: tinfl status {shown(root)}    tinfl logs -f {shown(root)}    tinfl stop {shown(root)}")
    diagnostics.say(f"      tinfl rank {shown(root)}   works at any time")


def with_devices(config: "Config", devices: str | None) -> "Config":
    """Return the config with other devices than it names."""
    if devices is None:
        return config
    wanted = "auto" if devices == "auto" else [device.strip() for device in devices.split(",") if device.strip()]
    return config.model_copy(update={"compute": config.compute.model_copy(update={"devices": wanted})})


def check_against_results(config: "Config", root: Path) -> str:
    """Check that a config may go on in a results directory that exists.

    Returns:
        a line that says how it extends the run there, or nothing.

    Raises:
        ConfigError: the directory holds a run of another config; the differences are named.
        AlreadyRunningError: it is being run.
        ResultsError: it cannot be read, or is no results directory.
    """
    from tui_influence.config.identity import differences
    from tui_influence.config.loader import config_from_json
    from tui_influence.errors import ConfigError, ResultsError
    from tui_influence.runs.heartbeat import ACTIVE, observe
    from tui_influence.runs.ownership import already_running
    from tui_influence.store.paths import Paths
    from tui_influence.store.run_info import read_run_info

    paths = Paths(root)
    if root.exists() and not root.is_dir():
        raise ResultsError(f"{root}: not a directory; choose another [run] output")
    if observe(paths)[0] in ACTIVE:
        raise already_running(paths)
    if not paths.run.exists():
        if root.exists() and any(entry.name not in OURS for entry in root.iterdir()):
            raise ResultsError(f"{root}: not empty, and not a results directory; choose another [run] output")
        return ""
    info = read_run_info(root)
    changed = differences(config_from_json(info.config), config)
    if changed:
        error = ConfigError(
            f"{root} holds a run of another config ({len(changed)} difference{'' if len(changed) == 1 else 's'}); "
            "choose another [run] output, or change it back"
        )
        error.details = tuple(changed)
        raise error
    models, heldout = config.design.models, config.design.heldout
    if models < info.models or heldout < info.heldout:
        raise ConfigError(
            f"{root} was planned with {info.models} + {info.heldout} held-out models: "
            f"a run can be extended, not shortened to {models} + {heldout} (stop it instead)"
        )
    if (models, heldout) != (info.models, info.heldout):
        return f"extending the run from {info.models} + {info.heldout} held-out models to {models} + {heldout}"
    return ""


OURS = {"logs", "lock", "owner.json", "heartbeat.json", "stop.json", "events.jsonl", "reserve", "targets", "source"}
"""What a run that failed while it was being prepared leaves behind."""


def shown(path: Path) -> str:
    """Return a path as it can be pasted into a shell."""
    import shlex

    return shlex.quote(str(path))
