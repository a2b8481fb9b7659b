"""Subpopulations in the Probe mode: a table of the target's classes, or the images of one by what drives each.

Pure functions of what was found. Loads numpy, so it is imported where there is something to show.
"""

from collections.abc import Sequence
from math import isfinite

from rich.cells import cell_len
from rich.text import Text

from tui_influence.analysis.names import (
    PLURAL,
    group_noun,
)
from tui_influence.analysis.types import (
    ClassSubpopulations,
    DrivenExample,
    DrivenExamples,
    ImageSeries,
    ProbeResult,
)
from tui_influence.export.subpopulations import examples_in_order
from tui_influence.influence.types import (
    SIGNIFICANCE_LEVEL,
)
from tui_influence.render.charts import progress_bar
from tui_influence.render.format import cut, fit, plain
from tui_influence.render.image_layout import CaptionedImage, ImageRow
from tui_influence.render.interval_table import Column, IntervalTable
from tui_influence.render.numbers import value_format
from tui_influence.render.probe_views import ImageRowsView, ProbeRow, ProbeView, TableView
from tui_influence.render.style import Style
from tui_influence.text import pluralize

_NAME = 24
"""Cells of a name at most."""
_BAR = 10
_WITH_BAR = 70
"""Cells from which on a line has room for a bar."""
_MORE = 10
"""Lines beside images that say more than the parts."""
_TALL = 32
"""Lines beside a table of classes."""


def classes_shown(found: ProbeResult, classes: tuple[ClassSubpopulations, ...]) -> ProbeView:
    """Return what there is to show of the subpopulations of classes: of one its images, of several a line each."""
    examples = examples_in_order(classes)
    one = classes[0] if found.question.question.target_class is not None else None
    return ProbeView(
        summary=lambda style: _summary(found, classes, style),
        table=_overview(found, classes) if one is None else None,
        images=None if one is None else _class_shelves(found, one),
        series=lambda numbers: _series(found, examples, numbers, f"of class {found.question.question.target_class}"),
    )


def driven_shown(found: ProbeResult, driven: DrivenExamples) -> ProbeView:
    """Return what there is to show of what one group drives: its images, by their class."""
    told = any(example.is_significant for example in driven.examples)
    return ProbeView(
        summary=lambda style: _driven_summary(found, driven, style),
        images=_driven_shelves(found, driven),
        empty="" if driven.examples else "It helps no test image beyond its class.",
        series=lambda numbers: _series(found, driven.examples, numbers, "that it drives" if told else "that it helps"),
    )


def _series(found: ProbeResult, examples: Sequence[DrivenExample], numbers: Sequence[int], which: str) -> ImageSeries:
    groups = {one.example: one.group for one in examples}
    return ImageSeries(
        found.reading, found.question.question, numbers, [groups[number] for number in numbers], "", which
    )


def _summary(found: ProbeResult, classes: Sequence[ClassSubpopulations], style: Style) -> str:
    told, size = sum(one.n_assigned for one in classes), sum(one.n_examples for one in classes)
    noun = group_noun(found.reading.info)
    models = pluralize(classes[0].models, "model")
    groups = len({part.group for one in classes for part in one.subpopulations})
    by = f", by {pluralize(groups, f'source {noun}', f'source {PLURAL[noun]}')}" if groups else ""
    return f"{told:,} of {pluralize(size, 'test image')} told apart{by}, {models}"


def _driven_summary(found: ProbeResult, driven: DrivenExamples, style: Style) -> str:
    told = sum(1 for example in driven.examples if example.is_significant)
    group = _name(found.reading.info.source.groups[driven.group], style)
    of = pluralize(driven.n_examples, "test image")
    return f"{group} drives {told:,} of {of} beyond their class, {pluralize(driven.models, 'model')}"


def _overview(found: ProbeResult, classes: Sequence[ClassSubpopulations]) -> TableView:
    names = found.reading.target_info.classes
    return TableView(
        rows=[ProbeRow(one.label, names[one.label], {"": one.n_assigned / one.n_examples}) for one in classes],
        noun="class",
        nouns="classes",
        orders={
            "in the target's order": lambda row: (row.index,),
            "most told first": lambda row: (-row.numbers[""], row.index),
        },
        written=lambda width, style: _overview_table(found, classes, width, style),
        detail=lambda place, width, style: [
            Text.assemble((_name(names[classes[place].label], style), "bold")),
            *_parts(found, classes[place], None, width, _TALL, style),
        ],
    )


def _overview_table(
    found: ProbeResult, classes: Sequence[ClassSubpopulations], width: int, style: Style
) -> IntervalTable:
    """A line a class: how many of its images are told, and what drives most of them."""
    names, groups = found.reading.target_info.classes, found.reading.info.source.groups
    bars = tuple(progress_bar(one.n_assigned / one.n_examples, 0.0, _BAR, style, style.good) for one in classes)
    driven_examples = tuple(
        style.separator.join(f"{_name(groups[part.group], style)} {len(part.members)}" for part in one.subpopulations)
        or "-"
        for one in classes
    )
    return IntervalTable(
        "class",
        [_name(names[one.label], style) for one in classes],
        [],
        style,
        width,
        before=[Column("told", tuple(f"{one.n_assigned:,} of {one.n_examples:,}" for one in classes))],
        after=[*([Column("", bars)] if width >= _WITH_BAR else []), Column("driven by", driven_examples)],
    )


def _class_shelves(found: ProbeResult, one: ClassSubpopulations) -> ImageRowsView:
    target, groups = found.reading.target, found.reading.info.source.groups
    at = {member.example: member for part in one.subpopulations for member in part.members} | {
        e.example: e for e in one.unassigned
    }

    def shelves(style: Style) -> tuple[ImageRow, ...]:
        found_parts = [
            ImageRow(
                _title(_name(groups[part.group], style), f"drives {len(part.members):,}", part.members, style),
                tuple(_tile(target, member, "", style) for member in part.members),
            )
            for part in one.subpopulations
        ]
        title = Text.assemble(("not told", "bold"), f"  {len(one.unassigned):,}")
        rest = tuple(
            _tile(target, member, "" if member.group is None else _name(groups[member.group], style), style)
            for member in one.unassigned
        )
        return (*found_parts, *([ImageRow(title, rest)] if rest else []))

    return ImageRowsView(
        shelves,
        lambda example, width, height, style: _parts(
            found, one, at.get(example) if example is not None else None, width, height, style
        ),
    )


def _driven_shelves(found: ProbeResult, driven: DrivenExamples) -> ImageRowsView:
    target, classes = found.reading.target, found.reading.target_info.classes
    told = [example for example in driven.examples if example.is_significant]
    at = {example.example: example for example in driven.examples}

    def shelves(style: Style) -> tuple[ImageRow, ...]:
        if not told:
            title = Text.assemble(("none is told from its class; these come nearest", "bold"))
            return (ImageRow(title, tuple(_tile(target, e, classes[e.label], style) for e in driven.examples)),)
        made = []
        for label, count in driven.significant_by_class():
            members = [example for example in told if example.label == label]
            title = _title(_name(classes[label], style), f"{count:,} of {driven.class_sizes[label]:,}", members, style)
            made.append(ImageRow(title, tuple(_tile(target, member, "", style) for member in members)))
        return tuple(made)

    def about(example: int | None, width: int, height: int, style: Style) -> list[Text]:
        counts = [
            (classes[label], count, int(driven.class_sizes[label])) for label, count in driven.significant_by_class()
        ]
        chosen = at.get(example) if example is not None else None
        lit = classes[chosen.label] if chosen is not None else None
        return [
            *_bars("class of the target", counts, lit, width, height - _MORE, style),
            *_said(found, chosen, style),
        ]

    return ImageRowsView(shelves, about)


def _parts(
    found: ProbeResult, one: ClassSubpopulations, chosen: DrivenExample | None, width: int, height: int, style: Style
) -> list[Text]:
    """The parts of a class with a bar each, and what is said of one of its images."""
    groups = found.reading.info.source.groups
    counts = [(groups[part.group], len(part.members), one.n_examples) for part in one.subpopulations]
    lit = groups[chosen.group] if chosen is not None and chosen.is_significant and chosen.group is not None else None
    lines = _bars("driven by", counts, lit, width, height - _MORE, style)
    unassigned = f"{len(one.unassigned):,} of {one.n_examples:,} are driven by nothing that can be told."
    needed = ""
    if one.models_needed is not None:
        needed = f" To tell half takes at least about {one.models_needed:,} models; there are {one.models:,}."
    return [*lines, Text(unassigned + needed, style.quiet), *_said(found, chosen, style)]


def _bars(
    title: str, counts: Sequence[tuple[str, int, int]], lit: str | None, width: int, height: int, style: Style
) -> list[Text]:
    """Names and counts as bars, as many as fit in so many lines."""
    most = max((count for _, count, _ in counts), default=1)
    shown = counts if len(counts) <= height - 2 else counts[: max(height - 3, 1)]
    cells = min(max((cell_len(_name(name, style)) for name, *_ in shown), default=0), max(width // 3, 8))
    number = len(f"{most:,}")
    room = max(width - cells - number - 6, 4)
    lines = [Text(title, "bold")]
    for name, count, _ in shown:
        mark = style.glyph("▸ ", "> ") if name == lit else "  "
        bar = style.glyph("█", "#") * max(round(count / most * room), 1)
        words = f"{mark}{fit(_name(name, style), cells, ellipsis=_ellipsis(style))}  {count:>{number},}  "
        lines.append(Text.assemble((words, "bold" if name == lit else ""), (bar, style.good)))
    if len(shown) < len(counts):
        rest = sum(count for _, count, _ in counts[len(shown) :])
        lines.append(Text(f"  and {len(counts) - len(shown):,} more, {rest:,} together", style.quiet))
    return [*lines, Text()]


def _said(found: ProbeResult, chosen: DrivenExample | None, style: Style) -> list[Text]:
    """What is said of one image: by which group it is driven, how much beyond its class, how surely."""
    if chosen is None:
        return []
    style, names = style, found.reading.examples.names
    about = Text(f"image {chosen.example:,}, {plain(names[chosen.example], style.ascii)}", style.quiet)
    if chosen.group is None:
        return [Text(), about, Text("no source helps it beyond its class", style.quiet)]
    digits = value_format([chosen.class_relative_influence], [chosen.se])
    mark = "*" if chosen.is_significant else ""
    ends = f" [{chosen.low:{digits}}, {chosen.high:{digits}}]" if isfinite(chosen.low) else ""
    return [
        Text(),
        about,
        Text.assemble(
            (
                f"{style.before(chosen.class_relative_influence)}{chosen.class_relative_influence:{digits}}{mark}",
                _colour(chosen, style),
            ),
            (f"{ends} by ", style.quiet),
            _name(found.reading.info.source.groups[chosen.group], style),
        ),
        Text(f"beyond its class; * q < {SIGNIFICANCE_LEVEL:g}", style.quiet),
    ]


def _title(name: str, words: str, members: Sequence[DrivenExample], style: Style) -> Text:
    digits = value_format([member.class_relative_influence for member in members], [member.se for member in members])
    ends = dict.fromkeys(f"{member.class_relative_influence:{digits}}" for member in (members[0], members[-1]))
    return Text.assemble((name, "bold"), f" {words}", (f"  {' to '.join(ends)} beyond the class", style.quiet))


def _tile(target: int, one: DrivenExample, name: str, style: Style) -> CaptionedImage:
    if one.group is None:
        return CaptionedImage(target, one.example, (Text("not helped", style.quiet),))
    sign = style.arrow(one.class_relative_influence)
    number = (f"{sign}{abs(one.class_relative_influence):#.2g}{'*' if one.is_significant else ''}", _colour(one, style))
    return CaptionedImage(target, one.example, (Text.assemble(number, (f" {name}" if name else "", style.quiet)),))


def _colour(one: DrivenExample, style: Style) -> str:
    return (style.good if one.class_relative_influence > 0 else style.bad) if one.is_significant else style.quiet


def _name(text: str, style: Style) -> str:
    return cut(plain(text, style.ascii), _NAME, _ellipsis(style))


def _ellipsis(style: Style) -> str:
    return style.ellipsis
