"""Who owns a run, and what state that makes it."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from tui_influence.errors import AlreadyRunningError, ExitCode
from tui_influence.runs.control import StopLevel, clear_stop, request_stop, stop_request
from tui_influence.runs.heartbeat import (
    HEARTBEAT_LOST,
    DeviceState,
    Heartbeat,
    State,
    WorkerState,
    observe,
    read_heartbeat,
    state_of,
    write_heartbeat,
)
from tui_influence.runs.ownership import Owner, Ownership, read_owner
from tui_influence.store.paths import Paths

NOW = 1_000_000.0


@pytest.fixture
def paths(tmp_path):
    return Paths(tmp_path)


def beat(state, **fields):
    return Heartbeat(state, time=NOW, started=NOW - 100, **fields)


def test_a_second_supervisor_is_refused_and_told_who_is_first(paths):
    with Ownership(paths):
        with pytest.raises(AlreadyRunningError, match=f"pid {os.getpid()}") as caught, Ownership(paths):
            pass
        assert caught.value.exit_code is ExitCode.ALREADY_RUNNING
    with Ownership(paths):
        pass


def test_the_lock_goes_with_a_killed_owner(paths):
    code = (
        "import sys, time; from pathlib import Path; from tui_influence.runs.ownership import Ownership;"
        "from tui_influence.store.paths import Paths\n"
        "with Ownership(Paths(Path(sys.argv[1]))): print('owned', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(paths.root)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"owned\n"
    write_heartbeat(paths, replace(beat(State.RUNNING), time=time.time()))
    assert observe(paths)[0] is State.RUNNING
    process.kill()
    process.wait()
    assert observe(paths)[0] is State.LOST
    with Ownership(paths):
        assert read_owner(paths).pid == os.getpid()


def test_a_recycled_pid_is_not_the_owner():
    me = Owner.this_process(Path("/"))
    assert me.is_alive()
    assert not replace(me, started=me.started - 1).is_alive()
    assert not replace(me, boot="another boot").is_alive()
    assert replace(me, host="elsewhere").is_alive() is None


@pytest.mark.parametrize("hidden", ["unreadable", "invisible"])
def test_a_process_that_proc_hides_from_this_user_is_neither_dead_nor_an_error(paths, monkeypatch, hidden):
    """/proc mounted with hidepid=1 (its files cannot be read) or hidepid=2 (they seem not to exist)."""
    me = Owner.this_process(paths.root)
    read = Path.read_bytes

    def refuse(path):
        if str(path).startswith("/proc/"):
            raise PermissionError if hidden == "unreadable" else FileNotFoundError
        return read(path)

    def kill(pid, signal):
        raise PermissionError

    monkeypatch.setattr(Path, "read_bytes", refuse)
    monkeypatch.setattr(os, "kill", kill)
    assert me.is_alive() is None
    silent = replace(beat(State.RUNNING), time=time.time())
    assert state_of(silent, me) is State.RUNNING
    assert state_of(replace(silent, time=time.time() - 3600), me) is State.LOST


def test_a_step_of_the_clock_does_not_make_a_live_run_look_lost(paths, monkeypatch):
    """What the system says of wall-clock times moves with the clock; a supervisor is known by its ticks."""
    with Ownership(paths):
        started = time.time()
        write_heartbeat(paths, replace(beat(State.RUNNING), time=started))
        for step in (-86400.0, -1.0, 1.0, 3600.0):
            real = psutil.Process.create_time
            with monkeypatch.context() as patch:
                patch.setattr(psutil.Process, "create_time", lambda self, real=real, step=step: real(self) + step)
                patch.setattr(time, "time", lambda step=step: started + step)
                assert observe(paths)[0] is State.RUNNING, step


def test_a_zombie_owns_nothing():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    ticks = float(Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
    owner = replace(Owner.this_process(Path("/")), pid=process.pid, started=ticks)
    assert owner.is_alive()
    process.stdin.close()
    deadline = time.monotonic() + 20
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not owner.is_alive()
    process.wait()
    assert not owner.is_alive()


def test_a_copy_of_a_live_run_is_lost_and_says_what_it_is_a_copy_of(paths):
    with Ownership(paths):
        write_heartbeat(paths, replace(beat(State.RUNNING), time=time.time()))
        copy = Paths(paths.root.with_name("copy"))
        shutil.copytree(paths.root, copy.root)
        state, heartbeat, owner = observe(copy)
        assert (state, owner) == (State.LOST, None)
        assert str(paths.root) in heartbeat.reason
        assert observe(paths)[0] is State.RUNNING
        with Ownership(copy):
            assert observe(copy)[0] is State.RUNNING


def test_a_live_run_under_another_path_is_no_copy(paths):
    with Ownership(paths):
        write_heartbeat(paths, replace(beat(State.RUNNING), time=time.time()))
        link = paths.root.with_name("link")
        link.symlink_to(paths.root)
        assert observe(Paths(link))[0] is State.RUNNING
        renamed = Paths(paths.root.rename(paths.root.with_name("renamed")))
        assert observe(renamed)[0] is State.RUNNING


@pytest.mark.parametrize(
    ("key", "value"),
    [("pid", -1), ("pid", 0), ("pid", 2**80), ("pid", True), ("pid", "1"), ("started", 10**400), ("host", None),
     ("started", "x")],
)  # fmt: skip
def test_an_owner_that_cannot_be_is_none(paths, key, value):
    with Ownership(paths):
        pass
    fields = asdict(read_owner(paths)) | {key: value}
    if value is None:
        del fields[key]
    paths.owner.write_text(json.dumps(fields))
    assert read_owner(paths) is None
    assert observe(paths)[0] in (State.QUEUED, State.LOST)


@pytest.mark.parametrize("state", [State.PREPARING, State.RUNNING, State.STOPPING])
def test_an_active_state_needs_a_living_owner(state):
    me = Owner.this_process(Path("/"))
    assert state_of(beat(state), me, NOW) is state
    assert state_of(beat(state), replace(me, started=1.0), NOW) is State.LOST
    elsewhere = replace(me, host="elsewhere")
    assert state_of(beat(state), elsewhere, NOW + HEARTBEAT_LOST - 1) is state
    assert state_of(beat(state), elsewhere, NOW + HEARTBEAT_LOST + 1) is State.LOST


@pytest.mark.parametrize("state", [State.DONE, State.STOPPED, State.FAILED])
def test_a_last_word_stands_whoever_lives(state):
    assert state_of(beat(state), None, NOW) is state


def test_a_run_without_a_heartbeat_is_queued():
    assert state_of(None, None) is State.QUEUED


def test_a_heartbeat_comes_back_and_a_damaged_one_is_none(paths):
    heartbeat = beat(State.RUNNING, eta=(1.0, 0.5, 2.0), target_accuracy=[0.5], warnings=["w"])
    write_heartbeat(paths, heartbeat)
    assert read_heartbeat(paths) == heartbeat
    paths.heartbeat.write_text('{"state": "dancing"}')
    assert read_heartbeat(paths) is None


DEVICE = DeviceState("cuda:0", "NVIDIA H100", 0.97, 10 << 30, 80 << 30, 64.0, 612.0)
WORKER = WorkerState(0, "cuda:0", 12, "estimate 3", 7, 1.5, 0.9, 1 << 30)


def test_gauges_come_back(paths):
    heartbeat = beat(State.RUNNING, workers=[WORKER], devices=[DEVICE, DeviceState("cuda:1")])
    write_heartbeat(paths, heartbeat)
    assert read_heartbeat(paths) == heartbeat


def test_a_heartbeat_of_an_older_version_is_read(paths):
    write_heartbeat(paths, beat(State.RUNNING, workers=[WORKER], devices=[DEVICE]))
    fields = json.loads(paths.heartbeat.read_text())
    del fields["devices"]
    for key in ("seconds", "cpu", "memory"):
        del fields["workers"][0][key]
    paths.heartbeat.write_text(json.dumps(fields))
    heartbeat = read_heartbeat(paths)
    assert heartbeat.devices == []
    assert heartbeat.workers == [WorkerState(0, "cuda:0", 12, "estimate 3", 7)]


@pytest.mark.parametrize("value", ["hot", -1, 1e90, [], {}, None])
def test_what_no_gauge_can_say_is_not_believed(paths, value):
    write_heartbeat(paths, beat(State.RUNNING, workers=[WORKER], devices=[DEVICE]))
    fields = json.loads(paths.heartbeat.read_text())
    fields["devices"][0] |= dict.fromkeys(list(fields["devices"][0])[2:], value)
    fields["workers"][0] |= dict.fromkeys(("seconds", "cpu", "memory"), value)
    paths.heartbeat.write_text(json.dumps(fields))
    heartbeat = read_heartbeat(paths)
    assert heartbeat.devices == [DeviceState("cuda:0", "NVIDIA H100")]
    assert heartbeat.workers == [WorkerState(0, "cuda:0", 12, "estimate 3", 7)]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1" * 400])
@pytest.mark.parametrize("key", ["time", "models_per_hour", "source_accuracy", "cpu"])
def test_a_heartbeat_with_a_number_that_cannot_be_computed_with_is_not_believed(paths, key, number):
    write_heartbeat(paths, beat(State.RUNNING, source_accuracy=123.0, workers=[replace(WORKER, cpu=123.0)]))
    text = paths.heartbeat.read_text()
    before = json.loads(text)["workers"][0] if key == "cpu" else json.loads(text)
    paths.heartbeat.write_text(text.replace(f'"{key}": {json.dumps(before[key])}', f'"{key}": {number}'))
    assert number in paths.heartbeat.read_text()
    assert read_heartbeat(paths) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"time": "nan"},
        {"time": 1e300},
        {"done": -1},
        {"total": 10**18},
        {"done": "3"},
        {"eta": ["nan", "nan", "nan"]},
        {"eta": [1.0]},
        {"target_accuracy": ["inf"]},
        {"warnings": "text"},
        {"warnings": [""] * 10_000},
        {"reason": ["x"]},
        {"workers": {"worker": 0}},
    ],
)
def test_a_heartbeat_with_values_of_another_kind_is_not_believed(paths, changes):
    write_heartbeat(paths, beat(State.RUNNING))
    paths.heartbeat.write_text(json.dumps(json.loads(paths.heartbeat.read_text()) | changes))
    assert read_heartbeat(paths) is None


@pytest.mark.parametrize("devices", [3, None, [3], ["cpu"], [{"device": "cpu"}]])
def test_devices_that_are_none_make_a_damaged_heartbeat(paths, devices):
    write_heartbeat(paths, beat(State.RUNNING))
    paths.heartbeat.write_text(json.dumps(json.loads(paths.heartbeat.read_text()) | {"devices": devices}))
    assert read_heartbeat(paths) is None


def test_stopping_twice_is_stopping_at_once(paths):
    assert stop_request(paths) is StopLevel.NO
    assert request_stop(paths) is StopLevel.AFTER_CURRENT_MODELS
    assert stop_request(paths) is StopLevel.AFTER_CURRENT_MODELS
    assert request_stop(paths) is StopLevel.AT_ONCE
    clear_stop(paths)
    assert request_stop(paths, at_once=True) is StopLevel.AT_ONCE
