"""One test example for `tinfl show`: its picture, what models say about it, and which source groups move it."""

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from tui_influence.analysis.names import (
    label_name,
)
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.analysis.types import (
    ExampleReport,
    PredictionSummary,
)
from tui_influence.cli import output
from tui_influence.cli.images import Canvas, pictures_of
from tui_influence.cli.show_words import context_lines, ends, fact
from tui_influence.export.json import rank_document
from tui_influence.render.format import cut
from tui_influence.render.numbers import finite
from tui_influence.render.ranking import scope
from tui_influence.render.ranking_table import height_of
from tui_influence.render.style import Style
from tui_influence.text import pluralize

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_VOTES = 4
"""Predicted labels that are named."""
_BESIDE = 46
"""Cells that words beside a picture need at least."""
_GAP = 2
"""Cells between them."""
_NARROWEST = 24
"""Columns of a picture with words beside it, at least; else they are below it."""
_MARGIN = 8
"""Lines of a terminal that a picture with words beside it leaves for what is below."""
_TALL = 16
"""Lines of a terminal that are kept for a picture with all words below it, before more groups are named."""
_PROMPT = 2
"""Lines that a terminal needs below."""


def pixels_of(reading: RunSnapshot, example: int) -> "NDArray[np.uint8]":
    """Return the picture of a test example, (side, side, C) uint8.

    Raises:
        ResultsError: the run's pictures are missing, damaged, or not those of its examples.
    """
    found: NDArray[np.uint8] = pictures_of(reading, [example])[0]
    return found


def print_example(
    canvas: Canvas, reading: RunSnapshot, about: ExampleReport, pixels: "NDArray[np.uint8] | None", wanted: int | None
) -> None:
    """Show an example on stdout: its picture, and words beside it where there is room, else below."""
    console, report = canvas.console, about.drivers.report
    style = canvas.style.muted(report.is_noise())
    below = [Text(), *context_lines(report, style, console.width)]
    left = console.height - height_of(below, console.width) - _PROMPT if output.is_terminal() else None
    most = console.width - _GAP - _BESIDE
    if pixels is None:
        console.print(*_words(reading, about, style, console.width, left), *below, sep="\n")
        return
    columns = canvas.columns(pixels.shape[1], wanted, most, _MARGIN)
    if canvas.protocol is None and _NARROWEST <= most >= columns:
        words = _words(reading, about, style, console.width - columns - _GAP, left)
        grid = Table.grid(padding=(0, _GAP, 0, 0))
        grid.add_row(canvas.drawn(pixels, columns), Group(*words))
        console.print(grid)
        console.print(*below, sep="\n")
        return
    words = _words(reading, about, style, console.width, None if left is None else left - _TALL)
    lines = height_of([*words, *below], console.width) + _PROMPT
    canvas.show(pixels, canvas.columns(pixels.shape[1], wanted, console.width, lines))
    console.print(*words, *below, sep="\n")


def example_document(
    reading: RunSnapshot, about: ExampleReport, pixels: "NDArray[np.uint8] | None", problem: str
) -> dict[str, Any]:
    """Return what is said of an example as JSON; `problem` says why there is no picture."""
    said = about.overall
    classes = reading.target_info.classes
    return {
        "example": about.example,
        "name": about.name,
        "label": classes[about.label],
        "half": _half(reading, about.example),
        "predicted": [{"label": label_name(classes, label), "share": share} for label, share in said.votes],
        "accuracy": finite(said.accuracy),
        "probability": finite(said.probability),
        "margin": finite(said.margin),
        "image": None if pixels is None else list(pixels.shape),
        "image_problem": problem,
        "ranking": rank_document(about.drivers.report),
    }


def _words(reading: RunSnapshot, about: ExampleReport, style: Style, width: int, room: int | None) -> list[Text]:
    """Return what is said of an example beside its picture, in at most so many lines if it can be."""
    said, report = about.overall, about.drivers.report
    models = pluralize(said.models, "model")
    facts = [
        ("name", about.name),
        ("label", f"{cut(reading.target_info.classes[about.label], 100)} ({_half(reading, about.example)} half)"),
        ("predicted", _votes(reading, said, style)),
        ("right", f"{said.accuracy:.0%} of {models}"),
        ("margin", f"{said.margin:+.3g} nats (probability {said.probability:.2f})"),
    ]
    head = [style.line(scope(report), "bold"), *(fact(label, text, style, width) for label, text in facts), Text()]
    return [*head, *ends(report, style, width, None if room is None else room - height_of(head, width))]


def _votes(reading: RunSnapshot, said: PredictionSummary, style: Style) -> str:
    classes = reading.target_info.classes
    named = [f"{cut(label_name(classes, label), 30)} {_percent(share)}" for label, share in said.votes[:_VOTES]]
    rest = len(said.votes) - len(named)
    return style.separator.join([*named, *([f"{rest} more"] if rest else [])])


def _percent(share: float) -> str:
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"


def _half(reading: RunSnapshot, example: int) -> str:
    return "estimate" if reading.examples.estimate[example] else "evaluate"
