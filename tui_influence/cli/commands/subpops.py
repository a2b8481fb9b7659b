"""`tinfl subpops`: the subpopulations of target classes, by the source class that drives each."""

from collections.abc import Sequence
from pathlib import Path

from tui_influence.analysis.names import group_index
from tui_influence.analysis.ranking import data_warnings
from tui_influence.analysis.snapshot import RunSnapshot, read_snapshot
from tui_influence.analysis.subpopulations import driven_examples, find_subpopulations
from tui_influence.analysis.types import ClassSubpopulations, DrivenExample
from tui_influence.cli import diagnostics, output
from tui_influence.cli.images import canvas, say_why_no_pictures
from tui_influence.cli.options.questions import SubpopsOptions
from tui_influence.cli.subpops_words import Shown, next_command, print_class, print_overview, print_source
from tui_influence.errors import ConfigError
from tui_influence.export.files import refuse_same_file, write_text_atomically
from tui_influence.export.subpopulations import (
    classes_document,
    examples_in_order,
    image_names,
    list_file_names,
    source_document,
    subpopulations_csv,
)
from tui_influence.store.files import make_directory, to_results_error
from tui_influence.store.paths import Paths
from tui_influence.store.results_directory import refuse_links_in_path
from tui_influence.store.run_info import read_run_info
from tui_influence.text import pluralize, printable

_EXAMPLES = 12
"""Examples of a source class that are listed by default."""
_SUBPOPULATIONS = 8
"""Subpopulations of a class that are listed by default."""


def subpops(options: SubpopsOptions) -> None:
    """Find subpopulations, and show them or write them to files."""
    output.require_one_stdout(options.csv, options.json)
    if options.export is not None and options.source is None and options.target_class is None:
        raise ConfigError("--export needs --source CLASS, for one list, or --class CLASS, for a folder of lists")
    if options.export is not None and str(options.export) == "-":
        raise ConfigError("--export -: lists of images are written to files")
    refuse_same_file({"--csv": options.csv, "--export": options.export})
    question = options.question
    snapshot = read_snapshot(Paths(options.results), read_run_info(options.results), options.target)
    by_source = None
    if options.source is not None:
        by_source = driven_examples(snapshot, question, group_index(snapshot.info, options.source))
    by_class = find_subpopulations(snapshot, question) if by_source is None else ()
    examples: Sequence[DrivenExample] = by_source.examples if by_source is not None else examples_in_order(by_class)
    others: Sequence[DrivenExample] = by_source.not_helped if by_source is not None else ()
    for warning in data_warnings(snapshot):
        diagnostics.warn(warning)
    if options.export is not None and by_source is not None:
        _write_list(snapshot, examples, options.export)
    elif options.export is not None:
        _write_lists(snapshot, by_class[0], options.export)
    if options.csv is not None:
        output.write_file(options.csv, subpopulations_csv(snapshot, question, [*examples, *others]))
    if options.json:
        if by_source is not None:
            output.write_json(source_document(snapshot, question, by_source, options.top))
        else:
            output.write_json(classes_document(snapshot, question, by_class, options.top))
    elif options.csv is None and options.export is None:
        screen = canvas(options.color, options.protocol, options.theme, ascii_only=options.ascii_only)
        about = Shown(screen, snapshot, question, options.results, options.columns)
        problem = ""
        if by_source is not None:
            problem = print_source(about, by_source, options.top or _EXAMPLES)
        elif options.target_class is not None:
            problem = print_class(about, by_class[0], options.top or _SUBPOPULATIONS)
        else:
            print_overview(about, by_class, options.top or _SUBPOPULATIONS)
        say_why_no_pictures(snapshot, problem)
        if by_source is None:
            diagnostics.info(f"next: {next_command(about, by_class)}")


def _write_list(snapshot: RunSnapshot, examples: Sequence[DrivenExample], path: Path) -> None:
    """Write the names of the images of examples, one per line."""
    names, unlisted = image_names(snapshot, examples)
    if unlisted:
        diagnostics.warn(f"skipped {pluralize(unlisted, 'name')} with line breaks or surrounding blanks")
    write_text_atomically(path, "".join(f"{name}\n" for name in names))
    diagnostics.info(f"wrote {path}: {pluralize(len(names), 'image')}")


def _write_lists(snapshot: RunSnapshot, classes: ClassSubpopulations, folder: Path) -> None:
    """Write a list for each subpopulation of a class into a new or empty folder, so that no older list remains."""
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ConfigError(f"--export {printable(str(folder))}: exists; with --class it must be new or empty")
    except OSError as error:
        raise to_results_error(error, "use", folder) from error
    if not classes.subpopulations:
        diagnostics.warn("the class has no significant subpopulation: there is no list to write")
        return
    refuse_links_in_path(folder)
    make_directory(folder)
    groups = snapshot.info.source.groups
    names = list_file_names([groups[subpopulation.group] for subpopulation in classes.subpopulations])
    for subpopulation, name in zip(classes.subpopulations, names, strict=True):
        _write_list(snapshot, subpopulation.members, folder / name)
