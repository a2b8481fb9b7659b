"""`tinfl prune`: retrain without the classes that hurt, against honest baselines, and say what it gains."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tui_influence.cli import diagnostics, output
from tui_influence.cli.parameters import Ascii, Devices, Foreground, Json, Results, RetryFailed

if TYPE_CHECKING:
    from tui_influence.pruning.measured import Measured
    from tui_influence.store.paths import Paths
    from tui_influence.store.run_info import RunInfo

_NAME = "main"


def prune(
    results: Results,
    k: Annotated[str | None, typer.Option("--k", metavar="LIST", help='Classes to drop, such as "10,20,40".')] = None,
    seeds: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Retrainings of each arm; by default 5, or more for --within."),
    ] = None,
    within: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=50,
            metavar="POINTS",
            help="Half width that intervals of accuracy are to have: more --seeds where they vary.",
        ),
    ] = None,
    most_seeds: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Retrainings of an arm at most; 4 times --seeds by default.")
    ] = None,
    keep: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="Keep these classes only.")] = None,
    drop: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="Drop these classes.")] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[=WEIGHT]", help="Target that counts; several make a weighted mix."),
    ] = None,
    estimator: Annotated[
        Literal["difference", "ridge"] | None, typer.Option(help="How to rank; difference by default.")
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
    name: Annotated[str, typer.Option(help="Name of the pruning; a sweep may have several.")] = _NAME,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be trained and how long, and stop.")
    ] = False,
    foreground: Foreground = False,
    devices: Devices = None,
    retry_failed: RetryFailed = False,
    report: Annotated[bool, typer.Option("--report", help="Show what is measured so far; train nothing.")] = False,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help='Write a CSV of the arms; "-" for stdout.')] = None,
    figure: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the removal curve: .svg, .pdf or .png.")
    ] = None,
    json: Json = False,
    export_kept: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the classes that stay when the recommended k (or --k) is dropped."),
    ] = None,
    export_config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the sweep's config for these classes only; needs --export-kept."),
    ] = None,
    ascii_only: Ascii = False,
) -> None:
    """Retrain without the classes that hurt, and without others to compare; or show what that gained."""
    from tui_influence.errors import ConfigError
    from tui_influence.pruning.planning import directory_of
    from tui_influence.store.paths import Paths
    from tui_influence.store.run_info import read_run_info, refuse_if_imported

    paths, info = Paths(results), read_run_info(results)
    if info.arms:
        sweep, found = results.absolute().parent.parent, results.absolute().name
        raise ConfigError(f"{results} is a pruning; its sweep is asked: tinfl prune {sweep} --name {found}")
    refuse_if_imported(results, info)
    own = directory_of(paths, name)
    if export_config is not None and export_kept is None:
        raise ConfigError("--export-config needs --export-kept FILE: the config names that file")
    to_read = report or csv is not None or figure is not None or export_kept is not None or (json and not dry_run)
    settings = {"transfer": transfer, "model.arch": arch, "train.epochs": epochs}
    settings = {key: value for key, value in settings.items() if value is not None}
    asked = (k, seeds, within, most_seeds, baselines, keep, drop, target, estimator, output_kind)
    asks_to_train = any(one is not None for one in asked) or settings
    if to_read or (own.run.exists() and not (asks_to_train or dry_run or foreground or retry_failed)):
        _read(paths, own, k, csv, figure, json=json, export_kept=export_kept, ascii_only=ascii_only)
        if export_config is not None and export_kept is not None:
            _export_config(info, export_config, export_kept)
        return
    from tui_influence.cli.live import StageLine
    from tui_influence.cli.prune_planning import kinds, lists, numbers, say_how_many, show_plan
    from tui_influence.cli.starting import device_list, start
    from tui_influence.pruning.mixture import parse_weights
    from tui_influence.pruning.report import plan_lines
    from tui_influence.pruning.request import Wanted, planned
    from tui_influence.runs.supervisor import Request
    from tui_influence.store.arms_file import write_arms

    wanted = Wanted(
        ks=numbers(k) if k is not None else (),
        chosen=lists(info, keep or [], drop or []),
        seeds=seeds,
        weights=parse_weights(target, info) if target else {},
        estimator=estimator,
        output=output_kind,
        baselines=None if baselines is None else kinds(baselines),
        within=None if within is None else within / 100,
        most=most_seeds,
        settings=settings,
        devices=device_list(devices),
    )
    with StageLine() as line:
        plan = planned(paths, info, own, wanted, line.stage)
    if dry_run:
        show_plan(plan, json=json, ascii_only=ascii_only)
        return
    say_how_many(paths, info, plan.pruning)
    for text in plan_lines(plan.pruning, ascii_only=ascii_only):
        diagnostics.say(text)
    write_arms(own, plan.pruning)
    request = Request(plan.config, own.root, allow_code=arch is not None, retry_failed=retry_failed)
    start(request, foreground=foreground, reading=reading_command(own.root))
    if foreground:
        _read(paths, own, None, None, None, json=False, export_kept=None, ascii_only=ascii_only)


def reading_command(root: Path) -> str | None:
    """Return the command that reads the results of a pruning; None for another run."""
    from tui_influence.cli.starting import shown
    from tui_influence.store.paths import Paths

    if not Paths(root).arms.exists():
        return None
    sweep, name = root.absolute().parent.parent, root.absolute().name
    if sweep.is_relative_to(Path.cwd()):
        sweep = sweep.relative_to(Path.cwd())
    return f"tinfl prune {shown(sweep)}" + ("" if name == _NAME else f" --name {name}")


def _read(
    paths: "Paths",
    own: "Paths",
    k: str | None,
    csv: Path | None,
    figure: Path | None,
    *,
    json: bool,
    export_kept: Path | None,
    ascii_only: bool,
) -> None:
    """Show what is measured of a pruning so far, in the forms that were asked for."""
    from tui_influence.errors import ResultsError
    from tui_influence.export.files import write_bytes_atomically, write_text_atomically
    from tui_influence.pruning.documents import pruning_csv, pruning_document
    from tui_influence.pruning.figure import figure_format, removal_figure
    from tui_influence.pruning.measured import measure_arms
    from tui_influence.pruning.planning import names_of
    from tui_influence.pruning.report import report_lines
    from tui_influence.runs.heartbeat import ACTIVE, observe
    from tui_influence.store.arms_file import read_arms
    from tui_influence.store.run_info import read_run_info
    from tui_influence.text import printable

    form = None if figure is None else figure_format(figure)
    if not own.run.exists():
        there = ", ".join(names_of(paths))
        raise ResultsError(
            f'{paths.root}: no pruning "{own.root.name}"; '
            + (f"there are: {printable(there)}" if there else "`tinfl prune` without --report or an export starts one")
        )
    measured = measure_arms(own, read_run_info(own.root), read_arms(own))
    if measured.damaged:
        diagnostics.warn(f"{len(measured.damaged)} damaged records were left out: {printable(measured.damaged[0])}")
    if export_kept is not None:
        write_text_atomically(export_kept, _kept(measured, k))
        diagnostics.say(f"wrote {export_kept}")
    if csv is not None and str(csv) == "-":
        output.write(pruning_csv(measured))
    elif csv is not None:
        write_text_atomically(csv, pruning_csv(measured))
        diagnostics.say(f"wrote {csv}")
    if figure is not None and form is not None:
        write_bytes_atomically(figure, removal_figure(measured, form))
        diagnostics.say(f"wrote {figure}")
    if json:
        output.write_json(pruning_document(measured))
    elif csv is None and figure is None and export_kept is None:
        for line in report_lines(measured, output.console().width, ascii_only=ascii_only):
            output.line(line)
    state = observe(own)[0]
    if not measured.is_complete:
        diagnostics.say(f"{state.value}; next: tinfl {'status' if state in ACTIVE else 'resume'} {own.root}")


def _export_config(info: "RunInfo", path: Path, kept: Path) -> None:
    """Write the config of a sweep for the classes in a list."""
    from tui_influence.config.loader import config_from_json
    from tui_influence.config.writing import config_to_toml
    from tui_influence.export.files import write_text_atomically

    config = config_from_json(info.config)
    run = config.run.model_copy(update={"name": f"{info.name[:95]}-kept", "output": None})
    source = config.source.model_copy(update={"keep": str(kept.absolute())})
    write_text_atomically(path, config_to_toml(config.model_copy(update={"run": run, "source": source})))
    diagnostics.say(f"wrote {path}; next: tinfl check {path}")


def _kept(measured: "Measured", k: str | None) -> str:
    """Return the classes that stay, a line each: without the recommended number of the lowest, or without k."""
    from tui_influence.cli.prune_planning import numbers
    from tui_influence.errors import ConfigError
    from tui_influence.pruning.arms import check_grid, order_of
    from tui_influence.pruning.recommendation import measured_best

    groups = measured.pruning.groups
    ks = check_grid(numbers(k), len(groups)) if k is not None else ()
    if len(ks) > 1:
        raise ConfigError("--export-kept writes one list: give one --k")
    best = measured_best(measured)
    count = ks[0] if ks else best.k
    if count is None:
        raise ConfigError(f"nothing is recommended ({best.why}): say how many to drop with --k")
    dropped = set(order_of(measured.pruning.ranking.influence)[:count].tolist())
    return "".join(f"{name}\n" for place, name in enumerate(groups) if place not in dropped)
