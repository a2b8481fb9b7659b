"""`tinfl prune`: retrain without the classes that hurt, against honest baselines, and say what it gains.

What `tinfl prune` is told to plan, read from its options, and the plan shown.

What `tinfl prune` reads of a pruning: shown, or written to files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tui_influence.cli import diagnostics, output
from tui_influence.cli.launch import StageLine
from tui_influence.cli.options import (
    ESTIMATOR_HELP,
    Ascii,
    Devices,
    EstimatorName,
    Foreground,
    Json,
    Results,
    RetryFailed,
)
from tui_influence.datasets.groups import read_class_list
from tui_influence.errors import ConfigError, ResultsError
from tui_influence.export.pruning import plan_document
from tui_influence.influence.estimators import DEFAULT_ESTIMATOR
from tui_influence.pruning.options import ClassList
from tui_influence.pruning.planning import PruningPlan, plan_cost
from tui_influence.render.pruning import cost_line, plan_lines
from tui_influence.roles import (
    BASELINES,
    ArmKind,
)
from tui_influence.runs.cost import NOT_TIMED, trains_here
from tui_influence.runs.heartbeat import observe
from tui_influence.runs.supervisor import Request
from tui_influence.store.paths import Paths
from tui_influence.store.pruning_plan import (
    Pruning,
)
from tui_influence.store.run_info import RunInfo
from tui_influence.text import printable

if TYPE_CHECKING:
    from tui_influence.config.schema import Config
    from tui_influence.pruning.types import (
        PruningResults,
    )
    from tui_influence.store.paths import Paths
    from tui_influence.store.run_info import RunInfo


def prune(
    results: Results,
    drop_counts: Annotated[
        str | None, typer.Option(metavar="LIST", help='Classes to drop, such as "10,20,40".')
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Retrainings of each arm; by default 5, or more for --ci-width."),
    ] = None,
    ci_width: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=50,
            metavar="POINTS",
            help="Half width that intervals of accuracy are to have: more --seeds where they vary.",
        ),
    ] = None,
    max_seeds: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Retrainings of an arm at most; 4 times --seeds by default.")
    ] = None,
    keep: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="Keep these classes only.")] = None,
    drop: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="Drop these classes.")] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[=WEIGHT]", help="Target that counts; several make a weighted mix."),
    ] = None,
    estimator: Annotated[
        EstimatorName | None, typer.Option(help=f"How to rank; {DEFAULT_ESTIMATOR} by default. {ESTIMATOR_HELP}.")
    ] = None,
    output_kind: Annotated[
        Literal["margin", "probability", "correct"] | None, typer.Option(help="What to rank by; margin by default.")
    ] = None,
    baselines: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Rankings by one model to compare with: label-mapping, feature-mapping, or none; both by default.",
        ),
    ] = None,
    transfer: Annotated[
        Literal["fixed-feature", "full-network"] | None, typer.Option(help="Transfer instead of the sweep's.")
    ] = None,
    arch: Annotated[str | None, typer.Option(metavar="NAME", help="Network instead of the sweep's.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Source epochs instead of the sweep's.")] = None,
    name: Annotated[str, typer.Option(help="Name of the pruning; a sweep may have several.")] = "main",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be trained and how long, and stop.")
    ] = False,
    foreground: Foreground = False,
    devices: Devices = None,
    retry_failed: RetryFailed = False,
    report: Annotated[bool, typer.Option("--report", help="Show what is measured so far; train nothing.")] = False,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help='Write a CSV of the arms; "-" for stdout.')] = None,
    classes_csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a CSV of what each target class gained.")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the removal curve: .svg, .pdf or .png.")
    ] = None,
    json: Json = False,
    export_classes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the classes that stay when the recommended k (or --drop-counts) is dropped."
        ),
    ] = None,
    export_config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write a config for a sweep over these classes only; needs --export-classes."
        ),
    ] = None,
    ascii_only: Ascii = False,
) -> None:
    """Retrain without the classes that hurt, and without others to compare; or show what that gained."""
    from tui_influence.cli.launch import shown
    from tui_influence.errors import ConfigError
    from tui_influence.pruning.planning import pruning_directory
    from tui_influence.store.paths import Paths
    from tui_influence.store.run_info import read_run_info, refuse_if_imported
    from tui_influence.text import printable

    paths, info = Paths(results), read_run_info(results)
    if info.arms:
        sweep, found = results.absolute().parent.parent, results.absolute().name
        command = printable(f"tinfl prune {shown(sweep)} --name {shown(Path(found))}", 1000)
        raise ConfigError(f"{printable(str(results))} is a pruning; its sweep is asked: {command}")
    refuse_if_imported(results, info)
    pruning_paths = pruning_directory(paths, name)
    settings = {"transfer": transfer, "model.arch": arch, "train.epochs": epochs}
    settings = {key: value for key, value in settings.items() if value is not None}
    reading = Reading(drop_counts, csv, classes_csv, figure, export_classes, export_config, json, ascii_only)
    asked = {
        "--seeds": seeds,
        "--ci-width": ci_width,
        "--max-seeds": max_seeds,
        "--baselines": baselines,
        "--keep": keep,
        "--drop": drop,
        "--target": target,
        "--estimator": estimator,
        "--output-kind": output_kind,
        "--transfer": transfer,
        "--arch": arch,
        "--epochs": epochs,
        "--devices": devices,
        "--foreground": foreground or None,
        "--retry-failed": retry_failed or None,
        "--dry-run": dry_run or None,
    }
    trains = [option for option, value in asked.items() if value is not None]
    if report or reading.writes or (json and not dry_run):
        if drop_counts is not None and export_classes is None:
            trains.append("--drop-counts")
        if trains:
            raise ConfigError(f"{trains[0]} is for retraining, and what was asked for only reads what is retrained")
        read(paths, info, pruning_paths, reading)
        return
    if pruning_paths.run.exists() and drop_counts is None and not trains:
        read(paths, info, pruning_paths, reading)
        return
    from tui_influence.cli.launch import StageLine, device_list, start
    from tui_influence.pruning.options import PruningRequest, parse_drop_counts
    from tui_influence.pruning.planning import plan_pruning
    from tui_influence.pruning.target_mix import parse_weights
    from tui_influence.render.pruning import plan_lines
    from tui_influence.runs.supervisor import Request

    pruning_request = PruningRequest(
        drop_counts=parse_drop_counts(drop_counts) if drop_counts is not None else (),
        lists=lists(info, keep or [], drop or []),
        seeds=seeds,
        weights=parse_weights(target, info) if target else {},
        estimator=estimator or "",
        output=output_kind or "",
        baselines=None if baselines is None else kinds(baselines),
        ci_half_width=None if ci_width is None else ci_width / 100,
        max_seeds=max_seeds,
        settings=settings,
        devices=device_list(devices),
    )
    with StageLine() as line:
        plan = plan_pruning(paths, info, pruning_paths, pruning_request, line.stage)
    request = Request(
        plan.config, pruning_paths.root, allow_code=arch is not None, retry_failed=retry_failed, pruning=plan.pruning
    )
    if dry_run:
        show_plan(plan, request, json=json, ascii_only=ascii_only)
        return
    say_how_many(paths, info, plan.pruning)
    for text in plan_lines(plan.pruning, ascii_only=ascii_only):
        diagnostics.say(text)
    start(request, foreground=foreground, reading=command_of_pruning(pruning_paths.root))
    if foreground:
        read(paths, info, pruning_paths, Reading(ascii_only=ascii_only))


def kinds(text: str) -> tuple[ArmKind, ...]:
    """Return the kinds of arms that `--baselines` lists; none for "none".

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


def lists(info: RunInfo, keep: Sequence[Path], drop: Sequence[Path]) -> tuple[ClassList, ...]:
    """Return the arms of `--keep` and `--drop`.

    Raises:
        ConfigError: a list cannot be read, or names an unknown class.
    """
    groups = info.source.groups
    listed = [*((path, ArmKind.KEEP) for path in keep), *((path, ArmKind.DROP) for path in drop)]
    names = [path.name for path, _ in listed]
    return tuple(
        ClassList(kind, tuple(read_class_list(path, groups)), path.name if names.count(path.name) == 1 else str(path))
        for path, kind in listed
    )


def show_plan(found: PruningPlan, request: Request, *, json: bool, ascii_only: bool) -> None:
    """Show what would be trained and what it would cost; see `show_with_cost`."""
    lines = plan_lines(found.pruning, ascii_only=ascii_only)
    show_with_cost(found, request, plan_document(found.pruning), lines, json=json)


def show_with_cost(
    found: PruningPlan, request: Request, document: dict[str, Any], lines: list[str], *, json: bool
) -> None:
    """Show a plan as a document or as lines, and what it would cost, after timing a few training steps.

    Where others would train it, nothing is timed; what Slurm would be given is shown instead.
    """
    if not trains_here(found.config):
        _show_submission(request, document, lines, json=json)
        return
    with StageLine() as line:
        line.stage("timing a few training steps", 0, 0)
        cost = plan_cost(found)
    if json:
        output.write_json(
            {
                **document,
                "seconds_per_model": cost.seconds_per_model,
                "seconds": cost.seconds,
                "disk_bytes": cost.disk,
            }
        )
        return
    for text in [*lines, cost_line(found.pruning, cost)]:
        output.line(text)


def _show_submission(request: Request, document: dict[str, Any], lines: list[str], *, json: bool) -> None:
    if json:
        output.write_json(document)
        return
    for text in lines:
        output.line(text)
    if request.config.compute.executor == "slurm":
        from tui_influence.runs.cluster.slurm import describe_submission

        for text in ["", *describe_submission(request)]:
            output.line(text)
    diagnostics.say(NOT_TIMED)


def say_how_many(paths: Paths, info: RunInfo, pruning: Pruning) -> None:
    """Say how many models the ranking is from, where the sweep is not done yet."""
    state = observe(paths)[0]
    if pruning.ranking.models < info.models:
        diagnostics.warn(
            f"ranked by {pruning.ranking.models} of {info.models} models (the sweep is {state.value}); "
            "the ranking stays as it is now"
        )


@dataclass(frozen=True)
class Reading:
    """In which forms a pruning is read; the report on stdout if in no other.

    Attributes:
        k: the number to drop for `kept`; the recommended one if None.
        csv: file of the arms; "-" for stdout.
        classes_csv: file of what each target class gained.
        figure: file of the removal curve.
        kept: file of the classes that stay.
        config: file of a config that trains on them.
        json: all of it on stdout.
        ascii_only: the report in ASCII.
    """

    k: str | None = None
    csv: Path | None = None
    classes_csv: Path | None = None
    figure: Path | None = None
    kept: Path | None = None
    config: Path | None = None
    json: bool = False
    ascii_only: bool = False

    @property
    def writes(self) -> bool:
        """Whether a file is asked for."""
        return any(file is not None for file in (self.csv, self.classes_csv, self.figure, self.kept, self.config))


def reading_command(root: Path) -> str | None:
    """Return the command that reads the results of a run if it is a pruning; None for another."""
    from tui_influence.store.paths import Paths

    return command_of_pruning(root) if Paths(root).arms.exists() else None


def command_of_pruning(root: Path) -> str:
    """Return the command that reads the results of a pruning, begun or not."""
    from tui_influence.cli.launch import shown

    sweep, name = root.absolute().parent.parent, root.absolute().name
    if sweep.is_relative_to(Path.cwd()):
        sweep = sweep.relative_to(Path.cwd())
    return f"tinfl prune {shown(sweep)}" + ("" if name == "main" else f" --name {name}")


def read(paths: "Paths", info: "RunInfo", pruning_paths: "Paths", asked: Reading) -> None:
    """Show or write what is measured of a pruning so far.

    Args:
        paths: of the sweep.
        info: of the sweep.
        pruning_paths: of the pruning.
        asked: in which forms.

    Raises:
        ResultsError: there is none, it is damaged, or a file cannot be written.
        ConfigError: what is asked makes no sense.
    """
    from tui_influence.cli.launch import shown
    from tui_influence.config.template import config_to_toml
    from tui_influence.export.figure import figure_format, removal_figure
    from tui_influence.export.files import write_bytes_atomically, write_text_atomically
    from tui_influence.export.pruning import classes_csv, pruning_csv, pruning_document
    from tui_influence.pruning.planning import pruning_names
    from tui_influence.pruning.results import load_results
    from tui_influence.render.pruning import report_lines
    from tui_influence.runs.heartbeat import ACTIVE, observe
    from tui_influence.store.pruning_plan import read_arms
    from tui_influence.store.run_info import read_run_info

    form = None if asked.figure is None else figure_format(asked.figure)
    _check(info, asked)
    if not pruning_paths.run.exists():
        there = ", ".join(pruning_names(paths))
        raise ResultsError(
            f'{printable(str(paths.root))}: no pruning "{pruning_paths.root.name}" to read; '
            + (f"there are: {printable(there)}" if there else f"tinfl prune {printable(str(paths.root))} starts one")
        )
    own_info = read_run_info(pruning_paths.root)
    measured = load_results(pruning_paths, own_info, read_arms(pruning_paths))
    if measured.damaged:
        diagnostics.warn(f"{len(measured.damaged)} damaged records were left out: {printable(measured.damaged[0])}")
    texts: list[tuple[Path, str]] = []
    if asked.kept is not None:
        texts.append((asked.kept, _kept(measured, asked.k)))
        if asked.config is not None:
            texts.append((asked.config, config_to_toml(_config_of(own_info, asked.kept))))
    if asked.csv is not None and str(asked.csv) != "-":
        texts.append((asked.csv, pruning_csv(measured)))
    if asked.classes_csv is not None:
        texts.append((asked.classes_csv, classes_csv(measured)))
    for file, text in texts:
        write_text_atomically(file, text)
        diagnostics.say(f"wrote {printable(str(file))}")
    if asked.figure is not None and form is not None:
        write_bytes_atomically(asked.figure, removal_figure(measured, form))
        diagnostics.say(f"wrote {printable(str(asked.figure))}")
    if asked.csv is not None and str(asked.csv) == "-":
        output.write(pruning_csv(measured))
    if asked.json:
        output.write_json(pruning_document(measured))
    elif not asked.writes:
        for line in report_lines(measured, output.console().width, ascii_only=asked.ascii_only):
            output.line(line)
    if asked.config is not None:
        diagnostics.say(f"next: tinfl check {printable(str(asked.config))}")
    state = observe(pruning_paths)[0]
    if not measured.is_complete:
        verb = "status" if state in ACTIVE else "resume"
        diagnostics.say(f"{state.value}; next: tinfl {verb} {printable(shown(pruning_paths.root))}")


def _check(info: "RunInfo", asked: Reading) -> None:
    if asked.config is not None:
        if asked.kept is None:
            raise ConfigError("--export-config needs --export-classes FILE: the config names that file")
        if asked.config.absolute() == asked.kept.absolute():
            raise ConfigError("--export-config and --export-classes name one file: the config would replace the list")
        if info.source.groups != info.source.classes:
            raise ConfigError("--export-config is for source classes, and this run leaves out groups of another kind")
    if asked.kept is not None and str(asked.kept) == "-":
        raise ConfigError("--export-classes writes a file: name one")


def _config_of(info: "RunInfo", kept: Path) -> "Config":
    """Return the config that a pruning was trained by, for the classes in a list."""
    from tui_influence.config.loader import config_from_json

    config = config_from_json(info.config)
    run = config.run.model_copy(update={"name": f"{info.name[:95]}-kept", "output": None})
    source = config.source.model_copy(update={"keep": str(kept.absolute())})
    return config.model_copy(update={"run": run, "source": source})


def _kept(measured: "PruningResults", k: str | None) -> str:
    """Return the classes that stay, a line each: without the recommended number of the lowest, or without k."""
    from tui_influence.pruning.arms import ascending_order, check_drop_counts
    from tui_influence.pruning.options import class_list_text, parse_drop_counts
    from tui_influence.pruning.recommendation import measured_best

    groups = measured.pruning.groups
    ks = check_drop_counts(parse_drop_counts(k), len(groups)) if k is not None else ()
    if len(ks) > 1:
        raise ConfigError("--export-classes writes one list: give one --drop-counts")
    best = measured_best(measured)
    count = ks[0] if ks else best.k
    if count is None:
        raise ConfigError(f"nothing is recommended ({best.why}): say how many to drop with --drop-counts")
    dropped = set(ascending_order(measured.pruning.ranking.influence)[:count].tolist())
    return class_list_text([name for place, name in enumerate(groups) if place not in dropped])
