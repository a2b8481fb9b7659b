"""`tinfl show`: the picture of one test example, or of one source class, large, and what the run says about it."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, TypeVar

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
from tui_influence.errors import ConfigError, ResultsError, TinflError
from tui_influence.influence.estimators import DEFAULT_ESTIMATOR

if TYPE_CHECKING:
    from tui_influence.analysis.ranking import Question
    from tui_influence.analysis.snapshot import RunSnapshot
    from tui_influence.cli.images import Canvas

Found = TypeVar("Found")

_MOVED = 8
"""Test examples that are named of those a source class helps, and of those it hurts, most."""


def show(
    results: Results,
    example: Annotated[int | None, typer.Option(help="One test example of the target, by number.")] = None,
    source: Annotated[str | None, typer.Option(help="One class of the source, by name.")] = None,
    target: Target = None,
    target_class: TargetClass = None,
    estimator: Estimator = DEFAULT_ESTIMATOR,
    output_kind: OutputKind = "margin",
    split: Split = "estimate",
    columns: Columns = None,
    protocol: Protocol = "auto",
    color: Color = "auto",
    ascii_only: Ascii = False,
    theme: Theme = "dark",
    json: Json = False,
    wait: Annotated[bool, typer.Option("--wait", hidden=True, help="Wait for a key at the end.")] = False,
) -> None:
    """Show the picture of a test example, or of a source class, and what the run says about it."""
    with _until_read(wait):
        if (example is None) == (source is None):
            raise ConfigError("say what to show: either --example NUMBER or --source CLASS")
        from tui_influence.analysis.ranking import Question
        from tui_influence.analysis.snapshot import read_snapshot
        from tui_influence.cli.images import canvas
        from tui_influence.store.paths import Paths
        from tui_influence.store.run_info import read_run_info

        question = Question(target, target_class, example, split, estimator, output_kind)
        reading = read_snapshot(Paths(results), read_run_info(results), target)
        # For JSON nothing is drawn.
        found = None if json else canvas(color, protocol, theme, ascii_only=ascii_only)
        if source is not None:
            _show_source(found, reading, question, source, columns)
        else:
            _show_example(found, reading, question, columns)


def _show_example(canvas: "Canvas | None", reading: "RunSnapshot", question: "Question", columns: int | None) -> None:
    from tui_influence.analysis.examples import explain_example
    from tui_influence.analysis.ranking import select_examples
    from tui_influence.cli.show_example import example_document, pixels_of, print_example

    (example,) = select_examples(reading.target_info, reading.examples, question).tolist()
    about = explain_example(reading, question, example)
    pixels, problem = _or_reason(lambda: pixels_of(reading, example))
    _warn(reading, about.drivers.warnings, problem)
    if canvas is None:
        output.write_json(example_document(reading, about, pixels, problem))
    else:
        print_example(canvas, reading, about, pixels, columns)


def _show_source(
    canvas: "Canvas | None", reading: "RunSnapshot", question: "Question", name: str, columns: int | None
) -> None:
    from tui_influence.analysis.class_effects import estimate_effects
    from tui_influence.analysis.ranking import rank
    from tui_influence.cli.show_moved import moved_document, print_moved
    from tui_influence.cli.show_source import group_of, print_source, samples_of, source_document

    group = group_of(reading, name)
    answer = rank(reading, question)
    row = next(row for row in answer.report.ranking.rows if row.index == group)
    moved = estimate_effects(reading, question, at_once=False).of_group(group, _MOVED)
    samples, problem = _or_reason(lambda: samples_of(reading, group))
    _warn(reading, answer.warnings, problem)
    if canvas is None:
        document = source_document(reading, answer.report, row, samples, problem)
        output.write_json(document | moved_document(reading, moved))
    else:
        print_source(canvas, reading, answer.report, row, samples, columns)
        print_moved(canvas, reading, answer.report, moved)


def _or_reason(read: Callable[[], Found]) -> tuple[Found | None, str]:
    """Return pictures, or None and why there are none: words can be shown without them."""
    try:
        return read(), ""
    except ResultsError as error:
        return None, str(error)


def _warn(reading: "RunSnapshot", notes: tuple[str, ...], problem: str) -> None:
    from tui_influence.cli.images import say_why_no_pictures

    for note in notes:
        diagnostics.warn(note)
    say_why_no_pictures(reading, problem)


@contextmanager
def _until_read(wait: bool) -> Iterator[None]:
    """Keep what was shown, an error too, on the screen until a key is pressed: an app takes the screen back then."""
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
    import termios
    import tty

    diagnostics.dim("press any key to go on")
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        os.read(descriptor, 1)
    finally:
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)  # and drop the rest of what the key sent
