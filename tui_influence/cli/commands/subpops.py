"""`tinfl subpops`: the test examples of a class told apart by the source class that drives each."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tui_influence.cli import diagnostics, output
from tui_influence.cli.options import (
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
from tui_influence.influence.estimators import DEFAULT_ESTIMATOR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tui_influence.analysis.snapshot import RunSnapshot
    from tui_influence.analysis.types import (
        ClassSubpopulations,
        DrivenExample,
    )

_EXAMPLES = 12
"""Examples of a source class that are listed, if not told otherwise."""
_PARTS = 8
"""Subpopulations of a class that are shown, if not told otherwise."""


def subpops(
    results: Results,
    source: Annotated[str | None, typer.Option(help="Only what this class of the source drives.")] = None,
    target_class: TargetClass = None,
    target: Target = None,
    estimator: Estimator = DEFAULT_ESTIMATOR,
    output_kind: OutputKind = "margin",
    split: Split = "estimate",
    top: Annotated[int | None, typer.Option(min=1, help="Show this many examples, or parts of a class, only.")] = None,
    csv: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help='Write all examples to a CSV file; "-" for stdout.'),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Write the names of the images that --source drives, one a line; of --class a folder, a list a part.",
        ),
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
    if export is not None and source is None and target_class is None:
        raise ConfigError("--export needs --source CLASS, for one list, or --class CLASS, for a folder of lists")
    if export is not None and str(export) == "-":
        raise ConfigError("--export -: lists of images are written to files")
    from tui_influence.analysis.names import group_index
    from tui_influence.analysis.question import Question
    from tui_influence.analysis.ranking import data_warnings
    from tui_influence.analysis.snapshot import read_snapshot
    from tui_influence.analysis.subpopulations import driven_examples, find_subpopulations
    from tui_influence.cli.images import canvas, say_why_no_pictures
    from tui_influence.cli.subpops_words import Shown, next_command, print_class, print_overview, print_source
    from tui_influence.export.files import refuse_same_file, write_text_atomically
    from tui_influence.export.subpopulations import (
        classes_document,
        examples_in_order,
        source_document,
        subpopulations_csv,
    )
    from tui_influence.store.paths import Paths
    from tui_influence.store.run_info import read_run_info

    refuse_same_file({"--csv": csv, "--export": export})
    question = Question(target, target_class, None, split, estimator, output_kind)
    reading = read_snapshot(Paths(results), read_run_info(results), target)
    by_source = driven_examples(reading, question, group_index(reading.info, source)) if source is not None else None
    by_class = find_subpopulations(reading, question) if by_source is None else ()
    examples: Sequence[DrivenExample] = by_source.examples if by_source is not None else examples_in_order(by_class)
    others: Sequence[DrivenExample] = by_source.not_helped if by_source is not None else ()
    for note in data_warnings(reading):
        diagnostics.warn(note)
    if export is not None and by_source is not None:
        _write_list(reading, examples, export)
    elif export is not None:
        _write_lists(reading, by_class[0], export)
    if csv is not None and str(csv) == "-":
        output.write(subpopulations_csv(reading, question, [*examples, *others]))
        return
    if csv is not None:
        write_text_atomically(csv, subpopulations_csv(reading, question, [*examples, *others]))
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
        say_why_no_pictures(reading, problem)
        if by_source is None:
            diagnostics.say(f"next: {next_command(about, by_class)}")


def _write_list(reading: "RunSnapshot", examples: "Sequence[DrivenExample]", path: Path) -> None:
    """Write the names of the examples that are told, a line each."""
    from tui_influence.export.files import write_text_atomically
    from tui_influence.export.subpopulations import image_names
    from tui_influence.text import pluralize

    names, unlisted = image_names(reading, examples)
    if unlisted:
        diagnostics.warn(f"{pluralize(unlisted, 'name')} cannot stand on a line of a list; left out")
    write_text_atomically(path, "".join(f"{name}\n" for name in names))
    diagnostics.say(f"wrote {path}: {pluralize(len(names), 'image')}")


def _write_lists(reading: "RunSnapshot", found: "ClassSubpopulations", folder: Path) -> None:
    """Write a list for each part of a class into a folder that is new or empty, so that no list of old stays there."""
    from tui_influence.export.subpopulations import list_file_names
    from tui_influence.store.files import make_directory, to_results_error
    from tui_influence.store.results_directory import refuse_links_in_path
    from tui_influence.text import printable

    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ConfigError(f"--export {printable(str(folder))}: exists; with --class it is a folder of its own")
    except OSError as error:
        raise to_results_error(error, "use", folder) from error
    if not found.subpopulations:
        diagnostics.warn("no part of the class is told: there is no list to write")
        return
    refuse_links_in_path(folder)
    make_directory(folder)
    groups = reading.info.source.groups
    for part, name in zip(
        found.subpopulations, list_file_names([groups[part.group] for part in found.subpopulations]), strict=True
    ):
        _write_list(reading, part.members, folder / name)
