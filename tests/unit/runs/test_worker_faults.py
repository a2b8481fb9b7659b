"""Sessions whose workers die, hang or report failures. The workers are scripted."""

import pytest

from tests.unit.runs.scripted_session import (
    HANGS,
    MODELS,
    OUT_OF_MEMORY,
    Clock,
    QuietHost,
    ScriptedPool,
    done_in,
    fail_with,
    good,
    names,
)
from tui_influence.roles import Role
from tui_influence.runs.heartbeat import State
from tui_influence.runs.protocol import Begun, FailureKind, Fatal, Ready
from tui_influence.runs.worker_pool import WorkerExit
from tui_influence.store.events import read_events
from tui_influence.store.listing import list_failures


def test_a_dead_worker_is_replaced_and_its_row_tried_again(run_session):
    deaths = []

    def script(worker):
        if worker.row and worker.row.index == 3 and len(deaths) < 2:
            deaths.append(worker)
            return WorkerExit("killed by SIGKILL", "")
        return good(worker)

    session = run_session(script)
    assert session.queue.done == MODELS
    assert session.pool.started == 4
    assert names(run_session.paths).count("retry") == 2


def test_a_row_that_kills_every_worker_is_given_up(run_session):
    session = run_session(
        lambda worker: WorkerExit("killed", "") if worker.row and worker.row.index == 3 else good(worker)
    )
    assert (session.state, session.queue.done, session.queue.failed) == (State.DONE_WITH_FAILURES, MODELS - 1, 1)
    assert list_failures(run_session.paths, Role.ESTIMATE) == {3}


def test_workers_that_never_get_ready_end_the_run(run_session):
    session = run_session(lambda worker: WorkerExit("exit code 1", "ImportError: libcuda"))
    assert "workers end before they begin a model: exit code 1: ImportError: libcuda" in str(session.failure)
    assert run_session.clock.now - Clock.now < 60


@pytest.mark.parametrize(
    ("kind", "restarts"), [(FailureKind.MEMORY, 1), (FailureKind.ERROR, 1), (FailureKind.DIVERGED, 0)]
)
def test_a_worker_is_restarted_after_a_failure_that_may_be_its_own(run_session, kind, restarts):
    session = run_session(
        lambda worker: (
            fail_with(kind)(worker)
            if worker.row and worker.row.index == 3 and session_is_young(run_session.paths)
            else good(worker)
        )
    )
    assert session.pool.started == 2 + restarts


def session_is_young(paths):
    return not {"retry", "failed"} & set(names(paths))


def test_a_worker_whose_memory_stays_taken_costs_no_model(run_session):
    """As long as a process that ran out of memory lives, all it trains fails: 281 of 300 models were lost so."""
    spoilt = set()

    def script(worker):
        if worker.row and ((worker.row.index == 2 and not spoilt) or id(worker) in spoilt):
            spoilt.add(id(worker))
            return OUT_OF_MEMORY(worker)
        return good(worker)

    session = run_session(script, devices=["cpu"])
    assert (session.state, session.queue.done, session.queue.failed) == (State.DONE, MODELS, 0)
    assert names(run_session.paths).count("retry") == 1


def test_the_end_of_a_worker_does_not_count_against_the_model_after_a_failed_one(run_session):
    """The worker ends after it has reported a failure: nothing may be assigned to it in between."""
    charged = []

    def script(worker):
        if worker.row and worker.row.index == 3 and not charged:
            charged.append(worker.row.index)
            return fail_with(FailureKind.ERROR)(worker)
        return good(worker)

    session = run_session(script, devices=["cpu"])
    retries = [event["index"] for event, _ in read_events(run_session.paths.events) if event["event"] == "retry"]
    assert retries == [3]
    assert session.queue.done == MODELS


def test_the_end_of_a_worker_does_not_count_against_a_model_that_was_never_begun(run_session):
    deaths = []

    def script(worker):
        if worker.row and not worker.has_begun and len(deaths) < 2:
            deaths.append(worker.row.index)
            return WorkerExit("killed by SIGKILL", "")
        return Begun(worker.row.role, worker.row.index) if worker.row and not worker.has_begun else good(worker)

    session = run_session(script, devices=["cpu"], deaf=(0,))
    assert (session.queue.done, len(deaths)) == (MODELS, 2)
    assert "retry" not in names(run_session.paths)


def test_workers_that_never_begin_an_assigned_model_end_the_run(run_session):
    def script(worker):
        return WorkerExit("exit code 1", "no stdin") if worker.row else Ready("cpu fp32 1 thread")

    session = run_session(script, devices=["cpu"], deaf=(0,))
    assert "workers end before they begin a model: exit code 1: no stdin" in str(session.failure)
    assert not list_failures(run_session.paths, Role.ESTIMATE)


def test_a_worker_without_a_sign_of_life_is_killed_and_its_model_tried_again(run_session):
    hung = []

    def script(worker):
        if worker.row and worker.row.index == 3 and (not hung or worker in hung):
            hung.append(worker)
            return HANGS
        return good(worker)

    session = run_session(script)
    assert (session.state, session.queue.done) == (State.DONE, MODELS)
    (event,) = [event for event, _ in read_events(run_session.paths.events) if event["event"] == "worker-hung"]
    assert event["reason"].startswith("no sign of life for 60")
    assert session.warnings() == [f"1 worker on cpu ended early; the last: {event['reason']}"]


def test_a_model_that_does_not_end_is_ended_at_its_deadline(run_session):
    def script(worker):
        return None if worker.row and worker.row.index == 9 else done_in(worker, 5.0)

    session = run_session(script, devices=["cpu"], deadline=20.0)
    assert (session.state, session.queue.done, session.queue.failed) == (State.DONE_WITH_FAILURES, MODELS - 1, 1)
    reasons = [event["reason"] for event, _ in read_events(run_session.paths.events) if event["event"] == "worker-hung"]
    assert len(reasons) == 3
    assert all("the deadline is 100 s" in reason for reason in reasons)


def test_the_config_can_switch_the_deadline_off(run_session):
    slow = []

    def script(worker):
        if worker.row and worker.row.index == 9 and len(slow) < 40_000:
            slow.append(run_session.clock.now)
            return None
        return done_in(worker, 5.0)

    session = run_session(script, devices=["cpu"], deadline=0.0)
    assert session.queue.done == MODELS
    assert slow[-1] - slow[0] > 9_000
    assert "worker-hung" not in names(run_session.paths)


def test_a_first_model_has_a_deadline_from_the_times_of_earlier_sessions(run_session):
    def script(worker):
        return None if worker.row and worker.row.index == 0 else done_in(worker, 5.0)

    session = run_session(script, devices=["cpu"], past_times=[("cpu", 5.0, 3)])
    reasons = [event["reason"] for event, _ in read_events(run_session.paths.events) if event["event"] == "worker-hung"]
    assert len(reasons) == 3
    assert (session.queue.done, session.queue.failed) == (MODELS - 1, 1)


def test_a_first_model_that_takes_long_without_a_deadline_is_a_warning(run_session):
    warnings = []

    def script(worker):
        if worker.row and worker.row.index == 0 and worker.elapsed < 3600:
            warnings.append((worker.elapsed, run_session.session.warnings()))
            return None
        return done_in(worker, 3600.0)

    run_session(script, devices=["cpu"], models=1)
    assert {bool(text) for elapsed, text in warnings if elapsed < 1790} == {False}
    assert {bool(text) for elapsed, text in warnings if elapsed > 1810} == {True}
    assert "the first model has taken 40 min 00 s so far" in str(warnings)


@pytest.mark.parametrize(("speaks", "seconds"), [(True, 300), (False, 900)])
def test_a_worker_that_hangs_while_it_gets_ready_is_killed(run_session, speaks, seconds):
    """What says nothing may still be loading torch; what has given a sign of life is past that."""
    hung = []

    def script(worker):
        if hung and worker not in hung:
            return good(worker)
        hung.append(worker)
        worker.has_reported = speaks
        return HANGS

    session = run_session(script, devices=["cpu"])
    assert session.state is State.DONE
    times = {event["event"]: event["reason"] for event, _ in read_events(run_session.paths.events) if "reason" in event}
    assert str(seconds) in times["worker-hung"]
    assert seconds < run_session.clock.now - Clock.now < seconds + 60


@pytest.mark.parametrize("has_trained", [False, True])
def test_a_worker_that_cannot_start_beside_another_is_dismissed(run_session, has_trained):
    """Two workers are more than the memory holds: the first trains the plan."""
    host = QuietHost()

    def script(worker):
        fits = worker.number == 0 or (has_trained and run_session.clock.now < Clock.now + 2)
        if not worker.is_ready and not fits:
            return Fatal("loading the images: out of memory", 1)
        if worker.row and worker.number == 1:
            return OUT_OF_MEMORY(worker)
        return good(worker)

    session = run_session(script, models=400, host=host)
    assert (session.state, session.failure, session.queue.done) == (State.DONE, None, 400)
    assert session.pool.started <= 6
    assert host.warnings == ["cpu is used by one worker fewer: loading the images: out of memory"]


def test_a_worker_that_dies_whenever_it_starts_beside_another_is_dismissed(run_session):
    host = QuietHost()

    def script(worker):
        return WorkerExit("killed by SIGKILL", "") if worker.number == 1 else good(worker)

    session = run_session(script, models=400, host=host)
    assert (session.state, session.queue.done, session.pool.started) == (State.DONE, 400, 4)
    assert host.warnings == ["cpu is used by one worker fewer: killed by SIGKILL: no message"]
    assert session.warnings() == ["3 workers on cpu ended early; the last: killed by SIGKILL"]


def test_a_worker_that_does_not_end_after_a_failure_is_killed(run_session):
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
        session = run_session(script, devices=["cpu"])
    assert (session.state, session.queue.done) == (State.DONE, MODELS)
    assert session.pool.started == 2


def test_a_dismissed_worker_returns_its_model_when_it_dies(run_session):
    dead = []

    def script(worker):
        if worker.number == 0 or not worker.row:
            return good(worker)
        if not worker.is_dismissed:
            run_session.session._dismiss(worker, "one worker fewer is faster")
            worker.released = False  # it has a model in hand
            return None
        dead.append(worker.row.index)
        return WorkerExit("killed by SIGKILL", "")

    session = run_session(script, devices=["cuda:0"])
    assert dead
    assert (session.state, session.queue.done) == (State.DONE, MODELS)
