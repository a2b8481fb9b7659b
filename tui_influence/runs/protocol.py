"""The protocol between supervisor and worker: a JSON object a line, rows down, outcomes up."""

import json
import os
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from tui_influence.roles import Role

SILENCE_LIMIT = float(os.environ.get("TINFL_SILENCE_LIMIT", "60"))
"""Seconds without a sign of life after which a worker that was ready is taken to be hung. Tests set it lower."""
ALIVE_INTERVAL = SILENCE_LIMIT / 12
"""Seconds between two signs of life."""


class FailureKind(StrEnum):
    """Why a model failed, as far as it decides what to do next."""

    DIVERGED = "diverged"
    """A non-finite loss: the same row would do it again."""
    MEMORY = "memory"
    """Out of memory: another time there may be more."""
    HUNG = "hung"
    """No sign of life, or no end within the deadline."""
    ERROR = "error"
    """Anything else."""


@dataclass(frozen=True)
class Assignment:
    """Supervisor to worker: train this row."""

    role: Role
    index: int


@dataclass(frozen=True)
class Ready:
    """Worker to supervisor: data and network are on the device."""

    numerics: str


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
    """Worker to supervisor: the row's records are on the disk."""

    role: Role
    index: int
    seconds: float
    metrics: list[dict[str, float]]


@dataclass(frozen=True)
class Failed:
    """Worker to supervisor: this row did not work.

    After a divergence the worker goes on. After anything else it ends, as what broke may be this process (memory that
    stays taken, a CUDA context that is lost): the supervisor starts another.
    """

    role: Role
    index: int
    kind: FailureKind
    reason: str

    @property
    def ends_worker(self) -> bool:
        """Whether the worker ends after it."""
        return self.kind is not FailureKind.DIVERGED


@dataclass(frozen=True)
class Fatal:
    """Worker to supervisor: nothing works here (no device, no disk, other data); the worker ends."""

    reason: str
    exit_code: int


Report = Ready | Alive | Begun | Done | Failed | Fatal
_MESSAGES: dict[str, type[Any]] = {
    message.__name__: message for message in (Ready, Alive, Begun, Done, Failed, Fatal, Assignment)
}


def to_line(message: Report | Assignment) -> bytes:
    """Return a message as a line."""
    return json.dumps({"say": type(message).__name__, **asdict(message)}).encode() + b"\n"


def from_line(line: bytes) -> Any:
    """Return the message in a line; None if it holds none (something printed it by mistake)."""
    try:
        fields = json.loads(line)
        report = _MESSAGES[fields.pop("say")]
        if "role" in fields:
            fields["role"] = Role(fields["role"])
        if "kind" in fields:
            fields["kind"] = FailureKind(fields["kind"])
        return report(**fields)
    except (KeyError, TypeError, AttributeError, ValueError):
        return None
