"""A session of training: what is trained, in what state it ends, and the time left. The workers are scripted."""

import gc
import tracemalloc

import pytest

from tests.unit.runs import scripted_session
from tests.unit.runs.scripted_session import MODELS, OUT_OF_MEMORY, QuietHost, done_in, fail_with, good, names
from tests.unit.store.conftest import make_record
from tui_influence.designs import Design, Row, schedule
from tui_influence.errors import ExitCode
from tui_influence.roles import Role
from tui_influence.runs.heartbeat import State
from tui_influence.runs.protocol import Failed, FailureKind, Fatal, Ready
from tui_influence.runs.worker_pool import WorkerExit
from tui_influence.store.listing import list_failures
from tui_influence.store.records import write_record


def test_all_rows_are_trained(run_session):
    session = run_session(good)
    assert (session.state, session.failure, session.queue.done) == (State.DONE, None, MODELS)


def test_memory_does_not_grow_with_the_models_that_were_trained(run_session, monkeypatch):
    monkeypatch.setattr(scripted_session, "write_record", lambda *_: None)
    ours = (
        "*/tui_influence/runs/*",
        "*/tui_influence/store/*",
        __file__,
        scripted_session.__file__,
    )  # not what a thread of another test does
    used = {}

    def script(worker):
        if worker.row and worker.row.index in (1000, 3900):
            gc.collect()
            shot = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, files) for files in ours])
            used[worker.row.index] = sum(trace.size for trace in shot.traces)
        return good(worker)

    tracemalloc.start()
    try:
        assert run_session(script, models=4000).queue.done == 4000
    finally:
        tracemalloc.stop()
    assert used[3900] - used[1000] < 50_000, "bytes"


def test_a_stop_lets_current_models_finish_and_assigns_no_more(run_session):
    session = run_session(good, host=QuietHost(stop_after=4))
    assert session.state is State.STOPPED
    assert 0 < session.queue.done < MODELS
    assert session.pool.is_idle


def test_a_worker_that_dies_of_the_stop_signal_is_not_replaced(run_session):
    """A batch system tells every process of a job to end, so the supervisor may hear of the worker first."""
    host = QuietHost()

    def script(worker):
        if worker.row and worker.row.index == 3:
            host.stop_after = 1
            return WorkerExit("killed by SIGTERM", "")
        return good(worker)

    session = run_session(script, host=host)
    assert session.state is State.STOPPED
    assert session.pool.started == 2


def test_a_failure_of_all_models_ends_the_run_and_records_no_failures(run_session):
    def script(worker):
        return Failed(worker.row.role, worker.row.index, FailureKind.DIVERGED, "nan") if worker.row else good(worker)

    session = run_session(script)
    assert str(session.failure) == "4 models failed in a row, the last: nan"
    assert not list_failures(run_session.paths, Role.ESTIMATE)


def test_running_out_of_memory_alone_is_tried_again_then_given_up(run_session):
    def script(worker):
        if worker.row and worker.row.index == 5:
            return Failed(worker.row.role, worker.row.index, FailureKind.MEMORY, "out of memory")
        return good(worker)

    session = run_session(script, devices=["cpu"])
    assert (session.queue.done, session.queue.failed) == (MODELS - 1, 1)
    assert names(run_session.paths).count("retry") == 2


def test_an_extended_plan_is_trained_by_the_same_workers(run_session):
    further = [
        Row(Role.ARM, index, row.mask, index, index)
        for index, row in enumerate(schedule(Design("fixed", 0.5, 6, 0), 3, 0))
    ]
    session = run_session(good, host=QuietHost(further=[further]))
    assert (session.state, session.queue.done, session.queue.total) == (State.DONE, MODELS + 3, MODELS + 3)
    assert session.pool.started == 2


def test_a_first_stage_of_few_rows_does_not_limit_the_workers(run_session):
    further = [row for row in schedule(Design("fixed", 0.5, 6, 0), MODELS, 0) if row.index >= 2]
    session = run_session(good, devices=["cpu"] * 3, models=2, host=QuietHost(further=[further]), planned=MODELS)
    assert (session.state, session.queue.done, session.pool.started) == (State.DONE, MODELS, 3)


def test_the_time_left_counts_models_that_no_row_is_planned_for_yet(run_session):
    left = {}

    def script(worker):
        if worker.row and worker.row.index == 3:
            left[planned] = run_session.session.eta()[0], run_session.session.total
        return done_in(worker, 10.0 if worker.row else 0)

    for planned in (0, 4 * MODELS):
        run_session(script, devices=["cpu"], planned=planned)
        for index in range(MODELS):
            run_session.paths.record(Role.ESTIMATE, index, 0).unlink()
    assert left[0][1] == MODELS
    assert left[4 * MODELS][1] == 4 * MODELS
    assert left[4 * MODELS][0] - left[0][0] == pytest.approx(10.0 * 3 * MODELS, rel=0.1)


def arms(count: int, first: int = 0) -> list[Row]:
    rows = schedule(Design("fixed", 0.5, 6, 0), count, 0)
    return [Row(Role.ARM, first + index, row.mask, index, index) for index, row in enumerate(rows)]


def test_a_plan_that_grows_is_not_left_to_the_workers_of_its_first_rows(run_session):
    session = run_session(good, models=1, devices=["cpu"] * 3, host=QuietHost(further=[arms(9, 2), arms(2)]))
    assert (session.state, session.queue.done) == (State.DONE, 12)
    assert session.pool.started == 3
    assert sorted(worker.number for worker in session.pool.workers) == [0, 1, 2]


def test_a_device_that_was_given_up_gets_no_workers_when_the_plan_grows(run_session):
    def script(worker):
        if worker.device == "cuda:0":
            return Fatal("the device is lost", int(ExitCode.DEVICE))
        return good(worker)

    host = QuietHost(further=[arms(9)])
    session = run_session(script, models=2, devices=["cpu", "cuda:0", "cuda:0", "cpu"], host=host)
    assert (session.state, session.queue.done) == (State.DONE, 11)
    assert {worker.device for worker in session.pool.workers} == {"cpu"}
    assert session.pool.started == 3, "one on the lost device, two on the other"


def test_the_plan_of_a_stopped_run_is_not_extended(run_session):
    host = QuietHost(stop_after=4, further=[[]])
    run_session(good, host=host)
    assert host.further == [[]]


def test_a_small_run_all_of_whose_models_fail_has_failed(run_session):
    session = run_session(
        lambda worker: fail_with(FailureKind.DIVERGED, "nan")(worker) if worker.row else good(worker), models=2
    )
    assert str(session.failure) == "all 2 models failed; the last: nan"
    assert not list_failures(run_session.paths, Role.ESTIMATE)


def test_a_few_models_that_always_fail_do_not_end_the_run(run_session):
    bad = {3, 17, 18, 29, 39}
    session = run_session(
        lambda worker: OUT_OF_MEMORY(worker) if worker.row and worker.row.index in bad else good(worker),
        devices=["cpu"],
        models=40,
    )
    assert (session.state, session.failure, session.queue.done) == (State.DONE_WITH_FAILURES, None, 35)
    assert list_failures(run_session.paths, Role.ESTIMATE) == bad


def test_models_that_diverge_again_when_they_are_retried_do_not_fail_the_run(run_session):
    """Whoever tries them again, as the run proposes, must not end with less than before."""
    bad = set(range(10, 40))

    def script(worker):
        return (
            fail_with(FailureKind.DIVERGED, "nan")(worker) if worker.row and worker.row.index in bad else good(worker)
        )

    for index in set(range(60)) - bad:
        write_record(run_session.paths, make_record(index))
    session = run_session(script, devices=["cpu"], models=60, diverged={(Role.ESTIMATE, index) for index in bad})
    assert (session.state, session.failure, session.queue.failed) == (State.DONE_WITH_FAILURES, None, 30)
    assert "device-paused" not in names(run_session.paths)


def test_a_late_model_counts_in_the_time_left(run_session):
    estimates = []

    def script(worker):
        if worker.row and worker.row.index == 9:
            estimates.append(run_session.session.eta())
            return None if len(estimates) < 200 else done_in(worker, 50.0)
        return done_in(worker, 1.0)

    run_session(script, devices=["cpu"])
    first, last = estimates[0][0], estimates[-1][0]
    assert first < 10
    assert 40 < last < 60, "it has taken 50 s where others take 1 s"


def test_the_time_left_counts_restarts(run_session):
    """A model takes 1 s, and every third try ends a worker that then takes 10 s to get ready."""
    tries, estimates = [], []

    def script(worker):
        if not worker.is_ready:
            return Ready("cpu fp32 1 thread") if not tries or worker.elapsed > 10 else None
        tries.append(worker.row.index)
        if len(tries) % 3 == 0:
            return OUT_OF_MEMORY(worker)
        if run_session.session.statistics.seconds.count == 20:
            estimates.append(run_session.session.eta()[0])
        return done_in(worker, 1.0)

    run_session(script, devices=["cpu"], models=40)
    estimate, left = estimates[0], 21
    assert estimate > left * 4, "half of 10 s a model, and its own second"
    assert estimate < left * 8
