"""What a supervisor makes of a Ray cluster. Nobody trains here, and Ray itself is played by the test."""

import importlib.util
import socket

import pytest

from tui_influence.config.schema import RaySection
from tui_influence.errors import ConfigError, RunFailedError
from tui_influence.runs.cluster import ray_tasks


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "the Ray head node head:6379: connection refused"),
        (socket.gaierror(-2, "Name or service not known"), "head:6379: name or service not known"),
        (TimeoutError(110, "Connection timed out"), "head:6379: connection timed out"),
        (OverflowError("connect(): port must be 0-65535."), "head:6379: connect[(][)]: port must be 0-65535."),
        (TimeoutError("timed out"), "head:6379 within 30 s"),
    ],
)
def test_why_a_head_node_does_not_answer_is_told(monkeypatch, raised, told):
    def refuse(where, timeout):
        raise raised

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(socket, "create_connection", refuse)
    with pytest.raises(RunFailedError, match=f"{told}$"):
        ray_tasks.connect(RaySection(address="head:6379"))


def node(cpus: float, gpus: float = 0, *, alive: bool = True) -> dict:
    """A node as Ray tells of it: what it has none of is not named."""
    return {"Alive": alive, "Resources": {"memory": 1e9, "CPU": cpus} | ({"GPU": gpus} if gpus else {})}


def test_tasks_are_counted_node_by_node():
    nodes = [node(3), node(5, 1), node(64, 4, alive=False), node(0)]
    assert ray_tasks._slots(RaySection(num_cpus=2), nodes) == 3
    assert ray_tasks._slots(RaySection(num_cpus=2, num_gpus=0.5), nodes) == 2


@pytest.mark.parametrize(
    ("asked", "nodes", "told"),
    [
        ({"num_cpus": 2}, [node(1), node(1)], "a task of 2 CPUs and 0 GPUs: the largest has 1 CPU and 0 GPUs"),
        ({"num_cpus": 8, "num_gpus": 1}, [node(64), node(4, 2)], "8 CPUs and 1 GPU: the largest has 4 CPUs and 2 GPUs"),
        ({"num_gpus": 1}, [node(4, 2, alive=False)], "1 CPU and 1 GPU: the largest has 0 CPUs and 0 GPUs"),
    ],
)
def test_a_task_that_fits_no_node_is_refused(asked, nodes, told):
    with pytest.raises(ConfigError, match=f"{told}$"):
        ray_tasks._slots(RaySection(**asked), nodes)
