"""What is found out about the prunings of a run while the Prune mode is on the screen, and how often.

The pruning that is looked at is a run of its own, and is watched as one; its arms are measured again when retrainings
have come, and what would be retrained is worked out when something else is chosen.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from tui_influence.errors import TinflError
from tui_influence.pruning.types import PlanPreview, PruningProposal
from tui_influence.runs.overview import Overview
from tui_influence.store.files import to_results_error
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo
from tui_influence.tui.background import Background, Watcher
from tui_influence.tui.messages import Finding
from tui_influence.tui.pruning_state import ArmsMeasured, NamesFound, Outlined, PruningSeen
from tui_influence.tui.ranking_jobs import Pace
from tui_influence.tui.state import RunState

if TYPE_CHECKING:
    from tui_influence.pruning.options import PruningRequest
    from tui_influence.store.pruning_plan import Pruning

Tell = Callable[[RunState, Finding], None]


class PruningJobs:
    """Begins what is worth finding out."""

    def __init__(self, background: Background, tell: Tell, broken: Callable[[Exception], None]) -> None:
        """Begin nothing yet.

        Args:
            background: does the work.
            tell: is told what was found out.
            broken: is told what nobody expected.
        """
        self._background, self._tell, self._broken = background, tell, broken
        self._listing, self._measuring, self._outlining = Pace(), Pace(), Pace()
        self._watcher: Watcher | None = None
        self._watched: Paths | None = None
        self._proposal: PruningProposal | None = None

    def consider(self, state: RunState) -> None:
        """Find out what is due, for the Prune mode of a run."""
        overview, pruning, now = state.overview, state.pruning, time.monotonic()
        if overview is None or overview.info is None or overview.info.arms:
            return
        if self._listing.is_due(0, now):
            self._background.submit("prunings", partial(self._list, state, self._listing.wanted))
        if pruning.names is None:
            return
        self._watch(state)
        seen = pruning.overview
        if seen is not None and seen.info is not None and pruning.exists:
            # Both only grow: rows that are trained, and rows that follow from those.
            models = seen.finished + seen.total
            if self._measuring.is_due(models, now, ended=not seen.is_active):
                self._background.submit("arms", partial(self._measure, state, seen.info, pruning.name, models))
        if pruning.proposes and overview.finished:
            self._propose(state, overview.info, overview.finished, now)

    def look_now(self) -> None:
        """Look at the pruning at once."""
        if self._watcher is not None:
            self._watcher.look_now()

    def list_again(self) -> None:
        """There may be other prunings than there were."""
        self._listing.forget()

    def forget(self) -> None:
        """Another pruning is looked at."""
        self._measuring.forget()
        self._outlining.forget()
        self._proposal = None

    def rest(self) -> None:
        """The mode is on the screen no more: look at nothing, and begin anew when it is."""
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = self._watched = None
        self.list_again()

    def _watch(self, state: RunState) -> None:
        pruning_paths = own_paths(state)
        if self._watched == pruning_paths or not state.pruning.exists:
            return
        if self._watcher is not None:
            self._watcher.close()
        name = state.pruning.name
        self._watched = pruning_paths
        self._watcher = Watcher(
            pruning_paths.root,
            lambda overview: self._tell(state, PruningSeen(name, overview)),
            lambda reason: self._tell(state, PruningSeen(name, None, reason)),
            lambda lines: None,
            self._broken,
        )

    def _propose(self, state: RunState, info: RunInfo, models: int, now: float) -> None:
        proposal = state.pruning.proposal(state.question)
        if proposal != self._proposal:
            self._proposal = proposal
            self._outlining.forget()
        if self._outlining.is_due(models, now):
            rate = rate_of(state.overview, state.pruning.overview)
            job = partial(self._outline, state, info, proposal, rate, models, self._outlining.wanted)
            self._background.submit("outline", job)

    def _list(self, state: RunState, wanted: int) -> None:
        from tui_influence.pruning.planning import pruning_names  # here, because it loads numpy

        names: tuple[str, ...] = ()
        reason = ""
        try:
            names = tuple(pruning_names(Paths(state.root)))
        except OSError as error:
            reason = str(to_results_error(error))
        self._listing.finish(0, 0.0, wanted)
        self._tell(state, NamesFound(names, reason))

    def _measure(self, state: RunState, info: RunInfo, name: str, models: int) -> None:
        from tui_influence.pruning.results import load_results
        from tui_influence.store.pruning_plan import read_arms

        wanted, started = self._measuring.wanted, time.monotonic()
        pruning_paths = Paths(Paths(state.root).prunings / name)
        measured, reason = None, ""
        try:
            measured = load_results(pruning_paths, info, read_arms(pruning_paths))
        except TinflError as error:
            reason = str(error)
        except OSError as error:
            reason = str(to_results_error(error))
        self._measuring.finish(models, time.monotonic() - started, wanted)
        self._tell(state, ArmsMeasured(name, measured, reason))

    def _outline(
        self, state: RunState, info: RunInfo, proposal: PruningProposal, rate: "Rate | None", models: int, wanted: int
    ) -> None:
        from tui_influence.pruning.planning import preview_plan
        from tui_influence.pruning.recommendation import predicted_best

        started = time.monotonic()
        outline, reason = None, ""
        try:
            paths = Paths(state.root)
            pruning, _ = preview_plan(paths, info, Paths(paths.prunings / proposal.name), request_of(info, proposal))
            outline = PlanPreview(pruning, rate.seconds(pruning) if rate else None, predicted_best(pruning))
        except TinflError as error:
            reason = "; ".join([str(error), *error.details[:3]])
        except OSError as error:
            reason = str(to_results_error(error))
        self._outlining.finish(models, time.monotonic() - started, wanted)
        self._tell(state, Outlined(proposal, outline, reason))


class Rate:
    """How fast models were trained last."""

    def __init__(self, models_per_hour: float, kept: float | None, done: int) -> None:
        """Know a rate.

        Args:
            models_per_hour: of all workers together.
            kept: share of the groups that those models were trained on; None if those were a pruning's own.
            done: retrainings of the pruning that there are already.
        """
        self._rate, self._kept, self._done = models_per_hour, kept, done

    def seconds(self, pruning: "Pruning") -> float:
        """Return how long what is left of a pruning takes, if a model takes as long as it has images."""
        rows = pruning.rows()
        share = sum(float(row.mask.mean()) for row in rows) / len(rows)
        longer = share / self._kept if self._kept else 1.0
        return 3600 * longer * max(len(rows) - self._done, 0) / self._rate


def rate_of(sweep: Overview | None, pruning: Overview | None = None) -> Rate | None:
    """Return the rate of a pruning, if there is one, else of its sweep, if one is known."""
    done = pruning.finished if pruning else 0
    if pruning and pruning.heartbeat and pruning.heartbeat.models_per_hour > 0:
        return Rate(pruning.heartbeat.models_per_hour, None, done)
    if sweep and sweep.info and sweep.heartbeat and sweep.heartbeat.models_per_hour > 0:
        alpha = sweep.info.design.get("alpha")
        return Rate(sweep.heartbeat.models_per_hour, alpha if isinstance(alpha, float) else None, done)
    return None


def own_paths(state: RunState) -> Paths:
    """Return where the pruning that is looked at is, or would be, kept."""
    return Paths(Paths(state.root).prunings / state.pruning.name)


def request_of(info: RunInfo, proposal: PruningProposal) -> "PruningRequest":
    """Return a proposal's request, with the ranking that its question asks for.

    Raises:
        ResultsError: the run has no such target.
    """
    question = proposal.question
    if question is None:
        return proposal.request
    target = info.targets[info.target_index(question.target)].name
    return replace(proposal.request, weights={target: 1.0}, estimator=question.estimator, output=question.output_kind)
