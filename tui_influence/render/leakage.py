"""Leaks and duplicates: pairs of a source image and a test example that it influences, or is a duplicate of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from rich.text import Text

from tui_influence.analysis.names import PLURAL, Noun, group_noun, groups_are_images, source_class_of
from tui_influence.analysis.probe_types import Duplicate, Duplicates, Leak, Leaks, ProbeResult
from tui_influence.analysis.types import ImageSeries
from tui_influence.influence.types import SIGNIFICANCE_LEVEL, RankedGroup
from tui_influence.render.interval_table import (
    Column,
    Estimates,
    IntervalTable,
    digits_of,
    estimate_text,
    point_estimate,
)
from tui_influence.render.numbers import format_interval, format_q
from tui_influence.render.probe_views import Order, ProbeRow, ProbeView, TableView
from tui_influence.render.ranking import split_label
from tui_influence.render.ranking_table import packed
from tui_influence.render.style import Style
from tui_influence.text import pluralize

if TYPE_CHECKING:
    from tui_influence.analysis.question import Question
    from tui_influence.analysis.snapshot import RunSnapshot

_NAME = 16
_LABEL = 11
_UNITS = {"margin": "margin, nats", "probability": "probability of its class", "correct": "fraction correct"}
_ORDERS: dict[str, Order] = {
    "helped first, then lowest q": lambda row: (row.numbers["position"],),
    "hurt first, then lowest q": lambda row: (row.numbers[""] > 0, row.numbers["position"]),
    "strongest first": lambda row: (-abs(row.numbers[""]), row.numbers["position"]),
    "by name": lambda row: (row.group, row.numbers["position"]),
}


def leaks_view(result: ProbeResult, leaks: Leaks) -> ProbeView:
    """Return leaks as a table."""
    snapshot, question = result.snapshot, result.question.question
    pairs = (*leaks.helped, *leaks.hurt)
    by_index = {_index(snapshot, leak): leak for leak in pairs}
    tested, models = pluralize(leaks.n_tested, "pair"), pluralize(leaks.models, "model")

    def series(indices: Sequence[int]) -> ImageSeries:
        chosen = [by_index[index] for index in indices]
        examples, groups = [leak.example for leak in chosen], [leak.group for leak in chosen]
        return ImageSeries(snapshot, question, examples, groups, "", "that one image influences")

    significant = f"{leaks.n_helped:,} pairs significantly helped and {leaks.n_hurt:,} hurt"
    return ProbeView(
        summary=lambda style: f"{significant}, of {tested}, {models}",
        series=series,
        table=_table_view(result, leaks, pairs),
        empty="" if pairs else f"None of {tested} is significant with {models}.",
    )


def leaks_heading(snapshot: RunSnapshot, question: Question, leaks: Leaks, style: Style, width: int) -> list[Text]:
    """Return a title, and what the leaks were estimated from."""
    facts = [
        f"run {snapshot.info.name}",
        pluralize(leaks.models, "model"),
        snapshot.info.design_label,
        split_label(question.split),
        _UNITS[question.output_kind],
        pluralize(leaks.n_tested, "pair"),
    ]
    target = f'single test images of target "{snapshot.target_info.name}"'
    title = f"Source images and {target}"
    if not groups_are_images(snapshot.info):
        title = f"Source {PLURAL[group_noun(snapshot.info)]} and {target}: not leaks, which are of single source images"
    return [style.line(title, "bold"), *packed(facts, style, width)]


def leaks_title(snapshot: RunSnapshot, leaks: Leaks, *, helped: bool, style: Style) -> Text:
    """Return a line above the pairs that are helped, or hurt: how many are significant."""
    word, meaning = ("helped", ": likely leakage") if helped else ("hurt", ": misleading")
    count = pluralize(leaks.n_helped if helped else leaks.n_hurt, "pair")
    meaning = meaning if groups_are_images(snapshot.info) else ""
    return style.line(f"{word}{meaning}; {count} significant (q < {SIGNIFICANCE_LEVEL:g})", "bold")


def leak_lines(snapshot: RunSnapshot, leak: Leak, style: Style, width: int, kind: str = "") -> list[Text]:
    """Return a pair in words, as lines of a width; `kind` names the kind of duplicate that it is, if it is one."""
    group, examples, estimate = snapshot.info.source.groups[leak.group], snapshot.examples, point_estimate(leak)
    digits, source_class = digits_of([estimate]), source_class_of(snapshot.info, group)
    interval, q = format_interval(leak.low, leak.high, digits), format_q(leak.q, style.unknown)
    influence = Text.assemble(
        (estimate_text(estimate, digits, style), style.effect(leak.influence, significant=estimate.is_significant)),
        (f" {interval}  q {q}", style.quiet),
    )
    label = snapshot.target_info.classes[int(examples.labels[leak.example])]
    return [
        _fact("source", _named(group, source_class), style, width),
        _fact("test", _named(f"example {leak.example:,}, {examples.names[leak.example]}", label), style, width),
        style.fact("influence", influence, label_cells=_LABEL),
        *([style.fact("duplicate", kind, "bold", label_cells=_LABEL)] if kind else []),
    ]


def leaks_explained(snapshot: RunSnapshot, leaks: Leaks) -> tuple[str, str]:
    """Return what the influence of a pair is, and how small one can be detected."""
    noun, models = _noun(snapshot), pluralize(leaks.models, "model")
    return (
        "Influence: on the example minus that on the other examples of its class, over models trained with the "
        f"{noun} minus over models trained without it; that on the example itself has the same sign.",
        f"Power: an influence of {leaks.detectable_influence:.2g} or more is detected in 80% of cases, with {models} "
        f"and {pluralize(leaks.n_tested, 'pair')}; q is over all of these.",
    )


def duplicates_title(duplicates: Duplicates, style: Style) -> Text:
    """Return how many source images are duplicates of test images."""
    compared = f"{pluralize(duplicates.n_compared, 'source image')} (compared with {duplicates.n_examples:,})"
    count = pluralize(len(duplicates.pairs), "duplicate")
    return style.line(f"{count} of test images among {compared}", "bold")


def duplicate_lines(
    snapshot: RunSnapshot, duplicates: Duplicates, pair: Duplicate, style: Style, width: int
) -> list[Text]:
    """Return a duplicate in words, as lines of a width."""
    name, label = duplicates.names[pair.source], _label(snapshot, pair)
    example = f"example {pair.target:,}, {snapshot.examples.names[pair.target]}"
    kind = f"{pair.kind.value}, at {pair.relative:.0%} of the distance of unrelated images"
    return [
        _fact("source", _named(name, duplicates.source_classes[pair.source]), style, width),
        _fact("test", _named(example, label), style, width),
        _fact("duplicate", kind, style, width),
    ]


def duplicate_line(snapshot: RunSnapshot, duplicates: Duplicates, pair: Duplicate, style: Style, width: int) -> Text:
    """Return a duplicate in one line."""
    test = f"example {pair.target:,}, {snapshot.examples.names[pair.target]}"
    line = f"  {duplicates.names[pair.source]}  {pair.kind.value} duplicate of {_named(test, _label(snapshot, pair))}"
    return Text(style.cut(line, width))


def image_caption(row: RankedGroup, digits: str, style: Style, width: int) -> list[Text]:
    """Return a source image and its influence, as lines below it."""
    estimate = point_estimate(row)
    return [
        Text(style.cut(row.group, width), no_wrap=True),
        Text(estimate_text(estimate, digits, style).rstrip(), style=style.effect(row.influence)),
        Text(format_interval(row.low, row.high, digits), style=style.quiet, no_wrap=True),
    ]


def _noun(snapshot: RunSnapshot) -> Noun | Literal["image"]:
    return "image" if groups_are_images(snapshot.info) else group_noun(snapshot.info)


def _named(name: str, class_name: str | None) -> str:
    return f"{name}, class {class_name}" if class_name else name


def _label(snapshot: RunSnapshot, pair: Duplicate) -> str:
    return snapshot.target_info.classes[int(snapshot.examples.labels[pair.target])]


def _fact(label: str, text: str, style: Style, width: int) -> Text:
    cells = max(width - _LABEL, 8)
    return style.fact(label, style.cut(text, cells), label_cells=_LABEL)


def _index(snapshot: RunSnapshot, leak: Leak) -> int:
    return leak.group * len(snapshot.examples.labels) + leak.example


def _table_view(result: ProbeResult, leaks: Leaks, pairs: Sequence[Leak]) -> TableView:
    snapshot, groups = result.snapshot, result.snapshot.info.source.groups
    labels = [snapshot.target_info.classes[int(snapshot.examples.labels[leak.example])] for leak in pairs]

    def written(width: int, style: Style) -> IntervalTable:
        tests = tuple(f"{leak.example:,} {style.cut(label, _NAME)}" for leak, label in zip(pairs, labels, strict=True))
        return IntervalTable(
            "source image",
            [groups[leak.group] for leak in pairs],
            [Estimates("influence ", [point_estimate(leak) for leak in pairs])],
            style,
            width,
            before=[Column("example", tests, right=False)],
            after=[Column("q", tuple(format_q(leak.q, style.unknown) for leak in pairs), keep=1)],
        )

    def detail(position: int, width: int, style: Style) -> list[Text]:
        leak = pairs[position]
        missing = result.samples_error
        if not missing and leak.group not in result.samples:
            missing = "The run stores no image of this source image."
        meaning = "helps: likely leakage" if leak.influence > 0 else "hurts: misleading"
        return [
            *([style.line(missing, style.warning)] if missing else []),
            *leak_lines(snapshot, leak, style, width),
            Text(meaning if point_estimate(leak).is_significant else "not significant"),
            Text(),
            *(Text(sentence, style.quiet) for sentence in leaks_explained(snapshot, leaks)),
        ]

    return TableView(
        rows=[
            ProbeRow(
                _index(snapshot, leak),
                f"{groups[leak.group]} {label}",
                {"": leak.influence, "q": leak.q, "position": position},
                leak.example,
                result.samples.get(leak.group),
            )
            for position, (leak, label) in enumerate(zip(pairs, labels, strict=True))
        ],
        noun="pair",
        nouns="pairs",
        orders=_ORDERS,
        written=written,
        detail=detail,
    )
