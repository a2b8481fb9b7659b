"""Sessions whose devices fail, run out of memory or are paused. The workers are scripted."""

from tests.unit.runs.scripted_session import MODELS, OUT_OF_MEMORY, Clock, QuietHost, done_in, fail_with, good, names
from tui_influence.errors import ExitCode
from tui_influence.roles import Role
from tui_influence.runs.heartbeat import State
from tui_influence.runs.protocol import Failed, FailureKind, Fatal
from tui_influence.store.events import read_events
from tui_influence.store.listing import list_failures


def test_an_unusable_device_ends_the_run_with_its_exit_code(run_session):
    session = run_session(lambda worker: Fatal("no cuda:0", 5))
    assert session.failure.exit_code is ExitCode.DEVICE


def test_a_gpu_without_memory_for_one_more_worker_uses_fewer(run_session):
    """The second worker of the GPU does not fit: neither the run nor a model is lost for that."""

    def script(worker):
        return Fatal("out of memory", 1) if worker.number == 1 else good(worker)

    session = run_session(script, devices=["cuda:0"])
    assert (session.state, session.failure, session.queue.done) == (State.DONE, None, MODELS)
    assert names(run_session.paths).count("worker-dismissed") == 1


def test_running_out_of_memory_beside_others_costs_no_attempt(run_session):
    def script(worker):
        if worker.row and worker.number == 1:
            return Failed(worker.row.role, worker.row.index, FailureKind.MEMORY, "out of memory")
        return good(worker)

    session = run_session(script, devices=["cuda:0"])
    assert (session.queue.done, session.queue.failed) == (MODELS, 0)
    assert "retry" not in names(run_session.paths)


def test_failures_in_a_row_after_a_success_pause_the_device_and_count_against_no_model(run_session):
    """Another user takes the memory for a minute: every model fails, and none of them is to blame."""
    end = run_session.clock.now + 45

    def script(worker):
        taken = worker.row and worker.row.index >= 4 and run_session.clock.now < end
        return OUT_OF_MEMORY(worker) if taken else good(worker)

    session = run_session(script, devices=["cpu"], models=40)
    assert (session.state, session.queue.done, session.queue.failed) == (State.DONE, 40, 0)
    assert "failed" not in names(run_session.paths)
    pauses = [
        event["seconds"] for event, _ in read_events(run_session.paths.events) if event["event"] == "device-paused"
    ]
    assert pauses == [10.0, 60.0]


def test_failures_that_no_pause_helps_end_the_run_and_record_no_failures(run_session):
    def script(worker):
        return OUT_OF_MEMORY(worker) if worker.row and worker.row.index >= 4 else good(worker)

    session = run_session(script, devices=["cpu"], models=300)
    assert "models failed in a row, the last: out of memory" in str(session.failure)
    assert session.queue.done >= 4
    assert not list_failures(run_session.paths, Role.ESTIMATE)
    assert run_session.clock.now - Clock.now > 370
    assert names(run_session.paths).count("retry") < 20, "a device that failed so often is given one model at a time"


def test_a_run_whose_first_models_all_fail_ends_at_once(run_session):
    session = run_session(lambda worker: OUT_OF_MEMORY(worker) if worker.row else good(worker), models=300)
    assert "failed in a row, the last: out of memory" in str(session.failure)
    assert run_session.clock.now - Clock.now < 10


def test_diverged_models_end_a_run_only_when_there_are_many_in_a_row(run_session):
    session = run_session(
        lambda worker: (
            fail_with(FailureKind.DIVERGED, "nan")(worker)
            if worker.row and (10 <= worker.row.index < 20)
            else good(worker)
        ),
        devices=["cpu"],
        models=60,
    )
    assert (session.state, session.queue.failed) == (State.DONE_WITH_FAILURES, 10)
    assert "device-paused" not in names(run_session.paths)


def test_an_unusable_device_is_dismissed(run_session):
    host = QuietHost()

    def script(worker):
        return Fatal("no such device", 5) if worker.device == "cuda:1" else good(worker)

    session = run_session(script, devices=["cuda:0", "cuda:1"], host=host)
    assert (session.state, session.failure, session.queue.done) == (State.DONE, None, MODELS)
    assert host.warnings == ["cuda:1 is not used any more: no such device"]


def test_without_any_usable_device_the_run_fails_with_the_reason_of_the_last(run_session):
    session = run_session(lambda worker: Fatal(f"no {worker.device}", 5), devices=["cuda:0", "cuda:1"])
    assert session.failure.exit_code is ExitCode.DEVICE
    assert str(session.failure) in ("no cuda:0", "no cuda:1")


def test_a_device_that_fails_while_others_train_is_paused_then_dismissed(run_session):
    """It would fail models faster than the others train them."""

    def script(worker):
        return (
            fail_with(FailureKind.ERROR, "CUDA error")(worker)
            if worker.device == "cuda:1" and worker.row
            else good(worker)
        )

    host = QuietHost()
    session = run_session(script, devices=["cuda:0", "cuda:1"], host=host, models=4000)
    assert (session.state, session.failure, session.queue.done) == (State.DONE, None, 4000)
    (warning,) = host.warnings
    assert warning.startswith("cuda:1 is not used any more: ")
    assert warning.endswith("failed in a row, the last: CUDA error")


def test_a_worker_that_cannot_start_again_gets_time(run_session):
    """After a restart its device has no room: somebody else was faster."""
    trained = []

    def script(worker):
        if not worker.is_ready and trained and run_session.clock.now < Clock.now + 30:
            return Fatal("loading the images: out of memory", 1)
        if worker.row and worker.row.index == 3 and 3 not in trained:
            trained.append(3)
            return OUT_OF_MEMORY(worker)
        return good(worker)

    session = run_session(script, devices=["cpu"])
    assert (session.state, session.failure, session.queue.done) == (State.DONE, None, MODELS)


def test_each_device_has_a_deadline_of_its_own(run_session):
    """A processor takes thirty times as long as the GPU beside it, and is not hung."""

    def script(worker):
        seconds = 300.0 if worker.device == "cpu" else 10.0
        return None if worker.row and worker.elapsed < seconds else done_in(worker, seconds)

    session = run_session(script, devices=["cuda:0", "cpu"], models=400)
    assert (session.state, session.queue.done) == (State.DONE, 400)
    assert "worker-hung" not in names(run_session.paths)
    assert min(worker.models for worker in session.pool if worker.device == "cpu") > 1


def test_a_diverging_model_does_not_count_against_a_device_on_trial(run_session):
    """Three passing errors, then models that diverge by themselves: the device is sound by then."""

    def script(worker):
        if not worker.row:
            return good(worker)
        if worker.row.index and run_session.clock.now < Clock.now + 8:
            return fail_with(FailureKind.ERROR, "CUDA error")(worker)
        return fail_with(FailureKind.DIVERGED, "nan")(worker) if worker.row.index in (3, 4, 5) else good(worker)

    session = run_session(script, devices=["cpu"], models=60)
    assert (session.state, session.failure, session.queue.failed) == (State.DONE_WITH_FAILURES, None, 3)


def test_a_device_on_trial_is_described(run_session):
    pauses = []

    def script(worker):
        pauses.append(run_session.session.pauses())
        return OUT_OF_MEMORY(worker) if worker.row and worker.row.index >= 4 else good(worker)

    run_session(script, devices=["cpu"], models=60)
    assert pauses[0] == ""
    assert any("cpu is tried with one model after 4 failures in a row (out of memory)" in text for text in pauses)
