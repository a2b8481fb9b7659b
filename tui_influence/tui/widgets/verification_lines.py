"""A verification as lines of text: what would be left out, how the retrainings stand, and what they say by now.

Pure functions of what is known. Loads numpy with what it is made of.
"""

from collections.abc import Iterator
from math import isfinite

from rich.text import Text

from tui_influence.influence.types import (
    SIGNIFICANCE_LEVEL,
)
from tui_influence.pruning.types import (
    Against,
    ArmOnExample,
    CounterfactualPreview,
    Outcome,
    Verified,
)
from tui_influence.render.counterfactual import conclusion, elsewhere, left_out, method, shown_margin
from tui_influence.render.format import fit, plain
from tui_influence.render.numbers import value_format
from tui_influence.render.style import Style
from tui_influence.roles import (
    ArmKind,
)
from tui_influence.runs.heartbeat import State
from tui_influence.runs.overview import Overview
from tui_influence.text import (
    format_duration,
    pluralize,
)
from tui_influence.tui.carry_out import run_name
from tui_influence.tui.keymap import Keys
from tui_influence.tui.state import RunState
from tui_influence.tui.widgets.pruning_standing import retrainings, starting, troubles

_LEFT_OUT, _RIGHT = 12, 8
"""Cells of the columns of what is left out, and of how many models are right."""
_WIDE = _LEFT_OUT + _RIGHT + 24
"""Cells from which on counts are spelt out."""


def verifying_lines(state: RunState, keys: Keys, width: int) -> list[Text]:
    """Return how the verification of the image on the screen stands, and what it says; nothing if there is none.

    Args:
        state: of the run.
        keys: that do things now.
        width: of the lines; sentences are to be wrapped.
    """
    verifying, style = state.verifying, state.style
    lines = starting(verifying.preparing.get(verifying.own, "") if verifying.own else "", style)
    if verifying.problem:
        lines.append(Text(f"its verification: {plain(verifying.problem, style.ascii)}", style=style.error))
    overview, found = verifying.overview, verifying.found
    if overview is None or not verifying.exists:
        return lines
    lines += [retrainings(overview, style, width), *troubles(overview, style)]
    if verifying.unread:
        lines.append(Text(plain(verifying.unread, style.ascii), style=style.error))
    if found is not None:
        lines += _results(found, style, width)
    hint = _hint(state, overview)
    return [*lines, Text(keys.put_into(hint), style=style.quiet)] if hint else lines


def proposed_lines(proposed: CounterfactualPreview, state: RunState) -> list[str]:
    """Return what would be retrained, and what that costs: the lines of a question."""
    info = state.overview.info if state.overview else None
    assert info is not None
    style, question, blamed = state.style, proposed.question, proposed.wanted.blamed
    target = plain(question.target or info.targets[0].name, style.ascii)[:40]
    label = plain(proposed.label, style.ascii)[:40]
    digits = value_format([one.influence for one in blamed], [one.se for one in blamed])
    sign = style.hurts
    lines = [
        f"Run: {run_name(state)}, example {question.example} of {target}, a {label}",
        "Without what hurts it most:",
    ]
    lines += [
        f"  {sign}{one.influence:{digits}}{'*' if one.is_significant else ' '} "
        f"[{one.low:{digits}}, {one.high:{digits}}]  "
        f"{plain(info.source.groups[one.group], style.ascii)[:40]}"
        for one in blamed
    ]
    by = f"influence on its {question.output_kind}, by {question.estimator}; * q < {SIGNIFICANCE_LEVEL:g}"
    lines += [f"  {by}", f"Beside it: without {len(blamed)} at random, and with everything."]
    seen = state.image.found if state.image else None
    if seen is not None and seen.example == question.example and seen.overall.accuracy > 0.5:
        lines.append("Most models are right about it already: there may be nothing to flip.")
    if not proposed.wanted.told:
        lines.append("None of these can be told from chance: it may well change nothing.")
    takes = f": about {format_duration(proposed.seconds)}, at the sweep's rate" if proposed.seconds is not None else ""
    cost = f"{pluralize(proposed.pruning.n_rows, 'retraining')}, {proposed.pruning.stages.seeds} of each"
    lines.append(f"Cost: {cost}, {info.location}{takes}")
    if state.overview is not None and state.overview.is_active:
        lines.append("The sweep is being trained too: each will slow the other down.")
    return lines


def _results(found: Verified, style: Style, width: int) -> Iterator[Text]:
    """What was found: for each arm that leaves out what is to blame what follows from it, and the numbers behind that.

    The arms share one table, as their controls do.
    """
    apart = [Text()] if width >= _WIDE else []
    for one in found.blamed:
        yield Text.assemble(("without ", style.quiet), left_out(found, one, ascii_only=style.ascii))
        yield Text(
            conclusion(found, one), style=f"bold {style.good}" if found.outcome(one) is Outcome.HOLDS else "bold"
        )
    yield from apart
    yield _row("left out", "right", "margin, nats", width, style.quiet)
    for one in found.arms:
        yield _row(_what(one), _right(one, width), shown_margin(one.margin) if one.models else "", width)
    for one in found.blamed:
        if one.over_all is not None and one.over_random is not None and one.models:
            yield from apart
            yield _row(_what(one), "p", "change, nats", width, style.quiet)
            yield _against("vs nothing", one.over_all, style, width)
            yield _against("vs random", one.over_random, style, width)
            if found.outcome(one) is not Outcome.OPEN:
                yield from apart
                yield from (Text(sentence) for sentence in elsewhere(found, one))
    if found.damaged:
        yield Text(f"{pluralize(len(found.damaged), 'damaged record')} left out", style=style.warning)
    if any(one.models for one in found.blamed):
        yield Text(method(found), style=style.quiet)


def _what(one: ArmOnExample) -> str:
    if one.arm.kind is ArmKind.ALL:
        return "nothing"
    return f"{one.arm.k} at random" if one.arm.kind is ArmKind.RANDOM else f"{one.arm.k} blamed"


def _right(one: ArmOnExample, width: int) -> str:
    if not one.models:
        return "-"
    return f"{one.right} of {one.models}" if width >= _WIDE else f"{one.right}/{one.models}"


def _against(what: str, against: Against, style: Style, width: int) -> Text:
    if not isfinite(against.p):
        return _row(what, "-", "", width)
    p = f"{against.p:.3f}" if against.p >= 0.001 else "<.001"
    text_style = {1: style.good, -1: style.bad, 0: ""}[against.margin.sign]
    return _row(what, p, shown_margin(against.margin), width, text_style)


def _row(what: str, right: str, margin: str, width: int, style: str = "") -> Text:
    cells, gap = (_RIGHT, "   ") if width >= _WIDE else (5, " ")
    line = Text(f"{fit(what, _LEFT_OUT)}{fit(right, cells, right=True)}{gap}{margin}", style)
    line.no_wrap, line.overflow = True, "crop"
    return line


def _hint(state: RunState, overview: Overview) -> str:
    """How to stop it, or to go on."""
    own = state.verifying.own
    assert own is not None
    if state.readonly:
        return ""
    if overview.is_active:
        return f"to stop it: <image.close>, <app.prune> Prune, <prune.name> {own.root.name}, <prune.stop>"
    return "" if overview.state is State.DONE and not overview.left else "<image.verify> goes on with it"
