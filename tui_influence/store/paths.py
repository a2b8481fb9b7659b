"""Where everything in a results directory is. Every name here is ours: none is read from a file or a dataset."""

from dataclasses import dataclass
from pathlib import Path

from tui_influence.roles import Role

RECORDS_PER_DIRECTORY = 1000
TEMPORARY_PREFIX = ".tmp-"
"""Begins the name of what is being written; a crash may leave it behind."""


@dataclass(frozen=True)
class Paths:
    """The layout of a results directory."""

    root: Path

    @property
    def run(self) -> Path:
        """`run.json`: what the run is."""
        return self.root / "run.json"

    @property
    def plan(self) -> Path:
        """Masks, seeds and roles of all rows."""
        return self.root / "plan.safetensors"

    @property
    def arms(self) -> Path:
        """`arms.json` of a pruning: its rows, what they are for, and the ranking behind them."""
        return self.root / "arms.json"

    @property
    def prunings(self) -> Path:
        """The prunings of a sweep, each a results directory of its own."""
        return self.root / "prune"

    @property
    def events(self) -> Path:
        """What happened, a line each."""
        return self.root / "events.jsonl"

    @property
    def lock(self) -> Path:
        """Held by the supervisor for as long as it lives."""
        return self.root / "lock"

    @property
    def owner(self) -> Path:
        """Who holds the lock."""
        return self.root / "owner.json"

    @property
    def heartbeat(self) -> Path:
        """The supervisor's last word."""
        return self.root / "heartbeat.json"

    @property
    def stop(self) -> Path:
        """A request to stop."""
        return self.root / "stop.json"

    @property
    def reserve(self) -> Path:
        """Room kept so that a full disk can still be reported."""
        return self.root / "reserve"

    def is_run_file(self, name: str) -> bool:
        """Whether a file name in the directory is one that a run leaves there, also one that ended early."""
        parts = (value for value in vars(type(self)).values() if isinstance(value, property))
        ours = {part.fget(self).name for part in parts if part.fget}
        return name in ours | {"targets", "failed", "matrix"} or name.startswith(TEMPORARY_PREFIX)

    @property
    def logs(self) -> Path:
        """What the processes said."""
        return self.root / "logs"

    @property
    def quarantine(self) -> Path:
        """Damaged records, kept for inspection."""
        return self.root / "quarantine"

    @property
    def cluster(self) -> Path:
        """What a run on a cluster was asked, how it was cut into tasks, and what they said."""
        return self.root / "cluster"

    @property
    def jobs(self) -> Path:
        """The jobs that an engine was given last."""
        return self.cluster / "jobs.json"

    @property
    def request(self) -> Path:
        """What the planner of a run on a cluster is asked to do."""
        return self.cluster / "request.json"

    @property
    def node_warnings(self) -> Path:
        """A file for each thing that tasks found odd about their nodes."""
        return self.cluster / "warnings"

    def round(self, number: int) -> Path:
        """Which rows the tasks of a round were given."""
        return self.cluster / f"round-{number:04d}.json"

    def tasks(self, number: int) -> Path:
        """What the tasks of a round said, until the next round has taken it in."""
        return self.cluster / f"round-{number:04d}"

    def task_events(self, number: int, block: int) -> Path:
        """The events of one task: its own file, as nothing on a shared file system has two writers."""
        return self.task_log(number, block).with_suffix(".jsonl")

    def task_log(self, number: int, block: int) -> Path:
        """What a task's processes said, and the directory of a thousand tasks' files."""
        return self.tasks(number) / f"{block // RECORDS_PER_DIRECTORY:03d}" / f"{block}.log"

    def worker_log(self, worker: int) -> Path:
        """One worker's log."""
        return self.logs / f"worker-{worker}.log"

    def target(self, target: int) -> Path:
        """What is known of a target besides records: labels, split, thumbnails."""
        return self.root / "targets" / str(target)

    @property
    def source(self) -> Path:
        """What is known of the source: sample images of each group."""
        return self.root / "source"

    @property
    def records_root(self) -> Path:
        """All records."""
        return self.root / "records"

    def records(self, role: Role) -> Path:
        """All records of a role."""
        return self.records_root / role.value

    def record(self, role: Role, index: int, target: int) -> Path:
        """One record."""
        block = index // RECORDS_PER_DIRECTORY
        return self.records(role) / f"{block:04d}" / f"{index:07d}.t{target}.safetensors"

    def failures(self, role: Role) -> Path:
        """Rows that were given up."""
        return self.root / "failed" / role.value

    def failure(self, role: Role, index: int) -> Path:
        """Why a row was given up."""
        return self.failures(role) / f"{index:07d}.json"

    def matrix(self, role: Role, target: int) -> Path:
        """Generations of the compacted matrix."""
        return self.root / "matrix" / f"{role.value}-t{target}"
