"""`tinfl failures`: the test examples that models get wrong, and the source classes that are to blame."""

from math import inf, isnan
from pathlib import Path
from typing import Annotated

import typer

from tui_influence.cli import diagnostics, output
from tui_influence.cli.parameters import (
    Ascii,
    Color,
    Columns,
    Devices,
    Estimator,
    Foreground,
    Json,
    OutputKind,
    Results,
    RetryFailed,
    Split,
    Target,
    TargetClass,
    Theme,
)
from tui_influence.errors import ConfigError

_SHOWN = 8
"""Failures that are shown, if not told otherwise."""


def failures(
    results: Results,
    example: Annotated[int | None, typer.Option(help="One test example of the target, by number.")] = None,
    target_class: TargetClass = None,
    target: Target = None,
    estimator: Estimator = "difference",
    output_kind: OutputKind = "margin",
    split: Split = "estimate",
    below: Annotated[
        float | None, typer.Option(metavar="NATS", help="Also examples whose mean margin is below this.")
    ] = None,
    top: Annotated[int | None, typer.Option(min=1, help="So many failures, the lowest margin first.")] = None,
    blamed: Annotated[
        int | None, typer.Option(min=1, max=100, help="Name so many source classes for each; 3 by default.")
    ] = None,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Retrain without the classes to blame for --example, or show what that found."),
    ] = False,
    drop: Annotated[int | None, typer.Option(min=1, help="Classes that --verify leaves out; 3 by default.")] = None,
    seeds: Annotated[
        int | None, typer.Option(min=2, max=1000, help="Retrainings of each arm of --verify; 10 by default.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what --verify would train, and stop.")] = False,
    foreground: Foreground = False,
    devices: Devices = None,
    retry_failed: RetryFailed = False,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help='Write all failures to a CSV file; "-" for stdout.')
    ] = None,
    json: Json = False,
    columns: Columns = None,
    color: Color = "auto",
    ascii_only: Ascii = False,
    theme: Theme = "dark",
) -> None:
    """Find the test examples that most models get wrong, and the source classes that are to blame."""
    from tui_influence.cli.canvas import canvas
    from tui_influence.cli.failures_words import print_failures
    from tui_influence.cli.picture_rows import say_why_no_pictures
    from tui_influence.export.files import write_text_atomically
    from tui_influence.probes.failure_documents import failures_csv, failures_document
    from tui_influence.probes.failures import BLAMED
    from tui_influence.probes.failures import failures as find
    from tui_influence.ranking import notes_of
    from tui_influence.ranking_question import Question
    from tui_influence.reading import read
    from tui_influence.store.paths import Paths
    from tui_influence.store.run_info import read_run_info

    if below is not None and isnan(below):
        raise ConfigError("--below nan: a margin is a number")
    question = Question(target, target_class, example, split, estimator, output_kind)
    reading = read(Paths(results), read_run_info(results), target)
    if verify:
        if example is None:
            raise ConfigError("--verify needs --example NUMBER: what is retrained is chosen for one")
        if any(option is not None for option in (csv, below, top, blamed, columns)):
            raise ConfigError(
                "--verify is about one example: --csv, --below, --top, --blamed and --columns are for the list of "
                "failures"
            )
        from tui_influence.cli.failures_verify import Options
        from tui_influence.cli.failures_verify import verify as put_to_the_test

        options = Options(drop, seeds, dry_run, foreground, devices, retry_failed, json, ascii_only)
        put_to_the_test(reading, question, options)
        return
    output.one_on_stdout(csv, json)
    if drop or seeds or dry_run or foreground or devices is not None or retry_failed:
        raise ConfigError("--drop, --seeds and how to train are for --verify")
    to_programs = json or csv is not None
    most = top if to_programs else top or _SHOWN
    found = find(reading, question, below=-inf if below is None else below, top=most, blamed=blamed or BLAMED)
    for note in notes_of(reading):
        diagnostics.warn(note)
    if csv is not None and str(csv) == "-":
        output.write(failures_csv(reading, question, found))
        return
    if csv is not None:
        write_text_atomically(csv, failures_csv(reading, question, found))
        diagnostics.say(f"wrote {csv}")
    if json:
        output.write_json(failures_document(reading, question, found))
    elif csv is None:
        problem = print_failures(
            canvas(color, "blocks", theme, ascii_only=ascii_only), reading, question, found, columns
        )
        say_why_no_pictures(reading, problem)
