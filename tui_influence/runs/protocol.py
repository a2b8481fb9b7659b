"""Messages between supervisor and worker: one JSON object per line, assignments down, reports up."""

import json
import os
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from tui_influence.roles import Role

SILENCE_LIMIT = float(os.environ.get("TINFL_SILENCE_LIMIT", "60"))
"""Seconds without a sign of life after which a ready worker counts as hung. Tests set it lower."""
ALIVE_INTERVAL = SILENCE_LIMIT / 12
"""Seconds between two signs of life."""


class FailureKind(StrEnum):
    """Why a model failed, as far as it decides what happens next."""

    DIVERGED = "diverged"
    """The loss became non-finite: the same row would diverge again."""
    MEMORY = "memory"
    """Out of memory: a later attempt may have more."""
    HUNG = "hung"
    """No sign of life, or not finished by the deadline."""
    ERROR = "error"
    """Anything else."""


@dataclass(frozen=True)
class Assignment:
    """Supervisor to worker: train this row."""

    role: Role
    index: int


@dataclass(frozen=True)
class Ready:
    """Worker to supervisor: data and network are on the device.

    Attributes:
        numerics: see `Trainer`.
        streamed_bytes: of images that are read during training.
        unrecorded: why training steps are not replayed as a CUDA graph, though the device is a GPU; else empty.
    """

    numerics: str
    streamed_bytes: int = 0
    unrecorded: str = ""


@dataclass(frozen=True)
class Alive:
    """Worker to supervisor, every few seconds: the process runs."""


@dataclass(frozen=True)
class Begun:
    """Worker to supervisor: the row has arrived, and its training begins."""

    role: Role
    index: int


@dataclass(frozen=True)
class Done:
    """Worker to supervisor: the row's records are on disk."""

    role: Role
    index: int
    seconds: float
    metrics: list[dict[str, float]]


@dataclass(frozen=True)
class Failed:
    """Worker to supervisor: the row could not be trained.

    After a divergence the worker continues. After any other failure it exits, because the process itself may be
    broken (memory that stays allocated, a lost CUDA context), and the supervisor starts a new worker.
    """

    role: Role
    index: int
    kind: FailureKind
    reason: str

    @property
    def ends_worker(self) -> bool:
        """Whether the worker exits after this report."""
        return self.kind is not FailureKind.DIVERGED


@dataclass(frozen=True)
class Fatal:
    """Worker to supervisor: no row can be trained here (no device, full disk, changed data); the worker exits."""

    reason: str
    exit_code: int


Report = Ready | Alive | Begun | Done | Failed | Fatal
_MESSAGES: dict[str, type[Any]] = {
    message.__name__: message for message in (Ready, Alive, Begun, Done, Failed, Fatal, Assignment)
}


def to_line(message: Report | Assignment) -> bytes:
    """Encode a message as one line."""
    return json.dumps({"message": type(message).__name__, **asdict(message)}).encode() + b"\n"


def from_line(line: bytes) -> Any:
    """Decode a line; None if it holds no message, such as text that a library printed."""
    try:
        fields = json.loads(line)
        message = _MESSAGES[fields.pop("message")]
        if "role" in fields:
            fields["role"] = Role(fields["role"])
        if "kind" in fields:
            fields["kind"] = FailureKind(fields["kind"])
        return message(**fields)
    except (KeyError, TypeError, AttributeError, ValueError):
        return None
