"""What supervisor and worker say to each other: a JSON object a line, rows down, outcomes up."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from tui_influence.roles import Role


class Kind(StrEnum):
    """Why a model failed, as far as it decides what to do next."""

    DIVERGED = "diverged"
    """A non-finite loss: the same row would do it again."""
    MEMORY = "memory"
    """Out of memory: another time there may be more."""
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
class Done:
    """Worker to supervisor: the row's records are on the disk."""

    role: Role
    index: int
    seconds: float
    metrics: list[dict[str, float]]


@dataclass(frozen=True)
class Failed:
    """Worker to supervisor: this row did not work; the worker goes on."""

    role: Role
    index: int
    kind: Kind
    reason: str


@dataclass(frozen=True)
class Fatal:
    """Worker to supervisor: nothing works here (no device, no disk, other data); the worker ends."""

    reason: str
    exit_code: int


Report = Ready | Done | Failed | Fatal
_REPORTS: dict[str, type[Any]] = {report.__name__: report for report in (Ready, Done, Failed, Fatal, Assignment)}


def to_line(message: Report | Assignment) -> bytes:
    """Return a message as a line."""
    return json.dumps({"say": type(message).__name__, **asdict(message)}).encode() + b"\n"


def from_line(line: bytes) -> Any:
    """Return the message in a line; None if it holds none (something printed it by mistake)."""
    try:
        fields = json.loads(line)
        report = _REPORTS[fields.pop("say")]
        if "role" in fields:
            fields["role"] = Role(fields["role"])
        if "kind" in fields:
            fields["kind"] = Kind(fields["kind"])
        return report(**fields)
    except (KeyError, TypeError, AttributeError, ValueError):
        return None
