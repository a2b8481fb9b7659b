"""What is worked out about a run in the background, and how often: its ranking, its effects, probes, its models."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tui_influence.analysis.question import Question
from tui_influence.analysis.types import ProbeKind
from tui_influence.errors import TinflError
from tui_influence.store.files import to_results_error
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo
from tui_influence.tui.background import Background
from tui_influence.tui.messages import EffectsFound, Finding, Grown, Ranked
from tui_influence.tui.probe_state import Probed
from tui_influence.tui.state import RunState

if TYPE_CHECKING:
    from tui_influence.analysis.snapshot import RunSnapshot

Found = TypeVar("Found")

_REST = 30
"""Seconds of rest for a second of work: three things are worked out at most, in a tenth of one core together."""
_LEAST_REST = 3.0


@dataclass
class Pace:
    """When something is worth working out again.

    Attributes:
        models: that it was worked out from; None if it never was.
        due: the earliest time for the next, by the monotonic clock.
        busy: it is being worked out.
        wanted: counts what was wanted, so that an answer to what no longer is changes nothing.
    """

    models: int | None = None
    due: float = 0.0
    busy: bool = False
    wanted: int = 0

    def is_due(self, models: int, now: float, *, ended: bool = False) -> bool:
        """Whether to begin now; if so, it counts as begun.

        Args:
            models: that there are.
            now: by the monotonic clock.
            ended: no more models come, so that there is nothing to wait for, and perhaps nobody who asks again.
        """
        if self.busy or models == self.models:
            return False
        if self.models is not None and now < self.due and not ended:
            return False
        self.busy = True
        return True

    def finish(self, models: int, seconds: float, wanted: int) -> None:
        """It was worked out, from so many models in so many seconds."""
        if wanted != self.wanted:
            return
        self.busy, self.models = False, models
        self.due = time.monotonic() + max(_LEAST_REST, _REST * seconds)

    def forget(self) -> None:
        """Something else is wanted: begin at the next opportunity."""
        self.wanted += 1
        self.models, self.busy, self.due = None, False, 0.0


Tell = Callable[[RunState, Finding], None]
Work = Callable[["RunSnapshot", "Question"], Found]


class Jobs:
    """Begins what is worth working out, in the background; several questions are answered from one reading."""

    def __init__(self, background: Background, tell: Tell) -> None:
        self._background, self._tell = background, tell
        self.ranking, self.comparing, self.growing, self.moving = Pace(), Pace(), Pace(), Pace()
        self.probing = {view: Pace() for view in ProbeKind}
        self._readings: dict[str | None, RunSnapshot] = {}  # the background thread's alone

    def forget(self) -> None:
        """Something else is wanted: another question, or another run."""
        for pace in (self.ranking, self.comparing, self.growing, self.moving, *self.probing.values()):
            pace.forget()

    def consider_ranking(self, state: RunState) -> None:
        """Rank, if that is due; and what that is compared with."""
        self._consider("rank", state, self.ranking, partial(self._rank, state.question))
        if state.versus is not None:
            self._consider("versus", state, self.comparing, partial(self._rank, state.versus))

    def consider_growth(self, state: RunState) -> None:
        """Measure the growth of the reliability, if that is due."""
        self._consider("growth", state, self.growing, self._measure)

    def consider_effects(self, state: RunState) -> None:
        """Estimate what each group does to each example, if that is due."""
        self._consider("effects", state, self.moving, self._move)

    def consider_probe(self, state: RunState) -> None:
        """Make the probe that is shown, if that is due."""
        view = state.probe.view
        self._consider(view, state, self.probing[view], partial(self._probe, view))

    def _consider(
        self, kind: str, state: RunState, pace: Pace, job: Callable[[RunState, RunInfo, Pace, int], None]
    ) -> None:
        overview = state.overview
        if overview is None or overview.info is None:
            return
        if pace.is_due(overview.finished, time.monotonic(), ended=not overview.is_active):
            self._background.submit(kind, partial(job, state, overview.info, pace, overview.finished))

    def _rank(self, question: Question, state: RunState, info: RunInfo, pace: Pace, models: int) -> None:
        from tui_influence.analysis.ranking import rank  # here, because it loads numpy

        answer, reason = self._answered(state.root, info, question, rank, pace, models)
        self._tell(state, Ranked(question, answer, reason))

    def _measure(self, state: RunState, info: RunInfo, pace: Pace, models: int) -> None:
        from tui_influence.analysis.reliability_curve import reliability_curve

        # Why there is none is for the Rank mode to say; this one has other things to show.
        question = state.question
        found, _ = self._answered(state.root, info, question, reliability_curve, pace, models)
        self._tell(state, Grown(question, found))

    def _move(self, state: RunState, info: RunInfo, pace: Pace, models: int) -> None:
        from tui_influence.analysis.class_effects import estimate_effects

        question = state.question
        found, reason = self._answered(state.root, info, question, estimate_effects, pace, models)
        self._tell(state, EffectsFound(question, found, reason))

    def _probe(self, view: ProbeKind, state: RunState, info: RunInfo, pace: Pace, models: int) -> None:
        from tui_influence.tui.probe_jobs import probe

        asked = state.probe.asked(state.question, view)
        found, reason = self._answered(state.root, info, asked.question, partial(probe, asked), pace, models)
        self._tell(state, Probed(asked, found, reason))

    def _answered(
        self, root: Path, info: RunInfo, question: Question, work: Work[Found], pace: Pace, models: int
    ) -> tuple[Found | None, str]:
        """Do the work on what is recorded now: what it found, or None and why."""
        from tui_influence.analysis.snapshot import read_snapshot

        wanted, started = pace.wanted, time.monotonic()
        found, reason = None, ""
        try:
            # Taken out, so that a reading which has had its day is gone before the next one is read.
            reading = read_snapshot(Paths(root), info, question.target, self._readings.pop(question.target, None))
            self._readings[question.target] = reading
            found = work(reading, question)
            reading.outputs.release()
        except TinflError as error:
            reason = str(error)
        except OSError as error:
            reason = str(to_results_error(error))
        pace.finish(models, time.monotonic() - started, wanted)
        return found, reason
