"""What `tinfl status` says of a run under way."""

import json
import time

import pytest

from tests.integration.command_line import run
from tests.tui.runs import make_run, say
from tui_influence.runs.heartbeat import DeviceState, State, WorkerState

GIB = 1 << 30
DEVICES = [
    DeviceState("cuda:0", "NVIDIA H100", 0.97, 41 * GIB, 80 * GIB, 64.0, 612.4),
    DeviceState("cuda:1", "NVIDIA H100"),
]
WORKERS = [WorkerState(0, "cuda:0", 1, "estimate 41", 20, 12.0, 0.98, 2 * GIB), WorkerState(1, "cuda:1", 2, "", 19)]


@pytest.fixture
def under_way(tmp_path):
    paths = make_run(tmp_path / "run", models=4)
    say(paths, State.RUNNING, devices=DEVICES, workers=WORKERS)
    return paths


def test_devices_and_workers_are_a_line_each(under_way):
    said = run("status", under_way.root).out
    assert said.splitlines()[0] == "▶ small: running"
    assert said.splitlines()[-4:] == [
        "  cuda:0     97%  41.0 of 80.0 GiB  64 °C  612 W  H100",
        "  cuda:1       -                                  H100",
        "  worker 0  cuda:0  estimate 41  for 12 s  20 done  98% cpu  2.0 GiB",
        "  worker 1  cuda:1  idle                   19 done",
    ]


def test_json_has_the_gauges_as_they_are(under_way):
    found = json.loads(run("status", under_way.root, "--json").out)
    assert found["devices"] == [vars(device) for device in DEVICES]
    assert found["workers"] == [vars(worker) for worker in WORKERS]
    assert found["silent"] is False


def test_a_silent_supervisor_is_doubted(under_way):
    say(under_way, State.RUNNING, time=time.time() - 23)
    said = run("status", under_way.root).out.splitlines()
    assert said[0] == "╱ small: running?"
    assert said[1].startswith("  silent    for 2")
    assert "its process lives but says nothing" in said[1]
    found = json.loads(run("status", under_way.root, "--json").out)
    assert (found["state"], found["silent"]) == ("running", True)


def test_a_run_that_has_ended_has_no_gauges(under_way):
    say(under_way, State.DONE, devices=DEVICES, workers=WORKERS)
    found = json.loads(run("status", under_way.root, "--json").out)
    assert (found["devices"], found["workers"], found["silent"]) == ([], [], False)
    assert "cuda" not in run("status", under_way.root).out
