"""One test example in words: what models predict for it, with a class and without it, and which classes drive it."""

from collections.abc import Sequence
from math import isfinite

from rich.text import Text

from tui_influence.analysis.names import (
    label_name,
)
from tui_influence.analysis.types import (
    ExampleReport,
    PredictionSummary,
)
from tui_influence.render.format import fit, plain
from tui_influence.render.numbers import with_interval
from tui_influence.render.ranking_table import head_and_tail
from tui_influence.render.style import Style

_LABEL = 12
_VOTES = 3
_DRIVERS = 10
"""Lines that the classes which drive an image take at least; a low terminal scrolls to them."""


def example_lines(
    about: ExampleReport,
    classes: Sequence[str],
    group: str | None,
    style: Style,
    width: int,
    height: int,
    verified: Sequence[Text] = (),
) -> list[Text]:
    """Return the lines.

    Args:
        about: what was found.
        classes: names of the target's classes.
        group: name of the source group that was asked about.
        style: colours and signs.
        width: of the lines.
        height: how many there is room for; where not all drivers fit, both ends of them are shown.
        verified: lines on how putting the blame to the test stands; they come before what is estimated.
    """
    names = [plain(name, style.ascii)[:40] for name in classes]
    wrong = about.overall.label != about.label
    facts = [
        Text(f"example {about.example:,}, {plain(about.name, style.ascii)}", style=style.quiet),
        _fact("label", Text(names[about.label], style="bold"), style),
        _fact("predicted", Text(_votes(about.overall, names), style=style.error if wrong else ""), style),
        _fact("right", Text(f"{_share(about.overall.accuracy)} of {about.overall.models:,} models"), style),
        Text(),
    ]
    split = []
    if about.with_and_without is not None and group is not None:
        split = [*_with_and_without(about.with_and_without, names, group, style, width), Text()]
    between = [*verified, Text()] if verified else []
    used = len(facts) + len(between) + len(split)
    estimated = [*split, *_drivers(about, style, width, max(height - used, _DRIVERS))]
    for line in (*facts, *estimated):
        line.no_wrap, line.overflow = True, "crop" if style.ascii else "ellipsis"
    return [*facts, *between, *estimated]


def _with_and_without(
    split: tuple[PredictionSummary, PredictionSummary], names: Sequence[str], group: str, style: Style, width: int
) -> list[Text]:
    column, ellipsis = max((width - _LABEL) // 2, 8), style.ellipsis
    heads = (f"with {plain(group, style.ascii)}", "without it")
    rows = [
        ("", heads, "bold"),
        ("models", [f"{said.models:,}" for said in split], ""),
        ("right", [_share(said.accuracy) for said in split], ""),
        ("P(label)", [f"{said.probability:.3f}" if said.models else "-" for said in split], ""),
        ("margin", [f"{said.margin:+.3f}" if said.models else "-" for said in split], ""),
        ("predicted", [_votes(said, names, 2) for said in split], ""),
    ]
    return [
        Text.assemble(
            (f"{label:<{_LABEL}}", style.quiet),
            *((f"{fit(cell, column - 1, ellipsis=ellipsis)} ", text_style) for cell in cells),
        )
        for label, cells, text_style in rows
    ]


def _drivers(about: ExampleReport, style: Style, width: int, height: int) -> list[Text]:
    report = about.drivers.report
    rows = report.ranking.rows
    found = report.ranking.reliability
    trust = ""
    if report.is_noise():
        trust = "NOISE, not a result"
    elif found is not None and isfinite(found.value):
        trust = f"reliability {with_interval(found.value, found.low, found.high)}"
    title = Text.assemble((f"{report.nouns} that drive it", "bold"), (f"  {trust}", style.quiet))
    return [title, *head_and_tail(rows, report.noun, style.muted(report.is_noise()), width, height - 1)]


def _votes(said: PredictionSummary, names: Sequence[str], most: int = _VOTES) -> str:
    return ", ".join(f"{label_name(names, label)} {share:.0%}" for label, share in said.votes[:most]) or "-"


def _share(value: float) -> str:
    return f"{value:.1%}" if isfinite(value) else "-"


def _fact(label: str, text: Text, style: Style) -> Text:
    return Text.assemble((f"{label:<{_LABEL}}", style.quiet), text)
