"""Results of a pruning: accuracy and margin of each arm, and its gain over keeping everything.

Everything here is of the `evaluate` half of the test examples, which had no part in the ranking. Arms have training
seeds of their own, so differences are of independent samples: Welch's t (1947), over retrainings. (The groups that a
baseline drops were chosen by the models that keep everything; its own accuracy was not.) A record counts for an arm
only if its mask is the arm's.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite, nan

import numpy as np
from numpy.typing import NDArray

from tui_influence.influence.estimate import benjamini_hochberg, p_values, t_quantile
from tui_influence.influence.outputs import mean_outputs_by_label
from tui_influence.influence.types import OutputKind
from tui_influence.pruning.arms import arm_key
from tui_influence.pruning.target_mix import TargetMix, TargetOutputs
from tui_influence.pruning.types import ArmResult, ClassGain, Interval, PruningResults, Score
from tui_influence.roles import BASELINES, ArmKind, Role
from tui_influence.store.examples import read_examples
from tui_influence.store.matrix import load_outputs
from tui_influence.store.paths import Paths
from tui_influence.store.pruning_plan import Pruning, check_arms, read_arms
from tui_influence.store.run_info import RunInfo, read_run_info

QUANTITIES = {"accuracy": OutputKind.CORRECT, "margin": OutputKind.MARGIN}
CONTROL_KINDS = (ArmKind.RANDOM, *BASELINES)
"""Kinds of arms that drop as many groups without a ranking by many models."""


def load_pruning(pruning_paths: Paths) -> PruningResults:
    """Read what a pruning is, and return its results so far.

    Args:
        pruning_paths: of the pruning.

    Raises:
        ResultsError: it cannot be read.
    """
    return load_results(pruning_paths, read_run_info(pruning_paths.root), read_arms(pruning_paths))


def load_results(pruning_paths: Paths, info: RunInfo, pruning: Pruning) -> PruningResults:
    """Read the results of a pruning that are recorded by now.

    Raises:
        ResultsError: it cannot be read.
    """
    mix, rows = _recorded(pruning_paths, info, pruning)
    targets = mix.targets
    kinds = [(arm.kind, arm.k) for arm in pruning.arms]
    control = rows[kinds.index((ArmKind.ALL, 0))]
    controls = [
        {
            kind: rows[kinds.index((kind, arm.k))]
            for kind in CONTROL_KINDS
            if kind != arm.kind and (kind, arm.k) in kinds
        }
        for arm in pruning.arms
    ]

    target_steps = {outputs.name: 1 / max(1, int((~outputs.examples.estimate).sum())) for outputs in targets}
    mix_step = min(weight * target_steps[outputs.name] for outputs, weight in zip(targets, mix.weights, strict=True))

    def score(values: NDArray[np.float64], index: int, step: float = 0.0) -> Score:
        scores = values[rows[index]]
        over = {kind: difference(scores, values[other], step) for kind, other in controls[index].items()}
        itself = pruning.arms[index].kind is ArmKind.ALL
        gain = Interval(0.0, nan, nan) if itself else difference(scores, values[control], step)
        return Score(mean_with_interval(scores), gain, over)

    together = {name: mix.mean(kind, estimate=False) for name, kind in QUANTITIES.items()}
    by_target = {
        outputs.name: {name: mix.target_mean(outputs, kind, estimate=False) for name, kind in QUANTITIES.items()}
        for outputs in targets
    }
    classes = [_by_class(mix, outputs, len(info.targets[index].classes)) for index, outputs in enumerate(targets)]
    label_steps = [_steps(outputs, len(info.targets[index].classes)) for index, outputs in enumerate(targets)]
    results = []
    for index, arm in enumerate(pruning.arms):
        gains = [
            ClassGain(
                target.name,
                target.classes[label],
                accuracy=difference(
                    values["accuracy"][rows[index], label], values["accuracy"][control, label], steps_by_label[label]
                ),
                margin=difference(values["margin"][rows[index], label], values["margin"][control, label]),
            )
            for target, values, steps_by_label in zip(info.targets, classes, label_steps, strict=True)
            for label in range(len(target.classes))
            if arm.kind is not ArmKind.ALL
        ]
        results.append(
            ArmResult(
                arm=arm,
                models=len(rows[index]),
                accuracy=score(together["accuracy"], index, mix_step),
                margin=score(together["margin"], index),
                by_target={
                    target: {
                        "accuracy": score(values["accuracy"], index, target_steps[target]),
                        "margin": score(values["margin"], index),
                    }
                    for target, values in by_target.items()
                },
                by_class=_with_q(gains),
            )
        )
    damaged = [line for outputs in targets for line in outputs.outputs.damaged]
    misplaced = np.setdiff1d(mix.indices, mix.indices[np.concatenate(rows)])
    damaged += [f"arm {index}: it was trained on other groups than its arm keeps" for index in misplaced.tolist()]
    return PruningResults(info, pruning, tuple(results), tuple(damaged))


def first_accuracies(pruning_paths: Paths, info: RunInfo, pruning: Pruning) -> dict[str, NDArray[np.float64]]:
    """Return the accuracy of the first repeats of each arm, as far as they are recorded, by `arm_key`.

    Raises:
        ResultsError: they cannot be read.
    """
    mix, rows = _recorded(pruning_paths, info, pruning)
    accuracy = mix.mean(OutputKind.CORRECT, estimate=False)
    first = {row.index for arm in pruning.arms for row in arm.rows if row.repeat < pruning.stages.seeds}
    return {
        arm_key(arm): accuracy[[row for row in rows_of_arm if mix.indices[row] in first]]
        for arm, rows_of_arm in zip(pruning.arms, rows, strict=True)
    }


def _recorded(pruning_paths: Paths, info: RunInfo, pruning: Pruning) -> tuple[TargetMix, list[NDArray[np.int64]]]:
    """Return the records that exist by now, and the positions of each arm's retrainings among them."""
    check_arms(pruning_paths, pruning, info)
    targets = [
        TargetOutputs(
            target.name,
            read_examples(pruning_paths, info, index),
            load_outputs(pruning_paths, info, Role.ARM, index),
        )
        for index, target in enumerate(info.targets)
    ]
    mix = TargetMix.from_outputs(targets, pruning.ranking.targets)
    planned = {row.index: row.mask for row in pruning.rows()}
    masks = mix.masks
    fits = [
        np.array_equal(planned.get(index, ()), mask) for index, mask in zip(mix.indices.tolist(), masks, strict=True)
    ]
    usable = np.where(fits, mix.indices, -1) if fits else mix.indices
    return mix, [np.flatnonzero(np.isin(usable, [row.index for row in arm.rows])) for arm in pruning.arms]


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
            chance vary by the rounding at least; without a step they have no interval.
    """
    if not len(values) or not len(others):
        return Interval(nan, nan, nan)
    first, second = (max(_variance(sample), step**2 / 12 / len(sample)) for sample in (values, others))
    total = first + second
    value = float(values.mean() - others.mean())
    if not (isfinite(total) and total > 0):
        return _around(value, nan)
    df = total**2 / (first**2 / (len(values) - 1) + second**2 / (len(others) - 1))
    se = total**0.5
    return replace(_around(value, t_quantile(0.975, df) * se), p=float(p_values(value, se, df)), se=se, df=df)


def _variance(values: NDArray[np.float64]) -> float:
    """Return the variance of the mean; NaN from one value."""
    return float(values.var(ddof=1) / len(values)) if len(values) > 1 else nan


def _around(value: float, half: float) -> Interval:
    return Interval(value, value - half, value + half)


def _by_class(mix: TargetMix, outputs: TargetOutputs, count: int) -> dict[str, NDArray[np.float64]]:
    """(m, C) mean of each quantity over the evaluate half of each class."""
    if not len(mix.indices):
        return {name: np.zeros((0, count)) for name in QUANTITIES}
    examples, rows = outputs.examples, mix.rows(outputs)
    return {
        name: mean_outputs_by_label(mix.matrix(outputs, kind), ~examples.estimate, examples.labels, count)[rows]
        for name, kind in QUANTITIES.items()
    }


def _steps(outputs: TargetOutputs, count: int) -> list[float]:
    """Return the share of one example in the accuracy of its class, on the evaluate half; 0 where it has none."""
    examples = np.bincount(outputs.examples.labels[~outputs.examples.estimate], minlength=count)
    return [1 / number if number else 0.0 for number in examples.tolist()]


def _with_q(gains: Sequence[ClassGain]) -> tuple[ClassGain, ...]:
    q = benjamini_hochberg(np.array([gain.accuracy.p for gain in gains]))
    return tuple(replace(gain, q=float(rate)) for gain, rate in zip(gains, q, strict=True))
