"""`tinfl prune`: retrain without the classes that hurt, against honest baselines, and say what it gains."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from tui_influence.cli import diagnostics
from tui_influence.cli.parameters import Ascii, Devices, Foreground, Json, Results, RetryFailed


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
    export_kept: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the classes that stay when the recommended k (or --k) is dropped."),
    ] = None,
    export_config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a config for a sweep over these classes only; needs --export-kept."),
    ] = None,
    ascii_only: Ascii = False,
) -> None:
    """Retrain without the classes that hurt, and without others to compare; or show what that gained."""
    from tui_influence.cli.prune_reading import Reading, command_of_pruning, read
    from tui_influence.cli.starting import shown
    from tui_influence.errors import ConfigError
    from tui_influence.pruning.planning import directory_of
    from tui_influence.store.paths import Paths
    from tui_influence.store.run_info import read_run_info, refuse_if_imported
    from tui_influence.text import printable

    paths, info = Paths(results), read_run_info(results)
    if info.arms:
        sweep, found = results.absolute().parent.parent, results.absolute().name
        command = printable(f"tinfl prune {shown(sweep)} --name {shown(Path(found))}", 1000)
        raise ConfigError(f"{printable(str(results))} is a pruning; its sweep is asked: {command}")
    refuse_if_imported(results, info)
    own = directory_of(paths, name)
    settings = {"transfer": transfer, "model.arch": arch, "train.epochs": epochs}
    settings = {key: value for key, value in settings.items() if value is not None}
    reading = Reading(k, csv, classes_csv, figure, export_kept, export_config, json, ascii_only)
    asked = {
        "--seeds": seeds,
        "--within": within,
        "--most-seeds": most_seeds,
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
        if k is not None and export_kept is None:
            trains.append("--k")
        if trains:
            raise ConfigError(f"{trains[0]} is for retraining, and what was asked for only reads what is retrained")
        read(paths, info, own, reading)
        return
    if own.run.exists() and k is None and not trains:
        read(paths, info, own, reading)
        return
    from tui_influence.cli.live import StageLine
    from tui_influence.cli.prune_planning import kinds, lists, say_how_many, show_plan
    from tui_influence.cli.starting import device_list, start
    from tui_influence.pruning.mixture import parse_weights
    from tui_influence.pruning.options import numbers
    from tui_influence.pruning.report import plan_lines
    from tui_influence.pruning.request import Wanted, planned
    from tui_influence.runs.supervisor import Request

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
    request = Request(
        plan.config, own.root, allow_code=arch is not None, retry_failed=retry_failed, pruning=plan.pruning
    )
    if dry_run:
        show_plan(plan, request, json=json, ascii_only=ascii_only)
        return
    say_how_many(paths, info, plan.pruning)
    for text in plan_lines(plan.pruning, ascii_only=ascii_only):
        diagnostics.say(text)
    start(request, foreground=foreground, reading=command_of_pruning(own.root))
    if foreground:
        read(paths, info, own, Reading(ascii_only=ascii_only))
