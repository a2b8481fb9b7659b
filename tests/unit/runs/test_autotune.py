"""A GPU gets as many workers as pay, and no more."""

import heapq

import pytest

from tui_influence.runs.autotune import Change, WorkerTuner


def final_tuner(speed, limit=8, models=400, start=5.0) -> tuple[WorkerTuner, int]:
    """Simulate a device that finishes `speed(w)` models a second with w workers; return how it settles, and when."""
    tuner, clock, trained = WorkerTuner(limit), 0.0, 0
    working, starting = [(1 / speed(1), 0)], []
    while trained < models:
        if starting and (not working or starting[0] <= working[0][0]):
            clock = heapq.heappop(starting)
            tuner.on_ready()
            heapq.heappush(working, (clock + len(working) / speed(len(working) + 1), len(working)))
            continue
        clock, worker = heapq.heappop(working)
        trained += 1
        change = tuner.on_model(clock, len(working) + 1)
        if change is Change.ADD:
            heapq.heappush(starting, clock + start)
        if change is Change.TAKE_BACK:
            continue
        heapq.heappush(working, (clock + (len(working) + 1) / speed(len(working) + 1), worker))
        if tuner.is_final:
            break
    return tuner, trained


@pytest.mark.parametrize("full", [1, 2, 4])
def test_workers_are_added_until_the_device_is_full(full):
    tuner, trained = final_tuner(lambda workers: float(min(workers, full)))
    assert tuner.is_final
    assert full <= tuner.workers <= full + 1
    assert trained < 120


@pytest.mark.parametrize("best", [1, 2, 3])
def test_a_worker_that_slows_the_others_down_is_taken_back(best):
    tuner, _ = final_tuner(lambda workers: float(workers) if workers <= best else 0.7 * best)
    assert tuner.is_final
    assert tuner.workers == best


def test_there_is_an_upper_bound():
    tuner, _ = final_tuner(float, limit=3)
    assert tuner.workers == 3


def test_a_single_worker_is_never_taken_away():
    tuner = WorkerTuner(8)
    assert not tuner.on_memory()
    assert tuner.workers == 1


def test_running_out_of_memory_takes_one_back_and_settles():
    tuner = WorkerTuner(8, workers=3)
    assert tuner.on_memory()
    assert (tuner.workers, tuner.is_final) == (2, True)
    assert all(tuner.on_model(float(now), 2) is Change.NONE for now in range(100))


def test_a_restart_is_no_reason_to_do_with_fewer():
    """The device does nothing while its worker is restarted; neither that nor a start under way says what pays."""
    tuner, clock, ready, trained = WorkerTuner(8), 0.0, 1, 0
    restarts = {6: 1, 15: 1, 30: 2}
    while not tuner.is_final:
        trained += 1
        clock += 1 / ready
        if tuner.on_model(clock, ready) is Change.ADD:
            tuner.on_ready()
            ready = tuner.workers
        if ended := restarts.pop(trained, 0):
            ready -= ended
            if not ready:
                clock += 60.0
                ready = ended
                tuner.on_ready()
            else:
                for _ in range(20):
                    clock += 1 / ready
                    assert tuner.on_model(clock, ready) is Change.NONE
                ready += ended
                tuner.on_ready()
    assert tuner.workers == 8
    assert not restarts
