"""Whether the memory of a supervisor, and of a cluster's planner, grows with the number of models.

    python -m benchmarks.bench_supervisor_memory [MODELS]

The supervisor is the real one, with its real records, events, heartbeats and compactions; only its workers are not:
they answer at once with a model that nobody trained. The planner then looks at the records that are left.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import psutil

from tui_influence.config.loader import load_config
from tui_influence.config.schema import Config
from tui_influence.designs import Row
from tui_influence.roles import Role
from tui_influence.runs import supervisor
from tui_influence.runs.cluster.planner import Planner
from tui_influence.runs.cluster.rounds import Round, TaskTiming, write_round
from tui_influence.runs.heartbeat import Heartbeat
from tui_influence.runs.protocol import Done, Ready
from tui_influence.runs.supervisor import Request, no_extension, supervise
from tui_influence.store.files import make_directory
from tui_influence.store.paths import Paths
from tui_influence.store.records import Record, as_margins, encode
from tui_influence.store.run_info import RunInfo, read_run_info

MODELS = 71_753
STEPS = 8
CONFIG = """\
[run]
name = "many"
output = "{root}"
[source]
kind = "builtin"
per_class = 4
[[target]]
kind = "builtin"
train_per_class = 5
test_per_class = 40
[design]
kind = "fixed"
models = {models}
heldout = 0
prior = 0
[compute]
devices = ["cpu"]
workers_per_device = 2
"""


@dataclass(eq=False)
class InstantWorker:
    """What a session knows of a worker process, without the process."""

    worker: int
    device: str
    row: Row | None = None
    models: int = 0
    ready: bool = False
    dismissed: bool = False
    pid: int = os.getpid()
    seconds: float | None = None

    def assign(self, row: Row) -> None:
        """Take a row in hand."""
        self.row = row

    def release(self) -> None:
        """Have nothing to end."""


class InstantCrew:
    """Workers that have recorded a row as soon as they are given it."""

    def __init__(self, paths: Paths, *_: Any, **__: Any) -> None:
        self._paths = paths
        self._workers: list[InstantWorker] = []
        self._info: RunInfo | None = None

    def __iter__(self) -> Iterator[InstantWorker]:
        return iter(self._workers)

    def __len__(self) -> int:
        return len(self._workers)

    @property
    def is_idle(self) -> bool:
        """Whether nobody has a row in hand."""
        return not any(worker.row for worker in self._workers)

    def start(self, number: int, device: str) -> InstantWorker:
        """Have one more worker."""
        self._workers.append(InstantWorker(number, device))
        return self._workers[-1]

    def poll(self, _timeout: float) -> Iterator[tuple[InstantWorker, Ready | Done]]:
        """Yield that each is ready, or done."""
        for worker in self._workers:
            if not worker.ready:
                yield worker, Ready("cpu fp32 1 thread")
            elif worker.row is not None:
                metrics = self._record(worker.row)
                yield worker, Done(worker.row.role, worker.row.index, 1.0, [metrics])

    def states(self) -> list[Any]:
        """Return nothing: gauges would ask about processes that are none."""
        return []

    def end(self, *, at_once: bool) -> None:
        """Have no workers."""
        self._workers.clear()

    def _record(self, row: Row) -> dict[str, float]:
        self._info = self._info or read_run_info(self._paths.root)
        rng, n = np.random.default_rng(row.seed), self._info.targets[0].test
        metrics = {"source_loss": 0.5, "source_accuracy": 0.9, "source_classes": 18.0, "target_accuracy": 0.6}
        record = Record(
            row.role, row.index, 0, row.seed, row.cluster, self._info.identity, "cpu fp32 1 thread", row.mask,
            as_margins(rng.normal(size=n)), rng.integers(0, 10, n).astype(np.uint16), metrics,
        )  # fmt: skip
        path = self._paths.record(row.role, row.index, 0)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(record))
        return metrics


class Watch:
    """Prints the memory of this process at steps of a run."""

    def __init__(self, models: int) -> None:
        self._step = models // STEPS
        self._next = self._step
        self._began = time.monotonic()

    def stage(self, what: str, done: int, total: int) -> None:
        """Say nothing."""

    def under_way(self, heartbeat: Heartbeat) -> None:
        """Say what it begins with."""
        print(f"| {heartbeat.done:,} | {resident():.0f} MB | |")

    def beat(self, heartbeat: Heartbeat) -> None:
        """Say how it goes."""
        if heartbeat.done >= self._next:
            rate = heartbeat.done / (time.monotonic() - self._began)
            print(f"| {heartbeat.done:,} | {resident():.0f} MB | {rate:,.0f} |", flush=True)
            self._next += self._step


def resident() -> float:
    """Return megabytes of this process alone: a matrix mapped to be compacted is the system's to keep or drop."""
    match = psutil.Process().memory_info()
    return float(match.rss - match.shared) / 1e6


def main() -> None:
    """Measure and print a table."""
    if sys.argv[1:2] == ["--plan"]:
        plan(load_config(Path(sys.argv[2])))
        return
    models = int(sys.argv[1]) if len(sys.argv) > 1 else MODELS
    with tempfile.TemporaryDirectory() as scratch:
        root, file = Path(scratch) / "many", Path(scratch) / "many.toml"
        file.write_text(CONFIG.format(root=root, models=models))
        print("| models recorded | supervisor | models a second |\n| --- | --- | --- |")
        with patch.object(supervisor, "WorkerPool", InstantCrew):
            supervise(Request(load_config(file), root), Watch(models))
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        print(f"\nat its highest, the matrix mapped while it is compacted included: {most:.0f} MB")
        leave_undone(Paths(root), range(models - 50, models))
        file.write_text(file.read_text() + 'executor = "slurm"\n')
        subprocess.run([sys.executable, "-m", "benchmarks.bench_supervisor_memory", "--plan", str(file)], check=True)


def leave_undone(paths: Paths, rows: range) -> None:
    """Take records away, and write the round that was to make them."""
    for index in rows:
        paths.record(Role.ESTIMATE, index, 0).unlink()
    make_directory(paths.cluster)
    write_round(paths, Round(1, (tuple(rows),), 0, TaskTiming(60.0, 8.0, 1)))


def plan(config: Config) -> None:
    """Print what a step of the planner takes."""
    before, began = resident(), time.monotonic()
    following = Planner(Request(config, Path(str(config.run.output))), no_extension).step(first=False)
    seconds = time.monotonic() - began
    assert following.round is not None
    print(
        f"\nplanner, {following.heartbeat.done:,} records: {seconds:.1f} s, {before:.0f} MB as it begins, "
        f"{resident():.0f} MB as it ends"
    )


if __name__ == "__main__":
    main()
