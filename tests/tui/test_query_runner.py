"""How long a computation took, as the app sees it: without what had to be loaded before."""

import threading
from types import SimpleNamespace

import pytest

from tests.tui.runs import PATIENCE, make_run
from tui_influence.runs.overview import overview
from tui_influence.tui import queries
from tui_influence.tui.queries import QueryRunner
from tui_influence.tui.state import MIN_REFRESH_INTERVAL, RunState


def test_loading_modules_delays_no_later_computation(tmp_path, monkeypatch):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(queries, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr("tui_influence.tui.state.time", SimpleNamespace(monotonic=lambda: clock.now))

    def load(name):
        clock.now += 60
        return lambda inputs, question: ()

    monkeypatch.setattr(queries, "_computation", load)
    paths = make_run(tmp_path / "run", models=6)
    state = RunState(paths.root, overview=overview(paths))
    errors, computed = [], threading.Event()
    runner = QueryRunner(lambda message: computed.set(), errors.append)
    runner.refresh(state, [state.pruning.names])
    assert computed.wait(PATIENCE), errors
    runner.close()
    assert runner.has_ended(PATIENCE)
    assert state.pruning.names.throttle.due == pytest.approx(clock.now + MIN_REFRESH_INTERVAL)
