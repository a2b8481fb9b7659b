"""Options of the commands that prepare and start runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from tui_influence.cli.options.shared import ConfigFile, Devices, Foreground, Json, RetryFailed, Settings


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
    """Write a commented config to start from; for three directories of images, one that suits what they hold."""

    path: Annotated[
        Path, typer.Argument(metavar="FILE", help='Config file to write; "-" writes to stdout.', readable=False)
    ] = Path("sweep.toml")
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="Kind of the datasets: builtin (default), folder, npz, torchvision, huggingface or webdataset.",
        ),
    ] = None
    source: Annotated[
        str | None, typer.Option(metavar="DIR", help="Images to train on, in one directory for each class.")
    ] = None
    train: Annotated[
        str | None, typer.Option(metavar="DIR", help="Labelled training images of the target, likewise.")
    ] = None
    test: Annotated[str | None, typer.Option(metavar="DIR", help="Test images of the target, likewise.")] = None
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the run; default: that of the source directory.")
    ] = None
    slurm: Annotated[bool, typer.Option("--slurm", help="Add the sections for a run on Slurm.")] = False
    ray: Annotated[bool, typer.Option("--ray", help="Add the sections for a run on Ray.")] = False
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """Validate a config, read its data, and estimate the time and disk space of its sweep."""

    config_file: ConfigFile
    settings: Settings = None
    time: Annotated[
        bool, typer.Option("--time/--no-time", help="Time a few training steps to estimate the duration.")
    ] = True
    suggest: Annotated[
        bool,
        typer.Option("--suggest", help="Also time cheaper recipes: half the resolution, half the steps, and both."),
    ] = False
    devices: Devices = None
    json: Json = False


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """Train the models of a config in the background, or continue where a stopped sweep ended."""

    config_file: ConfigFile
    settings: Settings = None
    foreground: Foreground = False
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be trained, and exit.")] = False
    devices: Devices = None
    retry_failed: RetryFailed = False


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
            help="(m, n) .npy: margins log p - log(1 - p) of the correct class, in nats; stored as float16, or as "
            "float32 where float16 is too narrow or too coarse.",
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
    clusters: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="(m,) .npy, integers: equal for models that share a training seed, such as pairs with complementary "
            "masks; default: each has its own.",
        ),
    ] = None
    prior: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=".npz with mapping and, optionally, ablation, (networks, K, C) floats: what networks trained on every "
            "group say of each group and target class; default: no prior.",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class DoctorOptions:
    """Diagnose this machine and terminal: devices, libraries, colours, images, cache and keys."""

    json: Json = False
