"""Options of the commands that watch and control runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from tui_influence.cli.completion import complete_results
from tui_influence.cli.options.shared import (
    Ascii,
    Color,
    Devices,
    Foreground,
    Json,
    Results,
    RetryFailed,
    Theme,
    no_path,
)


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
            help="Results directory of a run, or a folder of them; default: the run here, or in `results`, that "
            "changed last.",
            show_default=False,
            default_factory=no_path,
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
class ListOptions:
    """List the runs of a folder with their targets, models, reliability, accuracy and notes, the newest first."""

    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="Folder of results directories; default: `results` if that is here, else this folder.",
            show_default=False,
            readable=False,
            default_factory=no_path,
            autocompletion=complete_results,
        ),
    ]
    json: Json = False


@dataclass(frozen=True, kw_only=True)
class NoteOptions:
    """Show or change the note of a run, which `tinfl list` and the app's list of runs show."""

    results: Results
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="The note; default: keep it.")] = None
    tag: Annotated[list[str] | None, typer.Option(metavar="TAG", help="Add a tag; may be repeated.")] = None
    untag: Annotated[list[str] | None, typer.Option(metavar="TAG", help="Remove a tag; may be repeated.")] = None
    clear: Annotated[bool, typer.Option("--clear", help="Remove the note and all tags first.")] = False
    json: Json = False


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
    """Check every file of a results directory against its digest, and name what is damaged. Nothing is changed."""

    results: Results
    cache: Annotated[
        bool, typer.Option("--cache", help="Also check the packed datasets that the run was trained on.")
    ] = False
    json: Json = False


@dataclass(frozen=True, kw_only=True)
class KeysOptions:
    """List the keys of the terminal app, in the form of a user config that changes them."""

    json: Json = False
