"""`tinfl sweep`: start a run in the background, or go on with it."""

from pathlib import Path
from typing import Annotated

import typer

from tui_influence.cli import diagnostics
from tui_influence.cli.options import ConfigFile, Devices, Foreground, RetryFailed


def sweep(
    config_file: ConfigFile,
    foreground: Foreground = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and stop.")] = False,
    devices: Devices = None,
    retry_failed: RetryFailed = False,
) -> None:
    """Train the models of a config, in the background; the same config again goes on where it stopped."""
    from tui_influence.cli.launch import device_list, start
    from tui_influence.config.identity import with_absolute_paths
    from tui_influence.config.loader import check_data_paths, load_config
    from tui_influence.runs.devices import with_devices
    from tui_influence.runs.resume import check_against_results
    from tui_influence.runs.supervisor import Request
    from tui_influence.store.paths import Paths

    config = with_absolute_paths(with_devices(load_config(config_file), device_list(devices)), Path.cwd())
    extension = check_against_results(config, config.output)
    if not Paths(config.output).run.exists():  # a run that has begun goes on from what is packed
        check_data_paths(config_file)
    request = Request(config, config.output, allow_code=True, retry_failed=retry_failed, trusted=True)
    if dry_run and config.compute.executor == "slurm":
        from tui_influence.cli import output
        from tui_influence.runs.cluster.slurm import describe_submission as submission

        for line in submission(request):
            output.line(line)
        return
    if dry_run:
        from tui_influence.cli.commands.check import show_plan

        show_plan(config)
        return
    if extension:
        diagnostics.say(extension)
    start(request, foreground=foreground)
