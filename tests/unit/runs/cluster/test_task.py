"""What a task does besides training: these have nothing left to train."""

import json
import time
from dataclasses import replace

import pytest

from tests.tui.runs import make_run
from tui_influence.designs import Design, schedule
from tui_influence.errors import DeviceError
from tui_influence.roles import Role
from tui_influence.runs.cluster import task as module
from tui_influence.runs.cluster.rounds import Round, write_round
from tui_influence.runs.cluster.slurm_client import SlurmTask, SubmittedJobs, write_jobs
from tui_influence.runs.cluster.task import run_task
from tui_influence.runs.control import StopLevel
from tui_influence.runs.heartbeat import Heartbeat, State, observe, write_heartbeat
from tui_influence.runs.prepare import package_versions
from tui_influence.store.events import EventTail
from tui_influence.store.matrix import load_outputs
from tui_influence.store.paths import Paths
from tui_influence.store.plan import write_plan
from tui_influence.store.run_info import read_run_info, write_run_info
from tui_influence.training.cuda import CudaDevice, CudaProbe

MODELS = 16


@pytest.fixture
def paths(tmp_path, monkeypatch) -> Paths:
    """A run all of whose rows are recorded, cut into blocks of two."""
    paths = make_run(tmp_path / "run", models=MODELS, planned=MODELS, state=None)
    write_run_info(paths, replace(read_run_info(paths.root), versions=package_versions()))
    write_plan(paths, schedule(Design("fixed", 0.5, 30, 0), MODELS, 0))
    write_round(paths, Round(1, tuple((row, row + 1) for row in range(0, MODELS, 2)), 0))
    return paths


def events_of(paths: Paths, kind: str) -> list[dict]:
    return [event for event in EventTail(paths).read() if event["event"] == kind]


def test_other_versions_on_a_node_are_recorded_once_and_warned_of(paths, monkeypatch):
    info = read_run_info(paths.root)
    write_run_info(paths, replace(info, versions=package_versions() | {"numpy": "0.1", "python": "3.0"}))
    for block, node in enumerate(["n1", "n2", "n3"]):
        monkeypatch.setattr(module, "node_name", lambda node=node: node)
        run_task(paths, 1, block)
    (event,) = events_of(paths, "warning")
    assert event["node"] == "n1"
    assert event["reason"] == f"the run began with other versions: numpy 0.1 -> {package_versions()['numpy']}"
    write_heartbeat(paths, Heartbeat(State.RUNNING, time.time(), time.time(), warnings=["another"]))
    write_jobs(paths, SubmittedJobs("tinfl-a", time.time()))
    monkeypatch.setattr(
        "tui_influence.runs.heartbeat.query_tasks", lambda _: [SlurmTask("1", False, "RUNNING", "n1", "", 1)]
    )
    _, heartbeat, _ = observe(paths)
    assert heartbeat is not None
    assert heartbeat.warnings == ["another", f"tasks on n1: {event['reason']}"]


def test_a_task_with_nothing_left_says_so_and_starts_no_worker(paths):
    run_task(paths, 1, 0, label="12_0")
    assert [event["event"] for event in EventTail(paths).read()] == ["task-started", "task-ended"]
    assert events_of(paths, "task-ended")[0] | {"time": 0} == {
        "time": 0,
        "event": "task-ended",
        "task": "12_0",
        "left": 0,
    }


def test_a_task_that_begins_after_a_stop_was_asked_for_does_nothing(paths):
    paths.stop.write_text(json.dumps({"level": 1}))
    run_task(paths, 1, 0)
    assert not list(EventTail(paths).read())


def test_a_task_of_an_older_run_in_the_directory_does_nothing(paths):
    run_task(paths, 1, 0, request="another")
    run_task(paths, 1, 99)
    assert not list(EventTail(paths).read())


def test_gpus_that_were_asked_for_are_not_passed_over_for_the_processor(paths, monkeypatch):
    info = read_run_info(paths.root)
    compute = info.config["compute"]
    compute |= {"executor": "slurm", "slurm": compute["slurm"] | {"gpus_per_task": 2}}
    write_run_info(paths, replace(info, config=info.config | {"compute": compute}))
    monkeypatch.setattr("tui_influence.runs.devices.probe_cuda", lambda: CudaProbe((CudaDevice("GPU", 1, 1),)))
    monkeypatch.setenv("SLURMD_NODENAME", "n7")
    with pytest.raises(DeviceError):
        run_task(paths, 1, 0)
    (failed,) = events_of(paths, "task-failed")
    assert failed["reason"] == "the config requests 2 GPUs per task, but torch can use 1 on n7"


def test_some_tasks_write_the_matrix_that_readers_begin_with(paths, monkeypatch):
    monkeypatch.setattr("tui_influence.store.matrix.MIN_RECORDS_TO_COMPACT", 3)
    run_task(paths, 1, 0)
    (generation,) = paths.matrix(Role.ESTIMATE, 0).iterdir()
    assert generation.name.startswith(f"{MODELS:08d}-")
    assert len(load_outputs(paths, read_run_info(paths.root), Role.ESTIMATE, 0)) == MODELS


def test_a_task_ends_with_whoever_started_it(paths, monkeypatch):
    with module.stop_signals() as signals:
        task = module._TaskHost(paths, signals, warn=print)
        assert task.stop_level() is StopLevel.NO
        monkeypatch.setattr(module.os, "getppid", lambda: 1)
        assert task.stop_level() is StopLevel.AT_ONCE
