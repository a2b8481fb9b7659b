"""Retrainings: the computations behind the queries about them, and how they are timed and started.

Each function does what the command does, by the same functions. Loads numpy and pydantic: imported by the thread that
does so.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tui_influence.analysis.question import Question
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.config.loader import config_from_json
from tui_influence.config.schema import Config
from tui_influence.errors import ConfigError
from tui_influence.pruning.counterfactual import load_counterfactual, plan_counterfactual
from tui_influence.pruning.options import PruningRequest
from tui_influence.pruning.planning import PruningPlan, plan_cost, plan_pruning, preview_plan, pruning_names
from tui_influence.pruning.planning import start_pruning as start_plan
from tui_influence.pruning.recommendation import predicted_best
from tui_influence.pruning.results import load_results
from tui_influence.pruning.types import (
    CounterfactualPreview,
    CounterfactualResult,
    PlanPreview,
    PruningProposal,
    PruningResults,
)
from tui_influence.runs.cost import NOT_TIMED, Cost, trains_here
from tui_influence.runs.launch import start
from tui_influence.runs.overview import Overview
from tui_influence.runs.resume import request_to_resume
from tui_influence.runs.supervisor import Observer
from tui_influence.store.paths import Paths
from tui_influence.store.pruning_plan import Pruning, read_arms
from tui_influence.store.run_info import RunInfo
from tui_influence.tui.state import QueryInput


def _prunings(inputs: QueryInput, question: None) -> tuple[str, ...]:
    return tuple(pruning_names(Paths(inputs.root)))


def _arms(inputs: QueryInput, question: None) -> PruningResults:
    pruning_paths = Paths(inputs.root)
    return load_results(pruning_paths, inputs.info, read_arms(pruning_paths))


def _plan(inputs: QueryInput, question: PruningProposal) -> PlanPreview:
    paths, request = Paths(inputs.root), pruning_request(inputs.info, question)
    pruning, config = preview_plan(paths, inputs.info, Paths(paths.prunings / question.name), request)
    return PlanPreview(pruning, expected_seconds(pruning, config, *inputs.overviews), predicted_best(pruning))


def _counterfactual(inputs: QueryInput, question: int) -> CounterfactualResult:
    pruning_paths = Paths(inputs.root)
    return load_counterfactual(pruning_paths, inputs.info, read_arms(pruning_paths), question)


COMPUTE: dict[str, Callable[[QueryInput, Any], Any]] = {
    "prunings": _prunings,
    "arms": _arms,
    "plan": _plan,
    "counterfactual": _counterfactual,
}
"""The computation behind each query about retrainings."""


class Launcher:
    """Previews, times and starts the retrainings of a sweep, and resumes runs."""

    def __init__(self, sweep: Paths) -> None:
        self._sweep = sweep

    def resume(self, root: Path, retry_failed: bool, observer: Observer) -> None:
        """Start a supervisor that continues a run.

        Raises:
            TinflError: it cannot be continued.
        """
        start(request_to_resume(root, retry_failed=retry_failed), observer)

    def start_pruning(self, info: RunInfo, proposal: PruningProposal, observer: Observer) -> None:
        """Start the retrainings of a proposal.

        Raises:
            TinflError: they cannot be planned or started.
        """
        start_plan(self._plan(info, proposal, observer), self._pruning_paths(proposal), observer)

    def time_pruning(self, info: RunInfo, proposal: PruningProposal, observer: Observer) -> Cost:
        """Time a few training steps of a proposal.

        Raises:
            ConfigError: this machine does not train them.
            TinflError: they cannot be planned.
        """
        if not trains_here(config_from_json(info.config)):
            raise ConfigError(NOT_TIMED)
        plan = self._plan(info, proposal, observer)
        observer.stage("timing a few training steps", 0, 0)
        return plan_cost(plan)

    def preview_counterfactual(
        self, snapshot: RunSnapshot, sweep: Overview | None, question: Question
    ) -> CounterfactualPreview:
        """Return what a counterfactual of the question's example would retrain; it takes a ranking.

        Raises:
            TinflError: there is nothing to retrain.
        """
        plan = plan_counterfactual(snapshot, question)
        pruning, config = preview_plan(self._sweep, snapshot.info, plan.pruning_paths, plan.request)
        label = snapshot.target_info.classes[int(snapshot.examples.labels[question.example or 0])]
        return CounterfactualPreview(question, label, plan, pruning, expected_seconds(pruning, config, sweep, None))

    def start_counterfactual(
        self, info: RunInfo, root: Path, preview: CounterfactualPreview, observer: Observer
    ) -> None:
        """Start the retrainings of a counterfactual.

        Raises:
            TinflError: they cannot be planned or started.
        """
        plan = plan_pruning(self._sweep, info, Paths(root), preview.plan.request, observer.stage)
        start_plan(plan, Paths(root), observer)

    def _pruning_paths(self, proposal: PruningProposal) -> Paths:
        return Paths(self._sweep.prunings / proposal.name)

    def _plan(self, info: RunInfo, proposal: PruningProposal, observer: Observer) -> PruningPlan:
        request = pruning_request(info, proposal)
        return plan_pruning(self._sweep, info, self._pruning_paths(proposal), request, observer.stage)


def pruning_request(info: RunInfo, proposal: PruningProposal) -> PruningRequest:
    """Return a proposal's request, with the ranking that its question asks for.

    Raises:
        ResultsError: the run has no such target.
    """
    question = proposal.question
    if question is None:
        return proposal.request
    target = info.targets[info.target_index(question.target)].name
    return replace(proposal.request, weights={target: 1.0}, estimator=question.estimator, output=question.output_kind)


def expected_seconds(plan: Pruning, config: Config, sweep: Overview | None, pruning: Overview | None) -> float | None:
    """Return how long the rest of a pruning takes at the latest rate, its own or else the sweep's; None if unknown.

    Args:
        plan: its arms.
        config: that they are trained by.
        sweep: its state.
        pruning: the state of the pruning.
    """
    rows = plan.rows()
    left = max(len(rows) - (pruning.finished if pruning else 0), 0)
    if pruning and pruning.heartbeat and pruning.heartbeat.models_per_hour > 0:
        return 3600 * left / pruning.heartbeat.models_per_hour
    if sweep and sweep.info and sweep.heartbeat and sweep.heartbeat.models_per_hour > 0:
        alpha = sweep.info.design.get("alpha")
        share = sum(float(row.mask.mean()) for row in rows) / len(rows)
        longer = _times_as_long(config, sweep.info, share, alpha) if isinstance(alpha, float) and alpha else 1.0
        return 3600 * longer * left / sweep.heartbeat.models_per_hour
    return None


def _times_as_long(config: Config, sweep: RunInfo, share: float, alpha: float) -> float:
    """Return how many times as long a retraining takes as a model of the sweep: as many times as it has steps.

    Args:
        config: of the retrainings.
        sweep: whose models take a known time.
        share: of the groups that a retraining keeps on average.
        alpha: that a model of the sweep keeps.
    """
    train = config_from_json(sweep.config).train
    if config.train.steps is None and train.steps is None:
        return share / alpha
    images = sweep.source.images
    return config.train.source_steps(round(share * images)) / train.source_steps(round(alpha * images))
