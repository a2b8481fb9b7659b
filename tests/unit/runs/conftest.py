"""Fixtures for the tests of runs."""

import pytest

from tests.unit.runs.scripted_session import MODELS, Clock, QuietHost, ScriptedPool
from tui_influence.config.compute import ComputeSection
from tui_influence.designs import Design, schedule
from tui_influence.runs import session as module
from tui_influence.runs.row_queue import RowQueue
from tui_influence.runs.session import Session
from tui_influence.store.events import EventLog
from tui_influence.store.paths import Paths


@pytest.fixture
def run_session(tmp_path, monkeypatch):
    """Runs a session by a script; returns the session."""
    monkeypatch.setattr(module, "max_workers", lambda device, compute: 4 if device.startswith("cuda") else 1)
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)

    def run(
        script,
        devices=("cpu", "cpu"),
        host=None,
        models=MODELS,
        deadline=20.0,
        deaf=(),
        diverged=(),
        past_times=(),
        planned=0,
    ) -> Session:
        paths = Paths(tmp_path)
        rows = schedule(Design("fixed", 0.5, 6, 0), models, 0)
        compute = ComputeSection.model_construct(devices=list(devices), attempts=3, threads=1, model_deadline=deadline)
        events = EventLog(paths.events)
        pool = ScriptedPool(paths, script, clock, deaf=deaf)
        queue = RowQueue(paths, rows, 1, 3, diverged)
        session = Session(queue, pool, list(devices), compute, events, host or QuietHost(), planned=planned)
        for model in past_times:
            session.statistics.add_time(*model)
        run.session = session
        session.run()
        events.close()
        return session

    run.paths = Paths(tmp_path)
    run.clock = clock
    return run
