"""A counterfactual as text: what is to be retrained for an example, and what the retrainings show.

The command line prints these lines, and the app has them beside the image.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import TYPE_CHECKING

from rich.text import Text

from tui_influence.influence.types import SIGNIFICANCE_LEVEL
from tui_influence.pruning.types import Outcome
from tui_influence.render.format import fit, plain
from tui_influence.render.interval_table import digits_of, estimate_text, point_estimate
from tui_influence.render.numbers import format_interval, with_interval
from tui_influence.roles import ArmKind
from tui_influence.text import pluralize

if TYPE_CHECKING:
    from tui_influence.pruning.types import (
        ArmOnExample,
        ControlComparison,
        CounterfactualPreview,
        CounterfactualResult,
        FlipCounts,
        Interval,
    )
    from tui_influence.render.style import Style
    from tui_influence.store.pruning_plan import Pruning

_NAME = 40
"""Cells of a name at most."""
_EXCLUDED, _CORRECT = 12, 8
"""Cells of the columns of what is left out, and of how many models are right."""
_WIDE = _EXCLUDED + _CORRECT + 24
"""Cells from which on counts are spelt out."""
_CHANGE = _WIDE + 30
"""Cells from which on a comparison with a control ends in words."""
_CONCLUSIONS = {
    Outcome.OPEN: "not enough is retrained to say",
    Outcome.HOLDS: "the prediction flips without them, more than without as many at random: they are the cause",
    Outcome.OFTENER: "the prediction is right more often without them, but the usual one stays: "
    "they are a part of the cause",
    Outcome.ANY: "the prediction is right more often without them, but as many at random may do the same",
    Outcome.WORSE: "the prediction is wrong more often without them: they are not the cause",
    Outcome.RIGHT: "models that keep everything are right about it: there is nothing to flip",
    Outcome.MARGIN: "the margin rises, more than without as many at random, but the prediction does not change "
    "significantly",
    Outcome.NOTHING: "nothing changes significantly",
}


def counterfactual_plan(preview: CounterfactualPreview, style: Style, *, is_correct: bool = False) -> list[str]:
    """Return what is to be retrained and why: the example, the groups that hurt it, and the controls.

    Args:
        preview: the counterfactual.
        style: colours and signs.
        is_correct: most of the sweep's models are right about the example.
    """
    question, pruning, harmful = preview.question, preview.pruning, preview.plan.harmful_groups
    (target,) = pruning.ranking.targets
    estimates = [point_estimate(group) for group in harmful]
    digits = digits_of(estimates)
    by = (
        f"influence on its {question.output_kind}, by {question.estimator}, "
        f"{pluralize(pruning.ranking.models, 'model')}; * q < {SIGNIFICANCE_LEVEL:g}"
    )
    return [
        f"example {question.example} of {style.cut(target, _NAME)}, a {style.cut(preview.label, _NAME)}",
        "Without what hurts it most:",
        *(
            f"  {estimate_text(estimate, digits, style)} {format_interval(group.low, group.high, digits)}  "
            f"{style.cut(pruning.groups[group.group], _NAME)}"
            for group, estimate in zip(harmful, estimates, strict=True)
        ),
        f"  {by}",
        f"Controls: {len(harmful)} dropped at random; everything kept.",
        *(["Most models are right about it already: there may be nothing to flip."] if is_correct else []),
        *([] if preview.plan.is_significant else ["None of these is significant: dropping them may change nothing."]),
    ]


def plan_size(pruning: Pruning) -> str:
    """Return how many models a counterfactual retrains."""
    return f"{pluralize(pruning.n_rows, 'retraining')}, {len(pruning.arms[0].rows)} of each"


def counterfactual_title(result: CounterfactualResult, style: Style) -> Text:
    """Return the line above a counterfactual: its example, and the example's class."""
    return style.line(f'example {result.example} (class "{result.info.targets[0].classes[result.label]}"), retrained:')


def counterfactual_lines(result: CounterfactualResult, style: Style, width: int) -> Iterator[Text]:
    """Yield what follows for each list of harmful groups, and the numbers behind that; sentences are to be wrapped.

    The lists share one table of arms, as their controls do.
    """
    gap = [Text()] if width >= _WIDE else []
    for arm in result.drop_arms:
        yield Text.assemble(("without ", style.quiet), excluded_names(result, arm, style))
        holds = result.outcome(arm) is Outcome.HOLDS
        yield Text(conclusion(result, arm), style=f"bold {style.good}" if holds else "bold")
    yield from gap
    yield _row("left out", "right", "margin, nats", width, style.quiet)
    for arm in result.arms:
        yield _row(_excluded(arm), _correct(arm, width), _margin(arm.margin) if arm.models else "", width)
    for arm in result.drop_arms:
        for part in (_comparisons(result, arm, style, width), _flips_elsewhere(result, arm)):
            yield from [*gap, *part] if part and arm.models else []
    if result.damaged:
        yield Text(f"{pluralize(len(result.damaged), 'damaged record')} left out", style=style.warning)
    if any(arm.models for arm in result.drop_arms):
        yield Text(_method(result), style=style.quiet)


def conclusion(result: CounterfactualResult, arm: ArmOnExample) -> str:
    """Return what follows from an arm that leaves out harmful groups, in a sentence."""
    outcome = result.outcome(arm)
    so_far = "" if result.is_complete or outcome is Outcome.OPEN else "so far, "
    return so_far + _CONCLUSIONS[outcome]


def excluded_names(result: CounterfactualResult, arm: ArmOnExample, style: Style) -> str:
    """Return the names of the groups that an arm leaves out."""
    return ", ".join(plain(result.pruning.groups[group], style.ascii) for group in arm.arm.rows[0].dropped)


def _comparisons(result: CounterfactualResult, arm: ArmOnExample, style: Style, width: int) -> list[Text]:
    """Return a table of what an arm changes against each control: p, and the change of the margin."""
    controls = (
        ("vs nothing", result.arm_of(ArmKind.ALL, 0), arm.over_all),
        ("vs random", result.arm_of(ArmKind.RANDOM, arm.arm.k), arm.over_random),
    )
    lines = [
        _comparison(name, arm, control, against, style, width)
        for name, control, against in controls
        if control is not None and against is not None
    ]
    return [_row(_excluded(arm), "p", "change, nats", width, style.quiet), *lines] if lines else []


def _comparison(
    name: str, arm: ArmOnExample, control: ArmOnExample, against: ControlComparison, style: Style, width: int
) -> Text:
    if not isfinite(against.p):
        return _row(name, "-", "", width)
    p = f"{against.p:.3f}" if against.p >= 0.001 else "<.001"
    change = f"  {_change(arm, control, against)}" if width >= _CHANGE else ""
    colour = {1: style.good, -1: style.bad, 0: ""}[against.margin.sign]
    return _row(name, p, f"{_margin(against.margin)}{change}", width, colour)


def _change(arm: ArmOnExample, control: ArmOnExample, against: ControlComparison) -> str:
    if against.p >= SIGNIFICANCE_LEVEL:
        return "no significant change"
    return f"right {'more' if arm.right * control.models > control.right * arm.models else 'less'} often"


def _flips_elsewhere(result: CounterfactualResult, arm: ArmOnExample) -> list[Text]:
    """Return which predictions of the evaluate half an arm flips, and which as many groups at random do."""
    if arm.flips is None or result.outcome(arm) is Outcome.OPEN:
        return []
    lines = [f"elsewhere, of {pluralize(arm.flips.size, 'example')} of the evaluate half {_flips(arm.flips)}"]
    control = result.arm_of(ArmKind.RANDOM, arm.arm.k)
    if control is not None and control.flips is not None:
        lines.append(f"with {arm.arm.k} at random left out instead, {_flips(control.flips)}")
    return [Text(line) for line in lines]


def _flips(flipped: FlipCounts) -> str:
    return f"{flipped.to_right:,} turn right and {flipped.to_wrong:,} wrong"


def _method(result: CounterfactualResult) -> str:
    ranking = result.pruning.ranking
    return (
        f"harmful groups by influence on its {ranking.output}, {ranking.estimator}; p: Fisher's exact test; "
        "intervals: Welch's t over retrainings, 95%"
    )


def _excluded(arm: ArmOnExample) -> str:
    if arm.arm.kind is ArmKind.ALL:
        return "nothing"
    return f"{arm.arm.k} at random" if arm.arm.kind is ArmKind.RANDOM else f"{arm.arm.k} harmful"


def _correct(arm: ArmOnExample, width: int) -> str:
    if not arm.models:
        return "-"
    return f"{arm.right} of {arm.models}" if width >= _WIDE else f"{arm.right}/{arm.models}"


def _margin(margin: Interval) -> str:
    return with_interval(margin.value, margin.low, margin.high, "+.2f")


def _row(excluded: str, correct: str, margin: str, width: int, style: str = "") -> Text:
    cells, gap = (_CORRECT, "   ") if width >= _WIDE else (5, " ")
    line = Text(f"{fit(excluded, _EXCLUDED)}{fit(correct, cells, right=True)}{gap}{margin}", style)
    line.no_wrap, line.overflow = True, "crop"
    return line
