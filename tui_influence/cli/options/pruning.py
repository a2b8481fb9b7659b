"""Options of `tinfl prune`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from tui_influence.cli.completion import complete_pruning, complete_target
from tui_influence.cli.options.shared import (
    ESTIMATOR_DEFAULT_HELP,
    ESTIMATOR_HELP,
    Ascii,
    Comments,
    Devices,
    EstimatorName,
    Foreground,
    Json,
    Results,
    RetryFailed,
)


@dataclass(frozen=True, kw_only=True)
class PruneOptions:
    """Retrain without harmful classes and compare with controls, or report the results.

    Without options, an existing pruning is reported and a missing one is started.
    """

    results: Results
    drop_counts: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help='Numbers of lowest-ranked classes to drop, such as "10,20,40"; default: chosen by size.',
        ),
    ] = None
    seeds: Annotated[
        int | None,
        typer.Option(min=1, max=1000, metavar="COUNT", help="Retrainings of each arm, at least; default: 5."),
    ] = None
    ci_width: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=50,
            metavar="POINTS",
            help="Add seeds until the half width of the 95% interval of an arm's accuracy gain is at most POINTS; "
            "default: 1, or 0 (add none) with --seeds.",
        ),
    ] = None
    max_seeds: Annotated[
        int | None,
        typer.Option(min=1, max=1000, metavar="COUNT", help="Retrainings of an arm, at most; default: 4 x --seeds."),
    ] = None
    keep: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Add an arm that keeps only these classes, one name per line; repeatable."),
    ] = None
    drop: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Add an arm that drops these classes, one name per line; repeatable."),
    ] = None
    target: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=WEIGHT]",
            help="Target to optimise for; repeat to average several, optionally weighted; default: the first target.",
            autocompletion=complete_target,
        ),
    ] = None
    estimator: Annotated[
        EstimatorName | None,
        typer.Option(help=f"Estimator that ranks the classes; {ESTIMATOR_DEFAULT_HELP}. {ESTIMATOR_HELP}."),
    ] = None
    output_kind: Annotated[
        Literal["margin", "probability", "correct"] | None,
        typer.Option(help="Output that the classes are ranked by; default: margin."),
    ] = None
    baselines: Annotated[
        str | None,
        typer.Option(
            metavar="LIST", help="Single-model baselines: label-mapping, feature-mapping, or none; default: both."
        ),
    ] = None
    transfer: Annotated[
        Literal["fixed-feature", "full-network"] | None,
        typer.Option(help="Retrain with this transfer; default: as in the sweep."),
    ] = None
    arch: Annotated[
        str | None, typer.Option(metavar="NAME", help="Retrain this network; default: as in the sweep.")
    ] = None
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="WEIGHTS",
            help="Start source training from these weights, as in [model] weights, or none: from random ones; default: "
            "as in the sweep.",
        ),
    ] = None
    epochs: Annotated[
        int | None,
        typer.Option(min=1, metavar="COUNT", help="Retrain for COUNT epochs on the source; default: as in the sweep."),
    ] = None
    steps: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="COUNT", help="Retrain for COUNT steps on the source, whatever is kept; instead of --epochs."
        ),
    ] = None
    same: Annotated[
        Literal["epochs", "steps"] | None,
        typer.Option(
            help="Train all arms for as many epochs, so that those with fewer classes take fewer steps, or for as many "
            "steps as keeping everything takes; default: epochs, or the steps of the config."
        ),
    ] = None
    resolution: Annotated[
        int | None,
        typer.Option(
            min=8, max=1024, metavar="PIXELS", help="Retrain with images of PIXELS a side; default: as in the sweep."
        ),
    ] = None
    name: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Name of the pruning; a sweep can have several.", autocompletion=complete_pruning
        ),
    ] = "main"
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be trained and for how long, and exit.")
    ] = False
    foreground: Foreground = False
    devices: Devices = None
    retry_failed: RetryFailed = False
    report: Annotated[bool, typer.Option("--report", help="Report the results so far; train nothing.")] = False
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help='Write the arms to a CSV file ("-": to stdout); train nothing.')
    ] = None
    classes_csv: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the gain of each target class to a CSV file; train nothing."),
    ] = None
    comments: Comments = False
    figure: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the removal curve (.svg, .pdf or .png); train nothing."),
    ] = None
    json: Json = False
    export_classes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the classes that remain, one per line, after the recommended number, or --drop-counts, is "
            "dropped.",
        ),
    ] = None
    export_config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the config of a sweep over the remaining classes; needs --export-classes."
        ),
    ] = None
    ascii_only: Ascii = False

    @property
    def writes(self) -> bool:
        """Whether results are written to a file."""
        files = (self.csv, self.classes_csv, self.figure, self.export_classes, self.export_config)
        return any(file is not None for file in files)

    @property
    def retraining(self) -> dict[str, object]:
        """The options that start a retraining or change one, by name, with their values; None where not given."""
        return {
            "--seeds": self.seeds,
            "--ci-width": self.ci_width,
            "--max-seeds": self.max_seeds,
            "--baselines": self.baselines,
            "--keep": self.keep,
            "--drop": self.drop,
            "--target": self.target,
            "--estimator": self.estimator,
            "--output-kind": self.output_kind,
            "--transfer": self.transfer,
            "--arch": self.arch,
            "--weights": self.weights,
            "--epochs": self.epochs,
            "--steps": self.steps,
            "--same": self.same,
            "--resolution": self.resolution,
            "--devices": self.devices,
            "--foreground": self.foreground or None,
            "--retry-failed": self.retry_failed or None,
            "--dry-run": self.dry_run or None,
        }
