"""`tinfl sweep` and `tinfl resume`: train the models of a config, or the rest of them."""

from pathlib import Path

from tui_influence.cli import diagnostics, output
from tui_influence.cli.commands.check import show_plan
from tui_influence.cli.launch import device_list, pruning_command, start
from tui_influence.cli.options.starting import SweepOptions
from tui_influence.cli.options.watching import ResumeOptions
from tui_influence.config.identity import with_absolute_paths
from tui_influence.config.loader import check_data_paths, load_config
from tui_influence.runs.cluster.slurm import describe_submission
from tui_influence.runs.devices import with_devices
from tui_influence.runs.network_check import check_before_packing
from tui_influence.runs.resume import check_against_results, request_to_resume
from tui_influence.runs.supervisor import Request
from tui_influence.store.paths import Paths


def sweep(options: SweepOptions) -> None:
    """Start the sweep of a config, or continue it; with `--dry-run`, show its plan."""
    settings = options.settings or ()
    config = with_devices(load_config(options.config_file, settings), device_list(options.devices))
    config = with_absolute_paths(config, Path.cwd())
    extension = check_against_results(config, config.output)
    is_new = not Paths(config.output).run.exists()
    if is_new:  # a run that has started reads the packed datasets
        check_data_paths(options.config_file, settings)
    request = Request(config, config.output, allow_code=True, retry_failed=options.retry_failed, trusted=True)
    if options.dry_run and config.compute.executor == "slurm":
        for line in describe_submission(request):
            output.write_line(line)
        return
    if options.dry_run:
        show_plan(config)
        return
    if extension:
        diagnostics.info(extension)
    if is_new:
        check_before_packing(config)
    start(request, foreground=options.foreground)


def resume(options: ResumeOptions) -> None:
    """Continue a run: a sweep, a pruning or a counterfactual."""
    request = request_to_resume(options.results, device_list(options.devices), retry_failed=options.retry_failed)
    is_pruning = Paths(options.results).arms.exists()
    results_command = pruning_command(options.results) if is_pruning else None
    start(request, foreground=options.foreground, results_command=results_command)
