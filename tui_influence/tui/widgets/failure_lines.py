"""Failures as a table of the Probe mode: what each is, what models say instead, and which groups are to blame.

Pure functions of what was found. Loads numpy, so it is imported where there is something to show.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from math import inf

from rich.text import Text

from tui_influence.analysis.failures import (
    DEFAULT_GROUPS,
)
from tui_influence.analysis.names import (
    PLURAL,
    group_noun,
    label_name,
)
from tui_influence.analysis.types import (
    Failure,
    Failures,
    HarmfulGroup,
    ImageSeries,
    ProbeResult,
)
from tui_influence.export.failures import failures_csv
from tui_influence.influence.types import (
    SIGNIFICANCE_LEVEL,
)
from tui_influence.render.format import cut, plain
from tui_influence.render.interval_table import Column, Estimates, IntervalTable, point_estimate
from tui_influence.render.numbers import format_q
from tui_influence.render.probe_views import Order, ProbeRow, Shown, TableView
from tui_influence.render.style import Style
from tui_influence.render.whisker import NO_ESTIMATE
from tui_influence.text import pluralize

_NAME = 16
"""Cells of a name that stands beside others."""
_FEWEST = 8
"""Cells of a name where there are few, and that the class keeps before columns that can be done without."""
_ROOMY = 60
"""Cells of a line from which on there is room for names."""
_ORDERS: dict[str, Order] = {
    "lowest margin first": lambda row: (row.numbers["margin"],),
    "most to blame first": lambda row: (row.numbers[""], row.numbers["margin"]),
    "surest blame first": lambda row: (row.numbers["q"], row.numbers[""], row.numbers["margin"]),
    "by class": lambda row: (row.group, row.numbers["margin"]),
}


def failures_shown(found: ProbeResult, failures: Failures) -> Shown:
    """Return what there is to show of failures."""
    asked, reading = found.question.question, found.reading
    blamed = {one.example: one.harmful_groups[0].group if one.harmful_groups else None for one in failures.examples}
    few = replace(
        failures,
        examples=tuple(replace(one, harmful_groups=one.harmful_groups[:DEFAULT_GROUPS]) for one in failures.examples),
    )
    limited = f"The {found.limit:,} of lowest margin, as with `--top={found.limit}`. " if found.limit else ""
    return Shown(
        summary=lambda style: _summary(found, failures),
        sheet=_sheet(found, failures),
        empty="" if failures.examples else f"None of {_summary(found, failures).partition(' of ')[2]}.",
        series=lambda examples: ImageSeries(
            reading, asked, examples, [blamed[one] for one in examples], "is most to blame", "that models get wrong"
        ),
        csv=lambda: failures_csv(reading, asked, few),
        what=pluralize(len(failures.examples), "failure"),
        note=f"{limited}All failures, whatever is filtered, with at most {DEFAULT_GROUPS} groups to blame for each.",
    )


def _summary(found: ProbeResult, failures: Failures) -> str:
    models = pluralize(failures.models, "model")
    shown = f"; the {found.limit:,} of lowest margin are shown" if found.limit else ""
    verb = "is" if failures.n_wrong == 1 else "are"
    of = pluralize(failures.n_examples, "test image")
    return f"{failures.n_wrong:,} of {of} {verb} wrong by most of {models}{shown}"


def _sheet(found: ProbeResult, failures: Failures) -> TableView:
    groups, classes = found.reading.info.source.groups, found.reading.target_info.classes
    worst = [one.harmful_groups[0] if one.harmful_groups else None for one in failures.examples]
    effects = [NO_ESTIMATE if one is None else point_estimate(one) for one in worst]

    def written(width: int, style: Style) -> IntervalTable:

        @cache  # the same few names again and again
        def name(text: str) -> str:
            return cut(plain(text, style.ascii), _NAME if width >= _ROOMY else _FEWEST, style.ellipsis)

        predicted = tuple(name(label_name(classes, one.predicted)) for one in failures.examples)
        blamed = tuple("nothing" if one is None else name(groups[one.group]) for one in worst)
        return IntervalTable(
            "class",
            [classes[one.label] for one in failures.examples],
            [Estimates("influence ", effects)],
            style,
            width,
            before=[
                Column("predicted", predicted, right=False),
                Column("right", tuple(f"{one.right:.0%}" for one in failures.examples), keep=3),
                Column("margin", tuple(f"{one.margin:+.2f}" for one in failures.examples), keep=1),
                Column("to blame", blamed, right=False),
            ],
            after=[Column("q", tuple("" if one is None else format_q(one.q, style.unknown) for one in worst), keep=2)],
            min_name=_FEWEST,
        )

    return TableView(
        rows=[
            ProbeRow(one.example, _names(one, classes, groups), _numbers(one, blame), one.example)
            for one, blame in zip(failures.examples, worst, strict=True)
        ],
        noun="failure",
        nouns="failures",
        orders=_ORDERS,
        written=written,
        about=lambda place, width, style: _about(found, failures, failures.examples[place], width, style),
    )


def _names(one: Failure, classes: Sequence[str], groups: Sequence[str]) -> str:
    names = [classes[one.label], label_name(classes, one.predicted)]
    return " ".join([*names, *(groups[blame.group] for blame in one.harmful_groups[:1])])


def _numbers(one: Failure, blame: HarmfulGroup | None) -> dict[str, float]:
    influence, q = (blame.influence, blame.q) if blame is not None else (inf, inf)
    return {"": influence, "q": q, "margin": one.margin, "right": one.right}


def _about(found: ProbeResult, failures: Failures, one: Failure, width: int, style: Style) -> list[Text]:
    reading, style = found.reading, style
    classes, groups, noun = reading.target_info.classes, reading.info.source.groups, group_noun(reading.info)

    def name(text: str) -> str:
        return cut(plain(text, style.ascii), width // 2, style.ellipsis)

    label, usual = name(classes[one.label]), name(label_name(classes, one.predicted))
    instead = f", mostly predicted {usual}" if one.predicted != one.label else ""
    lines = IntervalTable(
        "to blame",
        [groups[blame.group] for blame in one.harmful_groups],
        [Estimates("influence ", [point_estimate(blame) for blame in one.harmful_groups])],
        style,
        width,
        after=[Column("q", tuple(format_q(blame.q, style.unknown) for blame in one.harmful_groups), keep=1)],
    )
    blamed = [lines.header(), *(lines.line(place) for place in range(len(one.harmful_groups)))]
    nothing = [Text(f"no {noun} lowers its {found.question.question.output_kind}", style.quiet)]
    zero = f" Zero is an average {noun}." if failures.relative else ""
    explained = (
        f"Influence on the {found.question.question.output_kind} of this image, with 95% intervals; "
        f"* q < {SIGNIFICANCE_LEVEL:g} over the {PLURAL[noun]}.{zero}"
    )
    where = f"image {one.example:,}, {plain(reading.examples.names[one.example], style.ascii)}"
    return [
        Text.assemble((label, "bold"), instead),
        Text(cut(where, width, style.ellipsis), style.quiet),
        Text(f"right in {one.right:.0%} of the models, margin {one.margin:+.2f}"),
        Text(),
        *(blamed if one.harmful_groups else nothing),
        Text(),
        Text(explained, style.quiet),
    ]
