"""What is found out about the verification of the image on the screen, and what one that is wanted comes to.

A verification is a run of its own, and is watched as one, whoever began it. What its retrainings say is read again
when more of them have come, by the thread that watches: they are few.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tui_influence.analysis.question import Question
from tui_influence.errors import TinflError
from tui_influence.pruning.types import CounterfactualPreview
from tui_influence.runs.overview import Overview
from tui_influence.store.files import to_results_error
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo
from tui_influence.tui.background import Watcher
from tui_influence.tui.messages import Finding
from tui_influence.tui.pruning_jobs import rate_of
from tui_influence.tui.state import RunState
from tui_influence.tui.verifying_state import VerificationRead, VerificationSeen

if TYPE_CHECKING:
    from tui_influence.analysis.snapshot import RunSnapshot

    pass

Tell = Callable[[RunState, Finding], None]


class VerifyingJobs:
    """Looks at one verification at a time, there or not."""

    def __init__(self, tell: Tell, broken: Callable[[Exception], None]) -> None:
        """Look at nothing yet.

        Args:
            tell: is told what was found out.
            broken: is told what nobody expected.
        """
        self._tell, self._broken = tell, broken
        self._watcher: Watcher | None = None
        self._watched: Paths | None = None

    def watch(self, state: RunState, pruning_paths: Paths, example: int) -> None:
        """Look at the verification of an example, and no more at that of another one."""
        if self._watched == pruning_paths:
            return
        self.rest()
        self._watched = pruning_paths
        found = _Found(state, pruning_paths, example, self._tell)
        self._watcher = Watcher(pruning_paths.root, found.seen, found.failed, lambda lines: None, self._broken)

    def look_now(self) -> None:
        """Look at it at once."""
        if self._watcher is not None:
            self._watcher.look_now()

    def rest(self) -> None:
        """Look at nothing."""
        if self._watcher is not None:
            self._watcher.close()
        self._watcher = self._watched = None


class _Found:
    """What a watcher of one verification does with what it sees, in its thread."""

    def __init__(self, state: RunState, pruning_paths: Paths, example: int, tell: Tell) -> None:
        self._state, self._own, self._example, self._tell = state, pruning_paths, example, tell
        self._read_at: tuple[int, int] | None = None

    def seen(self, overview: Overview) -> None:
        self._tell(self._state, VerificationSeen(self._own, overview))
        read_at = (overview.finished, overview.total)
        if overview.info is not None and read_at != self._read_at:
            self._read_at = read_at
            self._read(overview.info)

    def failed(self, reason: str) -> None:
        """Most images have none, which is no problem."""
        there = self._own.root.exists()
        self._tell(self._state, VerificationSeen(self._own, None, reason if there else ""))

    def _read(self, info: RunInfo) -> None:
        from tui_influence.pruning.counterfactual import load_counterfactual  # here, because it loads numpy
        from tui_influence.store.pruning_plan import read_arms

        found, reason = None, ""
        try:
            found = load_counterfactual(self._own, info, read_arms(self._own), self._example)
        except TinflError as error:
            reason = str(error)
        except OSError as error:
            reason = str(to_results_error(error))
        self._tell(self._state, VerificationRead(self._own, found, reason))


def propose(reading: "RunSnapshot", question: Question, sweep: Overview | None) -> CounterfactualPreview:
    """Return what verifying the question's example comes to; it takes a while.

    Raises:
        TinflError: nothing can be verified.
    """
    from tui_influence.pruning.counterfactual import plan_counterfactual
    from tui_influence.pruning.planning import preview_plan

    wanted = plan_counterfactual(reading, question)
    pruning, _ = preview_plan(reading.paths, reading.info, wanted.pruning_paths, wanted.request)
    rate = rate_of(sweep)
    label = reading.target_info.classes[int(reading.examples.labels[question.example or 0])]
    return CounterfactualPreview(question, label, wanted, pruning, rate.seconds(pruning) if rate else None)
