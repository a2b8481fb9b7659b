"""How a run stands, counted from its records: the one answer behind `tinfl status` and the app's first screen.

Cheap (file names, a few small JSON files) and light (neither numpy nor pydantic), so that it may be asked every second.
"""

import time
from dataclasses import dataclass, replace

from tui_influence.errors import ResultsError
from tui_influence.roles import Role
from tui_influence.runs.heartbeat import ACTIVE, HEARTBEAT_OVERDUE, Heartbeat, State, observe
from tui_influence.runs.ownership import Owner
from tui_influence.store.listing import (
    failure_reason,
    list_completed,
    list_failures,
)
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo, read_run_info


@dataclass(frozen=True)
class FailedModel:
    """A model that was given up."""

    role: Role
    index: int
    reason: str


@dataclass(frozen=True)
class Overview:
    """How a run stands.

    Attributes:
        state: what it is doing.
        heartbeat: the supervisor's last word, if any.
        owner: the supervisor, if known.
        info: what the run is; None while it is being prepared for the first time.
        done: models recorded, a role each.
        failed: models given up, a role each.
        failures: the last of them, with reasons.
        observed_at: when this was looked at, seconds since 1970.
    """

    state: State
    heartbeat: Heartbeat | None
    owner: Owner | None
    info: RunInfo | None
    done: dict[Role, int]
    failed: dict[Role, int]
    failures: tuple[FailedModel, ...]
    observed_at: float

    @property
    def is_active(self) -> bool:
        """Whether a supervisor is at work."""
        return self.state in ACTIVE

    @property
    def planned(self) -> dict[Role, int]:
        """Models planned, a role each; nothing before they are."""
        return self.info.planned_rows if self.info else {}

    @property
    def total(self) -> int:
        """Models planned, over all roles."""
        return sum(self.planned.values())

    @property
    def finished(self) -> int:
        """Models recorded, over all roles."""
        return sum(self.done.values())

    @property
    def given_up(self) -> int:
        """Models that failed for good, over all roles."""
        return sum(self.failed.values())

    @property
    def left(self) -> int:
        """Models still to train."""
        return max(self.total - self.finished - self.given_up, 0)

    @property
    def heartbeat_age(self) -> float | None:
        """Seconds since the supervisor's last word."""
        return self.observed_at - self.heartbeat.time if self.heartbeat else None

    @property
    def is_silent(self) -> bool:
        """Whether a supervisor that counts as being at work has said nothing for longer than it should."""
        age = self.heartbeat_age
        return self.is_active and age is not None and age > HEARTBEAT_OVERDUE


def overview(paths: Paths, info: RunInfo | None = None, *, max_failures: int = 3) -> Overview:
    """Look at a run.

    Args:
        paths: of the run.
        info: what the run is, if that was read before.
        max_failures: reasons to read, of the last failures of each role.

    Raises:
        ResultsError: no such directory, or no run in it.
    """
    state, heartbeat, owner = observe(paths)
    if info is None and (paths.run.exists() or heartbeat is None):
        info = read_run_info(paths.root)
    planned = info.planned_rows if info else {}
    targets = len(info.targets) if info else 0
    finished = {role: list_completed(paths, role, targets, count) for role, count in planned.items()}
    failed = {role: list_failures(paths, role) - indices for role, indices in finished.items()}
    return Overview(
        state=state,
        heartbeat=_brought_up_to_date(heartbeat, planned, finished, failed),
        owner=owner,
        info=info,
        done={role: len(indices) for role, indices in finished.items()},
        failed={role: len(indices) for role, indices in failed.items()},
        failures=tuple(
            FailedModel(role, index, _reason(paths, role, index))
            for role, indices in failed.items()
            for index in sorted(indices)[-max_failures:]
        ),
        observed_at=time.time(),
    )


def _brought_up_to_date(
    heartbeat: Heartbeat | None, planned: dict[Role, int], finished: dict[Role, set[int]], failed: dict[Role, set[int]]
) -> Heartbeat | None:
    """On a cluster nobody counts while tasks run: what is left follows from the records, the time from how many run."""
    if heartbeat is None or not heartbeat.tasks:
        return heartbeat
    total, done, gone = sum(planned.values()), sum(map(len, finished.values())), sum(map(len, failed.values()))
    heartbeat = replace(heartbeat, total=total, done=done, failed=gone)
    if not heartbeat.models_per_hour:
        return heartbeat
    seconds = 3600 * max(0, total - done - gone) / heartbeat.models_per_hour
    return replace(heartbeat, eta=(seconds, seconds, seconds))


def _reason(paths: Paths, role: Role, index: int) -> str:
    try:
        return failure_reason(paths, role, index)
    except ResultsError as error:  # tried again a moment ago, or damaged: the count stands, the reason is gone
        return str(error)
