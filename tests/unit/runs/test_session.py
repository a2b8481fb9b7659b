"""What a session does when workers are ready, done, out of memory or dead. The workers here are scripted."""

import gc
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from tests.unit.store.conftest import make_record
from tui_influence.config.schema import ComputeSection
from tui_influence.designs import Design, Row, schedule
from tui_influence.errors import ExitCode
from tui_influence.roles import Role
from tui_influence.runs import session as module
from tui_influence.runs.control import Stop
from tui_influence.runs.crew import Ended
from tui_influence.runs.heartbeat import State
from tui_influence.runs.protocol import Done, Failed, Fatal, Kind, Ready
from tui_influence.runs.session import Session
from tui_influence.runs.work import Work
from tui_influence.store.events import EventLog, read_events
from tui_influence.store.listing import list_failures
from tui_influence.store.paths import Paths
from tui_influence.store.records import write_record

MODELS = 12


@dataclass(eq=False)
class ScriptedWorker:
    worker: int
    device: str
    row: Row | None = None
    models: int = 0
    ready: bool = False
    dismissed: bool = False
    released: bool = False
    pid: int = 1

    def assign(self, row):
        self.row = row

    def release(self):
        self.released = True


@dataclass
class ScriptedCrew:
    """`script` is asked what a worker says: with no row, when it starts; with one, when it has trained it."""

    paths: Paths
    script: Callable[[ScriptedWorker], object]
    workers: list[ScriptedWorker] = field(default_factory=list)
    started: int = 0

    def __iter__(self):
        return iter(self.workers)

    def __len__(self):
        return len(self.workers)

    @property
    def is_idle(self):
        return not any(worker.row for worker in self.workers)

    def start(self, number, device):
        self.started += 1
        assert self.started < 100, "workers are started without end"
        self.workers.append(ScriptedWorker(number, device))
        return self.workers[-1]

    def hear(self, _timeout) -> Iterator[tuple[ScriptedWorker, object]]:
        for worker in list(self.workers):
            said = Ended("exit code 0", "") if worker.released else self._says(worker)
            if isinstance(said, Ended):
                self.workers.remove(worker)
            if said is not None:
                yield worker, said

    def _says(self, worker):
        if not worker.ready or worker.row:
            said = self.script(worker)
            if isinstance(said, Done):
                write_record(self.paths, make_record(worker.row.index, worker.row.role))
            return said
        return None


@dataclass
class QuietHost:
    stop_after: int | None = None
    asked: int = 0
    further: list[list[Row]] = field(default_factory=list)

    def asked_to_stop(self):
        self.asked += 1
        return Stop.AFTER_MODELS_IN_HAND if self.stop_after and self.asked > self.stop_after else Stop.NO

    def beat(self, *, force=False): ...

    def under_way(self): ...

    def compact(self): ...

    def more(self):
        return self.further.pop() if self.further else []


def done(worker):
    return Done(worker.row.role, worker.row.index, 1.0, [{"target_accuracy": 0.5}])


def good(worker):
    return done(worker) if worker.row else Ready("cpu fp32 1 thread")


@pytest.fixture
def held(tmp_path, monkeypatch):
    """Runs a session by a script; returns the session."""
    monkeypatch.setattr(module, "most_workers", lambda device, compute: 4 if device.startswith("cuda") else 1)

    def run(script, devices=("cpu", "cpu"), host=None) -> Session:
        paths = Paths(tmp_path)
        rows = schedule(Design("fixed", 0.5, 6, 0), MODELS, 0)
        compute = ComputeSection.model_construct(devices=list(devices), attempts=3, threads=1)
        events = EventLog(paths.events)
        crew = ScriptedCrew(paths, script)
        session = Session(Work(paths, rows, 1, 3), crew, list(devices), compute, events, host or QuietHost())
        session.run()
        events.close()
        return session

    run.paths = Paths(tmp_path)
    return run


def names(paths):
    return [event["event"] for event, _ in read_events(paths.events)]


def test_all_rows_are_trained(held):
    session = held(good)
    assert (session.state, session.failure, session.work.done) == (State.DONE, None, MODELS)


def test_memory_does_not_grow_with_the_models_that_were_trained(held, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "MODELS", 4000)
    monkeypatch.setattr(sys.modules[__name__], "write_record", lambda *_: None)
    ours = ("*/tui_influence/runs/*", "*/tui_influence/store/*", __file__)  # not what a thread of another test does
    used = {}

    def script(worker):
        if worker.row and worker.row.index in (1000, 3900):
            gc.collect()
            shot = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, files) for files in ours])
            used[worker.row.index] = sum(trace.size for trace in shot.traces)
        return good(worker)

    tracemalloc.start()
    try:
        assert held(script).work.done == 4000
    finally:
        tracemalloc.stop()
    assert used[3900] - used[1000] < 50_000, "bytes"


def test_a_stop_lets_models_in_hand_finish_and_hands_out_no_more(held):
    session = held(good, host=QuietHost(stop_after=4))
    assert session.state is State.STOPPED
    assert 0 < session.work.done < MODELS
    assert session.crew.is_idle


def test_a_dead_worker_is_replaced_and_its_row_tried_again(held):
    deaths = []

    def script(worker):
        if worker.row and worker.row.index == 3 and len(deaths) < 2:
            deaths.append(worker)
            return Ended("killed by SIGKILL", "")
        return good(worker)

    session = held(script)
    assert session.work.done == MODELS
    assert session.crew.started == 4
    assert names(held.paths).count("retry") == 2


def test_a_worker_that_dies_of_what_asks_the_run_to_stop_is_not_replaced(held):
    """A batch system tells every process of a job to end, so the supervisor may hear of the worker first."""
    host = QuietHost()

    def script(worker):
        if worker.row and worker.row.index == 3:
            host.stop_after = 1
            return Ended("killed by SIGTERM", "")
        return good(worker)

    session = held(script, host=host)
    assert session.state is State.STOPPED
    assert session.crew.started == 2


def test_a_row_that_kills_every_worker_is_given_up(held):
    session = held(lambda worker: Ended("killed", "") if worker.row and worker.row.index == 3 else good(worker))
    assert (session.state, session.work.done, session.work.failed) == (State.DONE, MODELS - 1, 1)
    assert list_failures(held.paths, Role.ESTIMATE) == {3}


def test_workers_that_never_get_ready_end_the_run(held):
    session = held(lambda worker: Ended("exit code 1", "ImportError: libcuda"))
    assert "before they are ready (exit code 1): ImportError: libcuda" in str(session.failure)


def test_what_is_wrong_with_all_models_ends_the_run_and_leaves_no_failures_behind(held):
    def script(worker):
        return Failed(worker.row.role, worker.row.index, Kind.DIVERGED, "nan") if worker.row else good(worker)

    session = held(script)
    assert "models all failed; the last: nan" in str(session.failure)
    assert not list_failures(held.paths, Role.ESTIMATE)


def test_what_is_wrong_with_a_device_ends_the_run_with_its_exit_code(held):
    session = held(lambda worker: Fatal("no cuda:0", 5))
    assert session.failure.exit_code is ExitCode.DEVICE


def test_a_gpu_without_memory_for_one_more_worker_does_with_fewer(held):
    """The second worker of the GPU does not fit: neither the run nor a model is lost for that."""

    def script(worker):
        if worker.worker == 1:
            return Fatal("out of memory", 1) if not worker.released else None
        return good(worker)

    session = held(script, devices=["cuda:0"])
    assert (session.state, session.failure, session.work.done) == (State.DONE, None, MODELS)
    assert names(held.paths).count("worker-dismissed") == 1


def test_running_out_of_memory_in_training_beside_others_costs_no_try(held):
    def script(worker):
        if worker.row and worker.worker == 1:
            return Failed(worker.row.role, worker.row.index, Kind.MEMORY, "out of memory")
        return good(worker)

    session = held(script, devices=["cuda:0"])
    assert (session.work.done, session.work.failed) == (MODELS, 0)
    assert "retry" not in names(held.paths)


def test_running_out_of_memory_alone_is_tried_again_then_given_up(held):
    def script(worker):
        if worker.row and worker.row.index == 5:
            return Failed(worker.row.role, worker.row.index, Kind.MEMORY, "out of memory")
        return good(worker)

    session = held(script, devices=["cpu"])
    assert (session.work.done, session.work.failed) == (MODELS - 1, 1)
    assert names(held.paths).count("retry") == 2


def test_a_plan_that_grows_is_gone_on_with_by_the_same_workers(held):
    further = [
        Row(Role.ARM, index, row.mask, index, index)
        for index, row in enumerate(schedule(Design("fixed", 0.5, 6, 0), 3, 0))
    ]
    session = held(good, host=QuietHost(further=[further]))
    assert (session.state, session.work.done, session.work.total) == (State.DONE, MODELS + 3, MODELS + 3)
    assert session.crew.started == 2


def test_a_run_that_was_stopped_does_not_grow(held):
    host = QuietHost(stop_after=4, further=[[]])
    held(good, host=host)
    assert host.further == [[]]
