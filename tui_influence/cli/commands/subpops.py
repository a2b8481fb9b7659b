"""`tinfl subpops`: the subpopulations of target classes, by the source class that drives each."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.text import Text

from tui_influence.analysis.names import group_index
from tui_influence.analysis.probe_types import ClassSubpopulations, DrivenExample, DrivenExamples
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import data_warnings
from tui_influence.analysis.snapshot import RunSnapshot, read_snapshot
from tui_influence.analysis.subpopulations import driven_examples, find_subpopulations
from tui_influence.cli import diagnostics, output
from tui_influence.cli.images import (
    ImageOutput,
    example_images,
    images_or_problem,
    make_image_output,
    print_images,
    report_missing_images,
)
from tui_influence.cli.options.questions import SubpopsOptions
from tui_influence.errors import ConfigError
from tui_influence.export.files import refuse_same_file, write_text_atomically
from tui_influence.export.subpopulations import (
    classes_document,
    driven_table,
    examples_in_order,
    image_names,
    list_file_names,
    source_document,
)
from tui_influence.render.subpopulations import (
    driven_bars,
    driven_example_lines,
    driven_rows,
    driven_summary,
    models_needed,
    subpopulation_bars,
    subpopulation_rows,
    subpopulations_explained,
    subpopulations_summary,
    subpopulations_table,
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
_BAR_LINES = 16
"""Lines of bars at most."""
_IMAGE_ROWS = 2
"""Rows of images that a source class drives."""
_NAME = 32
"""Characters of a name in a heading at most."""


def subpops(options: SubpopsOptions) -> None:
    """Find subpopulations, and show them or write them to files."""
    output.require_one_stdout({"--csv": options.csv}, json=options.json)
    if options.export is not None and options.source is None and options.target_class is None:
        raise ConfigError("--export needs --source CLASS, for one list, or --class CLASS, for a folder of lists")
    if options.export is not None and str(options.export) == "-":
        raise ConfigError("--export -: lists of images are written to files")
    refuse_same_file({"--csv": options.csv, "--export": options.export})
    snapshot = read_snapshot(Paths(options.results), read_run_info(options.results), options.target)
    question = options.question_about(snapshot.info)
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
        table = driven_table(snapshot, question, [*examples, *others])
        output.write_csv(options.csv, table, comments=options.comments)
    if options.json:
        if by_source is not None:
            output.write_json(source_document(snapshot, question, by_source, options.top))
        else:
            output.write_json(classes_document(snapshot, question, by_class, options.top))
    elif options.csv is None and options.export is None:
        screen = make_image_output(
            options.color, options.protocol, options.theme, ascii_only=options.ascii_only, columns=options.columns
        )
        printer = _Printer(screen, snapshot, question)
        if by_source is not None:
            printer.print_driven(by_source, options.top or _EXAMPLES)
        elif options.target_class is not None:
            printer.print_class(by_class[0], options.top or _SUBPOPULATIONS)
        else:
            printer.print_classes(by_class, options.top or _SUBPOPULATIONS)
        report_missing_images(snapshot, printer.problem)
        if by_source is None:
            diagnostics.info(f"next: {_next_command(snapshot, question, by_class, options.results)}")


class _Printer:
    """Prints subpopulations with their images; `problem` says why there are no images."""

    def __init__(self, screen: ImageOutput, snapshot: RunSnapshot, question: Question) -> None:
        self._screen, self._snapshot, self._question = screen, snapshot, question
        self._style, self._width = screen.style, screen.console.width
        self.problem = ""

    def print_classes(self, classes: Sequence[ClassSubpopulations], top: int) -> None:
        """Print a line for each class, with its largest subpopulations."""
        table = subpopulations_table(self._snapshot, classes, self._style, self._width, top)
        self._print(self._style.line(f"{self._scope()}: {subpopulations_summary(self._snapshot, classes)}", "bold"))
        lines = [table.header(), *(table.line(row) for row in range(len(classes)))]
        self._print(*(self._style.clipped(line, self._width) for line in lines))
        if needed := models_needed(classes):
            self._print(Text(), self._style.line(needed))
        self._explain("the examples of each class by itself, not over all classes")

    def print_class(self, one_class: ClassSubpopulations, top: int) -> None:
        """Print the subpopulations of a class, the largest with a row of images each."""
        summary = subpopulations_summary(self._snapshot, [one_class])
        self._print(self._style.line(f"{self._scope()}: {summary}", "bold"), Text())
        self._print(*subpopulation_bars(self._snapshot, one_class, self._style, self._width, _BAR_LINES), Text())
        rows = subpopulation_rows(self._snapshot, one_class, self._style)
        for row in rows[: min(top, len(one_class.subpopulations))]:
            self._print(row.title)
            self._print_images([image.index for image in row.images], 1)
        if not one_class.subpopulations:
            self._print(*driven_example_lines(self._snapshot, one_class.unassigned[:top], self._style))
        self._explain("the class's examples")

    def print_driven(self, driven: DrivenExamples, top: int) -> None:
        """Print the examples that one source class drives."""
        summary = driven_summary(self._snapshot, driven, self._style)
        self._print(self._style.line(f"{self._scope()}: {summary}", "bold"), Text())
        rows = driven_rows(self._snapshot, driven, self._style)
        if driven.significant:
            self._print(*driven_bars(self._snapshot, driven, self._style, self._width, _BAR_LINES))
        elif driven.examples:
            self._print(rows[0].title)
        examples = driven.significant or driven.examples
        self._print_images([example.example for example in examples], _IMAGE_ROWS)
        self._print(*driven_example_lines(self._snapshot, examples[:top], self._style))
        if len(examples) > top:
            self._print(self._style.line(f"{self._style.ellipsis} {len(examples) - top:,} more", self._style.quiet))
        self._explain("the examples")

    def _scope(self) -> str:
        """Return the target, or the class of it, that the question is about."""
        target, target_class = self._snapshot.target_info.name, self._question.target_class
        name = f'target "{printable(target, _NAME)}"'
        return f'class "{printable(target_class, _NAME)}" of {name}' if target_class is not None else name

    def _print(self, *lines: Text) -> None:
        for line in lines:
            self._screen.console.print(line)

    def _print_images(self, examples: Sequence[int], rows: int) -> None:
        if self.problem:
            return
        examples = examples[: rows * self._screen.images_per_row]
        images, self.problem = images_or_problem(lambda: example_images(self._snapshot, examples))
        if images is not None and len(images):
            print_images(self._screen, images)

    def _explain(self, scope: str) -> None:
        explained = subpopulations_explained(self._snapshot, self._question, scope)
        self._print(Text(), self._style.line(explained, self._style.quiet))


def _next_command(
    snapshot: RunSnapshot, question: Question, classes: Sequence[ClassSubpopulations], results: Path
) -> str:
    """Return the command to go on with: for a class, for the group that drives most of it, or for an example."""
    best = max(classes, key=lambda one_class: one_class.n_assigned)
    if question.target_class is None:
        question = replace(question, target_class=snapshot.target_info.classes[best.label])
        return question.command(results, "subpops")
    if best.subpopulations:
        group = snapshot.info.source.groups[best.subpopulations[0].group]
        return question.command(results, "subpops", source=group)
    return replace(question, target_class=None, example=best.unassigned[0].example).command(results, "show")


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
