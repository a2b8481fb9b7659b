"""`tinfl prune`: plan and start the retrainings of a pruning, or report and export its results."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tui_influence.cli import diagnostics, output
from tui_influence.cli.launch import device_list, pruning_command, start
from tui_influence.cli.options.pruning import PruneOptions
from tui_influence.cli.progress import ProgressLine
from tui_influence.config.loader import config_from_json, config_to_json
from tui_influence.config.schema import Config
from tui_influence.config.template import config_to_toml
from tui_influence.datasets.groups import read_class_list
from tui_influence.errors import ConfigError, ResultsError
from tui_influence.export.figure import figure_format, removal_figure
from tui_influence.export.files import write_bytes_atomically
from tui_influence.export.pruning import classes_table, plan_document, pruning_document, pruning_table
from tui_influence.networks import is_weights_name
from tui_influence.pruning.agreement import order_agreement
from tui_influence.pruning.arms import check_drop_counts
from tui_influence.pruning.options import ClassList, PruningRequest, class_list_text, parse_drop_counts
from tui_influence.pruning.planning import PruningPlan, plan_cost, plan_pruning, pruning_directory, pruning_names
from tui_influence.pruning.recommendation import measured_best, predicted_best
from tui_influence.pruning.results import load_pruning
from tui_influence.pruning.target_mix import parse_weights
from tui_influence.pruning.types import PruningResults
from tui_influence.regular_files import expand_home
from tui_influence.render.pruning import cost_line, plan_lines, report_lines
from tui_influence.render.style import Style
from tui_influence.roles import BASELINES, ArmKind
from tui_influence.runs.cluster.slurm import describe_submission
from tui_influence.runs.cost import NOT_TIMED, trains_here
from tui_influence.runs.heartbeat import ACTIVE, State, observe
from tui_influence.runs.supervisor import Request
from tui_influence.store.paths import Paths
from tui_influence.store.pruning_plan import Pruning
from tui_influence.store.run_info import RunInfo, read_run_info, refuse_if_imported
from tui_influence.text import printable, quote_path


def prune(options: PruneOptions) -> None:
    """Start or extend a pruning, or report its results: whatever the options ask for."""
    paths, info = Paths(options.results), read_run_info(options.results)
    if info.arms:
        root = options.results.absolute()
        command = f"tinfl prune {quote_path(root.parent.parent)} --name {quote_path(Path(root.name))}"
        raise ConfigError(
            f"{printable(str(options.results))} is a pruning; name its sweep instead: {printable(command, 1000)}"
        )
    refuse_if_imported(options.results, info)
    pruning_paths = pruning_directory(paths, options.name)
    retraining = [option for option, value in options.retraining.items() if value is not None]
    if options.report or options.writes or (options.json and not options.dry_run):
        if options.drop_counts is not None and options.export_classes is None:
            retraining.append("--drop-counts")
        if retraining:
            raise ConfigError(
                f"{retraining[0]} starts a retraining and cannot be combined with --report, --json or an option that "
                "writes a file"
            )
        report(paths, info, pruning_paths, options)
    elif pruning_paths.run.exists() and options.drop_counts is None and not retraining:
        report(paths, info, pruning_paths, options)
    else:
        _retrain(paths, info, pruning_paths, options)


def _retrain(paths: Paths, info: RunInfo, pruning_paths: Paths, options: PruneOptions) -> None:
    """Plan the retrainings, then start them or show the plan."""
    if options.epochs is not None and options.steps is not None:
        raise ConfigError("--epochs and --steps both say how long an arm is trained: give one of them")
    settings = {
        "transfer": options.transfer,
        "model.arch": options.arch,
        "model.resolution": options.resolution,
        "train.epochs": options.epochs,
        "train.steps": options.steps,
    }
    request = PruningRequest(
        drop_counts=parse_drop_counts(options.drop_counts) if options.drop_counts is not None else (),
        lists=_class_lists(info, options.keep or [], options.drop or []),
        seeds=options.seeds,
        weights=parse_weights(options.target, info) if options.target else {},
        estimator=options.estimator or "",
        output=options.output_kind or "",
        baselines=None if options.baselines is None else _baselines(options.baselines),
        ci_half_width=None if options.ci_width is None else options.ci_width / 100,
        max_seeds=options.max_seeds,
        settings={key: value for key, value in settings.items() if value is not None}
        | _weights_setting(options.weights),
        same=options.same,
        devices=device_list(options.devices),
    )
    with ProgressLine() as line:
        plan = plan_pruning(paths, info, pruning_paths, request, line.stage)
    run = Request(
        plan.config,
        pruning_paths.root,
        allow_code=options.arch is not None or options.weights is not None,
        retry_failed=options.retry_failed,
        pruning=plan.pruning,
    )
    saved = config_to_json(plan.config)
    lines = plan_lines(plan.pruning, predicted_best(plan.pruning), Style(options.ascii_only), saved)
    if options.dry_run:
        show_with_cost(plan, run, plan_document(plan.pruning, saved), lines, json=options.json)
        return
    warn_of_missing_models(paths, info, plan.pruning)
    for text in lines:
        diagnostics.info(text)
    start(run, foreground=options.foreground, results_command=pruning_command(pruning_paths.root))
    if options.foreground:
        report(paths, info, pruning_paths, PruneOptions(results=options.results, ascii_only=options.ascii_only))


def _weights_setting(text: str | None) -> dict[str, str | None]:
    """Return the setting that `--weights` stands for, by its key; its path starts at the working directory."""
    if text is None:
        return {}
    is_path = text != "none" and not is_weights_name(text)
    return {"model.weights": str(Path.cwd() / expand_home(text)) if is_path else None if text == "none" else text}


def _baselines(text: str) -> tuple[ArmKind, ...]:
    """Return the baselines that `--baselines` lists; none for "none".

    Raises:
        ConfigError: there is no such baseline.
    """
    parts = [part.strip() for part in text.split(",")]
    if parts == ["none"]:
        return ()
    for part in parts:
        if part not in BASELINES:
            raise ConfigError(f'--baselines "{printable(text, 60)}": must be {", ".join(BASELINES)}, or none')
    return tuple(ArmKind(part) for part in parts)


def _class_lists(info: RunInfo, keep: Sequence[Path], drop: Sequence[Path]) -> tuple[ClassList, ...]:
    """Return the lists of `--keep` and `--drop`.

    Raises:
        ConfigError: a list cannot be read, or names an unknown class.
    """
    groups = info.source.groups
    files = [*((path, ArmKind.KEEP) for path in keep), *((path, ArmKind.DROP) for path in drop)]
    names = [path.name for path, _ in files]
    return tuple(
        ClassList(kind, tuple(read_class_list(path, groups)), path.name if names.count(path.name) == 1 else str(path))
        for path, kind in files
    )


def show_with_cost(
    plan: PruningPlan, request: Request, document: dict[str, Any], lines: list[str], *, json: bool
) -> None:
    """Show a plan as a document or as lines, with its cost, which is measured by timing a few training steps.

    Where another machine would train, nothing is timed; the submission to Slurm is shown instead.
    """
    if not trains_here(plan.config):
        _show_submission(request, document, lines, json=json)
        return
    with ProgressLine() as line:
        line.stage("timing a few training steps", 0, 0)
        cost = plan_cost(plan)
    if json:
        seconds = {"seconds_per_model": cost.seconds_per_model, "seconds": cost.seconds}
        output.write_json({**document, **seconds, "disk_bytes": cost.disk})
        return
    for text in [*lines, cost_line(plan.pruning, cost)]:
        output.write_line(text)


def _show_submission(request: Request, document: dict[str, Any], lines: list[str], *, json: bool) -> None:
    if json:
        output.write_json(document)
        return
    submission = ["", *describe_submission(request)] if request.config.compute.executor == "slurm" else []
    for text in [*lines, *submission]:
        output.write_line(text)
    diagnostics.info(NOT_TIMED)


def warn_of_missing_models(paths: Paths, info: RunInfo, pruning: Pruning) -> None:
    """Warn that the ranking comes from fewer models than planned, if the sweep is not done yet."""
    if pruning.ranking.models < info.models:
        state = observe(paths)[0]
        diagnostics.warn(
            f"the classes are ranked by {pruning.ranking.models} of {info.models} models (the sweep is {state.value}); "
            "later models do not change this ranking"
        )


def report(paths: Paths, info: RunInfo, pruning_paths: Paths, options: PruneOptions) -> None:
    """Show the results of a pruning so far, or write them to files.

    Args:
        paths: of the sweep.
        info: of the sweep.
        pruning_paths: of the pruning.
        options: name the files; without any, the report goes to stdout.

    Raises:
        ResultsError: there is no such pruning, it is damaged, or a file cannot be written.
        ConfigError: the options contradict each other.
    """
    format_of_figure = None if options.figure is None else figure_format(options.figure)
    _check_export(info, options)
    if not pruning_paths.run.exists():
        names, sweep = ", ".join(pruning_names(paths)), printable(str(paths.root))
        raise ResultsError(
            f'{sweep} has no pruning "{pruning_paths.root.name}"; '
            + (f"it has {printable(names)}" if names else f"tinfl prune {sweep} starts one")
        )
    results = load_pruning(pruning_paths)
    if results.damaged:
        diagnostics.warn(f"{len(results.damaged)} damaged records were left out: {printable(results.damaged[0])}")
    if options.export_classes is not None:
        output.write_file(options.export_classes, _remaining_classes(results, options.drop_counts))
        if options.export_config is not None:
            output.write_file(options.export_config, config_to_toml(_config_of(results.info, options.export_classes)))
    if options.classes_csv is not None:
        output.write_csv(options.classes_csv, classes_table(results), comments=options.comments)
    if options.figure is not None and format_of_figure is not None:
        write_bytes_atomically(options.figure, removal_figure(results, format_of_figure))
        diagnostics.info(f"wrote {options.figure}")
    if options.csv is not None:
        output.write_csv(options.csv, pruning_table(results), comments=options.comments)
    if options.json:
        output.write_json(pruning_document(results, order_agreement(results, info)))
    elif not options.writes:
        style, width = Style(options.ascii_only), output.console().width
        for line in report_lines(results, measured_best(results), style, width, order_agreement(results, info)):
            output.write_line(line)
    if options.export_config is not None:
        diagnostics.info(f"next: tinfl check {printable(str(options.export_config))}")
    state = observe(pruning_paths)[0]
    if not results.is_complete:
        verb = "status" if state in ACTIVE else "resume"
        problem = "records are missing" if state is State.DONE else state.value
        diagnostics.info(f"{problem}; next: tinfl {verb} {printable(quote_path(pruning_paths.root))}")


def _check_export(info: RunInfo, options: PruneOptions) -> None:
    classes, config = options.export_classes, options.export_config
    if config is not None:
        if classes is None:
            raise ConfigError("--export-config needs --export-classes FILE: the config names that file")
        if config.absolute() == classes.absolute():
            raise ConfigError("--export-config and --export-classes name one file: the config would replace the list")
        if info.source.groups != info.source.classes:
            raise ConfigError("--export-config is for source classes, and the groups of this run are not classes")
    if classes is not None and str(classes) == "-":
        raise ConfigError("--export-classes needs the name of a file; it does not write to stdout")


def _config_of(info: RunInfo, classes: Path) -> Config:
    """Return the config of a pruning, with the source classes of a list."""
    config = config_from_json(info.config)
    run = config.run.model_copy(update={"name": f"{info.name[:95]}-kept", "output": None})
    source = config.source.model_copy(update={"keep": str(classes.absolute())})
    return config.model_copy(update={"run": run, "source": source})


def _remaining_classes(results: PruningResults, drop_counts: str | None) -> str:
    """Return the classes that remain, one per line, after the recommended or given number of the lowest is dropped.

    Raises:
        ConfigError: several numbers are given, or none is given and none is recommended.
    """
    groups = results.pruning.groups
    counts = check_drop_counts(parse_drop_counts(drop_counts), len(groups)) if drop_counts is not None else ()
    if len(counts) > 1:
        raise ConfigError("--export-classes writes one list: give one number as --drop-counts")
    recommendation = measured_best(results)
    count = counts[0] if counts else recommendation.k
    if count is None:
        raise ConfigError(f"no number of classes is recommended: {recommendation.why}; choose one with --drop-counts")
    dropped = set(results.pruning.ranking.ascending()[:count])
    return class_list_text([name for group, name in enumerate(groups) if group not in dropped])
