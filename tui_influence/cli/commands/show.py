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
    import numpy as np
    from numpy.typing import NDArray

    from tui_influence.analysis.ranking import Question
    from tui_influence.analysis.snapshot import RunSnapshot
    from tui_influence.analysis.types import ExampleReport, GroupEffects, RankReport
    from tui_influence.cli.images import Canvas
    from tui_influence.influence.types import RankedGroup

Found = TypeVar("Found")

_EXAMPLE_LINES = 18
"""Lines on an example: five groups of each end of the ranking, and those above them."""
_CLASS_LINES = 26
"""Lines on the target classes at most: of more classes, both ends."""
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
    from tui_influence.cli.images import pictures_of
    from tui_influence.export.example import example_document

    (example,) = select_examples(reading.target_info, reading.examples, question).tolist()
    report = explain_example(reading, question, example)
    pixels, problem = _or_reason(lambda: pictures_of(reading, [example])[0])
    _warn(reading, report.drivers.warnings, problem)
    if canvas is None:
        shape = None if pixels is None else pixels.shape
        output.write_json(example_document(report, reading.target_info.classes, shape, problem))
    else:
        _print_example(canvas, reading, report, pixels, columns)


def _print_example(
    canvas: "Canvas",
    reading: "RunSnapshot",
    report: "ExampleReport",
    pixels: "NDArray[np.uint8] | None",
    columns: int | None,
) -> None:
    """Print an example: its image, and what models predict for it and which groups drive it beside or below that."""
    from rich.text import Text

    from tui_influence.cli.images import print_large
    from tui_influence.render.example import example_lines
    from tui_influence.render.ranking_table import context_lines, packed, signs_explained

    ranking = report.drivers.report
    style = canvas.style.muted(ranking.is_noise())

    def lines(width: int, height: int | None) -> list[Text]:
        key = packed(signs_explained(ranking, style), style, width)
        room = _EXAMPLE_LINES
        if height is not None:
            room = min(room, height - len(key))
        return [*example_lines(report, reading.target_info.classes, style, width, room), *key]

    below = [Text(), *context_lines(ranking, style, canvas.console.width)]
    print_large(canvas, pixels, lines, below, columns)


def _show_source(
    canvas: "Canvas | None", reading: "RunSnapshot", question: "Question", name: str, columns: int | None
) -> None:
    from tui_influence.analysis.class_effects import estimate_effects
    from tui_influence.analysis.names import group_index
    from tui_influence.analysis.ranking import rank
    from tui_influence.cli.images import source_images
    from tui_influence.export.source_class import source_class_document

    group = group_index(reading.info, name)
    ranking = rank(reading, question)
    row = next(row for row in ranking.report.ranking.rows if row.index == group)
    effects = estimate_effects(reading, question, at_once=False).of_group(group, _MOVED)
    samples, problem = _or_reason(lambda: source_images(reading, group))
    _warn(reading, ranking.warnings, problem)
    if canvas is None:
        shape = None if samples is None else samples.shape
        output.write_json(source_class_document(reading, ranking.report, row, effects, shape, problem))
    else:
        _print_source(canvas, reading, ranking.report, row, effects, samples, columns)


def _print_source(
    canvas: "Canvas",
    reading: "RunSnapshot",
    report: "RankReport",
    row: "RankedGroup",
    effects: "GroupEffects",
    samples: "NDArray[np.uint8] | None",
    columns: int | None,
) -> None:
    """Print a source class: its images, its influence, and its effects on target classes and test examples."""
    from rich.text import Text

    from tui_influence.cli.images import print_pictures
    from tui_influence.render.ranking_table import context_lines
    from tui_influence.render.source_class import (
        class_effect_lines,
        example_effect_lines,
        group_heading,
        group_lines,
    )

    width, style = canvas.console.width, canvas.style.muted(report.is_noise())
    if samples is not None:
        print_pictures(canvas, samples, columns)
    stored = f", {len(samples)} of them shown" if samples is not None else ""
    canvas.console.print(
        group_heading(report, row, None, style, width),
        style.fact("images", f"{reading.info.source.sizes[row.index]:,}{stored}"),
        Text(),
        *group_lines(report, row, style, width),
        Text(),
        *context_lines(report, style, width),
        Text(),
        *class_effect_lines(effects, style, width, _CLASS_LINES),
        *example_effect_lines(effects, reading.target_info.classes, style),
        sep="\n",
    )


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
