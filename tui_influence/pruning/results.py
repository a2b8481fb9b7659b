"""What the retrainings of a pruning show: accuracy and margin of each arm, and what it gained over keeping everything.

Everything here is of the `evaluate` half of the test examples, which had no part in the ranking. Arms have training
seeds of their own, so differences are of independent samples: Welch's t (1947), over retrainings. (What a baseline
drops was chosen by the models that keep everything; how well it then does was not.) A record counts for an arm only if
its mask is what the arm drops.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite, nan

import numpy as np
from numpy.typing import NDArray

from tui_influence.influence.estimate import benjamini_hochberg, p_values, t_quantile
from tui_influence.influence.outputs import (
    mean_outputs_by_label,
)
from tui_influence.influence.types import (
    SIGNIFICANCE_LEVEL,
    OutputKind,
)
from tui_influence.pruning.arms import arm_key
from tui_influence.pruning.target_mix import TargetMix, TargetOutputs
from tui_influence.pruning.types import ArmResult, ClassGain, Interval, PruningResults, Score
from tui_influence.roles import (
    BASELINES,
    ArmKind,
    Role,
)
from tui_influence.store.examples import read_examples
from tui_influence.store.matrix import load_outputs
from tui_influence.store.paths import Paths
from tui_influence.store.pruning_plan import (
    Pruning,
    check_arms,
)
from tui_influence.store.run_info import RunInfo

QUANTITIES = {"accuracy": OutputKind.CORRECT, "margin": OutputKind.MARGIN}
CONTROL_KINDS = (ArmKind.RANDOM, *BASELINES)
"""Ways to drop groups that ask no thousands of models."""


def load_results(paths: Paths, info: RunInfo, pruning: Pruning) -> PruningResults:
    """Read what is recorded of a pruning by now.

    Raises:
        ResultsError: it cannot be read.
    """
    mixture, rows = _recorded(paths, info, pruning)
    sides = mixture.targets
    kinds = [(arm.kind, arm.k) for arm in pruning.arms]
    control = rows[kinds.index((ArmKind.ALL, 0))]
    rivals = [
        {
            kind: rows[kinds.index((kind, arm.k))]
            for kind in CONTROL_KINDS
            if kind != arm.kind and (kind, arm.k) in kinds
        }
        for arm in pruning.arms
    ]

    alone_steps = {side.name: 1 / max(1, int((~side.examples.estimate).sum())) for side in sides}
    mixed_step = min(weight * alone_steps[side.name] for side, weight in zip(sides, mixture.weights, strict=True))

    def score(values: NDArray[np.float64], place: int, step: float = 0.0) -> Score:
        own = values[rows[place]]
        over = {kind: difference(own, values[other], step) for kind, other in rivals[place].items()}
        itself = pruning.arms[place].kind is ArmKind.ALL
        gain = Interval(0.0, nan, nan) if itself else difference(own, values[control], step)
        return Score(mean_with_interval(own), gain, over)

    together = {name: mixture.mean(kind, estimate=False) for name, kind in QUANTITIES.items()}
    alone = {
        side.name: {name: mixture.target_mean(side, kind, estimate=False) for name, kind in QUANTITIES.items()}
        for side in sides
    }
    classes = [_by_class(mixture, side, len(info.targets[place].classes)) for place, side in enumerate(sides)]
    label_steps = [_steps(side, len(info.targets[place].classes)) for place, side in enumerate(sides)]
    results = []
    for place, arm in enumerate(pruning.arms):
        gains = [
            ClassGain(
                target.name,
                target.classes[label],
                accuracy=difference(
                    found["accuracy"][rows[place], label], found["accuracy"][control, label], steps_by_label[label]
                ),
                margin=difference(found["margin"][rows[place], label], found["margin"][control, label]),
            )
            for target, found, steps_by_label in zip(info.targets, classes, label_steps, strict=True)
            for label in range(len(target.classes))
            if arm.kind is not ArmKind.ALL
        ]
        results.append(
            ArmResult(
                arm=arm,
                models=len(rows[place]),
                accuracy=score(together["accuracy"], place, mixed_step),
                margin=score(together["margin"], place),
                by_target={
                    target: {
                        "accuracy": score(found["accuracy"], place, alone_steps[target]),
                        "margin": score(found["margin"], place),
                    }
                    for target, found in alone.items()
                },
                by_class=_with_q(gains),
            )
        )
    damaged = [line for side in sides for line in side.outputs.damaged]
    strangers = np.setdiff1d(mixture.indices, mixture.indices[np.concatenate(rows)])
    damaged += [f"arm {index}: it was trained on other groups than its arm keeps" for index in strangers.tolist()]
    return PruningResults(info, pruning, tuple(results), tuple(damaged))


def first_accuracies(paths: Paths, info: RunInfo, pruning: Pruning) -> dict[str, NDArray[np.float64]]:
    """Return the accuracy of the first repeats of each arm, as far as they are recorded, by `arms.identity`.

    Raises:
        ResultsError: they cannot be read.
    """
    mixture, rows = _recorded(paths, info, pruning)
    accuracy = mixture.mean(OutputKind.CORRECT, estimate=False)
    first = {row.index for arm in pruning.arms for row in arm.rows if row.repeat < pruning.stages.seeds}
    return {
        arm_key(arm): accuracy[[place for place in own if mixture.indices[place] in first]]
        for arm, own in zip(pruning.arms, rows, strict=True)
    }


def _recorded(paths: Paths, info: RunInfo, pruning: Pruning) -> tuple[TargetMix, list[NDArray[np.int64]]]:
    """Return what is recorded by now, and where in it the retrainings of each arm are."""
    check_arms(paths, pruning, info)
    sides = [
        TargetOutputs(target.name, read_examples(paths, info, place), load_outputs(paths, info, Role.ARM, place))
        for place, target in enumerate(info.targets)
    ]
    mixture = TargetMix.from_outputs(sides, pruning.ranking.targets)
    planned = {row.index: row.mask for row in pruning.rows()}
    masks = mixture.masks
    fits = [
        np.array_equal(planned.get(index, ()), mask)
        for index, mask in zip(mixture.indices.tolist(), masks, strict=True)
    ]
    usable = np.where(fits, mixture.indices, -1) if fits else mixture.indices
    return mixture, [np.flatnonzero(np.isin(usable, [row.index for row in arm.rows])) for arm in pruning.arms]


def mean_with_interval(values: NDArray[np.float64]) -> Interval:
    """Return the mean of (r,) retrainings with its t interval."""
    if not len(values):
        return Interval(nan, nan, nan)
    half = t_quantile(0.975, len(values) - 1) * _variance(values) ** 0.5
    return _around(float(values.mean()), half)


def difference(values: NDArray[np.float64], others: NDArray[np.float64], step: float = 0.0) -> Interval:
    """Return the mean of (r,) retrainings less that of (s,) others, with Welch's t interval (Satterthwaite's df).

    Args:
        values: of some retrainings.
        others: of others.
        step: between the values that are possible, as 1 / n of an accuracy on n examples. Retrainings that agree by
            chance vary by the rounding at least; where there is no step they say nothing: no interval.
    """
    if not len(values) or not len(others):
        return Interval(nan, nan, nan)
    first, second = (max(_variance(one), step**2 / 12 / len(one)) for one in (values, others))
    total = first + second
    value = float(values.mean() - others.mean())
    if not (isfinite(total) and total > 0):
        return _around(value, nan)
    df = total**2 / (first**2 / (len(values) - 1) + second**2 / (len(others) - 1))
    se = total**0.5
    return replace(_around(value, t_quantile(0.975, df) * se), p=float(p_values(value, se, df)), se=se, df=df)


def _variance(values: NDArray[np.float64]) -> float:
    """Of the mean; NaN from one value."""
    return float(values.var(ddof=1) / len(values)) if len(values) > 1 else nan


def _around(value: float, half: float) -> Interval:
    return Interval(value, value - half, value + half)


def _by_class(mixture: TargetMix, side: TargetOutputs, count: int) -> dict[str, NDArray[np.float64]]:
    """(m, C) mean of each quantity over the evaluate half of each class."""
    if not len(mixture.indices):
        return {name: np.zeros((0, count)) for name in QUANTITIES}
    return {
        name: mean_outputs_by_label(mixture.matrix(side, kind), ~side.examples.estimate, side.examples.labels, count)[
            mixture.rows(side)
        ]
        for name, kind in QUANTITIES.items()
    }


def _steps(side: TargetOutputs, count: int) -> list[float]:
    """What one example of the evaluate half is of the accuracy of its class; none where there is no example."""
    examples = np.bincount(side.examples.labels[~side.examples.estimate], minlength=count)
    return [1 / number if number else 0.0 for number in examples.tolist()]


def lost_and_gained(gains: Sequence[ClassGain]) -> tuple[list[ClassGain], list[ClassGain]]:
    """Return the target classes whose accuracy fell and those whose it rose, the most changed first."""
    told = sorted((gain for gain in gains if gain.q < SIGNIFICANCE_LEVEL), key=lambda gain: gain.accuracy.value)
    return [gain for gain in told if gain.accuracy.value < 0], [gain for gain in told[::-1] if gain.accuracy.value > 0]


def _with_q(gains: Sequence[ClassGain]) -> tuple[ClassGain, ...]:
    q = benjamini_hochberg(np.array([gain.accuracy.p for gain in gains]))
    return tuple(replace(gain, q=float(rate)) for gain, rate in zip(gains, q, strict=True))
