"""What is worked out about a run in the background: its ranking, and how its models did; and how often."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tui_influence.errors import TinflError
from tui_influence.store.files import refusal
from tui_influence.store.paths import Paths
from tui_influence.tui.background import Background
from tui_influence.tui.messages import Grown, Ranked
from tui_influence.tui.state import RunState

_REST = 12
"""Seconds of rest for a second of work: below a tenth of one core while a sweep is followed."""
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

    def is_due(self, models: int, now: float) -> bool:
        """Whether to begin now; if so, it counts as begun."""
        if self.busy or models == self.models or (self.models is not None and now < self.due):
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


Tell = Callable[[RunState, Ranked | Grown], None]


class Jobs:
    """Begins what is worth working out, in the background."""

    def __init__(self, background: Background, tell: Tell) -> None:
        self._background, self._tell = background, tell
        self.ranking, self.growing = Pace(), Pace()

    def forget(self) -> None:
        """Something else is wanted: another question, or another run."""
        self.ranking.forget()
        self.growing.forget()

    def consider_ranking(self, state: RunState) -> None:
        """Rank, if that is due."""
        self._consider("rank", state, self.ranking, rank)

    def consider_growth(self, state: RunState) -> None:
        """Measure the growth of the reliability, if that is due."""
        self._consider("growth", state, self.growing, measure)

    def _consider(
        self, kind: str, state: RunState, pace: Pace, job: Callable[[Tell, RunState, Pace, int], None]
    ) -> None:
        overview = state.overview
        if overview is None or overview.info is None:
            return
        models = overview.finished
        if pace.is_due(models, time.monotonic()):
            self._background.submit(kind, partial(job, self._tell, state, pace, models))


def rank(tell: Tell, state: RunState, pace: Pace, models: int) -> None:
    """Rank by what is recorded now, and tell."""
    from tui_influence.ranking import rank_run  # here, because it loads numpy

    question, overview = state.question, state.overview
    assert overview is not None
    assert overview.info is not None
    wanted, started = pace.wanted, time.monotonic()
    try:
        answer, reason = rank_run(Paths(state.root), overview.info, question), ""
    except TinflError as error:
        answer, reason = None, str(error)
    except OSError as error:
        answer, reason = None, str(refusal(error))
    pace.finish(models, time.monotonic() - started, wanted)
    tell(state, Ranked(question, answer, reason))


def measure(tell: Tell, state: RunState, pace: Pace, models: int) -> None:
    """Measure the growth of the reliability, and tell."""
    from tui_influence.growth import growth  # here, because it loads numpy

    overview = state.overview
    assert overview is not None
    assert overview.info is not None
    wanted, started = pace.wanted, time.monotonic()
    try:
        found = growth(Paths(state.root), overview.info, state.question)
    except (TinflError, OSError):
        found = None  # the Rank mode says what is wrong; this one has other things to show
    pace.finish(models, time.monotonic() - started, wanted)
    tell(state, Grown(found))
