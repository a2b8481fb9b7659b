"""`tinfl show`: one test example or one source class, with images and influences."""

import os
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.text import Text

from tui_influence.analysis.class_effects import estimate_effects
from tui_influence.analysis.examples import explain_example
from tui_influence.analysis.names import group_index
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import rank, select_examples
from tui_influence.analysis.snapshot import RunSnapshot, read_snapshot
from tui_influence.cli import diagnostics, output
from tui_influence.cli.images import (
    ImageOutput,
    example_images,
    images_or_problem,
    make_image_output,
    print_images,
    print_large,
    report_missing_images,
    source_images,
)
from tui_influence.cli.options.questions import ShowOptions
from tui_influence.errors import ConfigError, TinflError
from tui_influence.export.example import example_document
from tui_influence.export.source_class import source_class_document
from tui_influence.render.example import example_lines
from tui_influence.render.ranking_table import context_lines, packed, signs_explained
from tui_influence.render.source_class import class_effect_lines, example_effect_lines, group_heading, group_lines
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import read_run_info

_EXAMPLE_LINES = 18
"""Lines on an example: its facts, and five groups of each end of the ranking."""
_CLASS_LINES = 26
"""Lines on the target classes at most: of more classes, both ends."""
_EFFECTS = 8
"""Test examples listed at each end: those that a source class helps most, and those that it hurts most."""


def show(options: ShowOptions) -> None:
    """Show the example or the source class that the options name."""
    with _wait_at_end(options.wait):
        if (options.example is None) == (options.source is None):
            raise ConfigError("give either --example NUMBER or --source CLASS")
        snapshot = read_snapshot(Paths(options.results), read_run_info(options.results), options.target)
        question = options.question_about(snapshot.info)
        screen = None
        if not options.json:
            screen = make_image_output(
                options.color,
                options.protocol,
                options.theme,
                ascii_only=options.ascii_only,
                columns=options.columns,
            )
        if options.source is not None:
            _show_source(screen, snapshot, question, options.source)
        else:
            _show_example(screen, snapshot, question)


def _show_example(screen: ImageOutput | None, snapshot: RunSnapshot, question: Question) -> None:
    """Show an example; without a screen, write JSON."""
    (example,) = select_examples(snapshot.target_info, snapshot.examples, question).tolist()
    report = explain_example(snapshot, question, example)
    image, problem = images_or_problem(lambda: example_images(snapshot, [example])[0])
    _warn(snapshot, report.drivers.warnings, problem)
    classes = snapshot.target_info.classes
    if screen is None:
        output.write_json(example_document(report, classes, None if image is None else image.shape, problem))
        return
    ranking = report.drivers.report
    style = screen.style.muted(ranking.is_noise())

    def lines(width: int, height: int | None) -> list[Text]:
        key = packed(signs_explained(ranking, style), style, width)
        room = _EXAMPLE_LINES if height is None else min(_EXAMPLE_LINES, height - len(key))
        return [*example_lines(report, classes, style, width, room), *key]

    below = [Text(), *context_lines(ranking, style, screen.console.width)]
    print_large(screen, image, lines, below)


def _show_source(screen: ImageOutput | None, snapshot: RunSnapshot, question: Question, name: str) -> None:
    """Show a source class; without a screen, write JSON."""
    group = group_index(snapshot.info, name)
    ranking = rank(snapshot, question)
    report = ranking.report
    row = next(row for row in report.ranking.rows if row.index == group)
    effects = estimate_effects(snapshot, question, at_once=False).of_group(group, _EFFECTS)
    samples, problem = images_or_problem(lambda: source_images(snapshot, group))
    _warn(snapshot, ranking.warnings, problem)
    if screen is None:
        shape = None if samples is None else samples.shape
        output.write_json(source_class_document(snapshot, report, row, effects, shape, problem))
        return
    width, style = screen.console.width, screen.style.muted(report.is_noise())
    stored = ""
    if samples is not None:
        print_images(screen, samples)
        stored = f", {len(samples)} of them shown"
    screen.console.print(
        group_heading(report, row, None, style, width),
        style.fact("images", f"{snapshot.info.source.sizes[row.index]:,}{stored}"),
        Text(),
        *group_lines(report, row, style, width),
        Text(),
        *context_lines(report, style, width),
        Text(),
        *class_effect_lines(effects, style, width, _CLASS_LINES),
        *example_effect_lines(effects, snapshot.target_info.classes, style),
        sep="\n",
    )


def _warn(snapshot: RunSnapshot, warnings: tuple[str, ...], problem: str) -> None:
    for warning in warnings:
        diagnostics.warn(warning)
    report_missing_images(snapshot, problem)


@contextmanager
def _wait_at_end(wait: bool) -> Iterator[None]:
    """Leave the output, or an error, on the screen until a key is pressed: the app then takes the screen back."""
    try:
        yield
    except TinflError as error:
        if not wait:
            raise
        code = diagnostics.report(error)
        _wait_for_key()
        raise typer.Exit(code) from error
    if wait:
        _wait_for_key()


def _wait_for_key() -> None:
    if not sys.stdin.isatty():
        return
    diagnostics.note("press any key to continue")
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        os.read(descriptor, 1)
    finally:
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)  # and drop the rest of what the key sent
