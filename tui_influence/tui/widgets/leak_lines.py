"""Leaks as a table of the Probe mode: pairs of a source image and a test image that it moves.

Pure functions of what was found. Loads numpy, so it is imported where there is something to show.
"""

from rich.text import Text

from tui_influence.analysis.leakage import source_class_of
from tui_influence.analysis.types import (
    ImageSeries,
    Leak,
    Leaks,
    ProbeResult,
)
from tui_influence.export.leakage import leaks_csv
from tui_influence.render.format import cut, plain
from tui_influence.render.interval_table import (
    Column,
    Estimates,
    IntervalTable,
    digits_of,
    estimate_text,
    point_estimate,
)
from tui_influence.render.numbers import format_interval, format_q
from tui_influence.render.probe_views import Order, ProbeRow, Shown, TableView
from tui_influence.render.style import Style
from tui_influence.text import pluralize

_NAME = 16
_LABEL = 11
_ORDERS: dict[str, Order] = {
    "helped first, the surest of each": lambda row: (row.numbers["place"],),
    "hurt first, the surest of each": lambda row: (row.numbers[""] > 0, row.numbers["place"]),
    "strongest first": lambda row: (-abs(row.numbers[""]), row.numbers["place"]),
    "by name": lambda row: (row.group, row.numbers["place"]),
}


def leaks_shown(found: ProbeResult, leaks: Leaks) -> Shown:
    """Return what there is to show of leaks."""
    pairs = (*leaks.helped, *leaks.hurt)
    by_index = {_index(found, leak): leak for leak in pairs}
    models = pluralize(leaks.models, "model")
    asked = found.question.question

    def series(indices: "list[int] | tuple[int, ...]") -> ImageSeries:
        chosen = [by_index[index] for index in indices]
        groups = [leak.group for leak in chosen]
        return ImageSeries(found.reading, asked, [leak.example for leak in chosen], groups, "", "that one image moves")

    return Shown(
        summary=lambda style: (
            f"{leaks.n_helped:,} pairs helped and {leaks.n_hurt:,} hurt beyond chance, "
            f"of {pluralize(leaks.n_tested, 'pair')}, {models}"
        ),
        sheet=_sheet(found, leaks, pairs),
        empty="" if pairs else f"None of {pluralize(leaks.n_tested, 'pair')} can be told from chance by {models}.",
        series=lambda indices: series(tuple(indices)),
        csv=lambda: leaks_csv(found.reading, asked, leaks, None),
        what=pluralize(len(pairs), "pair"),
        note="Without the column of copies: `tinfl leaks` compares pixels too, where the dataset is.",
    )


def _index(found: ProbeResult, leak: Leak) -> int:
    return leak.group * len(found.reading.examples.labels) + leak.example


def _sheet(found: ProbeResult, leaks: Leaks, pairs: tuple[Leak, ...]) -> TableView:
    reading, groups = found.reading, found.reading.info.source.groups
    labels = [reading.target_info.classes[int(reading.examples.labels[leak.example])] for leak in pairs]
    effects = [point_estimate(leak) for leak in pairs]

    def written(width: int, style: Style) -> IntervalTable:

        tests = tuple(
            f"{leak.example:,} {cut(plain(label, style.ascii), _NAME, style.ellipsis)}"
            for leak, label in zip(pairs, labels, strict=True)
        )
        return IntervalTable(
            "source image",
            [groups[leak.group] for leak in pairs],
            [Estimates("influence ", effects)],
            style,
            width,
            before=[Column("test image", tests, right=False)],
            after=[Column("q", tuple(format_q(leak.q, style.unknown) for leak in pairs), keep=1)],
        )

    return TableView(
        rows=[
            ProbeRow(
                _index(found, leak),
                f"{groups[leak.group]} {label}",
                {"": leak.influence, "q": leak.q, "place": place},
                leak.example,
                found.samples.get(leak.group),
            )
            for place, (leak, label) in enumerate(zip(pairs, labels, strict=True))
        ],
        noun="pair",
        nouns="pairs",
        orders=_ORDERS,
        written=written,
        about=lambda place, width, style: _about(found, leaks, pairs[place], labels[place], width, style),
    )


def _about(found: ProbeResult, leaks: Leaks, leak: Leak, label: str, width: int, style: Style) -> list[Text]:
    reading, style = found.reading, style
    group, effect = reading.info.source.groups[leak.group], point_estimate(leak)
    source_class, digits = source_class_of(reading.info, group), digits_of([effect])
    gone = found.samples_error or (
        "" if leak.group in found.samples else "The run keeps no picture of this source image."
    )
    word = "helps: likely leakage" if leak.influence > 0 else "hurts: misleading"

    def fact(name: str, text: str) -> Text:
        shown = cut(plain(text, style.ascii), max(width - _LABEL, 8), style.ellipsis)
        return Text.assemble((f"{name:<{_LABEL}}", style.quiet), shown)

    return [
        *([Text(plain(gone, style.ascii), style.warning)] if gone else []),
        fact("source", group + (f", class {source_class}" if source_class else "")),
        fact("test", f"image {leak.example:,}, {reading.examples.names[leak.example]}, class {label}"),
        Text.assemble(
            (f"{'influence':<{_LABEL}}", style.quiet),
            (estimate_text(effect, digits, style), style.effect(effect.value, significant=effect.is_significant)),
            (f" {format_interval(effect.low, effect.high, digits)}  q {format_q(leak.q, style.unknown)}", style.quiet),
        ),
        Text(word if effect.is_significant else "no effect beyond chance has been shown"),
        Text(),
        Text(
            "Influence: on the test image beyond that on the others of its class, over models trained with the source "
            "image minus over models trained without it; of the same sign as that on the test image itself. q over all "
            f"{leaks.n_tested:,} pairs. A pair is found four times in five if that is "
            f"{leaks.detectable_influence:.2g} or more.",
            style.quiet,
        ),
    ]
