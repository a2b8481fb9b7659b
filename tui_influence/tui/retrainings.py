"""Retrainings that are planned, timed and started. Loads numpy and pydantic: imported by the thread that does so.

Each function does what the command does, by the same functions.
"""

from pathlib import Path

from tui_influence.config.loader import config_from_json
from tui_influence.errors import ConfigError
from tui_influence.export.files import write_text_atomically
from tui_influence.pruning.arms import choice
from tui_influence.pruning.options import listed_text
from tui_influence.pruning.planning import Planned, Wanted, begin, cost_of, planned
from tui_influence.pruning.types import CounterfactualPreview, PruningProposal
from tui_influence.roles import BASELINES, ArmKind
from tui_influence.runs.cost import NOT_TIMED, Cost, trains_here
from tui_influence.runs.launch import start
from tui_influence.runs.resume import request_to_resume
from tui_influence.runs.supervisor import Observer
from tui_influence.store.files import make_directory
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo


def resume_run(root: Path, retry_failed: bool, observer: Observer) -> None:
    """Start a supervisor that continues a run.

    Raises:
        TinflError: it cannot be continued.
    """
    start(request_to_resume(root, retry_failed=retry_failed), observer)


def start_pruning(
    root: Path, info: RunInfo, proposal: PruningProposal, list_file: Path | None, observer: Observer
) -> None:
    """Start the retrainings of a proposal, and write its list of groups to a file.

    Raises:
        TinflError: they cannot be planned or started.
    """
    write_list(list_file, proposal)
    begin(_plan_pruning(root, info, proposal, observer), _pruning_paths(root, proposal), observer)


def time_pruning(root: Path, info: RunInfo, proposal: PruningProposal, observer: Observer) -> Cost:
    """Time a few training steps of a proposal.

    Raises:
        ConfigError: this machine does not train them.
        TinflError: they cannot be planned.
    """
    if not trains_here(config_from_json(info.config)):
        raise ConfigError(NOT_TIMED)
    plan = _plan_pruning(root, info, proposal, observer)
    observer.stage("timing a few training steps", 0, 0)
    return cost_of(plan)


def start_counterfactual(
    root: Path, info: RunInfo, counterfactual_root: Path, preview: CounterfactualPreview, observer: Observer
) -> None:
    """Start the retrainings of a counterfactual.

    Raises:
        TinflError: they cannot be planned or started.
    """
    paths = Paths(counterfactual_root)
    begin(planned(Paths(root), info, paths, preview.wanted.wanted, observer.stage), paths, observer)


def write_list(file: Path | None, proposal: PruningProposal) -> None:
    """Write the groups that were chosen by hand to a file, so that a command can name it; nothing without a file.

    Raises:
        ResultsError: it cannot be written.
    """
    if file is not None:
        make_directory(file.parent)
        write_text_atomically(file, listed_text(proposal.choice.listed))


def pruning_request(info: RunInfo, proposal: PruningProposal) -> Wanted:
    """Return a proposal as the core takes it.

    Raises:
        ConfigError: its list of groups cannot be an arm.
        ResultsError: the run has no such target.
    """
    chosen, question = proposal.choice, proposal.question
    listed = []
    if chosen.listed:
        label = f"{len(chosen.listed):,} marked"
        listed = [choice(chosen.listed, info.source.groups, ArmKind(chosen.verb), label)]
    target = info.targets[info.target_index(question.target)].name if question else ""
    return Wanted(
        ks=chosen.ks,
        chosen=listed,
        seeds=chosen.seeds,
        weights={target: 1.0} if question else {},
        estimator=question.estimator if question else None,
        output=question.output_kind if question else None,
        baselines=None if chosen.baselines is None else BASELINES if chosen.baselines else (),
    )


def _pruning_paths(root: Path, proposal: PruningProposal) -> Paths:
    return Paths(Paths(root).prunings / proposal.name)


def _plan_pruning(root: Path, info: RunInfo, proposal: PruningProposal, observer: Observer) -> Planned:
    paths, request = Paths(root), pruning_request(info, proposal)
    return planned(paths, info, _pruning_paths(root, proposal), request, observer.stage)
