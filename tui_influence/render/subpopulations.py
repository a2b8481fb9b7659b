"""Subpopulations: the examples of target classes by the source group that drives them, and those that one group drives.

The command line prints the tables, bars and rows of images that the app shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from tui_influence.analysis.names import PLURAL, group_noun
from tui_influence.analysis.probe_types import ClassSubpopulations, DrivenExample, DrivenExamples, ProbeResult
from tui_influence.analysis.types import ImageSeries
from tui_influence.influence.types import SIGNIFICANCE_LEVEL
from tui_influence.render.charts import progress_bar
from tui_influence.render.format import fit, plain, unbroken
from tui_influence.render.image_layout import CaptionedImage, ImageRow
from tui_influence.render.interval_table import Column, IntervalTable, digits_of, estimate_text
from tui_influence.render.numbers import format_interval
from tui_influence.render.probe_views import ImageRowsView, ProbeRow, ProbeView, TableView
from tui_influence.render.ranking import split_label
from tui_influence.render.whisker import PointEstimate
from tui_influence.text import pluralize

if TYPE_CHECKING:
    from tui_influence.analysis.question import Question
    from tui_influence.analysis.snapshot import RunSnapshot
    from tui_influence.render.style import Style

_NAME = 24
"""Cells of a name at most."""
_BAR = 10
"""Cells of the bar in a table of classes."""
_BAR_TABLE = 70
"""Cells from which on a table of classes has bars."""
_OTHER_LINES = 10
"""Lines beside images that are not for bars."""
_DETAIL_LINES = 32
"""Lines beside a table of classes."""


def subpopulations_view(result: ProbeResult, classes: tuple[ClassSubpopulations, ...]) -> ProbeView:
    """Return the subpopulations of one class as images, or those of several as a table."""
    snapshot, question = result.snapshot, result.question.question
    is_one_class = question.target_class is not None
    groups = {example.example: example.group for one_class in classes for example in _examples(one_class)}
    return ProbeView(
        summary=lambda style: subpopulations_summary(snapshot, classes),
        table=None if is_one_class else _table_view(snapshot, classes),
        images=_class_images(snapshot, classes[0]) if is_one_class else None,
        series=lambda examples: ImageSeries(
            snapshot,
            question,
            examples,
            [groups[example] for example in examples],
            "",
            f"of target class {question.target_class}",
        ),
    )


def driven_view(result: ProbeResult, driven: DrivenExamples) -> ProbeView:
    """Return the examples that one group drives as images, by their class."""
    snapshot = result.snapshot
    description = "that it drives" if driven.significant else "that it helps"
    return ProbeView(
        summary=lambda style: driven_summary(snapshot, driven, style),
        images=_driven_images(snapshot, driven),
        empty="" if driven.examples else "It helps no test image more than its class.",
        series=lambda examples: ImageSeries(
            snapshot, result.question.question, examples, [driven.group for _ in examples], "", description
        ),
    )


def subpopulations_summary(snapshot: RunSnapshot, classes: Sequence[ClassSubpopulations]) -> str:
    """Return how many examples are in subpopulations, and of how many groups."""
    assigned, size = (sum(counts) for counts in zip(*((c.n_assigned, c.n_examples) for c in classes), strict=True))
    noun = group_noun(snapshot.info)
    groups = len({part.group for one_class in classes for part in one_class.subpopulations})
    to = f" to {pluralize(groups, f'source {noun}', f'source {PLURAL[noun]}')}" if groups else ""
    images, models = pluralize(size, "test image"), pluralize(classes[0].models, "model")
    return f"{assigned:,} of {images} assigned{to}, {models}"


def driven_summary(snapshot: RunSnapshot, driven: DrivenExamples, style: Style) -> str:
    """Return how many examples one group drives."""
    group = style.cut(snapshot.info.source.groups[driven.group], _NAME)
    images, models = pluralize(driven.n_examples, "test image"), pluralize(driven.models, "model")
    return f"{group} drives {len(driven.significant):,} of {images} more than their class, {models}"


def models_needed(classes: Sequence[ClassSubpopulations]) -> str:
    """Return how many models assigning half of a class takes, in a sentence; nothing where that is unknown."""
    counts = sorted(one_class.models_needed for one_class in classes if one_class.models_needed is not None)
    if not counts:
        return ""
    which = "of the class" if len(classes) == 1 else "of a class"
    return (
        f"To assign half {which} takes at least about {counts[len(counts) // 2]:,} models; "
        f"there are {classes[0].models:,}."
    )


def subpopulations_explained(snapshot: RunSnapshot, question: Question, scope: str) -> str:
    """Return what the numbers of subpopulations mean; `scope` says over which examples q is computed."""
    return (
        f"Class-relative influence: the influence on the {question.output_kind} of an example less that on the others "
        f"of its class, by {question.estimator}, {split_label(question.split)}, {snapshot.info.design_label}; "
        f"* q < {SIGNIFICANCE_LEVEL:g} over {scope}."
    )


def subpopulations_table(
    snapshot: RunSnapshot, classes: Sequence[ClassSubpopulations], style: Style, width: int, top: int | None = None
) -> IntervalTable:
    """Return target classes as a table: how many examples of each are assigned, and the largest subpopulations.

    Args:
        snapshot: the run.
        classes: rows.
        style: colours and signs.
        width: of the table.
        top: subpopulations of a class at most; None for all.
    """
    names, groups = snapshot.target_info.classes, snapshot.info.source.groups
    bars = tuple(progress_bar(c.n_assigned / c.n_examples, 0.0, _BAR, style, style.good) for c in classes)

    def largest(one_class: ClassSubpopulations) -> str:
        parts = one_class.subpopulations[:top]
        names = [f"{style.cut(groups[part.group], _NAME)} {len(part.members)}" for part in parts]
        n_more = len(one_class.subpopulations) - len(parts)
        return style.separator.join([*names, *([f"{n_more} more"] if n_more else [])]) or "-"

    return IntervalTable(
        "class",
        [style.cut(names[one_class.label], _NAME) for one_class in classes],
        [],
        style,
        width,
        before=[Column("assigned", tuple(f"{c.n_assigned:,} of {c.n_examples:,}" for c in classes))],
        after=[
            *([Column("", bars)] if width >= _BAR_TABLE else []),
            Column("driven by", tuple(largest(one_class) for one_class in classes)),
        ],
    )


def subpopulation_rows(snapshot: RunSnapshot, one_class: ClassSubpopulations, style: Style) -> tuple[ImageRow, ...]:
    """Return the images of a class, a row for each subpopulation, and one for unassigned examples."""
    target, groups = snapshot.target, snapshot.info.source.groups
    rows = [
        ImageRow(
            _title("driven by ", groups[part.group], f": {len(part.members)}", part.members, style),
            tuple(_image(target, member, "", style) for member in part.members),
        )
        for part in one_class.subpopulations
    ]
    if one_class.unassigned:
        title = Text.assemble(("unassigned", "bold"), f": {pluralize(len(one_class.unassigned), 'image')}")
        names = ["" if e.group is None else style.cut(groups[e.group], _NAME) for e in one_class.unassigned]
        images = zip(one_class.unassigned, names, strict=True)
        rows.append(ImageRow(title, tuple(_image(target, example, name, style) for example, name in images)))
    return tuple(rows)


def driven_rows(snapshot: RunSnapshot, driven: DrivenExamples, style: Style) -> tuple[ImageRow, ...]:
    """Return the images of the examples that one group drives, a row for each class, or those that come nearest."""
    target, classes = snapshot.target, snapshot.target_info.classes
    significant = driven.significant
    if not significant:
        title = Text("none is significant; these come nearest", "bold")
        return (ImageRow(title, tuple(_image(target, e, classes[e.label], style) for e in driven.examples)),)
    rows = []
    for label, count in driven.significant_by_class():
        members = [example for example in significant if example.label == label]
        title = _title(
            "", classes[label], f": {count:,} of {pluralize(driven.class_sizes[label], 'image')}", members, style
        )
        rows.append(ImageRow(title, tuple(_image(target, member, "", style) for member in members)))
    return tuple(rows)


def subpopulation_bars(
    snapshot: RunSnapshot, one_class: ClassSubpopulations, style: Style, width: int, height: int, group: str = ""
) -> list[Text]:
    """Return the subpopulations of a class as bars, and the number of unassigned examples; `group` stands out."""
    groups = snapshot.info.source.groups
    counts = [(groups[part.group], len(part.members)) for part in one_class.subpopulations]
    unassigned = f"{len(one_class.unassigned):,} of {one_class.n_examples:,} are unassigned."
    sentences = f"{unassigned} {models_needed([one_class])}".rstrip()
    return [*_bars("driven by", counts, group, width, height, style), Text(sentences, style.quiet)]


def driven_bars(
    snapshot: RunSnapshot, driven: DrivenExamples, style: Style, width: int, height: int, label: str = ""
) -> list[Text]:
    """Return the classes of the examples that one group drives as bars; the class `label` stands out."""
    classes = snapshot.target_info.classes
    counts = [(classes[number], count) for number, count in driven.significant_by_class()]
    return _bars("class of the target", counts, label, width, height, style)


def driven_example_lines(snapshot: RunSnapshot, examples: Sequence[DrivenExample], style: Style) -> list[Text]:
    """Return examples, a line each: the class-relative influence with its interval, the class and the group."""
    classes, groups = snapshot.target_info.classes, snapshot.info.source.groups
    digits = digits_of([_estimate(example) for example in examples])
    lines = []
    for example in examples:
        number = Text(f"  example {example.example:<7}")
        if example.group is None:
            lines.append(unbroken([number, Text("no source helps it more than its class", style.quiet)], gap=1))
            continue
        estimate = _estimate(example)
        cells = [
            Text(estimate_text(estimate, digits, style), style.effect(estimate.value)),
            Text(format_interval(example.low, example.high, digits), style.quiet),
            Text(style.cut(classes[example.label], _NAME)),
            Text(f"by {style.cut(groups[example.group], _NAME)}", style.quiet),
        ]
        lines.append(unbroken([number, *cells], gap=1))
    return lines


def _table_view(snapshot: RunSnapshot, classes: Sequence[ClassSubpopulations]) -> TableView:
    names = snapshot.target_info.classes
    return TableView(
        rows=[ProbeRow(c.label, names[c.label], {"": c.n_assigned / c.n_examples}) for c in classes],
        noun="class",
        nouns="classes",
        orders={
            "in the target's order": lambda row: (row.index,),
            "most assigned first": lambda row: (-row.numbers[""], row.index),
        },
        written=lambda width, style: subpopulations_table(snapshot, classes, style, width),
        detail=lambda row, width, style: [
            Text(style.cut(names[classes[row].label], _NAME), "bold"),
            *subpopulation_bars(snapshot, classes[row], style, width, _DETAIL_LINES - _OTHER_LINES),
        ],
    )


def _class_images(snapshot: RunSnapshot, one_class: ClassSubpopulations) -> ImageRowsView:
    examples = {example.example: example for example in _examples(one_class)}

    def detail(example: int | None, width: int, height: int, style: Style) -> list[Text]:
        chosen = examples.get(example) if example is not None else None
        group = ""
        if chosen is not None and chosen.is_significant and chosen.group is not None:
            group = snapshot.info.source.groups[chosen.group]
        bars = subpopulation_bars(snapshot, one_class, style, width, height - _OTHER_LINES, group)
        return [*bars, *_example_detail(snapshot, chosen, style)]

    return ImageRowsView(lambda style: subpopulation_rows(snapshot, one_class, style), detail)


def _driven_images(snapshot: RunSnapshot, driven: DrivenExamples) -> ImageRowsView:
    examples = {example.example: example for example in driven.examples}

    def detail(example: int | None, width: int, height: int, style: Style) -> list[Text]:
        chosen = examples.get(example) if example is not None else None
        label = snapshot.target_info.classes[chosen.label] if chosen is not None else ""
        bars = driven_bars(snapshot, driven, style, width, height - _OTHER_LINES, label)
        return [*bars, *_example_detail(snapshot, chosen, style)]

    return ImageRowsView(lambda style: driven_rows(snapshot, driven, style), detail)


def _example_detail(snapshot: RunSnapshot, example: DrivenExample | None, style: Style) -> list[Text]:
    """Return one example: the group that drives it, and its class-relative influence; nothing without an example."""
    if example is None:
        return []
    name = plain(snapshot.examples.names[example.example], style.ascii)
    title = Text(f"example {example.example:,}, {name}", style.quiet)
    if example.group is None:
        return [Text(), title, Text("no source helps it more than its class", style.quiet)]
    estimate = _estimate(example)
    digits = digits_of([estimate])
    interval = format_interval(example.low, example.high, digits)
    return [
        Text(),
        title,
        Text.assemble(
            (estimate_text(estimate, digits, style).rstrip(), _colour(example, style)),
            (f"{' ' if interval else ''}{interval} by ", style.quiet),
            style.cut(snapshot.info.source.groups[example.group], _NAME),
        ),
        Text(f"class-relative; * q < {SIGNIFICANCE_LEVEL:g}", style.quiet),
    ]


def _bars(
    title: str, counts: Sequence[tuple[str, int]], highlighted: str, width: int, height: int, style: Style
) -> list[Text]:
    """Return names and counts as bars, as many as fit in `height` lines; one name stands out."""
    largest = max((count for _, count in counts), default=1)
    visible = counts if len(counts) <= height - 2 else counts[: max(height - 3, 1)]
    cells = min(max((cell_len(style.cut(name, _NAME)) for name, _ in visible), default=0), max(width // 3, 8))
    number = len(f"{largest:,}")
    room = max(width - cells - number - 6, 4)
    lines = [Text(title, "bold")]
    for name, count in visible:
        mark = style.glyph("▸ ", "> ") if name == highlighted else "  "
        text = f"{mark}{fit(style.cut(name, _NAME), cells, ellipsis=style.ellipsis)}  {count:>{number},}  "
        bar = style.glyph("█", "#") * max(round(count / largest * room), 1)
        lines.append(Text.assemble((text, "bold" if name == highlighted else ""), (bar, style.good)))
    if len(visible) < len(counts):
        rest = sum(count for _, count in counts[len(visible) :])
        lines.append(Text(f"  and {len(counts) - len(visible):,} more, {rest:,} together", style.quiet))
    return [*lines, Text()]


def _title(before: str, name: str, count: str, members: Sequence[DrivenExample], style: Style) -> Text:
    """Return the title of a row of images: a name, a count, and the range of class-relative influences."""
    digits = digits_of([_estimate(member) for member in members])
    ends = dict.fromkeys(f"{member.class_relative_influence:{digits}}" for member in (members[0], members[-1]))
    influences = f", {' to '.join(ends)} class-relative"
    return Text.assemble(before, (style.cut(name, _NAME), "bold"), count, (influences, style.quiet))


def _image(target: int, example: DrivenExample, name: str, style: Style) -> CaptionedImage:
    if example.group is None:
        return CaptionedImage(target, example.example, (Text("not helped", style.quiet),))
    influence, mark = example.class_relative_influence, "*" if example.is_significant else ""
    number = (f"{style.arrow(influence)}{abs(influence):#.2g}{mark}", _colour(example, style))
    caption = Text.assemble(number, (f" {name}" if name else "", style.quiet))
    return CaptionedImage(target, example.example, (caption,))


def _examples(one_class: ClassSubpopulations) -> list[DrivenExample]:
    return [*(member for part in one_class.subpopulations for member in part.members), *one_class.unassigned]


def _estimate(example: DrivenExample) -> PointEstimate:
    return PointEstimate(
        example.class_relative_influence, example.low, example.high, example.se, example.is_significant
    )


def _colour(example: DrivenExample, style: Style) -> str:
    return style.effect(example.class_relative_influence, significant=example.is_significant)
