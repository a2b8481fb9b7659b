"""One source group in words: what it does to the target, to each of the target's classes, and to single images.

Pure functions of what was estimated, as lines of text of a given width.
"""

from collections.abc import Sequence
from math import isfinite

from rich.cells import cell_len
from rich.text import Text

from tui_influence.analysis.names import (
    label_name,
)
from tui_influence.analysis.types import (
    ExampleEffect,
    GroupEffects,
    RankReport,
)
from tui_influence.influence.types import (
    SIGNIFICANCE_LEVEL,
    RankedGroup,
)
from tui_influence.render.format import cut, plain
from tui_influence.render.image_layout import CaptionedImage, ImageRow
from tui_influence.render.ranking_table import head_and_tail
from tui_influence.render.style import Style
from tui_influence.text import pluralize

_NAME = 8
"""Cells that a name keeps, however narrow the screen."""


def heading(report: RankReport, row: RankedGroup, images: int | None, style: Style, width: int) -> Text:
    """Return a line: the group, its influence on what was asked with its interval, its rank, its size, the question.

    Args:
        report: the ranking.
        row: the group's row of it.
        images: of the group, in the source dataset.
        style: colours and signs.
        width: of the line; the name makes room, then the question and the size do.
    """
    facts = []
    if isfinite(row.influence):
        sign = style.arrow(row.influence)
        mark = "*" if row.q < SIGNIFICANCE_LEVEL else ""
        between = f" [{row.low:+.3g}, {row.high:+.3g}]" if isfinite(row.low) and isfinite(row.high) else ""
        facts.append((f"{sign} {row.influence:+.3g}{mark}{between}", _colour(row.influence, row.q, style)))
    else:
        facts.append(("influence unknown", style.quiet))
    if isfinite(row.influence):
        facts.append((f"  rank {row.rank:,} of {len(report.ranking.rows):,}", ""))
    asked = ", ".join(part for part in (report.target, report.target_class, report.ranking.output.value) if part)
    more = [f"  on {cut(plain(asked, style.ascii), 40, _ellipsis(style))}"]
    more += [f"  {images:,} images"] if images is not None else []
    name = plain(row.group, style.ascii)
    used = sum(len(text) for text, _ in facts) + min(cell_len(name), _NAME)
    for text in more:
        if used + cell_len(text) <= width:
            facts.append((text, style.quiet))
            used += cell_len(text)
    room = max(width - sum(cell_len(text) for text, _ in facts) - 2, _NAME)
    return Text.assemble((cut(name, room, _ellipsis(style)), "bold"), "  ", *facts, no_wrap=True, overflow="crop")


def shelves(
    moved: GroupEffects, target: int, classes: Sequence[str], style: Style, *, captions: int = 2
) -> tuple[ImageRow, ImageRow]:
    """Return the images that a group helps and hurts most.

    Args:
        moved: what it does.
        target: position of the target.
        classes: names of the target's classes.
        style: colours and signs.
        captions: lines below an image, 1 or 2.
    """

    def shelf(words: str, text_style: str, examples: Sequence[ExampleEffect], beyond: int) -> ImageRow:
        count = f"  {beyond:,} of {moved.n_examples:,} beyond chance" if beyond else "  none beyond chance"
        tiles = tuple(_tile(example, target, classes, style, captions) for example in examples)
        return ImageRow(Text.assemble((words, f"bold {text_style}"), (count, style.quiet)), tiles, "none")

    helped, hurt = style.glyph("▲ helped most", "+ helped most"), style.glyph("▼ hurt most", "- hurt most")
    return (
        shelf(helped, style.good, moved.helped, moved.n_helped),
        shelf(hurt, style.bad, moved.hurt, moved.n_hurt),
    )


def sample_shelf(samples: Sequence[int], style: Style) -> ImageRow:
    """Return the stored images of the group itself, by their position among the samples."""
    tiles = tuple(CaptionedImage(None, place, (Text(""),)) for place in samples)
    return ImageRow(Text("images of the class itself", style="bold"), tiles, "none is kept")


def class_effects(moved: GroupEffects, style: Style, width: int, height: int) -> list[Text]:
    """Return what a group does to each class of the target, a line each; both ends where not all fit.

    Args:
        moved: what it does.
        style: colours and signs.
        width: of the lines.
        height: lines at most.
    """
    title = Text.assemble(
        (f"effect on {'the class' if len(moved.classes) == 1 else 'each class'} of the target", "bold"),
        (f"  {pluralize(moved.models, 'model')}", style.quiet),
    )
    return [title, *head_and_tail(moved.classes, "class", style, width, height - 1)]


def _tile(example: ExampleEffect, target: int, classes: Sequence[str], style: Style, captions: int) -> CaptionedImage:
    label, usual = (plain(label_name(classes, place), style.ascii)[:60] for place in (example.label, example.predicted))
    right = example.label == example.predicted
    sign = style.arrow(example.influence)
    mark = "*" if example.q < SIGNIFICANCE_LEVEL else ""
    half = f" ±{example.high - example.influence:#.2g}".rstrip(".") if isfinite(example.high) else ""
    if style.ascii:
        half = half.replace("±", "+-")
    colour = _colour(example.influence, example.q, style)
    number = Text.assemble((f"{sign}{abs(example.influence):.3g}{mark}{half}", colour))
    verdict = Text.assemble(label, ("" if right else f" {style.glyph('→', '>')} {usual}", style.error))
    lines: tuple[Text, ...] = (number, verdict)
    if captions == 1:
        lines = (Text.assemble((f"{sign}{abs(example.influence):.2g}{mark} ", colour), verdict),)
    return CaptionedImage(target, example.example, lines)


def _ellipsis(style: Style) -> str:
    return style.ellipsis


def _colour(influence: float, q: float, style: Style) -> str:
    if not q < SIGNIFICANCE_LEVEL:
        return style.quiet
    return style.good if influence > 0 else style.bad
