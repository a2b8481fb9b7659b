"""`tinfl failures --verify`: retrains without the classes that are to blame, and says which predictions flip."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from tui_influence.cli import diagnostics, output
from tui_influence.cli.live import StageLine
from tui_influence.cli.prune_planning import say_how_many, show_plan
from tui_influence.cli.starting import device_list, shown, start
from tui_influence.errors import ResultsError
from tui_influence.export.columns import plain
from tui_influence.export.report import finite
from tui_influence.probes.failures import Blamed, blame
from tui_influence.probes.flips import Against, ArmOnExample, Verified, verified
from tui_influence.pruning.arms import choice
from tui_influence.pruning.measured import Interval
from tui_influence.pruning.planning import directory_of
from tui_influence.pruning.request import Wanted, planned
from tui_influence.ranking_question import Question
from tui_influence.reading import Reading
from tui_influence.runs.heartbeat import ACTIVE, observe
from tui_influence.runs.supervisor import Request
from tui_influence.store.arms_file import ArmKind, read_arms
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import read_run_info, refuse_if_imported
from tui_influence.text import counted, printable

SEEDS = 10
"""Retrainings of each arm: with fewer, hardly any change from wrong to right is more than chance."""
DROP = 3
"""Classes that are left out, the most blamed first."""


@dataclass(frozen=True)
class Options:
    """The options of `--verify`; None where they were not given."""

    drop: int | None
    seeds: int | None
    dry_run: bool
    foreground: bool
    devices: str | None
    retry_failed: bool
    json: bool
    ascii_only: bool

    @property
    def asks_to_train(self) -> bool:
        """Whether more is asked than what is there."""
        return any((self.drop, self.seeds, self.dry_run, self.foreground, self.retry_failed))


def verify(reading: Reading, question: Question, options: Options) -> None:
    """Start a verification of the question's example, or show what one has found so far.

    Raises:
        TinflError: it cannot be planned, trained or read.
    """
    sweep, example = reading.paths, question.example
    if example is None:
        raise ValueError("a verification is of one example")
    refuse_if_imported(sweep.root, reading.info)
    own = directory_of(sweep, _name(reading, example))
    if own.run.exists() and not options.asks_to_train:
        _show(own, example, options)
        return
    count = options.drop or DROP
    found = blame(reading, question, count)
    if 0 < len(found) < count:
        diagnostics.warn(f"only {counted(len(found), 'class', 'classes')} lower the margin of example {example}")
    wanted = _wanted(reading, question, found, options)
    with StageLine() as line:
        plan = planned(sweep, reading.info, own, wanted, line.stage)
    if options.dry_run:
        show_plan(plan, json=options.json, ascii_only=options.ascii_only)
        return
    say_how_many(sweep, reading.info, plan.pruning)
    if not any(one.told for one in found):
        diagnostics.warn("none of these classes can be told from chance: leaving them out may well change nothing")
    groups = reading.info.source.groups
    diagnostics.say(f"leaves out {', '.join(printable(groups[one.group], 60) for one in found)}")
    request = Request(plan.config, own.root, retry_failed=options.retry_failed, pruning=plan.pruning)
    start(request, foreground=options.foreground, reading=_command(reading, question))
    if options.foreground:
        _show(own, example, options)


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
                "arm": one.arm.label,
                "kind": one.arm.kind.value,
                "dropped": [groups[k] for k in one.arm.rows[0].dropped] if one.arm.kind is ArmKind.DROP else one.arm.k,
                "models": one.models,
                "right": one.right,
                "margin": _interval(one.margin),
                "over_everything": _against(one.over_all),
                "over_random": _against(one.over_random),
                "flipped": None if one.flipped is None else vars(one.flipped),
            }
            for one in found.arms
        ],
    }


def verification_lines(found: Verified, *, ascii_only: bool) -> list[str]:
    """Return what a verification has found, in words."""
    name = plain(found.info.targets[0].classes[found.label], ascii_only)
    lines = [f'example {found.example} (class "{name}"), retrained:']
    for one in found.arms:
        margin = f"margin {_shown(one.margin)}" if one.models else ""
        lines.append(
            f"  {plain(one.arm.label, ascii_only):<32} right in {one.right} of {one.models}  {margin}".rstrip()
        )
    for one in found.arms:
        if one.arm.kind is ArmKind.DROP and one.models:
            lines += ["", *_verdict(found, one, ascii_only)]
    return [*lines, "", "p: Fisher's exact test; intervals: Welch's t over retrainings, 95%"]


def _verdict(found: Verified, one: ArmOnExample, ascii_only: bool) -> list[str]:
    groups = ", ".join(plain(found.pruning.groups[k], ascii_only) for k in one.arm.rows[0].dropped)
    lines = [f"without {groups}:"]
    for words, against in (("keeping everything", one.over_all), (f"{one.arm.k} at random", one.over_random)):
        if against is not None and isfinite(against.p):
            told = "flips" if against.p < 0.05 else "cannot be told to flip"
            lines.append(
                f"  against {words}: the prediction {told} (p = {against.p:.2g}), margin {_shown(against.margin)}"
            )
    if one.flipped is not None:
        lines.append(f"  elsewhere, {_flips(one)}")
        control = next((other for other in found.arms if _is_control(other, one)), None)
        if control is not None and control.flipped is not None:
            lines.append(f"  with {one.arm.k} dropped at random instead, {_flips(control)}")
    return lines


def _is_control(other: ArmOnExample, one: ArmOnExample) -> bool:
    return other.arm.kind is ArmKind.RANDOM and other.arm.k == one.arm.k


def _flips(one: ArmOnExample) -> str:
    if one.flipped is None:
        return "nothing is known"
    flipped = one.flipped
    return (
        f"of {counted(flipped.size, 'example')} of the evaluate half {flipped.to_right:,} turn right "
        f"and {flipped.to_wrong:,} wrong"
    )


def _show(own: Paths, example: int, options: Options) -> None:
    found = verified(own, read_run_info(own.root), read_arms(own), example)
    if found.damaged:
        diagnostics.warn(f"{len(found.damaged)} damaged records were left out: {printable(found.damaged[0])}")
    if options.json:
        output.write_json(verification_document(found))
    else:
        for line in verification_lines(found, ascii_only=options.ascii_only):
            output.line(line)
    state = observe(own)[0]
    if not found.is_complete:
        verb = "status" if state in ACTIVE else "resume"
        diagnostics.say(f"{state.value}; next: tinfl {verb} {shown(own.root)}")


def _wanted(reading: Reading, question: Question, found: Sequence[Blamed], options: Options) -> Wanted:
    groups = reading.info.source.groups
    if not found:
        raise ResultsError(f"nothing lowers the margin of example {question.example}: there is nothing to leave out")
    names = [groups[one.group] for one in found]
    chosen = choice(names, groups, ArmKind.DROP, f"{len(names)} blamed for example {question.example}")
    return Wanted(
        chosen=[chosen],
        seeds=options.seeds or SEEDS,
        weights={reading.described.name: 1.0},
        estimator=question.estimator,
        output=question.output_kind,
        baselines=(),
        devices=device_list(options.devices),
    )


def _name(reading: Reading, example: int) -> str:
    """Return the name of the pruning that verifies an example; of another target than the first, with its number."""
    return f"example-{example}" if not reading.target else f"target-{reading.target}-example-{example}"


def _command(reading: Reading, question: Question) -> str:
    target = [] if not reading.target else [f"--target={shown(Path(reading.described.name))}"]
    return " ".join(
        ["tinfl failures --verify", *target, f"--example={question.example}", "--", shown(reading.paths.root)]
    )


def _against(found: Against | None) -> dict[str, Any] | None:
    return None if found is None else {"p": finite(found.p), "margin": _interval(found.margin)}


def _interval(found: Interval) -> dict[str, float | None]:
    return {"value": finite(found.value), "low": finite(found.low), "high": finite(found.high)}


def _shown(found: Interval) -> str:
    between = f" [{found.low:+.2f}, {found.high:+.2f}]" if isfinite(found.low) else ""
    return f"{found.value:+.2f}{between}"
