"""Failures: test examples that models get wrong, what models predict instead, and which source groups hurt them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import inf
from typing import TYPE_CHECKING

from rich.text import Text

from tui_influence.analysis.names import PLURAL, group_noun, label_name
from tui_influence.analysis.probe_types import Failure, Failures, HarmfulGroup, ProbeResult
from tui_influence.analysis.types import ImageSeries
from tui_influence.influence.types import SIGNIFICANCE_LEVEL
from tui_influence.render.interval_table import Column, Estimates, IntervalTable, digits_of, point_estimate
from tui_influence.render.numbers import format_interval, format_q
from tui_influence.render.probe_views import Order, ProbeRow, ProbeView, TableView
from tui_influence.render.style import Style
from tui_influence.render.whisker import NO_ESTIMATE
from tui_influence.text import pluralize

if TYPE_CHECKING:
    from tui_influence.analysis.question import Question
    from tui_influence.analysis.snapshot import RunSnapshot

_NAME = 16
"""Cells of a name beside others."""
_NARROW_NAME = 8
"""Cells of a name where there are few, and that the class keeps before columns that can be done without."""
_ROOMY = 60
"""Cells of a line from which on there is room for names."""
_ORDERS: dict[str, Order] = {
    "lowest margin first": lambda row: (row.numbers["margin"],),
    "strongest harm first": lambda row: (row.numbers[""], row.numbers["margin"]),
    "lowest q first": lambda row: (row.numbers["q"], row.numbers[""], row.numbers["margin"]),
    "by class": lambda row: (row.group, row.numbers["margin"]),
}


def failures_view(result: ProbeResult, failures: Failures) -> ProbeView:
    """Return failures as a table."""
    question, snapshot = result.question.question, result.snapshot
    harmful = {failure.example: group.group if (group := _worst(failure)) else None for failure in failures.examples}
    limit = f"; the {result.limit:,} of lowest margin are shown" if result.limit else ""
    summary = failures_summary(failures)
    return ProbeView(
        summary=lambda style: summary + limit,
        series=lambda examples: ImageSeries(
            snapshot,
            question,
            examples,
            [harmful[example] for example in examples],
            "hurts it most",
            "that models get wrong",
        ),
        table=_table_view(result, failures),
        empty="" if failures.examples else f"{summary[0].upper()}{summary[1:]}.",
    )


def failures_summary(failures: Failures, scope: str = "") -> str:
    """Return how many examples are failures; `scope` says of which class and target they are."""
    low = failures.n_low_margin
    examples, models = pluralize(failures.n_examples, "example"), pluralize(failures.models, "model")
    more = f"; {low:,} more {'has' if low == 1 else 'have'} a low margin" if low else ""
    return f"most of {models} predict {failures.n_wrong:,} of {examples}{scope} wrongly{more}"


def failure_lines(
    snapshot: RunSnapshot, question: Question, failure: Failure, style: Style, width: int
) -> tuple[list[Text], list[Text]]:
    """Return what models say about a failure, and which groups hurt it, as lines of a width."""
    classes, groups = snapshot.target_info.classes, snapshot.info.source.groups

    def name(text: str) -> str:
        return style.cut(text, max(width // 2, _NARROW_NAME))

    predicted = name(label_name(classes, failure.predicted))
    most_frequent = f", most often predicted {predicted}"
    if failure.predicted == failure.label:
        most_frequent = ", predicted most often, but by fewer than half" if failure.right < 0.5 else ""
    file = snapshot.examples.names[failure.example]
    about = [
        Text.assemble((name(classes[failure.label]), "bold"), most_frequent),
        Text(style.cut(f"example {failure.example:,}, {file}", width), style.quiet),
        Text(f"right in {failure.right:.0%} of the models, margin {failure.margin:+.2f}"),
    ]
    harmful = failure.harmful_groups
    if not harmful:
        return about, [Text(f"no {group_noun(snapshot.info)} lowers its {question.output_kind}", style.quiet)]
    estimates = [point_estimate(group) for group in harmful]
    digits = digits_of(estimates)
    intervals = tuple(format_interval(group.low, group.high, digits) for group in harmful)
    table = IntervalTable(
        "hurt by",
        [groups[group.group] for group in harmful],
        [Estimates("influence ", estimates, digits)],
        style,
        width,
        after=[
            Column("95% interval", intervals, keep=2),
            Column("q", tuple(format_q(group.q, style.unknown) for group in harmful), keep=1),
        ],
    )
    return about, [table.header(), *(table.line(row) for row in range(len(harmful)))]


def failures_explained(snapshot: RunSnapshot, question: Question, failures: Failures) -> str:
    """Return what the numbers of failures mean."""
    noun = group_noun(snapshot.info)
    zero = f" Zero is an average {noun}." if failures.relative else ""
    return (
        f"Influence on the {question.output_kind} of the example, by {question.estimator}, with 95% intervals; "
        f"* q < {SIGNIFICANCE_LEVEL:g} over the {PLURAL[noun]}.{zero}"
    )


def _worst(failure: Failure) -> HarmfulGroup | None:
    return failure.harmful_groups[0] if failure.harmful_groups else None


def _table_view(result: ProbeResult, failures: Failures) -> TableView:
    snapshot, question = result.snapshot, result.question.question
    groups, classes = snapshot.info.source.groups, snapshot.target_info.classes
    examples = failures.examples
    worst = [_worst(failure) for failure in examples]

    def written(width: int, style: Style) -> IntervalTable:
        cells = _NAME if width >= _ROOMY else _NARROW_NAME

        @cache  # the same few names again and again
        def name(text: str) -> str:
            return style.cut(text, cells)

        estimates = [NO_ESTIMATE if group is None else point_estimate(group) for group in worst]
        return IntervalTable(
            "class",
            [classes[failure.label] for failure in examples],
            [Estimates("influence ", estimates)],
            style,
            width,
            before=[
                Column("predicted", tuple(name(label_name(classes, e.predicted)) for e in examples), right=False),
                Column("right", tuple(f"{failure.right:.0%}" for failure in examples), keep=3),
                Column("margin", tuple(f"{failure.margin:+.2f}" for failure in examples), keep=1),
                Column("hurt by", tuple(name(groups[g.group]) if g else "nothing" for g in worst), right=False),
            ],
            after=[Column("q", tuple(format_q(g.q, style.unknown) if g else "" for g in worst), keep=2)],
            min_name=_NARROW_NAME,
        )

    def detail(position: int, width: int, style: Style) -> list[Text]:
        about, harmful = failure_lines(snapshot, question, examples[position], style, width)
        explained = Text(failures_explained(snapshot, question, failures), style.quiet)
        return [*about, Text(), *harmful, Text(), explained]

    return TableView(
        rows=[
            ProbeRow(failure.example, _names(failure, classes, groups), _numbers(failure), failure.example)
            for failure in examples
        ],
        noun="failure",
        nouns="failures",
        orders=_ORDERS,
        written=written,
        detail=detail,
    )


def _names(failure: Failure, classes: Sequence[str], groups: Sequence[str]) -> str:
    names = [classes[failure.label], label_name(classes, failure.predicted)]
    return " ".join([*names, *(groups[group.group] for group in failure.harmful_groups[:1])])


def _numbers(failure: Failure) -> dict[str, float]:
    worst = _worst(failure)
    influence, q = (worst.influence, worst.q) if worst is not None else (inf, inf)
    return {"": influence, "q": q, "margin": failure.margin, "right": failure.right}
