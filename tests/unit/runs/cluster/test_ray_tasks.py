"""What a supervisor makes of a Ray cluster. Nobody trains here, and Ray itself is played by the test."""

import importlib.util
import socket

import pytest

from tui_influence.config.schema import RaySection
from tui_influence.errors import RunFailedError
from tui_influence.runs.cluster import ray_tasks


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "no answer from the Ray head node head:6379: connection refused"),
        (socket.gaierror(-2, "Name or service not known"), "head:6379: name or service not known"),
        (TimeoutError(110, "Connection timed out"), "head:6379: connection timed out"),
        (OverflowError("connect(): port must be 0-65535."), "head:6379: connect[(][)]: port must be 0-65535."),
        (TimeoutError("timed out"), "head:6379 within 30 s"),
    ],
)  # fmt: skip
def test_why_a_head_node_does_not_answer_is_told(monkeypatch, raised, told):
    def refuse(where, timeout):
        raise raised

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(socket, "create_connection", refuse)
    with pytest.raises(RunFailedError, match=f"{told}$"):
        ray_tasks.connect(RaySection(address="head:6379"))
