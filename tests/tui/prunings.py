"""Prunings in every state, made by hand beside the runs of `runs.make_run`."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tests.tui.runs import EXAMPLES, say, until
from tests.unit.store.conftest import make_record
from tui_influence.analysis.question import Question
from tui_influence.analysis.snapshot import read_snapshot
from tui_influence.pruning.counterfactual import plan_counterfactual
from tui_influence.pruning.options import PruningRequest
from tui_influence.pruning.planning import preview_plan
from tui_influence.roles import ArmKind, Role
from tui_influence.runs.heartbeat import State
from tui_influence.store.examples import read_examples, write_examples
from tui_influence.store.paths import Paths
from tui_influence.store.pruning_plan import Pruning, write_arms
from tui_influence.store.records import as_margins, write_record
from tui_influence.store.run_info import read_run_info, write_run_info

SEEDS = 4
BETTER = {ArmKind.LOWEST: 0.4, ArmKind.HIGHEST: -0.8}
"""What margins gain by how groups are dropped."""
FLIPS = {ArmKind.ALL: -2.5, ArmKind.RANDOM: -2.5, ArmKind.DROP: 2.5}


def make_pruning(
    sweep: Paths,
    name: str = "main",
    *,
    ks: tuple[int, ...] = (3, 6),
    trained: int | None = None,
    state: State | None = State.DONE,
    request: PruningRequest | None = None,
    better: Mapping[ArmKind, float] = BETTER,
    **said,
) -> Paths:
    """A pruning whose classes x and y gain from dropping the lowest, while class z loses by it; or as is wanted."""
    own = Paths(sweep.prunings / name)
    info = read_run_info(sweep.root)
    pruning, _ = preview_plan(sweep, info, own, request or PruningRequest(drop_counts=ks, seeds=SEEDS, baselines=()))
    write_arms(own, pruning)
    labels = read_examples(sweep, info, 0).labels
    pictures = np.zeros((EXAMPLES, 8, 8, 1), np.uint8)
    targets = [
        replace(target, digests=write_examples(own, place, read_examples(sweep, info, place), pictures))
        for place, target in enumerate(info.targets)
    ]
    write_run_info(
        own, replace(info, name=f"{info.name}-{name}", models=0, heldout=0, arms=pruning.n_rows, targets=targets)
    )
    train(own, pruning, labels, pruning.n_rows if trained is None else trained, better)
    if state is not None:
        say(own, state, done=trained or pruning.n_rows, total=pruning.n_rows, **said)
    return own


def make_verification(
    sweep: Paths, example: int, *, trained: int | None = None, state: State = State.DONE, seeds: int = 8
) -> Paths:
    """A verification of an example that is right without what is to blame, and wrong otherwise."""
    reading = read_snapshot(sweep, read_run_info(sweep.root))
    request = plan_counterfactual(reading, Question(example=example), seeds=seeds).request
    return make_pruning(sweep, f"example-{example}", request=request, better=FLIPS, trained=trained, state=state)


def train(
    own: Paths, pruning: Pruning, labels: np.ndarray, count: int, better: Mapping[ArmKind, float] = BETTER
) -> None:
    """Record the first retrainings of the plan."""
    arms = {row.index: arm for arm in pruning.arms for row in arm.rows}
    for row in pruning.rows()[:count]:
        arm, rng = arms[row.index], np.random.default_rng(row.index)
        margins = 0.5 + better.get(arm.kind, -0.1 if arm.k else 0.0) + np.where(labels == 2, -1.8 * (arm.k > 0), 0.0)
        margins = as_margins(margins + 0.1 * rng.normal() + 0.3 * rng.normal(size=EXAMPLES))
        predicted = np.where(margins > 0, labels, (labels + 1) % 3).astype(np.uint16)
        record = make_record(row.index, Role.ARM, mask=row.mask, margins=margins, predicted=predicted)
        write_record(own, replace(record, seed=row.seed))


async def proposed(app, pilot) -> None:
    """Wait for what is proposed to be worked out, or refused."""
    pruning = app.state.pruning
    await until(pilot, lambda: pruning.plan.error or (pruning.plan.value is not None and not pruning.plan.is_stale))


async def measured(app, pilot) -> None:
    """Wait for the arms."""
    pruning = app.state.pruning
    await until(pilot, lambda: pruning.arms.value is not None and pruning.run.overview is not None)
