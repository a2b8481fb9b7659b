"""Counterfactuals: retrain without the groups that hurt one test example, and see whether its prediction changes.

The retrainings are a pruning: its lists drop the most harmful groups, and its controls keep everything or drop as many
groups at random. So a counterfactual is planned, trained, stopped and resumed as any pruning is. The influences on the
example come from the sweep's models and these retrainings are others, so the same example may be examined. The number
of predictions that change on the evaluate half shows what dropping the groups costs or gains elsewhere: that half had
no part in choosing them, and the example itself is not counted.
"""

from math import comb, nan

import numpy as np
from numpy.typing import NDArray

from tui_influence.analysis.failures import harmful_groups
from tui_influence.analysis.question import Question
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.errors import ResultsError
from tui_influence.influence.outputs import Mask
from tui_influence.pruning.options import ClassList, PruningRequest, counterfactual_paths
from tui_influence.pruning.results import difference, mean_with_interval
from tui_influence.pruning.types import (
    ArmOnExample,
    ControlComparison,
    CounterfactualPlan,
    CounterfactualResult,
    FlipCounts,
)
from tui_influence.roles import ArmKind, Role
from tui_influence.store.examples import read_examples
from tui_influence.store.matrix import load_outputs
from tui_influence.store.paths import Paths
from tui_influence.store.pruning_plan import Pruning, check_arms
from tui_influence.store.run_info import RunInfo
from tui_influence.text import printable

DEFAULT_SEEDS = 10
"""Retrainings of each arm: with fewer, hardly any change from wrong to right is significant."""
MIN_SEEDS = 4
"""Retrainings of an arm from which a change can be significant: 4 of 4 against 0 of 4 has p = 0.029, 3 of 3 has 0.1."""
DEFAULT_DROPPED = 3
"""Groups that are dropped, the most harmful first."""


def plan_counterfactual(
    snapshot: RunSnapshot,
    question: Question,
    *,
    drop: int | None = None,
    seeds: int | None = None,
    devices: list[str] | str | None = None,
) -> CounterfactualPlan:
    """Choose the groups to drop for an example. Nothing is written.

    Args:
        snapshot: of the question's target.
        question: names the example, and how influences on it are estimated.
        drop: groups to drop, `DEFAULT_DROPPED` by default; fewer, where fewer lower the margin.
        seeds: retrainings of each arm, `DEFAULT_SEEDS` by default.
        devices: instead of the config's.

    Raises:
        ConfigError: the question does not fit the run.
        ResultsError: no group hurts the example, or too few models have been recorded.
    """
    example = question.example
    if example is None:
        raise ValueError("a counterfactual is about one example")
    harmful = harmful_groups(snapshot, question, drop or DEFAULT_DROPPED)
    if not harmful:
        raise ResultsError(f"no group lowers the margin of example {example}: there is nothing to drop")
    names = tuple(snapshot.info.source.groups[harm.group] for harm in harmful)
    request = PruningRequest(
        lists=(ClassList(ArmKind.DROP, names, f"{len(names)} that hurt example {example}"),),
        seeds=seeds or DEFAULT_SEEDS,
        weights={snapshot.target_info.name: 1.0},
        estimator=question.estimator,
        output=question.output_kind,
        baselines=(),
        devices=devices,
    )
    return CounterfactualPlan(counterfactual_paths(snapshot.paths, snapshot.target, example), harmful, request)


def load_counterfactual(pruning_paths: Paths, info: RunInfo, pruning: Pruning, example: int) -> CounterfactualResult:
    """Read what the retrainings of a counterfactual show by now.

    Args:
        pruning_paths: of the counterfactual.
        info: of the counterfactual; its first target is the example's.
        pruning: its arms.
        example: by number.

    Raises:
        ResultsError: it cannot be read, or has no such example.
    """
    check_arms(pruning_paths, pruning, info)
    examples = read_examples(pruning_paths, info, 0)
    outputs = load_outputs(pruning_paths, info, Role.ARM, 0)
    if not 0 <= example < len(examples.labels):
        raise ResultsError(f"{printable(str(pruning_paths.root))}: no example {example}")
    correct = np.asarray(outputs.predicted) == examples.labels.astype(np.uint16)
    margins = np.asarray(outputs.margins[:, example], dtype=np.float64)
    elsewhere = ~examples.estimate
    elsewhere[example] = False
    rows_of_arms = [np.flatnonzero(np.isin(outputs.indices, [row.index for row in arm.rows])) for arm in pruning.arms]
    rows_by_kind = {(arm.kind, arm.k): rows for arm, rows in zip(pruning.arms, rows_of_arms, strict=True)}

    def compare(rows: NDArray[np.intp], control: NDArray[np.intp]) -> ControlComparison:
        hits, control_hits = (int(correct[of, example].sum()) for of in (rows, control))
        p = fisher_exact(hits, len(rows), control_hits, len(control))
        return ControlComparison(p, difference(margins[rows], margins[control]))

    everything = rows_by_kind[ArmKind.ALL, 0]
    arms = []
    for arm, rows in zip(pruning.arms, rows_of_arms, strict=True):
        random = None if arm.kind is ArmKind.RANDOM else rows_by_kind.get((ArmKind.RANDOM, arm.k))
        keeps_all = arm.kind is ArmKind.ALL
        arms.append(
            ArmOnExample(
                arm=arm,
                models=len(rows),
                right=int(correct[rows, example].sum()),
                margin=mean_with_interval(margins[rows]),
                over_all=None if keeps_all else compare(rows, everything),
                over_random=None if random is None else compare(rows, random),
                flips=None if keeps_all else _count_flips(correct[:, elsewhere], rows, everything),
            )
        )
    return CounterfactualResult(info, pruning, example, int(examples.labels[example]), tuple(arms), outputs.damaged)


def fisher_exact(right: int, models: int, control_right: int, controls: int) -> float:
    """Return the two-sided p-value that two groups of models are right equally often; NaN if either is empty.

    The sum of the probabilities, given how many are right in all, of every outcome no more probable than the observed
    one (Fisher 1935).
    """
    if not models or not controls:
        return nan
    total = right + control_right
    counts = range(max(0, total - controls), min(models, total) + 1)
    ways = [comb(models, k) * comb(controls, total - k) for k in counts]
    observed = comb(models, right) * comb(controls, control_right)
    return sum(way for way in ways if way <= observed) / comb(models + controls, total)


def _count_flips(correct: Mask, rows: NDArray[np.intp], everything: NDArray[np.intp]) -> FlipCounts | None:
    if not len(rows) or not len(everything):
        return None
    now, before = (correct[models].mean(axis=0) > 0.5 for models in (rows, everything))
    return FlipCounts(int(np.count_nonzero(now & ~before)), int(np.count_nonzero(before & ~now)), correct.shape[1])
