"""What a session does when workers are ready, done, out of memory, hung or dead. The workers here are scripted."""

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
from tui_influence.runs.control import StopLevel
from tui_influence.runs.heartbeat import State
from tui_influence.runs.protocol import Begun, Done, Failed, FailureKind, Fatal, Ready
from tui_influence.runs.row_queue import RowQueue
from tui_influence.runs.session import Session
from tui_influence.runs.worker_pool import WorkerExit
from tui_influence.store.events import EventLog, read_events
from tui_influence.store.listing import (
    list_failures,
)
from tui_influence.store.paths import Paths
from tui_influence.store.records import (
    write_record,
)

MODELS = 12


@dataclass(eq=False)
class ScriptedWorker:
    number: int
    device: str
    row: Row | None = None
    models: int = 0
    is_ready: bool = False
    has_begun: bool = False
    is_ending: bool = False
    is_dismissed: bool = False
    released: bool = False
    has_reported: bool = False
    reason: str = ""
    silence: float = 0.0
    elapsed: float = 0.0
    pid: int = 1

    @property
    def seconds(self):
        return self.elapsed if self.row else None

    def assign(self, row):
        self.row, self.has_begun, self.elapsed = row, False, 0.0

    def unassign(self):
        row, self.row = self.row, None
        self.has_begun, self.elapsed = False, 0.0
        return row

    def add_time(self, seconds):
        self.silence += seconds
        self.elapsed += seconds

    def end_after_row(self):
        self.released = self.is_ending = True


class Clock:
    """A clock that goes on only while the session waits."""

    now = 1000.0

    def monotonic(self):
        return self.now


@dataclass
class ScriptedPool:
    """`script` gives a worker's report: with no row, when it starts; with one, when it has trained it.

    It may return a list, and `HANGS` for no report and no sign of life.
    """

    paths: Paths
    script: Callable[[ScriptedWorker], object]
    clock: Clock = field(default_factory=Clock)
    workers: list[ScriptedWorker] = field(default_factory=list)
    started: int = 0
    deaf: tuple[int, ...] = ()
    """Numbers of workers that never begin what they are assigned."""

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

    def poll(self, timeout) -> Iterator[tuple[ScriptedWorker, object]]:
        self.clock.now += timeout
        for worker in list(self.workers):
            report = self._report(worker)
            if report is HANGS:
                continue
            worker.silence, worker.has_reported = 0.0, worker.has_reported or report is not None
            if isinstance(report, WorkerExit):
                self.workers.remove(worker)
            if report is not None:
                yield worker, report

    def kill(self, worker):
        self.workers.remove(worker)
        return WorkerExit("killed by its supervisor", "")

    def _report(self, worker):
        if worker.is_ending and (worker.released or worker.row is None):
            return WorkerExit("exit code 0", "")
        if worker.row and not worker.has_begun:
            return self.script(worker) if worker.number in self.deaf else Begun(worker.row.role, worker.row.index)
        if not worker.is_ready or worker.row:
            report = self.script(worker)
            if isinstance(report, Done):
                write_record(self.paths, make_record(worker.row.index, worker.row.role))
            return report
        return None


HANGS = object()


@dataclass
class QuietHost:
    stop_after: int | None = None
    asked: int = 0
    further: list[list[Row]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def stop_level(self):
        self.asked += 1
        return StopLevel.AFTER_CURRENT_MODELS if self.stop_after and self.asked > self.stop_after else StopLevel.NO

    def beat(self, *, force=False): ...

    def under_way(self): ...

    def compact(self): ...

    def warn(self, text):
        self.warnings.append(text)

    def plan_extension(self):
        return self.further.pop() if self.further else []


def done(worker):
    return Done(worker.row.role, worker.row.index, 1.0, [{"target_accuracy": 0.5}])


def good(worker):
    return done(worker) if worker.row else Ready("cpu fp32 1 thread")


@pytest.fixture
def held(tmp_path, monkeypatch):
    """Runs a session by a script; returns the session."""
    monkeypatch.setattr(module, "max_workers", lambda device, compute: 4 if device.startswith("cuda") else 1)
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)

    def run(
        script, devices=("cpu", "cpu"), host=None, models=MODELS, deadline=20.0, deaf=(), diverged=(), past_times=()
    ) -> Session:
        paths = Paths(tmp_path)
        rows = schedule(Design("fixed", 0.5, 6, 0), models, 0)
        compute = ComputeSection.model_construct(devices=list(devices), attempts=3, threads=1, model_deadline=deadline)
        events = EventLog(paths.events)
        pool = ScriptedPool(paths, script, clock, deaf=deaf)
        queue = RowQueue(paths, rows, 1, 3, diverged)
        session = Session(queue, pool, list(devices), compute, events, host or QuietHost())
        for model in past_times:
            session.statistics.add_time(*model)
        run.session = session
        session.run()
        events.close()
        return session

    run.paths = Paths(tmp_path)
    run.clock = clock
    return run


def names(paths):
    return [event["event"] for event, _ in read_events(paths.events)]


def test_all_rows_are_trained(held):
    session = held(good)
    assert (session.state, session.failure, session.queue.done) == (State.DONE, None, MODELS)


def test_memory_does_not_grow_with_the_models_that_were_trained(held, monkeypatch):
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
        assert held(script, models=4000).queue.done == 4000
    finally:
        tracemalloc.stop()
    assert used[3900] - used[1000] < 50_000, "bytes"


def test_a_stop_lets_models_in_hand_finish_and_hands_out_no_more(held):
    session = held(good, host=QuietHost(stop_after=4))
    assert session.state is State.STOPPED
    assert 0 < session.queue.done < MODELS
    assert session.pool.is_idle


def test_a_dead_worker_is_replaced_and_its_row_tried_again(held):
    deaths = []

    def script(worker):
        if worker.row and worker.row.index == 3 and len(deaths) < 2:
            deaths.append(worker)
            return WorkerExit("killed by SIGKILL", "")
        return good(worker)

    session = held(script)
    assert session.queue.done == MODELS
    assert session.pool.started == 4
    assert names(held.paths).count("retry") == 2


def test_a_worker_that_dies_of_what_asks_the_run_to_stop_is_not_replaced(held):
    """A batch system tells every process of a job to end, so the supervisor may hear of the worker first."""
    host = QuietHost()

    def script(worker):
        if worker.row and worker.row.index == 3:
            host.stop_after = 1
            return WorkerExit("killed by SIGTERM", "")
        return good(worker)

    session = held(script, host=host)
    assert session.state is State.STOPPED
    assert session.pool.started == 2


def test_a_row_that_kills_every_worker_is_given_up(held):
    session = held(lambda worker: WorkerExit("killed", "") if worker.row and worker.row.index == 3 else good(worker))
    assert (session.state, session.queue.done, session.queue.failed) == (State.DONE_WITH_FAILURES, MODELS - 1, 1)
    assert list_failures(held.paths, Role.ESTIMATE) == {3}


def test_workers_that_never_get_ready_end_the_run(held):
    session = held(lambda worker: WorkerExit("exit code 1", "ImportError: libcuda"))
    assert "workers end before they begin a model: exit code 1: ImportError: libcuda" in str(session.failure)
    assert held.clock.now - Clock.now < 60


def test_what_is_wrong_with_all_models_ends_the_run_and_leaves_no_failures_behind(held):
    def script(worker):
        return Failed(worker.row.role, worker.row.index, FailureKind.DIVERGED, "nan") if worker.row else good(worker)

    session = held(script)
    assert str(session.failure) == "4 models failed in a row, the last: nan"
    assert not list_failures(held.paths, Role.ESTIMATE)


def test_what_is_wrong_with_a_device_ends_the_run_with_its_exit_code(held):
    session = held(lambda worker: Fatal("no cuda:0", 5))
    assert session.failure.exit_code is ExitCode.DEVICE


def test_a_gpu_without_memory_for_one_more_worker_does_with_fewer(held):
    """The second worker of the GPU does not fit: neither the run nor a model is lost for that."""

    def script(worker):
        return Fatal("out of memory", 1) if worker.number == 1 else good(worker)

    session = held(script, devices=["cuda:0"])
    assert (session.state, session.failure, session.queue.done) == (State.DONE, None, MODELS)
    assert names(held.paths).count("worker-dismissed") == 1


def test_running_out_of_memory_in_training_beside_others_costs_no_try(held):
    def script(worker):
        if worker.row and worker.number == 1:
            return Failed(worker.row.role, worker.row.index, FailureKind.MEMORY, "out of memory")
        return good(worker)

    session = held(script, devices=["cuda:0"])
    assert (session.queue.done, session.queue.failed) == (MODELS, 0)
    assert "retry" not in names(held.paths)


def test_running_out_of_memory_alone_is_tried_again_then_given_up(held):
    def script(worker):
        if worker.row and worker.row.index == 5:
            return Failed(worker.row.role, worker.row.index, FailureKind.MEMORY, "out of memory")
        return good(worker)

    session = held(script, devices=["cpu"])
    assert (session.queue.done, session.queue.failed) == (MODELS - 1, 1)
    assert names(held.paths).count("retry") == 2


def test_a_plan_that_grows_is_gone_on_with_by_the_same_workers(held):
    further = [
        Row(Role.ARM, index, row.mask, index, index)
        for index, row in enumerate(schedule(Design("fixed", 0.5, 6, 0), 3, 0))
    ]
    session = held(good, host=QuietHost(further=[further]))
    assert (session.state, session.queue.done, session.queue.total) == (State.DONE, MODELS + 3, MODELS + 3)
    assert session.pool.started == 2


def test_a_run_that_was_stopped_does_not_grow(held):
    host = QuietHost(stop_after=4, further=[[]])
    held(good, host=host)
    assert host.further == [[]]


def fail_with(kind, reason="out of memory"):
    return lambda worker: Failed(worker.row.role, worker.row.index, kind, reason)


OUT_OF_MEMORY = fail_with(FailureKind.MEMORY)


@pytest.mark.parametrize(
    ("kind", "restarts"), [(FailureKind.MEMORY, 1), (FailureKind.ERROR, 1), (FailureKind.DIVERGED, 0)]
)
def test_a_worker_is_restarted_after_a_failure_that_may_be_its_own(held, kind, restarts):
    session = held(
        lambda worker: (
            fail_with(kind)(worker)
            if worker.row and worker.row.index == 3 and session_is_young(held.paths)
            else good(worker)
        )
    )
    assert session.pool.started == 2 + restarts


def session_is_young(paths):
    return not {"retry", "failed"} & set(names(paths))


def test_a_worker_whose_memory_stays_taken_costs_no_model(held):
    """As long as a process that ran out of memory lives, all it trains fails: 281 of 300 models were lost so."""
    spoilt = set()

    def script(worker):
        if worker.row and ((worker.row.index == 2 and not spoilt) or id(worker) in spoilt):
            spoilt.add(id(worker))
            return OUT_OF_MEMORY(worker)
        return good(worker)

    session = held(script, devices=["cpu"])
    assert (session.state, session.queue.done, session.queue.failed) == (State.DONE, MODELS, 0)
    assert names(held.paths).count("retry") == 1


def test_the_model_after_a_failed_one_is_not_charged_with_the_end_of_the_worker(held):
    """The worker ends after it has reported a failure: nothing may be assigned to it in between."""
    charged = []

    def script(worker):
        if worker.row and worker.row.index == 3 and not charged:
            charged.append(worker.row.index)
            return fail_with(FailureKind.ERROR)(worker)
        return good(worker)

    session = held(script, devices=["cpu"])
    retries = [event["index"] for event, _ in read_events(held.paths.events) if event["event"] == "retry"]
    assert retries == [3]
    assert session.queue.done == MODELS


def test_a_model_that_was_assigned_to_a_dead_worker_and_never_begun_is_not_charged(held):
    deaths = []

    def script(worker):
        if worker.row and not worker.has_begun and len(deaths) < 2:
            deaths.append(worker.row.index)
            return WorkerExit("killed by SIGKILL", "")
        return Begun(worker.row.role, worker.row.index) if worker.row and not worker.has_begun else good(worker)

    session = held(script, devices=["cpu"], deaf=(0,))
    assert (session.queue.done, len(deaths)) == (MODELS, 2)
    assert "retry" not in names(held.paths)


def test_workers_that_never_begin_what_they_get_end_the_run(held):
    def script(worker):
        return WorkerExit("exit code 1", "no stdin") if worker.row else Ready("cpu fp32 1 thread")

    session = held(script, devices=["cpu"], deaf=(0,))
    assert "workers end before they begin a model: exit code 1: no stdin" in str(session.failure)
    assert not list_failures(held.paths, Role.ESTIMATE)


def test_failures_in_a_row_after_a_success_pause_the_device_and_no_model_is_charged(held):
    """Another user takes the memory for a minute: every model fails, and none of them is to blame."""
    end = held.clock.now + 45

    def script(worker):
        taken = worker.row and worker.row.index >= 4 and held.clock.now < end
        return OUT_OF_MEMORY(worker) if taken else good(worker)

    session = held(script, devices=["cpu"], models=40)
    assert (session.state, session.queue.done, session.queue.failed) == (State.DONE, 40, 0)
    assert "failed" not in names(held.paths)
    pauses = [event["seconds"] for event, _ in read_events(held.paths.events) if event["event"] == "device-paused"]
    assert pauses == [10.0, 60.0]


def test_failures_that_no_pause_helps_end_the_run_with_their_reason_and_leave_no_failures_behind(held):
    def script(worker):
        return OUT_OF_MEMORY(worker) if worker.row and worker.row.index >= 4 else good(worker)

    session = held(script, devices=["cpu"], models=300)
    assert "models failed in a row, the last: out of memory" in str(session.failure)
    assert session.queue.done >= 4
    assert not list_failures(held.paths, Role.ESTIMATE)
    assert held.clock.now - Clock.now > 370
    assert names(held.paths).count("retry") < 20, "a device that failed so often is given one model at a time"


def test_a_run_whose_first_models_all_fail_ends_at_once(held):
    session = held(lambda worker: OUT_OF_MEMORY(worker) if worker.row else good(worker), models=300)
    assert "failed in a row, the last: out of memory" in str(session.failure)
    assert held.clock.now - Clock.now < 10


def test_a_small_run_all_of_whose_models_fail_has_failed(held):
    session = held(
        lambda worker: fail_with(FailureKind.DIVERGED, "nan")(worker) if worker.row else good(worker), models=2
    )
    assert str(session.failure) == "all 2 models failed; the last: nan"
    assert not list_failures(held.paths, Role.ESTIMATE)


def test_a_few_models_that_fail_whatever_is_done_do_not_end_the_run(held):
    bad = {3, 17, 18, 29, 39}
    session = held(lambda worker: OUT_OF_MEMORY(worker) if worker.row and worker.row.index in bad else good(worker),
                   devices=["cpu"], models=40)  # fmt: skip
    assert (session.state, session.failure, session.queue.done) == (State.DONE_WITH_FAILURES, None, 35)
    assert list_failures(held.paths, Role.ESTIMATE) == bad


def test_diverged_models_end_a_run_only_when_there_are_many_in_a_row(held):
    session = held(
        lambda worker: (
            fail_with(FailureKind.DIVERGED, "nan")(worker)
            if worker.row and (10 <= worker.row.index < 20)
            else good(worker)
        ),
        devices=["cpu"],
        models=60,
    )
    assert (session.state, session.queue.failed) == (State.DONE_WITH_FAILURES, 10)
    assert "device-paused" not in names(held.paths)


def test_a_device_that_is_not_usable_is_done_without(held):
    host = QuietHost()

    def script(worker):
        return Fatal("no such device", 5) if worker.device == "cuda:1" else good(worker)

    session = held(script, devices=["cuda:0", "cuda:1"], host=host)
    assert (session.state, session.failure, session.queue.done) == (State.DONE, None, MODELS)
    assert host.warnings == ["cuda:1 is not used any more: no such device"]


def test_without_any_usable_device_the_run_fails_with_the_reason_of_the_last(held):
    session = held(lambda worker: Fatal(f"no {worker.device}", 5), devices=["cuda:0", "cuda:1"])
    assert session.failure.exit_code is ExitCode.DEVICE
    assert str(session.failure) in ("no cuda:0", "no cuda:1")


def test_a_device_that_fails_while_others_train_rests_and_is_then_done_without(held):
    """It would fail models faster than the others train them."""

    def script(worker):
        return (
            fail_with(FailureKind.ERROR, "CUDA error")(worker)
            if worker.device == "cuda:1" and worker.row
            else good(worker)
        )

    host = QuietHost()
    session = held(script, devices=["cuda:0", "cuda:1"], host=host, models=4000)
    assert (session.state, session.failure, session.queue.done) == (State.DONE, None, 4000)
    (warning,) = host.warnings
    assert warning.startswith("cuda:1 is not used any more: ")
    assert warning.endswith("failed in a row, the last: CUDA error")


def test_a_worker_that_cannot_start_again_gets_time(held):
    """After a restart its device has no room: somebody else was faster."""
    trained = []

    def script(worker):
        if not worker.is_ready and trained and held.clock.now < Clock.now + 30:
            return Fatal("loading the images: out of memory", 1)
        if worker.row and worker.row.index == 3 and 3 not in trained:
            trained.append(3)
            return OUT_OF_MEMORY(worker)
        return good(worker)

    session = held(script, devices=["cpu"])
    assert (session.state, session.failure, session.queue.done) == (State.DONE, None, MODELS)


def test_a_worker_without_a_sign_of_life_is_killed_and_its_model_tried_again(held):
    hung = []

    def script(worker):
        if worker.row and worker.row.index == 3 and (not hung or worker in hung):
            hung.append(worker)
            return HANGS
        return good(worker)

    session = held(script)
    assert (session.state, session.queue.done) == (State.DONE, MODELS)
    (event,) = [event for event, _ in read_events(held.paths.events) if event["event"] == "worker-hung"]
    assert event["reason"].startswith("no sign of life for 60")
    assert session.warnings() == [f"1 worker on cpu ended early; the last: {event['reason']}"]


def test_a_model_that_does_not_end_is_ended_at_its_deadline(held):
    def script(worker):
        return None if worker.row and worker.row.index == 9 else done_in(worker, 5.0)

    session = held(script, devices=["cpu"], deadline=20.0)
    assert (session.state, session.queue.done, session.queue.failed) == (State.DONE_WITH_FAILURES, MODELS - 1, 1)
    reasons = [event["reason"] for event, _ in read_events(held.paths.events) if event["event"] == "worker-hung"]
    assert len(reasons) == 3
    assert all("the deadline is 100 s" in reason for reason in reasons)


def done_in(worker, seconds):
    return Done(worker.row.role, worker.row.index, seconds, []) if worker.row else Ready("cpu fp32 1 thread")


def test_no_deadline_is_set_where_the_config_wants_none(held):
    slow = []

    def script(worker):
        if worker.row and worker.row.index == 9 and len(slow) < 40_000:
            slow.append(held.clock.now)
            return None
        return done_in(worker, 5.0)

    session = held(script, devices=["cpu"], deadline=0.0)
    assert session.queue.done == MODELS
    assert slow[-1] - slow[0] > 9_000
    assert "worker-hung" not in names(held.paths)


def test_each_device_has_a_deadline_of_its_own(held):
    """A processor takes thirty times as long as the GPU beside it, and is not hung."""

    def script(worker):
        seconds = 300.0 if worker.device == "cpu" else 10.0
        return None if worker.row and worker.elapsed < seconds else done_in(worker, seconds)

    session = held(script, devices=["cuda:0", "cpu"], models=400)
    assert (session.state, session.queue.done) == (State.DONE, 400)
    assert "worker-hung" not in names(held.paths)
    assert min(worker.models for worker in session.pool if worker.device == "cpu") > 1


def test_a_first_model_has_a_deadline_where_earlier_sessions_say_how_long_one_takes(held):
    def script(worker):
        return None if worker.row and worker.row.index == 0 else done_in(worker, 5.0)

    session = held(script, devices=["cpu"], past_times=[("cpu", 5.0, 3)])
    reasons = [event["reason"] for event, _ in read_events(held.paths.events) if event["event"] == "worker-hung"]
    assert len(reasons) == 3
    assert (session.queue.done, session.queue.failed) == (MODELS - 1, 1)


def test_a_first_model_that_takes_long_without_a_deadline_is_a_warning(held):
    warnings = []

    def script(worker):
        if worker.row and worker.row.index == 0 and worker.elapsed < 3600:
            warnings.append((worker.elapsed, held.session.warnings()))
            return None
        return done_in(worker, 3600.0)

    held(script, devices=["cpu"], models=1)
    assert {bool(text) for elapsed, text in warnings if elapsed < 1790} == {False}
    assert {bool(text) for elapsed, text in warnings if elapsed > 1810} == {True}
    assert "the first model has taken 40 min 00 s so far" in str(warnings)


@pytest.mark.parametrize(("speaks", "seconds"), [(True, 300), (False, 900)])
def test_a_worker_that_hangs_while_it_gets_ready_is_killed(held, speaks, seconds):
    """What says nothing may still be loading torch; what has given a sign of life is past that."""
    hung = []

    def script(worker):
        if hung and worker not in hung:
            return good(worker)
        hung.append(worker)
        worker.has_reported = speaks
        return HANGS

    session = held(script, devices=["cpu"])
    assert session.state is State.DONE
    times = {event["event"]: event["reason"] for event, _ in read_events(held.paths.events) if "reason" in event}
    assert str(seconds) in times["worker-hung"]
    assert seconds < held.clock.now - Clock.now < seconds + 60


@pytest.mark.parametrize("has_trained", [False, True])
def test_a_worker_that_cannot_start_beside_another_is_done_without(held, has_trained):
    """Two workers are more than the memory holds: the first trains the plan."""
    host = QuietHost()

    def script(worker):
        fits = worker.number == 0 or (has_trained and held.clock.now < Clock.now + 2)
        if not worker.is_ready and not fits:
            return Fatal("loading the images: out of memory", 1)
        if worker.row and worker.number == 1:
            return OUT_OF_MEMORY(worker)
        return good(worker)

    session = held(script, models=400, host=host)
    assert (session.state, session.failure, session.queue.done) == (State.DONE, None, 400)
    assert session.pool.started <= 6
    assert host.warnings == ["cpu is used by one worker fewer: loading the images: out of memory"]


def test_a_worker_that_dies_whenever_it_starts_beside_another_is_done_without(held):
    host = QuietHost()

    def script(worker):
        return WorkerExit("killed by SIGKILL", "") if worker.number == 1 else good(worker)

    session = held(script, models=400, host=host)
    assert (session.state, session.queue.done, session.pool.started) == (State.DONE, 400, 4)
    assert host.warnings == ["cpu is used by one worker fewer: killed by SIGKILL: no message"]
    assert session.warnings() == ["3 workers on cpu ended early; the last: killed by SIGKILL"]


def test_a_model_that_diverges_says_nothing_against_a_device_on_trial(held):
    """Three passing errors, then models that diverge by themselves: the device is sound by then."""

    def script(worker):
        if not worker.row:
            return good(worker)
        if worker.row.index and held.clock.now < Clock.now + 8:
            return fail_with(FailureKind.ERROR, "CUDA error")(worker)
        return fail_with(FailureKind.DIVERGED, "nan")(worker) if worker.row.index in (3, 4, 5) else good(worker)

    session = held(script, devices=["cpu"], models=60)
    assert (session.state, session.failure, session.queue.failed) == (State.DONE_WITH_FAILURES, None, 3)


def test_a_device_on_trial_is_told_of(held):
    said = []

    def script(worker):
        said.append(held.session.pauses())
        return OUT_OF_MEMORY(worker) if worker.row and worker.row.index >= 4 else good(worker)

    held(script, devices=["cpu"], models=60)
    assert said[0] == ""
    assert any("cpu is tried with one model after 4 failures in a row (out of memory)" in text for text in said)


def test_models_that_diverge_again_when_they_are_retried_do_not_fail_the_run(held):
    """Whoever tries them again, as the run proposes, must not end with less than before."""
    bad = set(range(10, 40))

    def script(worker):
        return (
            fail_with(FailureKind.DIVERGED, "nan")(worker) if worker.row and worker.row.index in bad else good(worker)
        )

    for index in set(range(60)) - bad:
        write_record(held.paths, make_record(index))
    session = held(script, devices=["cpu"], models=60, diverged={(Role.ESTIMATE, index) for index in bad})
    assert (session.state, session.failure, session.queue.failed) == (State.DONE_WITH_FAILURES, None, 30)
    assert "device-paused" not in names(held.paths)


def test_a_worker_that_does_not_end_after_a_failure_is_killed(held):
    stuck = []

    def script(worker):
        if worker.row and worker.row.index == 3 and not stuck:
            stuck.append(worker)
            return fail_with(FailureKind.ERROR)(worker)
        return good(worker)

    pool_report = ScriptedPool._report

    def report(pool, worker):
        return None if worker in stuck and worker.row is None else pool_report(pool, worker)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptedPool, "_report", report)
        session = held(script, devices=["cpu"])
    assert (session.state, session.queue.done) == (State.DONE, MODELS)
    assert session.pool.started == 2


def test_a_model_that_is_late_is_not_done_in_no_time(held):
    estimates = []

    def script(worker):
        if worker.row and worker.row.index == 9:
            estimates.append(held.session.eta())
            return None if len(estimates) < 200 else done_in(worker, 50.0)
        return done_in(worker, 1.0)

    held(script, devices=["cpu"])
    first, last = estimates[0][0], estimates[-1][0]
    assert first < 10
    assert 40 < last < 60, "it has taken 50 s where others take 1 s"


def test_the_time_left_counts_restarts(held):
    """A model takes 1 s, and every third try ends a worker that then takes 10 s to get ready."""
    tries, estimates = [], []

    def script(worker):
        if not worker.is_ready:
            return Ready("cpu fp32 1 thread") if not tries or worker.elapsed > 10 else None
        tries.append(worker.row.index)
        if len(tries) % 3 == 0:
            return OUT_OF_MEMORY(worker)
        if held.session.statistics.seconds.count == 20:
            estimates.append(held.session.eta()[0])
        return done_in(worker, 1.0)

    held(script, devices=["cpu"], models=40)
    estimate, left = estimates[0], 21
    assert estimate > left * 4, "half of 10 s a model, and its own second"
    assert estimate < left * 8


def test_a_worker_that_was_done_without_gives_its_model_back_when_it_dies(held):
    dead = []

    def script(worker):
        if worker.number == 0 or not worker.row:
            return good(worker)
        if not worker.is_dismissed:
            held.session._dismiss(worker, "one worker fewer is faster")
            worker.released = False  # it has a model in hand
            return None
        dead.append(worker.row.index)
        return WorkerExit("killed by SIGKILL", "")

    session = held(script, devices=["cuda:0"])
    assert dead
    assert (session.state, session.queue.done) == (State.DONE, MODELS)
