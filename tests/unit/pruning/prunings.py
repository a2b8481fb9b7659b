"""Prunings made by hand: their numbers are chosen, not measured, so that every word of a report is known."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from math import nan

from tests.unit.pruning.plans import bare
from tests.unit.store.conftest import make_info
from tui_influence.pruning.arms import with_arms
from tui_influence.pruning.options import ClassList
from tui_influence.pruning.results import CONTROL_KINDS
from tui_influence.pruning.types import ArmResult, ClassGain, Interval, PruningResults, Score
from tui_influence.roles import BASELINES, ArmKind
from tui_influence.store.pruning_plan import Arm, GainForecast, Pruning, Stages
from tui_influence.store.run_info import RunInfo, SourceInfo, TargetInfo

KS = (2, 4)
GROUPS = 12
UNKNOWN = Interval(nan, nan, nan)


def planned(*, relative: bool = False, targets: tuple[str, ...] = ("digits",), seeds: int = 3) -> Pruning:
    """Two numbers to drop and two lists, with a forecast for each number and for one that nobody asked for."""
    groups = bare(GROUPS).groups
    lists = [
        ClassList(ArmKind.DROP, tuple(groups[1:2]), "a list whose name is far too long for a column.txt"),
        ClassList(ArmKind.KEEP, tuple(groups[2:]), "mine.txt"),
    ]
    stages = Stages(seeds, BASELINES, within=0.015, most=7)
    pruning = with_arms(replace(bare(GROUPS), stages=stages), KS, lists, seeds)
    ranking = replace(
        pruning.ranking, relative=relative, targets={name: float(3 - place) for place, name in enumerate(targets)}
    )
    forecast = tuple(
        GainForecast(
            k,
            (0.1 * k, 0.05 * k, 0.2 * k),
            (0.01 * k, 0.002 * k, 0.03 * k),
            None if relative else (0.06 * k, 0.01 * k, 0.11 * k),
            None if relative else (0.004 * k, -0.001 * k, 0.009 * k),
        )
        for k in (2, 3, 4)
    )
    return replace(pruning, sweep="café", ranking=ranking, forecast=forecast)


def _interval(value: float, half: float) -> Interval:
    return Interval(value, value - half, value + half, p=0.01, se=half / 2, df=4.0)


def _score(arm: Arm, rivals: list[ArmKind], numbers: Iterator[int], unit: float, base: float) -> Score:
    gain = unit * (next(numbers) - 3) / 10
    over = {kind: _interval(unit * (next(numbers) - 5) / 20, unit * 0.21) for kind in rivals if kind is not arm.kind}
    return Score(
        mean=_interval(base + gain, unit * 0.15),
        gain=Interval(0.0, nan, nan) if arm.kind is ArmKind.ALL else _interval(gain, unit * 0.32),
        over=over,
    )


def _class_gains(info: RunInfo, place: int) -> tuple[ClassGain, ...]:
    """Of ten classes a target, most of which changed, in the second arm; of one in the others."""
    gains = []
    for target in info.targets:
        for label, name in enumerate(target.classes[: 10 if place == 1 else 1]):
            value = (label - 4) / 50
            gains.append(
                ClassGain(
                    target.name,
                    name,
                    _interval(value, 0.01),
                    _interval(10 * value, 0.3),
                    q=0.001 * label if place == 1 else 0.2 if place else nan,
                )
            )
    return tuple(gains)


def made(
    pruning: Pruning, *, models: int = 3, baselines: bool = True, train: dict[str, int] | None = None
) -> PruningResults:
    """A pruning of which so many retrainings of each arm are recorded, by label mapping too.

    No two numbers of an arm are alike, so that none can stand in the place of another.
    """
    if baselines:
        arms = [Arm(ArmKind.LABELS, f"label mapping {k}", k, pruning.arms[0].rows) for k in KS]
        pruning = replace(pruning, arms=(*pruning.arms, *arms))
    names = list(pruning.ranking.targets)
    groups = list(pruning.groups)
    info = make_info(
        name="small-main",
        source=SourceInfo(groups, groups, [2] * GROUPS, 2 * GROUPS, "f0", 0),
        targets=[
            TargetInfo(name, transfer, [f"kind {k}" for k in range(10)], 3, 20, ["f1", "f2"], 0, {})
            for name, transfer in zip(names, ("fixed-feature", "full-network"), strict=False)
        ],
        models=0,
    )
    info.config["train"] = train or {"epochs": 4}
    kinds = {(arm.kind, arm.k) for arm in pruning.arms}
    results = []
    for place, arm in enumerate(pruning.arms):
        recorded = min(models, len(arm.rows)) - (arm.kind is ArmKind.HIGHEST)
        rivals = [kind for kind in CONTROL_KINDS if (kind, arm.k) in kinds]
        numbers = count(place)
        scores = [
            {"accuracy": _score(arm, rivals, numbers, 0.1, 0.6), "margin": _score(arm, rivals, numbers, 1.0, 1.5)}
            for _ in range(1 + len(names))
        ]
        if recorded <= 0:
            scores = [{name: Score(UNKNOWN, UNKNOWN, {}) for name in ("accuracy", "margin")}] * (1 + len(names))
        if recorded == 1:
            scores = [{name: _single(score) for name, score in both.items()} for both in scores]
        results.append(
            ArmResult(
                arm=arm,
                models=max(recorded, 0),
                accuracy=scores[0]["accuracy"],
                margin=scores[0]["margin"],
                by_target=dict(zip(names, scores[1:], strict=True)),
                by_class=() if arm.kind is ArmKind.ALL else _class_gains(info, place),
            )
        )
    return PruningResults(info, pruning, tuple(results), ())


def _single(score: Score) -> Score:
    """The same of one retraining: there are no intervals."""
    over = {kind: Interval(found.value, nan, nan) for kind, found in score.over.items()}
    return Score(Interval(score.mean.value, nan, nan), Interval(score.gain.value, nan, nan), over)
