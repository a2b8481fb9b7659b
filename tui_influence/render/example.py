"""One test example as text: what models predict for it, with a group and without it, and which groups drive it.

The command line prints these lines beside or below the example's image, and so does the app.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING

from rich.text import Text

from tui_influence.analysis.names import label_name
from tui_influence.render.format import fit, plain
from tui_influence.render.numbers import with_interval
from tui_influence.render.ranking import scope
from tui_influence.render.ranking_table import head_and_tail
from tui_influence.render.style import LABEL
from tui_influence.text import pluralize

if TYPE_CHECKING:
    from tui_influence.analysis.types import ExampleReport, PredictionSummary
    from tui_influence.render.style import Style

_VOTES = 3
"""Predicted labels that are named, of all models."""
_SPLIT_VOTES = 2
"""Predicted labels that are named, of models with a group or without it."""
_NAME = 40
"""Cells of a class name at most."""
_MIN_DRIVERS = 10
"""Lines for the groups that drive an example, however low the screen."""


def example_lines(
    report: ExampleReport,
    classes: Sequence[str],
    style: Style,
    width: int,
    height: int,
    *,
    group: str | None = None,
    counterfactual: Sequence[Text] = (),
) -> list[Text]:
    """Return an example in lines that are never broken, except for those of its counterfactual.

    Args:
        report: the example.
        classes: names of the target's classes.
        style: colours and signs.
        width: of the lines.
        height: lines that there is room for; where not all groups fit, both ends of their ranking are shown.
        group: name of the group that models are compared with and without, if any.
        counterfactual: lines on the example's counterfactual; they come before what is estimated.
    """
    facts = _facts(report, classes, style, width)
    between = [*counterfactual, Text()] if counterfactual else []
    split = []
    if report.with_and_without is not None and group is not None:
        split = [*_with_and_without(report.with_and_without, classes, group, style, width), Text()]
    room = height - len(facts) - len(between) - len(split)
    estimated = [*split, *_drivers(report, style, width, max(room, _MIN_DRIVERS))]
    for line in (*facts, *estimated):
        line.no_wrap, line.overflow = True, "crop" if style.ascii else "ellipsis"
    return [*facts, *between, *estimated]


def _facts(report: ExampleReport, classes: Sequence[str], style: Style, width: int) -> list[Text]:
    """Return its name, its label, and what all models predict for it."""
    overall, room = report.overall, max(width - LABEL, 1)
    wrong = overall.label != report.label
    facts = [
        ("label", f"{style.cut(classes[report.label], _NAME)} ({report.split} half)", "bold"),
        ("predicted", _votes(overall, classes, _VOTES, style), style.error if wrong else ""),
        ("right", f"{_share(overall.accuracy)} of {pluralize(overall.models, 'model')}", ""),
        ("margin", f"{overall.margin:+.3g} nats (probability {overall.probability:.2f})", ""),
    ]
    return [
        style.line(f"{scope(report.drivers.report)}, {report.name}", "bold"),
        *(style.fact(label, style.cut(text, room), text_style) for label, text, text_style in facts),
        Text(),
    ]


def _with_and_without(
    split: tuple[PredictionSummary, PredictionSummary], classes: Sequence[str], group: str, style: Style, width: int
) -> list[Text]:
    """Return what models with a group and models without it predict, side by side."""
    cells = max((width - LABEL) // 2, 8)
    rows = [
        ("", (f"with {plain(group, style.ascii)}", "without it"), "bold"),
        ("models", [f"{side.models:,}" for side in split], ""),
        ("right", [_share(side.accuracy) for side in split], ""),
        ("P(label)", [f"{side.probability:.3f}" if side.models else "-" for side in split], ""),
        ("margin", [f"{side.margin:+.3f}" if side.models else "-" for side in split], ""),
        ("predicted", [_votes(side, classes, _SPLIT_VOTES, style) for side in split], ""),
    ]
    return [
        style.fact(label, Text.assemble(*((f"{fit(cell, cells - 1, ellipsis=style.ellipsis)} ", bold) for cell in row)))
        for label, row, bold in rows
    ]


def _drivers(report: ExampleReport, style: Style, width: int, height: int) -> list[Text]:
    """Return the groups that drive the example, and how reliable their order is."""
    ranking = report.drivers.report
    reliability = ranking.ranking.reliability
    trust = ""
    if ranking.is_noise():
        trust = "NOISE, not a result"
    elif reliability is not None and isfinite(reliability.value):
        trust = f"reliability {with_interval(reliability.value, reliability.low, reliability.high)}"
    title = Text.assemble((f"{ranking.nouns} that drive it", "bold"), (f"  {trust}", style.quiet))
    style = style.muted(ranking.is_noise())
    return [title, *head_and_tail(ranking.ranking.rows, ranking.noun, style, width, height - 1)]


def _votes(summary: PredictionSummary, classes: Sequence[str], count: int, style: Style) -> str:
    """Return the labels that most models predict, each with its share."""
    votes = [
        f"{style.cut(label_name(classes, label), _NAME)} {_percent(share)}" for label, share in summary.votes[:count]
    ]
    if len(summary.votes) > count:
        votes.append(f"{len(summary.votes) - count} more")
    return ", ".join(votes) or "-"


def _percent(share: float) -> str:
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"


def _share(value: float) -> str:
    return f"{value:.1%}" if isfinite(value) else "-"
