"""`tinfl show`: one test example or one source class, with images and influences."""

import os
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import typer

from tui_influence.analysis.class_effects import estimate_effects
from tui_influence.analysis.examples import explain_example
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import rank, select_examples
from tui_influence.analysis.snapshot import RunSnapshot, read_snapshot
from tui_influence.cli import diagnostics, output
from tui_influence.cli.images import Canvas, canvas, say_why_no_pictures
from tui_influence.cli.options.questions import ShowOptions
from tui_influence.cli.show_example import example_document, pixels_of, print_example
from tui_influence.cli.show_moved import moved_document, print_moved
from tui_influence.cli.show_source import group_of, print_source, samples_of, source_document
from tui_influence.errors import ConfigError, ResultsError, TinflError
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import read_run_info

Images = TypeVar("Images")

_EFFECTS = 8
"""Test examples listed at each end: those that a source class helps most, and those that it hurts most."""


def show(options: ShowOptions) -> None:
    """Show the example or the source class that the options name."""
    with _wait_at_end(options.wait):
        if (options.example is None) == (options.source is None):
            raise ConfigError("give either --example NUMBER or --source CLASS")
        question = options.question
        snapshot = read_snapshot(Paths(options.results), read_run_info(options.results), options.target)
        screen = None
        if not options.json:
            screen = canvas(options.color, options.protocol, options.theme, ascii_only=options.ascii_only)
        if options.source is not None:
            _show_source(screen, snapshot, question, options.source, options.columns)
        else:
            _show_example(screen, snapshot, question, options.columns)


def _show_example(screen: Canvas | None, snapshot: RunSnapshot, question: Question, columns: int | None) -> None:
    """Show an example; without a screen, write JSON."""
    (example,) = select_examples(snapshot.target_info, snapshot.examples, question).tolist()
    explanation = explain_example(snapshot, question, example)
    image, problem = _images_or_problem(lambda: pixels_of(snapshot, example))
    _warn(snapshot, explanation.drivers.warnings, problem)
    if screen is None:
        output.write_json(example_document(snapshot, explanation, image, problem))
    else:
        print_example(screen, snapshot, explanation, image, columns)


def _show_source(
    screen: Canvas | None, snapshot: RunSnapshot, question: Question, name: str, columns: int | None
) -> None:
    """Show a source class; without a screen, write JSON."""
    group = group_of(snapshot, name)
    ranking = rank(snapshot, question)
    row = next(row for row in ranking.report.ranking.rows if row.index == group)
    effects = estimate_effects(snapshot, question, at_once=False).of_group(group, _EFFECTS)
    samples, problem = _images_or_problem(lambda: samples_of(snapshot, group))
    _warn(snapshot, ranking.warnings, problem)
    if screen is None:
        document = source_document(snapshot, ranking.report, row, samples, problem)
        output.write_json(document | moved_document(snapshot, effects))
    else:
        print_source(screen, snapshot, ranking.report, row, samples, columns)
        print_moved(screen, snapshot, ranking.report, effects)


def _images_or_problem(read: Callable[[], Images]) -> tuple[Images | None, str]:
    """Return images, or None and the reason why there are none: the text can be shown without them."""
    try:
        return read(), ""
    except ResultsError as error:
        return None, str(error)


def _warn(snapshot: RunSnapshot, warnings: tuple[str, ...], problem: str) -> None:
    for warning in warnings:
        diagnostics.warn(warning)
    say_why_no_pictures(snapshot, problem)


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
