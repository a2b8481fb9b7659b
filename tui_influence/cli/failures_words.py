"""Failures on stdout: a picture each, what models say instead, and the source classes that are to blame."""

from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from tui_influence.analysis.names import (
    group_noun,
    label_name,
)
from tui_influence.analysis.question import Question
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.analysis.types import (
    Failure,
    Failures,
)
from tui_influence.cli.images import Canvas, pictures_of
from tui_influence.errors import ResultsError
from tui_influence.influence.types import (
    SIGNIFICANCE_LEVEL,
)
from tui_influence.render.format import cut, plain
from tui_influence.render.numbers import value_format
from tui_influence.render.style import Style
from tui_influence.text import pluralize

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_COLUMNS = 14
"""Width of a picture, in cells: seven lines beside it."""
_GAP = 2
_BESIDE = 40
"""Cells that words beside a picture need at least."""
_NAME = 40


def print_failures(
    canvas: Canvas, reading: RunSnapshot, question: Question, failures: Failures, wanted: int | None
) -> str:
    """Show failures; return why there are no pictures, if so."""
    console, style = canvas.console, canvas.style
    name = cut(plain(reading.target_info.name, style.ascii), _NAME, style.ellipsis)
    of = f'class "{_shown(question.target_class, style)}" of ' if question.target_class is not None else ""
    if question.example is None:
        models = pluralize(failures.models, "model")
        wrong = f'{failures.n_wrong:,} of {pluralize(failures.n_examples, "example")} of {of}target "{name}"'
        low = f"; {failures.n_low_margin:,} more have a low margin" if failures.n_low_margin else ""
        console.print(style.line(f"{wrong} are wrong by most of {models}{low}", "bold"))
    problem, pictures = "", None
    try:
        pictures = pictures_of(reading, [found.example for found in failures.examples])
    except ResultsError as error:
        problem = str(error)
    columns = min(wanted or _COLUMNS, max(console.width - _GAP - _BESIDE, 2))
    room = console.width if pictures is None else console.width - columns - _GAP
    for place, found in enumerate(failures.examples):
        words = [style.clipped(line, room) for line in _words(reading, found, style)]
        console.print(Text(), _beside(canvas, None if pictures is None else pictures[place], columns, words), sep="\n")
    _explain(canvas, reading, question, failures)
    return problem


def _beside(canvas: Canvas, pixels: "NDArray[np.uint8] | None", columns: int, words: list[Text]) -> Table | Group:
    if pixels is None:
        return Group(*words)
    grid = Table.grid(padding=(0, _GAP, 0, 0))
    grid.add_row(canvas.drawn(pixels, columns), Group(*words))
    return grid


def _words(reading: RunSnapshot, found: Failure, style: Style) -> list[Text]:
    classes = reading.target_info.classes
    label, usual = classes[found.label], label_name(classes, found.predicted)
    instead = f", mostly predicted {_shown(usual, style)}" if usual != label else ""
    digits = value_format([one.influence for one in found.harmful_groups], [one.se for one in found.harmful_groups])
    lines = [
        Text.assemble((f"example {found.example}", "bold"), f"  {_shown(label, style)}{instead}"),
        style.line(f"right in {found.right:.0%} of the models, margin {found.margin:+.2f}", style.quiet),
    ]
    lines += [
        Text.assemble(
            (
                f"{style.before(one.influence)}{one.influence:{digits}}{'*' if one.is_significant else ' '}",
                style.effect(-1),
            ),
            (f" [{one.low:{digits}} to {one.high:{digits}}] ", style.quiet),
            _shown(reading.info.source.groups[one.group], style),
        )
        for one in found.harmful_groups
    ]
    if not found.harmful_groups:
        lines.append(style.line("nothing lowers its margin", style.quiet))
    return lines


def _explain(canvas: Canvas, reading: RunSnapshot, question: Question, failures: Failures) -> None:
    style, noun = canvas.style, group_noun(reading.info)
    half = "all test examples" if question.split == "all" else f"{question.split} half"
    made = [
        f"run {_shown(reading.info.name, style)}",
        reading.info.design_label,
        f"by {question.estimator}",
        *([half] if question.example is None else []),
        f"influence on the {question.output_kind} of the example",
        f"* q < {SIGNIFICANCE_LEVEL:g} (FDR over the {noun}{'es' if noun == 'class' else 's'}, for one example)",
        *([f"{style.hurts} worse than an average {noun}"] if failures.relative else []),
    ]
    canvas.console.print(Text(), style.line(style.separator.join(made), style.quiet), sep="\n")


def _shown(name: str | None, style: Style) -> str:
    return cut(plain(name or "", style.ascii), _NAME, style.ellipsis)
