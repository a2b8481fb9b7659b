"""`tinfl subpops`: the test examples of a class told apart by the source class that drives each."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tui_influence.cli import diagnostics, output
from tui_influence.cli.parameters import (
    Ascii,
    Color,
    Columns,
    Estimator,
    Json,
    OutputKind,
    Protocol,
    Results,
    Split,
    Target,
    TargetClass,
    Theme,
)
from tui_influence.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tui_influence.probes.subpopulations import Driven

_EXAMPLES = 12
"""Examples of a source class that are listed, if not told otherwise."""
_PARTS = 8
"""Subpopulations of a class that are shown, if not told otherwise."""


def subpops(
    results: Results,
    source: Annotated[str | None, typer.Option(help="Only what this class of the source drives.")] = None,
    target_class: TargetClass = None,
    target: Target = None,
    estimator: Estimator = "difference",
    output_kind: OutputKind = "margin",
    split: Split = "estimate",
    top: Annotated[int | None, typer.Option(min=1, help="Show this many examples, or parts of a class, only.")] = None,
    csv: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help='Write all examples, of --source those it helps, to a CSV; "-" for stdout.'),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the names of the images that --source drives, one a line."),
    ] = None,
    json: Json = False,
    columns: Columns = None,
    protocol: Protocol = "auto",
    color: Color = "auto",
    ascii_only: Ascii = False,
    theme: Theme = "dark",
) -> None:
    """Find the subpopulations of a target: which test examples a source class drives beyond their own class."""
    output.one_on_stdout(csv, json)
    if export is not None and source is None:
        raise ConfigError("--export needs --source CLASS: a list of images is one subpopulation")
    from tui_influence.cli.canvas import canvas
    from tui_influence.cli.show_source import group_of
    from tui_influence.cli.subpops_words import Shown, next_command, print_class, print_overview, print_source
    from tui_influence.export.files import refuse_same_file, write_text_atomically
    from tui_influence.probes.subpopulation_documents import (
        classes_document,
        driven_csv,
        image_list,
        in_order,
        source_document,
    )
    from tui_influence.probes.subpopulations import driven_by, subpopulations
    from tui_influence.ranking import notes_of
    from tui_influence.ranking_question import Question
    from tui_influence.reading import read
    from tui_influence.store.paths import Paths
    from tui_influence.store.run_info import read_run_info

    refuse_same_file({"--csv": csv, "--export": export})
    question = Question(target, target_class, None, split, estimator, output_kind)
    reading = read(Paths(results), read_run_info(results), target)
    by_source = driven_by(reading, question, group_of(reading, source)) if source is not None else None
    by_class = subpopulations(reading, question) if by_source is None else ()
    examples: Sequence[Driven] = by_source.examples if by_source is not None else in_order(by_class)
    for note in notes_of(reading):
        diagnostics.warn(note)
    if export is not None:
        write_text_atomically(export, image_list(reading, examples))
        told = sum(1 for example in examples if example.told)
        diagnostics.say(f"wrote {export}: {told:,} images")
    if csv is not None and str(csv) == "-":
        output.write(driven_csv(reading, question, examples))
        return
    if csv is not None:
        write_text_atomically(csv, driven_csv(reading, question, examples))
        diagnostics.say(f"wrote {csv}")
    if json:
        document = (
            source_document(reading, question, by_source, top)
            if by_source is not None
            else classes_document(reading, question, by_class, top)
        )
        output.write_json(document)
    elif csv is None and export is None:
        about = Shown(canvas(color, protocol, theme, ascii_only=ascii_only), reading, question, results, columns)
        problem = ""
        if by_source is not None:
            problem = print_source(about, by_source, top or _EXAMPLES)
        elif target_class is not None:
            problem = print_class(about, by_class[0], top or _PARTS)
        else:
            print_overview(about, by_class, top or _PARTS)
        if problem:
            diagnostics.warn(f"no picture: {problem}")
        if by_source is None:
            diagnostics.say(f"next: {next_command(about, by_class)}")
