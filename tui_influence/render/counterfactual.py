"""What a verification has found, for readers and for programs: sentences, lines of text, JSON values.

The command line and the app say the same sentences. Plain text, safe to show, made of a `Verified`, or of
what is planned.
"""

from collections.abc import Sequence
from math import isfinite
from typing import Any

from tui_influence import __version__
from tui_influence.analysis.question import Question
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.influence.types import (
    SIGNIFICANCE_LEVEL,
)
from tui_influence.pruning.types import (
    Against,
    ArmOnExample,
    Flipped,
    Interval,
    Outcome,
    Verified,
)
from tui_influence.render.format import plain
from tui_influence.render.numbers import finite
from tui_influence.roles import (
    ArmKind,
)
from tui_influence.store.pruning_plan import (
    Arm,
    Pruning,
)
from tui_influence.text import pluralize

_LABEL = 32
_OUTCOMES = {
    Outcome.OPEN: "not enough is retrained to say",
    Outcome.HOLDS: "the prediction flips without them, more than without as many at random: the blame holds",
    Outcome.OFTENER: "the prediction is right more often without them, but the usual one stays: it holds in part",
    Outcome.ANY: "the prediction is right more often without them, but as many at random may do the same",
    Outcome.WORSE: "the prediction is wrong more often without them: the blame does not hold",
    Outcome.RIGHT: "models that keep everything are right about it: there is nothing to flip",
    Outcome.MARGIN: "the margin rises, more than without as many at random, but the prediction cannot be told to flip",
    Outcome.NOTHING: "nothing changes that can be told from chance",
}


def conclusion(found: Verified, one: ArmOnExample) -> str:
    """Return what follows from an arm that leaves out what is to blame, in a sentence."""
    outcome = found.outcome(one)
    so_far = "" if found.is_complete or outcome is Outcome.OPEN else "so far, "
    return so_far + _OUTCOMES[outcome]


def left_out(found: Verified, one: ArmOnExample, *, ascii_only: bool) -> str:
    """Return the names of the groups that an arm leaves out."""
    return ", ".join(plain(found.pruning.groups[group], ascii_only) for group in one.arm.rows[0].dropped)


def elsewhere(found: Verified, one: ArmOnExample) -> list[str]:
    """Return what an arm turns on the evaluate half, and what as many at random turn, a sentence each."""
    if one.flipped is None:
        return []
    of = f"of {pluralize(one.flipped.size, 'example')} of the evaluate half"
    lines = [f"elsewhere, {of} {_turned(one.flipped)}"]
    control = found.of(ArmKind.RANDOM, one.arm.k)
    if control is not None and control.flipped is not None:
        lines.append(f"with {one.arm.k} at random left out instead, {_turned(control.flipped)}")
    return lines


def verification_lines(found: Verified, *, ascii_only: bool) -> list[str]:
    """Return all that a verification has found, a line each."""
    name = plain(found.info.targets[0].classes[found.label], ascii_only)
    lines = [f'example {found.example} (class "{name}"), retrained:']
    for one in found.arms:
        margin = f"margin {shown_margin(one.margin)}" if one.models else ""
        label = plain(one.arm.label, ascii_only)
        lines.append(f"  {label:<{_LABEL}} right in {one.right} of {one.models}  {margin}".rstrip())
    for one in found.blamed:
        if one.models:
            said = [conclusion(found, one), *_comparisons(found, one), *elsewhere(found, one)]
            lines += ["", f"without {left_out(found, one, ascii_only=ascii_only)}:", *(f"  {text}" for text in said)]
    return [*lines, "", method(found)]


def method(found: Verified) -> str:
    """Return how the blame was found, and what the numbers are."""
    used = found.pruning.ranking
    return (
        f"blamed by influence on its {used.output}, {used.estimator}; p: Fisher's exact test; "
        "intervals: Welch's t over retrainings, 95%"
    )


def planned_lines(reading: RunSnapshot, question: Question, pruning: Pruning, *, ascii_only: bool) -> list[str]:
    """Return what is to be retrained for the question's example and how that was chosen, a line each."""
    label = plain(_label(reading, question), ascii_only)
    chosen = (
        f"chosen by influence on its {question.output_kind}, {question.estimator}, "
        f"{pluralize(pruning.ranking.models, 'model')} of {plain(pruning.sweep, ascii_only)} "
        f"({plain(pruning.ranking.design, ascii_only)})"
    )
    arms = ", ".join(plain(arm.label, ascii_only) for arm in pruning.arms)
    return [
        f'example {question.example} of target "{plain(reading.target_info.name, ascii_only)}" (class "{label}")',
        chosen,
        f"{pluralize(pruning.n_rows, 'retraining')}, {len(pruning.arms[0].rows)} of each arm: {arms}",
    ]


def planned_document(reading: RunSnapshot, question: Question, pruning: Pruning) -> dict[str, Any]:
    """Return what is to be retrained for the question's example as JSON values."""
    return {
        "sweep": pruning.sweep,
        "target": reading.target_info.name,
        "example": question.example,
        "label": _label(reading, question),
        "estimator": question.estimator,
        "output": question.output_kind,
        "n_models": pruning.ranking.models,
        "planned": pruning.n_rows,
        "arms": [{**_arm(pruning.groups, arm), "seeds": len(arm.rows)} for arm in pruning.arms],
        "config_hash": reading.info.identity,
        "version": __version__,
    }


def verification_document(found: Verified) -> dict[str, Any]:
    """Return what a verification has found as JSON values."""
    groups = found.pruning.groups
    return {
        "run": found.info.name,
        "example": found.example,
        "label": found.info.targets[0].classes[found.label],
        "complete": found.is_complete,
        "arms": [
            {
                **_arm(groups, one.arm),
                "models": one.models,
                "right": one.right,
                "margin": _interval(one.margin),
                "over_everything": _against(one.over_all),
                "over_random": _against(one.over_random),
                "flipped": None if one.flipped is None else vars(one.flipped),
                "outcome": found.outcome(one).value if one.arm.kind is ArmKind.DROP else None,
            }
            for one in found.arms
        ],
        "config_hash": found.info.identity,
        "version": __version__,
    }


def shown_margin(found: Interval) -> str:
    """Return a margin, or its change, with its interval: nats."""
    between = f" [{found.low:+.2f}, {found.high:+.2f}]" if isfinite(found.low) else ""
    return f"{found.value:+.2f}{between}"


def _comparisons(found: Verified, one: ArmOnExample) -> list[str]:
    """What an arm did to the example against each control."""
    lines = []
    controls = (
        ("keeping everything", found.of(ArmKind.ALL, 0), one.over_all),
        (f"{one.arm.k} at random", found.of(ArmKind.RANDOM, one.arm.k), one.over_random),
    )
    for words, control, against in controls:
        if control is not None and against is not None and isfinite(against.p):
            more = one.right * control.models > control.right * one.models
            told = (
                f"right {'more' if more else 'less'} often"
                if against.p < SIGNIFICANCE_LEVEL
                else "no change can be told"
            )
            lines.append(f"against {words}: {told} (p = {against.p:.2g}), margin {shown_margin(against.margin)}")
    return lines


def _arm(groups: Sequence[str], arm: Arm) -> dict[str, Any]:
    """What an arm leaves out: names where all of its models leave out the same, else their number alone."""
    names = [groups[group] for group in arm.rows[0].dropped] if arm.kind is ArmKind.DROP else []
    return {"arm": arm.label, "kind": arm.kind.value, "dropped": names, "n_dropped": arm.k}


def _label(reading: RunSnapshot, question: Question) -> str:
    assert question.example is not None
    return reading.target_info.classes[int(reading.examples.labels[question.example])]


def _turned(flipped: Flipped) -> str:
    return f"{flipped.to_right:,} turn right and {flipped.to_wrong:,} wrong"


def _against(found: Against | None) -> dict[str, Any] | None:
    return None if found is None else {"p": finite(found.p), "margin": _interval(found.margin)}


def _interval(found: Interval) -> dict[str, float | None]:
    return {"value": finite(found.value), "low": finite(found.low), "high": finite(found.high)}
