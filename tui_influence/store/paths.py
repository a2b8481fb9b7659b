"""Paths in a results directory. Every name is fixed here: none is read from a file or a dataset."""

from dataclasses import dataclass
from pathlib import Path

from tui_influence.roles import Role

RECORDS_PER_DIRECTORY = 1000
TEMPORARY_PREFIX = ".tmp-"
"""Prefix of files that are being written; a crash may leave them behind."""


@dataclass(frozen=True)
class Paths:
    """The layout of a results directory."""

    root: Path

    @property
    def run(self) -> Path:
        """`run.json`: the description of the run."""
        return self.root / "run.json"

    @property
    def plan(self) -> Path:
        """Masks, seeds and roles of all rows."""
        return self.root / "plan.safetensors"

    @property
    def arms(self) -> Path:
        """`arms.json` of a pruning: its arms and rows, and the ranking that they are chosen by."""
        return self.root / "arms.json"

    @property
    def class_clusters(self) -> Path:
        """`clusters.json`: the class clusters of a sweep's first stage, and how many rows it has."""
        return self.root / "clusters.json"

    @property
    def growth(self) -> Path:
        """`growth.json`: the reliability of a sweep, the models it needs, and why it grew or ended."""
        return self.root / "growth.json"

    @property
    def note(self) -> Path:
        """`note.json`: what the user has noted about the run."""
        return self.root / "note.json"

    @property
    def prunings(self) -> Path:
        """The prunings of a sweep, each a results directory of its own."""
        return self.root / "prune"

    @property
    def events(self) -> Path:
        """Events, a line each."""
        return self.root / "events.jsonl"

    @property
    def lock(self) -> Path:
        """The supervisor's lock."""
        return self.root / "lock"

    @property
    def owner(self) -> Path:
        """Description of the holder of the lock."""
        return self.root / "owner.json"

    @property
    def heartbeat(self) -> Path:
        """The supervisor's latest statement of progress."""
        return self.root / "heartbeat.json"

    @property
    def stop(self) -> Path:
        """A request to stop."""
        return self.root / "stop.json"

    @property
    def reserve(self) -> Path:
        """Reserved space, so that a full disk can still be reported."""
        return self.root / "reserve"

    def is_run_file(self, name: str) -> bool:
        """Whether a run may leave a file of this name in the directory."""
        parts = (value for value in vars(type(self)).values() if isinstance(value, property))
        ours = {part.fget(self).name for part in parts if part.fget}
        return name in ours | {"targets", "failed", "matrix"} or name.startswith(TEMPORARY_PREFIX)

    @property
    def logs(self) -> Path:
        """Output of the processes."""
        return self.root / "logs"

    @property
    def quarantine(self) -> Path:
        """Damaged records, for inspection."""
        return self.root / "quarantine"

    @property
    def cluster(self) -> Path:
        """Requests, rounds, task events and logs of a run on a cluster."""
        return self.root / "cluster"

    @property
    def jobs(self) -> Path:
        """The jobs that were submitted last."""
        return self.cluster / "jobs.json"

    @property
    def request(self) -> Path:
        """The request to the planner of a run on a cluster."""
        return self.cluster / "request.json"

    @property
    def node_warnings(self) -> Path:
        """Warnings of tasks about their nodes, a file each."""
        return self.cluster / "warnings"

    def round(self, number: int) -> Path:
        """Rows of the tasks of a round."""
        return self.cluster / f"round-{number:04d}.json"

    def tasks(self, number: int) -> Path:
        """Events and logs of the tasks of a round."""
        return self.cluster / f"round-{number:04d}"

    def task_events(self, number: int, task: int) -> Path:
        """The events of one task, in a file of its own: no file on a shared file system has two writers."""
        return self.task_log(number, task).with_suffix(".jsonl")

    def task_log(self, number: int, task: int) -> Path:
        """Output of a task's processes, in a directory for a thousand tasks."""
        return self.tasks(number) / f"{task // RECORDS_PER_DIRECTORY:03d}" / f"{task}.log"

    def worker_log(self, worker: int) -> Path:
        """One worker's log."""
        return self.logs / f"worker-{worker}.log"

    def target(self, target: int) -> Path:
        """Examples of a target: labels, split, thumbnails."""
        return self.root / "targets" / str(target)

    @property
    def source(self) -> Path:
        """Sample images of each group of the source."""
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
        """Failures of a role."""
        return self.root / "failed" / role.value

    def failure(self, role: Role, index: int) -> Path:
        """Failure of a row."""
        return self.failures(role) / f"{index:07d}.json"

    def matrix(self, role: Role, target: int) -> Path:
        """Generations of the compacted matrix."""
        return self.root / "matrix" / f"{role.value}-t{target}"
