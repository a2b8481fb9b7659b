"""Queries in the background: when each is computed, and on which thread.

A screen says which queries it needs. `INPUTS` holds their input; `computations` and `retrainings`
the computations.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from textual.message import Message

from tui_influence.analysis.probe_types import ProbeKind
from tui_influence.tui.background import Background
from tui_influence.tui.image_cache import ImageKey
from tui_influence.tui.messages import ImagesDrawn
from tui_influence.tui.state import AnyQuery, QueryInput, RunHandle, RunState, run_query


def _from_run(state: RunState, run: RunHandle, models: int, *, ended: bool = False) -> QueryInput | None:
    """Return what there is of a run; None before it has been read."""
    if state.overview is None or run.info is None:
        return None
    overviews = (state.overview, state.pruning.run.overview)
    return QueryInput(models, run.root, run.info, ended, overviews, state.snapshots)


def _sweep_models(state: RunState) -> QueryInput | None:
    overview = state.overview
    return _from_run(state, state.sweep, overview.finished, ended=not overview.is_active) if overview else None


def _sweep_once(state: RunState) -> QueryInput | None:
    return _from_run(state, state.sweep, 0)


def _retrainings(state: RunState, run: RunHandle | None) -> QueryInput | None:
    overview = run.overview if run is not None else None
    if run is None or overview is None:
        return None
    # Both numbers only grow: rows that are trained, and rows that follow from those.
    return _from_run(state, run, overview.finished + overview.total, ended=not overview.is_active)


INPUTS: dict[str, Callable[[RunState], QueryInput | None]] = {
    "ranking": _sweep_models,
    "comparison": _sweep_models,
    "reliability": _sweep_models,
    "effects": _sweep_models,
    **dict.fromkeys(ProbeKind, _sweep_models),
    "prunings": _sweep_once,
    "arms": lambda state: _retrainings(state, state.pruning.run),
    "plan": _sweep_models,
    "counterfactual": lambda state: _retrainings(state, state.counterfactual.run),
    "group": _sweep_once,
    "example": _sweep_once,
}
"""The input of each query; None while it is not there."""
_QUICK = ("group", "example", "counterfactual")
"""Queries about a single group or example: they never wait for estimates."""
_OF_RETRAININGS = ("prunings", "arms", "plan", "counterfactual")
"""Queries that `retrainings` computes; `computations` computes the others."""


class QueryRunner:
    """Answers queries in two threads: one for estimates, one for details and images."""

    def __init__(self, post: Callable[[Message], object], on_error: Callable[[Exception], None]) -> None:
        """Start the threads.

        Args:
            post: posts a message to the app, from any thread.
            on_error: receives unexpected exceptions.
        """
        self._post = post
        self.estimates, self.details = Background(on_error), Background(on_error)
        self._images_needed: dict[ImageKey, RunState] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Start no other computation."""
        self.estimates.close()
        self.details.close()

    def has_ended(self, patience: float) -> bool:
        """Return whether both threads end within so many seconds each."""
        return self.estimates.has_ended(patience) and self.details.has_ended(patience)

    def refresh(self, state: RunState, queries: Iterable[AnyQuery]) -> None:
        """Start to compute those queries that are due."""
        for query in queries:
            inputs = INPUTS[query.name](state)
            if inputs is not None and query.throttle.start(query.question, inputs.models, ended=inputs.ended):
                thread = self.details if query.name in _QUICK else self.estimates
                thread.submit(query.name, partial(self._run, query, query.question, inputs))

    def draw(self, state: RunState, keys: Sequence[ImageKey]) -> None:
        """Draw images, unless they are there or being drawn."""
        new = state.images.request(keys)
        if new:
            with self._lock:  # images add up, while a job replaces the one of its kind that waits
                self._images_needed |= dict.fromkeys(new, state)
            self.details.submit("images", self._draw)

    def _run(self, query: AnyQuery, question: object, inputs: QueryInput) -> None:
        compute = _computation(query.name)  # loads modules the first time: no measure of how long the next ones take
        started = time.monotonic()
        result = run_query(query, question, partial(compute, inputs))
        query.throttle.finish(question, inputs.models, time.monotonic() - started)
        self._post(result)

    def _draw(self) -> None:
        from tui_influence.tui.computations import draw_images  # here, because it loads numpy

        with self._lock:
            needed, self._images_needed = self._images_needed, {}
        for state in {id(state): state for state in needed.values()}.values():
            keys = [key for key, other in needed.items() if other is state]
            self._post(ImagesDrawn(state, *draw_images(state.root, keys)))


def _computation(name: str) -> Callable[[QueryInput, Any], Any]:
    if name in _OF_RETRAININGS:
        from tui_influence.tui import retrainings  # here, because it loads numpy, pydantic and all that retrains

        return retrainings.COMPUTE[name]
    from tui_influence.tui import computations  # here, because it loads numpy

    return computations.COMPUTE[name]
