"""`tinfl failures`: examples that most models predict wrongly, the harmful groups, and retraining without these."""

from math import inf, isnan

from tui_influence.analysis.failures import DEFAULT_GROUPS, find_failures
from tui_influence.analysis.ranking import data_warnings
from tui_influence.analysis.snapshot import RunSnapshot, read_snapshot
from tui_influence.cli import diagnostics, output
from tui_influence.cli.commands.prune import show_with_cost, warn_of_missing_models
from tui_influence.cli.failures_words import print_failures
from tui_influence.cli.images import canvas, say_why_no_pictures
from tui_influence.cli.launch import device_list, start
from tui_influence.cli.options.questions import FailuresOptions
from tui_influence.cli.progress import ProgressLine
from tui_influence.errors import ConfigError
from tui_influence.export.failures import failures_csv, failures_document
from tui_influence.pruning.counterfactual import DROP, FEWEST_SEEDS, verification, verified
from tui_influence.pruning.options import kept_at, verify_command
from tui_influence.pruning.planning import OtherSettingsError, planned
from tui_influence.render.counterfactual import (
    planned_document,
    planned_lines,
    verification_document,
    verification_lines,
)
from tui_influence.runs.heartbeat import ACTIVE, observe
from tui_influence.runs.supervisor import Request
from tui_influence.store.paths import Paths
from tui_influence.store.pruning_plan import read_arms
from tui_influence.store.run_info import read_run_info, refuse_if_imported
from tui_influence.text import pluralize, printable, quote_path

_FAILURES = 8
"""Failures that are shown by default."""


def failures(options: FailuresOptions) -> None:
    """List failures with their harmful groups; with `--verify`, retrain without those of one example."""
    if options.below is not None and isnan(options.below):
        raise ConfigError("--below nan: a margin is a number")
    snapshot = read_snapshot(Paths(options.results), read_run_info(options.results), options.target)
    if options.verify:
        _verify(snapshot, options)
        return
    output.require_one_stdout(options.csv, options.json)
    if options.trains or options.devices is not None:
        raise ConfigError("--drop, --seeds, --dry-run, --foreground, --devices and --retry-failed need --verify")
    is_for_programs = options.json or options.csv is not None
    question = options.question
    result = find_failures(
        snapshot,
        question,
        below=-inf if options.below is None else options.below,
        top=options.top if is_for_programs else options.top or _FAILURES,
        n_groups=options.groups or DEFAULT_GROUPS,
    )
    for warning in data_warnings(snapshot):
        diagnostics.warn(warning)
    if options.csv is not None:
        output.write_file(options.csv, failures_csv(snapshot, question, result))
    if options.json:
        output.write_json(failures_document(snapshot, question, result))
    elif options.csv is None:
        screen = canvas(options.color, "blocks", options.theme, ascii_only=options.ascii_only)
        problem = print_failures(screen, snapshot, question, result, options.columns)
        say_why_no_pictures(snapshot, problem)


def _verify(snapshot: RunSnapshot, options: FailuresOptions) -> None:
    """Start the counterfactual of the example, or show the results of one so far.

    Raises:
        TinflError: it cannot be planned, trained or read.
    """
    example, question = options.example, options.question
    if example is None:
        raise ConfigError("--verify needs --example NUMBER: it retrains without the harmful groups of one example")
    list_options = (options.csv, options.below, options.top, options.groups, options.columns)
    if any(option is not None for option in list_options):
        raise ConfigError(
            "--verify is about one example: --csv, --below, --top, --groups and --columns are for the list of failures"
        )
    sweep = snapshot.paths
    refuse_if_imported(sweep.root, snapshot.info)
    counterfactual_paths = kept_at(sweep, snapshot.target, example)
    if counterfactual_paths.run.exists() and not options.trains:
        _show_counterfactual(counterfactual_paths, example, options)
        return
    count = options.drop or DROP
    request = verification(snapshot, question, drop=count, seeds=options.seeds, devices=device_list(options.devices))
    if len(request.blamed) < count:
        fewer = pluralize(len(request.blamed), "class", "classes")
        diagnostics.warn(f"only {fewer} lower the margin of example {example}")
    if len(request.blamed) and (options.seeds or FEWEST_SEEDS) < FEWEST_SEEDS:
        diagnostics.warn(f"fewer than {FEWEST_SEEDS} retrainings of each arm cannot show a significant change")
    with ProgressLine() as line:
        try:
            plan = planned(sweep, snapshot.info, counterfactual_paths, request.wanted, line.stage)
        except OtherSettingsError as error:
            raise _settings_error(counterfactual_paths, example, error) from error
    groups = snapshot.info.source.groups
    diagnostics.info(f"drops {', '.join(printable(groups[harmful.group], 60) for harmful in request.blamed)}")
    if not request.told:
        diagnostics.warn("none of these classes is significant: dropping them may well change nothing")
    run = Request(plan.config, counterfactual_paths.root, retry_failed=options.retry_failed, pruning=plan.pruning)
    if options.dry_run:
        document = planned_document(snapshot, question, plan.pruning)
        lines = planned_lines(snapshot, question, plan.pruning, ascii_only=options.ascii_only)
        show_with_cost(plan, run, document, lines, json=options.json)
        return
    warn_of_missing_models(sweep, snapshot.info, plan.pruning)
    start(run, foreground=options.foreground, results_command=verify_command(question, sweep.root))
    if options.foreground:
        _show_counterfactual(counterfactual_paths, example, options)


def _settings_error(counterfactual_paths: Paths, example: int, error: OtherSettingsError) -> ConfigError:
    explained = ConfigError(
        f"{printable(str(counterfactual_paths.root))} holds a counterfactual of example {example} with other settings: "
        "use those, or move it away"
    )
    explained.details = error.details
    return explained


def _show_counterfactual(counterfactual_paths: Paths, example: int, options: FailuresOptions) -> None:
    result = verified(
        counterfactual_paths, read_run_info(counterfactual_paths.root), read_arms(counterfactual_paths), example
    )
    if result.damaged:
        diagnostics.warn(f"skipped {len(result.damaged)} damaged records: {printable(result.damaged[0])}")
    if options.json:
        output.write_json(verification_document(result))
    else:
        for line in verification_lines(result, ascii_only=options.ascii_only):
            output.write_line(line)
    state = observe(counterfactual_paths)[0]
    if not result.is_complete:
        verb = "status" if state in ACTIVE else "resume"
        diagnostics.info(f"{state.value}; next: tinfl {verb} {quote_path(counterfactual_paths.root)}")
