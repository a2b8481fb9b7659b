"""What a supervisor makes of a Ray cluster. Nobody trains here, and Ray itself is played by the test."""

import importlib.util
import signal
import socket
import subprocess
from types import SimpleNamespace

import pytest

from tests.e2e.program import write_config
from tui_influence.config.compute import RaySection
from tui_influence.config.loader import load_config
from tui_influence.errors import ConfigError, RunFailedError
from tui_influence.runs.cluster import ray as ray_tasks
from tui_influence.runs.control import request_stop
from tui_influence.runs.heartbeat import State, read_heartbeat
from tui_influence.runs.supervisor import Request, no_extension
from tui_influence.store.files import make_directory
from tui_influence.store.paths import Paths


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "the Ray head node head:6379: connection refused"),
        (socket.gaierror(-2, "Name or service not known"), "head:6379: name or service not known"),
        (TimeoutError(110, "Connection timed out"), "head:6379: connection timed out"),
        (OverflowError("connect(): port must be 0-65535."), "head:6379: connect[(][)]: port must be 0-65535."),
        (TimeoutError("timed out"), "head:6379 within 30 s"),
    ],
)
def test_why_a_head_node_does_not_answer_is_told(monkeypatch, raised, message):
    def refuse(where, timeout):
        raise raised

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(socket, "create_connection", refuse)
    with pytest.raises(RunFailedError, match=f"{message}$"):
        ray_tasks.connect(RaySection(address="head:6379"))


def node(cpus: float, gpus: float = 0, *, alive: bool = True) -> dict:
    """A node as Ray tells of it: what it has none of is not named."""
    return {"Alive": alive, "Resources": {"memory": 1e9, "CPU": cpus} | ({"GPU": gpus} if gpus else {})}


def test_tasks_are_counted_node_by_node():
    nodes = [node(3), node(5, 1), node(64, 4, alive=False), node(0)]
    assert ray_tasks._slots(RaySection(num_cpus=2), nodes) == 3
    assert ray_tasks._slots(RaySection(num_cpus=2, num_gpus=0.5), nodes) == 2


@pytest.mark.parametrize(
    ("section", "nodes", "message"),
    [
        ({"num_cpus": 2}, [node(1), node(1)], "a task of 2 CPUs and 0 GPUs: the largest has 1 CPU and 0 GPUs"),
        ({"num_cpus": 8, "num_gpus": 1}, [node(64), node(4, 2)], "8 CPUs and 1 GPU: the largest has 4 CPUs and 2 GPUs"),
        ({"num_gpus": 1}, [node(4, 2, alive=False)], "1 CPU and 1 GPU: the largest has 0 CPUs and 0 GPUs"),
    ],
)
def test_a_task_that_fits_no_node_is_refused(section, nodes, message):
    with pytest.raises(ConfigError, match=f"{message}$"):
        ray_tasks._slots(RaySection(**section), nodes)


class Cancelled(Exception):  # noqa: N818
    pass


class FakeRay:
    """A Ray of one node whose resources are taken: tasks wait until they are cancelled."""

    exceptions = SimpleNamespace(RayError=Cancelled)

    def __init__(self) -> None:
        self.handed_out: list[list[str]] = []
        self.cancelled: dict[int, bool] = {}

    def nodes(self):
        return [node(1)]

    def remote(self, **options):
        return lambda function: SimpleNamespace(remote=self._hand_out)

    def _hand_out(self, arguments, environment):
        self.handed_out.append(arguments)
        return len(self.handed_out)

    def wait(self, tasks, *, num_returns, timeout):
        ended = [task for task in tasks if task in self.cancelled]
        return ended, [task for task in tasks if task not in ended]

    def get(self, task):
        raise Cancelled

    def cancel(self, task, *, force):
        self.cancelled.setdefault(task, force)

    def get_runtime_context(self):
        return SimpleNamespace(gcs_address="head:6379")

    def shutdown(self):
        pass


class Watcher:
    """Does something when it hears how a run goes."""

    def __init__(self, heard) -> None:
        self.beat = heard

    def stage(self, what, done, total):
        pass

    def under_way(self, heartbeat):
        pass


@pytest.fixture
def ray(monkeypatch):
    """A Ray to connect to, and no time to wait."""
    made = FakeRay()
    monkeypatch.setattr(ray_tasks, "connect", lambda section: made)
    monkeypatch.setattr(ray_tasks, "_HEARTBEAT_INTERVAL", 0.0)
    monkeypatch.setattr(ray_tasks, "_WAITING_WARNING", 0.0)
    return made


def request_on_ray(directory) -> Request:
    compute = 'workers_per_device = 1\nexecutor = "ray"'
    config = load_config(write_config(directory, swap={"workers_per_device = 2": compute}))
    return Request(config, directory / "results", trusted=True)


def test_tasks_that_wait_are_warned_of_and_a_stop_does_not_wait_for_them(tmp_path, ray):
    request, warnings = request_on_ray(tmp_path), []
    paths = Paths(request.root)

    def stop_after_a_warning(heartbeat):
        if heartbeat.state is not State.RUNNING:
            return
        warnings.append(heartbeat.warnings)
        if heartbeat.warnings:
            paths.task_log(1, 0).touch()  # a task begins
        else:
            request_stop(paths)

    last = ray_tasks.supervise(request, Watcher(stop_after_a_warning), no_extension)
    assert warnings == [["Ray has started 0 of 1 task yet: its resources are taken, or gone"], []]
    assert last.state is State.STOPPED
    assert ray.cancelled == {1: False}


def test_a_head_node_that_is_gone_ends_the_run_once_it_has_been_looked_for_several_times(tmp_path, monkeypatch, ray):
    answers = iter([False, False, False, True, False, False, False, False])

    def knock(address, seconds):
        assert address == "head:6379"
        if not next(answers):
            raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(ray_tasks, "_check_reachable", knock)
    monkeypatch.setattr(ray_tasks, "_HEAD_CHECK_INTERVAL", 0.0)
    request = request_on_ray(tmp_path)
    gone = "Ray's head node at head:6379 is gone; run `tinfl resume` to continue"
    with pytest.raises(RunFailedError, match=f"^{gone}$"):
        ray_tasks.supervise(request, Watcher(lambda heartbeat: None), no_extension)
    assert list(answers) == []
    last = read_heartbeat(Paths(request.root))
    assert (last.state, last.reason) == (State.FAILED, gone)


def test_a_task_goes_on_where_ray_interrupts_it(tmp_path, monkeypatch):
    def interrupted(command, **options):
        signal.raise_signal(signal.SIGINT)
        return SimpleNamespace(returncode=7)

    monkeypatch.setattr(subprocess, "run", interrupted)
    make_directory(Paths(tmp_path).task_log(1, 0).parent)
    before = signal.getsignal(signal.SIGINT)
    try:
        assert ray_tasks.train_task([str(tmp_path), "1", "0"], {}) == 7
    finally:
        signal.signal(signal.SIGINT, before)
