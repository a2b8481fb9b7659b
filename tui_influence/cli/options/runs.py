"""Options of the commands that make, watch and control runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from tui_influence.cli.completion import complete_results
from tui_influence.cli.options.shared import (
    Ascii,
    Color,
    ConfigFile,
    Devices,
    Foreground,
    Json,
    Results,
    RetryFailed,
    Theme,
)


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """Run an experiment that needs no data: which printed characters help to read handwritten digits?"""

    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="Results directory to write.", readable=False)] = (
        Path("results/demo")
    )
    models: Annotated[
        int | None, typer.Option(min=2, metavar="COUNT", help="Number of models to train; default: 256.")
    ] = None
    devices: Devices = None
    prune: Annotated[
        bool, typer.Option(help="Then retrain without the least helpful characters, and compare with controls.")
    ] = True


@dataclass(frozen=True, kw_only=True)
class InitOptions:
    """Write a commented config to start from."""

    path: Annotated[
        Path, typer.Argument(metavar="FILE", help='Config file to write; "-" writes to stdout.', readable=False)
    ] = Path("sweep.toml")
    kind: Annotated[str, typer.Option(help="Kind of the datasets: builtin, folder, npz or torchvision.")] = "builtin"
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """Validate a config, read its data, and estimate the time and disk space of its sweep."""

    config_file: ConfigFile
    time: Annotated[
        bool, typer.Option("--time/--no-time", help="Time a few training steps to estimate the duration.")
    ] = True
    devices: Devices = None
    json: Json = False


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """Train the models of a config in the background, or continue where a stopped sweep ended."""

    config_file: ConfigFile
    foreground: Foreground = False
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be trained, and exit.")] = False
    devices: Devices = None
    retry_failed: RetryFailed = False


@dataclass(frozen=True, kw_only=True)
class StatusOptions:
    """Show the progress of a run: its state, models, workers, devices and failures."""

    results: Results
    json: Json = False


@dataclass(frozen=True, kw_only=True)
class LogsOptions:
    """Show the events of a run, one per line, or the log of one worker."""

    results: Results
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Continue to print new lines until the run ends.")] = (
        False
    )
    worker: Annotated[
        int | None,
        typer.Option(min=0, metavar="NUMBER", help="Show the log of this worker; default: the events of the run."),
    ] = None
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=1, metavar="COUNT", help="Number of lines to start with.")
    ] = 50
    json: Annotated[bool, typer.Option("--json", help="Write one JSON object per event.")] = False


@dataclass(frozen=True, kw_only=True)
class ExploreOptions:
    """Watch a run and browse its results in the terminal; for a folder of runs, choose one from a list."""

    results: Annotated[
        Path,
        typer.Argument(
            metavar="RESULTS",
            help="Results directory of a run, or a folder of results directories.",
            show_default=False,
            readable=False,
            autocompletion=complete_results,
        ),
    ]
    readonly: Annotated[
        bool, typer.Option("--readonly", help="Disable everything that changes a run, such as stop and resume.")
    ] = False
    ascii_only: Ascii = False
    color: Color = "auto"
    theme: Theme = "dark"


@dataclass(frozen=True, kw_only=True)
class StopOptions:
    """Stop a run after the models that are in training; a second stop ends them at once."""

    results: Results
    now: Annotated[bool, typer.Option("--now", help="Abort the models in training; they are trained again later.")] = (
        False
    )
    wait: Annotated[bool, typer.Option("--wait", help="Return only when the run has stopped.")] = False


@dataclass(frozen=True, kw_only=True)
class ResumeOptions:
    """Continue a run that was stopped, failed or lost its supervisor."""

    results: Results
    foreground: Foreground = False
    devices: Devices = None
    retry_failed: RetryFailed = False


@dataclass(frozen=True, kw_only=True)
class VerifyOptions:
    """Check every file of a results directory against its checksum, and name what is damaged. Nothing is changed."""

    results: Results
    cache: Annotated[
        bool, typer.Option("--cache", help="Also check the packed datasets that the run was trained on.")
    ] = False
    json: Json = False


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """Import masks and outputs from another program, such as published datamodels, as a results directory."""

    results: Annotated[
        Path,
        typer.Argument(metavar="RESULTS", help="Results directory to write.", show_default=False, readable=False),
    ]
    masks: Annotated[
        Path,
        typer.Option(metavar="FILE", help="(m, K) .npy, bool or 0/1: the groups that each model was trained on."),
    ]
    outputs: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="(m, n) .npy: margins log p - log(1 - p) of the correct class, in nats, within +-60,000; stored as "
            "float16.",
        ),
    ]
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="(n,) .npy: class of each example, from 0; default: one class for all."),
    ] = None
    predicted: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="(m, n) .npy: predicted classes; default: an example counts as correct if its margin is above 0.",
        ),
    ] = None
    groups: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Names of the groups, one per line; default: their numbers.")
    ] = None
    classes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Names of the target classes, one per line; default: their numbers."),
    ] = None
    images: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=".npz with x, (n, H, W[, C]) uint8: images of the examples; default: none."),
    ] = None
    heldout: Annotated[
        int, typer.Option(min=0, metavar="COUNT", help="Hold out the last COUNT models to validate influences (LDS).")
    ] = 0
    target: Annotated[str, typer.Option(metavar="NAME", help="Name of the target.")] = "target"


@dataclass(frozen=True, kw_only=True)
class KeysOptions:
    """List the keys of the terminal app, in the form of a user config that changes them."""

    json: Json = False


@dataclass(frozen=True, kw_only=True)
class DoctorOptions:
    """Diagnose this machine and terminal: devices, libraries, colours, images, cache and keys."""

    json: Json = False
