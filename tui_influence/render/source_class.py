"""One source class, or another group, as text: its influence, and its effects on target classes and test examples."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from tui_influence.analysis.names import label_name
from tui_influence.influence.types import SIGNIFICANCE_LEVEL
from tui_influence.render.format import fit, plain, unbroken
from tui_influence.render.image_layout import CaptionedImage, ImageRow
from tui_influence.render.interval_table import digits_of, estimate_text, point_estimate
from tui_influence.render.numbers import format_interval
from tui_influence.render.ranking_table import choice_lines, choose_rows, head_and_tail, packed, signs_explained
from tui_influence.text import pluralize

if TYPE_CHECKING:
    from tui_influence.analysis.types import ExampleEffect, GroupEffects, RankReport
    from tui_influence.influence.types import RankedGroup
    from tui_influence.render.style import Style

_MIN_NAME = 8
"""Cells that a name has, however narrow the screen."""
_MAX_NAME = 32
"""Cells of a name in a list of examples at most."""
_QUESTION = 40
"""Cells of the question in a heading at most."""
_LABEL = 60
"""Characters of a label below an image at most."""


def group_heading(report: RankReport, row: RankedGroup, images: int | None, style: Style, width: int) -> Text:
    """Return a line: the group, its influence with its interval, its rank, its images and the question.

    Args:
        report: the ranking.
        row: the group's row of it.
        images: of the group, in the source dataset.
        style: colours and signs.
        width: of the line; the name makes room, then the question and the images do.
    """
    facts = [("influence unknown", style.quiet)]
    if isfinite(row.influence):
        estimate = point_estimate(row)
        interval = format_interval(row.low, row.high, "+.3g")
        text = f"{estimate_text(estimate, '+.3g', style).rstrip()} {interval}".rstrip()
        facts = [
            (text, style.effect(row.influence, significant=estimate.is_significant)),
            (f"  rank {row.rank:,} of {len(report.ranking.rows):,}", ""),
        ]
    question = ", ".join(part for part in (report.target, report.target_class, report.ranking.output.value) if part)
    optional = [f"  on {style.cut(question, _QUESTION)}"]
    optional += [f"  {pluralize(images, 'image')}"] if images is not None else []
    name = plain(row.group, style.ascii)
    cells = sum(cell_len(text) for text, _ in facts) + min(cell_len(name), _MIN_NAME)
    for text in optional:
        if cells + cell_len(text) <= width:
            facts.append((text, style.quiet))
            cells += cell_len(text)
    room = max(width - sum(cell_len(text) for text, _ in facts) - 2, _MIN_NAME)
    return Text.assemble((style.cut(name, room), "bold"), "  ", *facts, no_wrap=True, overflow="crop")


def group_lines(report: RankReport, row: RankedGroup, style: Style, width: int) -> list[Text]:
    """Return a group's row of a ranking with its header, and what its signs mean."""
    choice = choose_rows([row], style, None, None)
    return [*choice_lines(choice, report.noun, style, width), *packed(signs_explained(report, style), style, width)]


def class_effect_lines(effects: GroupEffects, style: Style, width: int, height: int) -> list[Text]:
    """Return a group's effect on each class of the target, in at most `height` lines; both ends where not all fit."""
    title = Text.assemble(
        (f"effect on {'the class' if len(effects.classes) == 1 else 'each class'} of the target", "bold"),
        (f"  {pluralize(effects.models, 'model')}", style.quiet),
    )
    return [title, *head_and_tail(effects.classes, "class", style, width, height - 1)]


def example_effect_lines(effects: GroupEffects, classes: Sequence[str], style: Style) -> list[Text]:
    """Return the examples that a group helps and hurts most, a line each."""
    lines = []
    for title, examples in zip(_effect_titles(effects, style), (effects.helped, effects.hurt), strict=True):
        estimates = [point_estimate(example) for example in examples]
        digits = digits_of(estimates)
        numbers = [estimate_text(estimate, digits, style) for estimate in estimates]
        intervals = [format_interval(estimate.low, estimate.high, digits) for estimate in estimates]
        cells = max(map(cell_len, numbers), default=0), max(map(cell_len, intervals), default=0)
        lines += [Text(), title]
        lines += [
            unbroken(
                [
                    Text(f"  example {example.example:<7}"),
                    Text(fit(number, cells[0], right=True), style.effect(example.influence)),
                    Text(fit(interval, cells[1], right=True), style.quiet),
                    _prediction(example, classes, style, _MAX_NAME),
                ],
                gap=1,
            )
            for example, number, interval in zip(examples, numbers, intervals, strict=True)
        ]
    return lines


def example_effect_rows(
    effects: GroupEffects, target: int, classes: Sequence[str], style: Style, *, captions: int = 2
) -> tuple[ImageRow, ImageRow]:
    """Return the images of the examples that a group helps and hurts most.

    Args:
        effects: of the group.
        target: number of the target.
        classes: names of the target's classes.
        style: colours and signs.
        captions: lines below an image, 1 or 2.
    """
    helped, hurt = (
        ImageRow(title, tuple(_effect_image(example, target, classes, style, captions) for example in examples), "none")
        for title, examples in zip(_effect_titles(effects, style), (effects.helped, effects.hurt), strict=True)
    )
    return helped, hurt


def sample_row(samples: Sequence[int], style: Style) -> ImageRow:
    """Return the stored images of the group itself, by their number among the samples."""
    images = tuple(CaptionedImage(None, sample, (Text(""),)) for sample in samples)
    return ImageRow(Text("images of the class itself", style="bold"), images, "none is stored")


def _effect_titles(effects: GroupEffects, style: Style) -> tuple[Text, Text]:
    """Return the titles of the examples that a group helps, and of those that it hurts."""
    helped, hurt = (
        Text.assemble(
            (f"{sign} {words}", f"bold {colour}"),
            (f"  {f'{count:,} of {effects.n_examples:,}' if count else 'none'} significant", style.quiet),
        )
        for sign, words, colour, count in (
            (style.helps, "helped most", style.good, effects.n_helped),
            (style.hurts, "hurt most", style.bad, effects.n_hurt),
        )
    )
    return helped, hurt


def _effect_image(
    example: ExampleEffect, target: int, classes: Sequence[str], style: Style, captions: int
) -> CaptionedImage:
    sign, mark = style.arrow(example.influence), "*" if example.q < SIGNIFICANCE_LEVEL else ""
    half = f" ±{example.high - example.influence:#.2g}".rstrip(".") if isfinite(example.high) else ""
    half = half.replace("±", style.glyph("±", "+-"))
    colour = style.effect(example.influence, significant=bool(mark))
    prediction = _prediction(example, classes, style, _LABEL)
    if captions == 1:
        number = (f"{sign}{abs(example.influence):.2g}{mark} ", colour)
        return CaptionedImage(target, example.example, (Text.assemble(number, prediction),))
    number = (f"{sign}{abs(example.influence):.3g}{mark}{half}", colour)
    return CaptionedImage(target, example.example, (Text.assemble(number), prediction))


def _prediction(example: ExampleEffect, classes: Sequence[str], style: Style, cells: int) -> Text:
    """Return the label of an example, and what most models predict instead, if they do."""
    label, predicted = (style.cut(label_name(classes, number), cells) for number in (example.label, example.predicted))
    wrong = "" if example.label == example.predicted else f" {style.glyph('→', '>')} {predicted}"
    return Text.assemble(label, (wrong, style.error))
