"""The state of a run, counted from its records; used by `tinfl status` and the app's first screen.

Cheap (file names and a few small JSON files) and light (neither numpy nor pydantic), as it is computed every second.
"""

import time
from dataclasses import dataclass, field, replace

from tui_influence.errors import ResultsError
from tui_influence.roles import Role
from tui_influence.runs.heartbeat import ACTIVE, HEARTBEAT_OVERDUE, Heartbeat, State, observe
from tui_influence.runs.ownership import Owner
from tui_influence.store.class_clusters import ClassClusters, read_class_clusters
from tui_influence.store.growth import Growth, read_growth
from tui_influence.store.listing import failure_reason, list_completed, list_failures
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo, read_run_info


@dataclass(frozen=True)
class FailedModel:
    """A model that failed for good."""

    role: Role
    index: int
    reason: str


@dataclass(frozen=True)
class Overview:
    """The state of a run.

    Attributes:
        state: of the run.
        heartbeat: the supervisor's last heartbeat, if any.
        owner: the supervisor, if known.
        info: the run's description; None while it is being prepared for the first time.
        done: models recorded, by role.
        failed: models that failed for good, by role.
        failures: the last of them, with reasons.
        observed_at: seconds since 1970.
        clusters: the class clusters of the first stage, in words; empty if there are none.
        class_clusters: the same as it is in `clusters.json`; None before it is written, and where it cannot be read.
        growth: reliability of a sweep, the models it needs, and why it grew or ended.
    """

    state: State
    heartbeat: Heartbeat | None
    owner: Owner | None
    info: RunInfo | None
    done: dict[Role, int]
    failed: dict[Role, int]
    failures: tuple[FailedModel, ...]
    observed_at: float
    clusters: str = ""
    class_clusters: ClassClusters | None = None
    growth: Growth = field(default_factory=Growth)

    @property
    def is_active(self) -> bool:
        """Whether the run is being executed."""
        return self.state in ACTIVE

    @property
    def planned(self) -> dict[Role, int]:
        """Models planned, by role; empty before the first preparation."""
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
        """Models left to train."""
        return max(self.total - self.finished - self.given_up, 0)

    @property
    def heartbeat_age(self) -> float | None:
        """Seconds since the last heartbeat."""
        return self.observed_at - self.heartbeat.time if self.heartbeat else None

    @property
    def is_silent(self) -> bool:
        """Whether the heartbeat of an active run is overdue."""
        age = self.heartbeat_age
        return self.is_active and age is not None and age > HEARTBEAT_OVERDUE


def overview(paths: Paths, info: RunInfo | None = None, *, max_failures: int = 3) -> Overview:
    """Return the state of a run.

    Args:
        paths: of the run.
        info: the run's description, if it was read before.
        max_failures: number of failures per role whose reasons are read, the last ones.

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
    if heartbeat is None and state not in ACTIVE:
        state = _state_by_records(state, planned, finished, failed)
    clusters, class_clusters = _clusters(paths, info)
    return Overview(
        state=state,
        heartbeat=_with_record_counts(heartbeat, planned, finished, failed),
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
        clusters=clusters,
        class_clusters=class_clusters,
        growth=read_growth(paths),
    )


def _clusters(paths: Paths, info: RunInfo | None) -> tuple[str, ClassClusters | None]:
    """Return a run's class clusters, in words and as they are.

    An error of their file stands instead of the words: nothing here depends on it.
    """
    if info is None or not info.n_clusters:
        return "", None
    try:
        clusters = read_class_clusters(paths, info.identity, info.source.groups)
    except ResultsError as error:
        return str(error), None
    if clusters is None:
        return f"{info.n_clusters}, once the prior networks are trained", None
    return clusters.describe(info.models), clusters


def _state_by_records(
    state: State, planned: dict[Role, int], finished: dict[Role, set[int]], failed: dict[Role, set[int]]
) -> State:
    """Return the state of a run without a readable heartbeat: done if nothing is left to train."""
    total, done, n_failed = _totals(planned, finished, failed)
    if not total or done + n_failed < total:
        return state
    return State.DONE_WITH_FAILURES if n_failed else State.DONE


def _totals(
    planned: dict[Role, int], finished: dict[Role, set[int]], failed: dict[Role, set[int]]
) -> tuple[int, int, int]:
    """Return the numbers of models planned, finished and failed, over all roles."""
    return sum(planned.values()), sum(map(len, finished.values())), sum(map(len, failed.values()))


def _with_record_counts(
    heartbeat: Heartbeat | None, planned: dict[Role, int], finished: dict[Role, set[int]], failed: dict[Role, set[int]]
) -> Heartbeat | None:
    """Update the heartbeat of a cluster, where no process counts records; the ETA follows from the running tasks."""
    if heartbeat is None or not heartbeat.tasks:
        return heartbeat
    total, done, n_failed = _totals(planned, finished, failed)
    heartbeat = replace(heartbeat, total=total, done=done, failed=n_failed)
    if not heartbeat.models_per_hour:
        return heartbeat
    seconds = 3600 * max(0, total - done - n_failed) / heartbeat.models_per_hour
    return replace(heartbeat, eta=(seconds, seconds, seconds))


def _reason(paths: Paths, role: Role, index: int) -> str:
    try:
        return failure_reason(paths, role, index)
    except ResultsError as error:  # tried again a moment ago, or damaged: it still counts as a failure
        return str(error)
