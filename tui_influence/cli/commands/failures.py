"""`tinfl failures`: examples that most models predict wrongly, the harmful groups, and retraining without these."""

from functools import partial
from math import inf, isnan

from rich.text import Text

from tui_influence.analysis.failures import DEFAULT_GROUPS, find_failures
from tui_influence.analysis.probe_types import Failure, Failures
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import data_warnings
from tui_influence.analysis.snapshot import RunSnapshot, read_snapshot
from tui_influence.cli import diagnostics, output
from tui_influence.cli.commands.prune import show_with_cost, warn_of_missing_models
from tui_influence.cli.images import (
    ImageOutput,
    example_images,
    images_or_problem,
    make_image_output,
    print_beside,
    report_missing_images,
)
from tui_influence.cli.launch import device_list, start
from tui_influence.cli.options.questions import FailuresOptions
from tui_influence.cli.progress import ProgressLine
from tui_influence.errors import ConfigError
from tui_influence.export.counterfactual import counterfactual_document, plan_document
from tui_influence.export.failures import failures_document, failures_table
from tui_influence.pruning.counterfactual import DEFAULT_DROPPED, MIN_SEEDS, load_counterfactual, plan_counterfactual
from tui_influence.pruning.options import counterfactual_command, counterfactual_paths
from tui_influence.pruning.planning import OtherSettingsError, plan_pruning
from tui_influence.pruning.types import CounterfactualPreview
from tui_influence.render.counterfactual import (
    counterfactual_lines,
    counterfactual_plan,
    counterfactual_title,
    plan_size,
)
from tui_influence.render.failures import failure_lines, failures_explained, failures_summary
from tui_influence.render.ranking import split_label
from tui_influence.render.style import Style
from tui_influence.runs.heartbeat import ACTIVE, observe
from tui_influence.runs.supervisor import Request
from tui_influence.store.paths import Paths
from tui_influence.store.pruning_plan import read_arms
from tui_influence.store.run_info import read_run_info, refuse_if_imported
from tui_influence.text import pluralize, printable, quote_path

_FAILURES = 8
"""Failures that are shown by default."""
_NAME_WIDTH = 40
"""Characters of a name in a title."""


def failures(options: FailuresOptions) -> None:
    """List failures with their harmful groups; with `--verify`, retrain without those of one example."""
    if options.below is not None and isnan(options.below):
        raise ConfigError("--below nan: a margin is a number")
    snapshot = read_snapshot(Paths(options.results), read_run_info(options.results), options.target)
    if options.verify:
        _verify(snapshot, options)
        return
    output.require_one_stdout({"--csv": options.csv}, json=options.json)
    if options.trains or options.devices is not None:
        raise ConfigError("--drop, --seeds, --dry-run, --foreground, --devices and --retry-failed need --verify")
    is_for_programs = options.json or options.csv is not None
    question = options.question_about(snapshot.info)
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
        output.write_csv(options.csv, failures_table(snapshot, question, result), comments=options.comments)
    if options.json:
        output.write_json(failures_document(snapshot, question, result))
    elif options.csv is None:
        screen = make_image_output(
            options.color, "blocks", options.theme, ascii_only=options.ascii_only, columns=options.columns
        )
        problem = _print_failures(screen, snapshot, question, result)
        report_missing_images(snapshot, problem)


def _print_failures(screen: ImageOutput, snapshot: RunSnapshot, question: Question, failures: Failures) -> str:
    """Print failures, each beside its image; return why there are no images, if so."""
    style, console = screen.style, screen.console
    if question.example is None:
        one_class = f' of class "{printable(question.target_class, _NAME_WIDTH)}"' if question.target_class else ""
        scope = f'{one_class} of target "{printable(snapshot.target_info.name, _NAME_WIDTH)}"'
        console.print(style.line(failures_summary(failures, scope), "bold"))
    images, problem = images_or_problem(
        lambda: example_images(snapshot, [failure.example for failure in failures.examples])
    )
    console.print()
    for row, failure in enumerate(failures.examples):
        beside = [] if images is None else [images[row]]
        print_beside(screen, beside, partial(_failure_lines, snapshot, question, failure, style))
    run = f"run {printable(snapshot.info.name, _NAME_WIDTH)}, {snapshot.info.design_label}"
    half = "" if question.example is not None else f", {split_label(question.split)}"
    sentences = f"{failures_explained(snapshot, question, failures)} {run}{half}"
    console.print(style.line(sentences, style.quiet))
    return problem


def _failure_lines(snapshot: RunSnapshot, question: Question, failure: Failure, style: Style, width: int) -> list[Text]:
    about, harmful = failure_lines(snapshot, question, failure, style, width)
    return [*about, *harmful]


def _verify(snapshot: RunSnapshot, options: FailuresOptions) -> None:
    """Start the counterfactual of the example, or show the results of one so far.

    Raises:
        TinflError: it cannot be planned, trained or read.
    """
    example, question = options.example, options.question_about(snapshot.info)
    if example is None:
        raise ConfigError("--verify needs --example NUMBER: it retrains without the harmful groups of one example")
    list_options = (options.csv, options.below, options.top, options.groups, options.columns)
    if any(option is not None for option in list_options):
        raise ConfigError(
            "--verify is about one example: --csv, --below, --top, --groups and --columns are for the list of failures"
        )
    sweep = snapshot.paths
    refuse_if_imported(sweep.root, snapshot.info)
    pruning_paths = counterfactual_paths(sweep, snapshot.target, example)
    if pruning_paths.run.exists() and not options.trains:
        _show_counterfactual(pruning_paths, example, options)
        return
    count = options.drop or DEFAULT_DROPPED
    request = plan_counterfactual(
        snapshot, question, drop=count, seeds=options.seeds, devices=device_list(options.devices)
    )
    if len(request.harmful_groups) < count:
        fewer = pluralize(len(request.harmful_groups), "class", "classes")
        diagnostics.warn(f"only {fewer} lower the margin of example {example}")
    if len(request.harmful_groups) and (options.seeds or MIN_SEEDS) < MIN_SEEDS:
        diagnostics.warn(f"fewer than {MIN_SEEDS} retrainings of each arm cannot show a significant change")
    with ProgressLine() as line:
        try:
            plan = plan_pruning(sweep, snapshot.info, pruning_paths, request.request, line.stage)
        except OtherSettingsError as error:
            raise _settings_error(pruning_paths, example, error) from error
    groups = snapshot.info.source.groups
    diagnostics.info(f"drops {', '.join(printable(groups[harmful.group], 60) for harmful in request.harmful_groups)}")
    if not request.is_significant:
        diagnostics.warn("none of these classes is significant: dropping them may well change nothing")
    run = Request(plan.config, pruning_paths.root, retry_failed=options.retry_failed, pruning=plan.pruning)
    if options.dry_run:
        label = snapshot.target_info.classes[int(snapshot.examples.labels[example])]
        preview = CounterfactualPreview(question, label, request, plan.pruning, None)
        lines = [*counterfactual_plan(preview, Style(options.ascii_only)), plan_size(plan.pruning)]
        show_with_cost(plan, run, plan_document(preview, snapshot.info), lines, json=options.json)
        return
    warn_of_missing_models(sweep, snapshot.info, plan.pruning)
    start(run, foreground=options.foreground, results_command=counterfactual_command(question, sweep.root))
    if options.foreground:
        _show_counterfactual(pruning_paths, example, options)


def _settings_error(pruning_paths: Paths, example: int, error: OtherSettingsError) -> ConfigError:
    explained = ConfigError(
        f"{printable(str(pruning_paths.root))} holds a counterfactual of example {example} with other settings: "
        "use those, or move it away"
    )
    explained.details = error.details
    return explained


def _show_counterfactual(pruning_paths: Paths, example: int, options: FailuresOptions) -> None:
    result = load_counterfactual(pruning_paths, read_run_info(pruning_paths.root), read_arms(pruning_paths), example)
    if options.json:
        if result.damaged:
            diagnostics.warn(f"{len(result.damaged)} damaged records were left out: {printable(result.damaged[0])}")
        output.write_json(counterfactual_document(result))
    else:
        screen = make_image_output(options.color, "blocks", options.theme, ascii_only=options.ascii_only)
        console, style = screen.console, screen.style
        lines = [counterfactual_title(result, style), *counterfactual_lines(result, style, console.width)]
        console.print(*lines, sep="\n")
    state = observe(pruning_paths)[0]
    if not result.is_complete:
        verb = "status" if state in ACTIVE else "resume"
        diagnostics.info(f"{state.value}; next: tinfl {verb} {quote_path(pruning_paths.root)}")
