"""What one source group does to the target, for `tinfl show`: to each of its classes, and to single test examples."""

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from tui_influence.analysis.names import (
    label_name,
)
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.analysis.types import (
    ExampleEffect,
    GroupEffects,
    RankReport,
)
from tui_influence.cli.images import Canvas
from tui_influence.export.json import row_document
from tui_influence.influence.types import (
    SIGNIFICANCE_LEVEL,
)
from tui_influence.render.format import cut, plain
from tui_influence.render.numbers import finite
from tui_influence.render.ranking import scope
from tui_influence.render.ranking_table import ranking_rows
from tui_influence.render.style import Style

_CLASSES = 24
"""Target classes that are listed at most: of more, the first and the last."""
_NAME = 32


def print_moved(canvas: Canvas, reading: RunSnapshot, report: RankReport, moved: GroupEffects) -> None:
    """Show on stdout what a group does to each class of the target, and which examples it helps and hurts most."""
    console = canvas.console
    style = canvas.style
    console.print(Text(), style.line("effect on each class of the target", "bold"), sep="\n")
    table, rows = ranking_rows(moved.classes, "class", style, console.width), len(moved.classes)
    console.print(table.header())
    shown = range(rows) if rows <= _CLASSES else [*range(_CLASSES // 2), *range(rows - _CLASSES // 2, rows)]
    for place in shown:
        if rows > _CLASSES and place == rows - _CLASSES // 2:
            console.print(style.line(f"{style.ellipsis} {rows - _CLASSES:,} more", style.quiet))
        console.print(table.line(place))
    for words, examples, beyond in (
        ("helped most", moved.helped, moved.n_helped),
        ("hurt most", moved.hurt, moved.n_hurt),
    ):
        counts = f"{beyond:,} of {moved.n_examples:,} beyond chance (q < {SIGNIFICANCE_LEVEL:g})"
        title = f"{words}, of {scope(report)}: {counts}"
        console.print(Text(), style.line(title, "bold"), sep="\n")
        for example in examples:
            console.print(_line(example, reading.target_info.classes, style))


def moved_document(reading: RunSnapshot, moved: GroupEffects) -> dict[str, Any]:
    """Return the same as JSON."""
    classes = reading.target_info.classes

    def documents(examples: Sequence[ExampleEffect]) -> list[dict[str, Any]]:
        return [
            {
                "example": example.example,
                "name": reading.examples.names[example.example],
                "label": classes[example.label],
                "predicted": label_name(classes, example.predicted),
                **{key: finite(getattr(example, key)) for key in ("influence", "se", "low", "high", "q")},
            }
            for example in examples
        ]

    return {
        "examples": moved.n_examples,
        "n_significant_helped": moved.n_helped,
        "n_significant_hurt": moved.n_hurt,
        "classes": [row_document(row) for row in moved.classes],
        "helped": documents(moved.helped),
        "hurt": documents(moved.hurt),
    }


def _line(example: ExampleEffect, classes: Sequence[str], style: Style) -> Text:
    label, usual = classes[example.label], label_name(classes, example.predicted)
    name = cut(plain(label, style.ascii), _NAME, style.ellipsis)
    wrong = "" if usual == label else f"  mostly predicted {cut(plain(usual, style.ascii), _NAME, style.ellipsis)}"
    mark = "*" if example.q < SIGNIFICANCE_LEVEL else " "
    between = f"{example.low:+.3g} to {example.high:+.3g}"
    return Text.assemble(
        f"  example {example.example:<7}",
        (f"{style.before(example.influence)}{example.influence:+.3g}{mark}", style.effect(example.influence)),
        (f"  [{between}]  ", style.quiet),
        name,
        (wrong, style.quiet),
        no_wrap=True,
        overflow="crop",
    )
