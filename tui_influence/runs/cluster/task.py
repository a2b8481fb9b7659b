"""One task: trains the rows of a block that have no record yet, on whatever the engine gave it.

    python -P -m tui_influence.runs.cluster.task RESULTS ROUND BLOCK [--allow-code] [--label TEXT] [--request TEXT]

It is a session like that of a local run (`runs.session`: workers, retries, memory), without a supervisor's heartbeat:
what it has to say goes into an event file of its own, which the planner takes in later. Asked to end (SIGTERM, the
SIGUSR1 that Slurm sends before a time limit, a stop file) it begins no more models, finishes those in hand if it is
given the time, and ends with 0: what it leaves is in the next round. Started again by its engine it goes on.
"""

import argparse
import hashlib
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from math import ceil
from pathlib import Path
from statistics import fmean

from tui_influence.config.loader import config_from_json
from tui_influence.config.schema import ComputeSection
from tui_influence.datasets import use_stage
from tui_influence.designs import Row
from tui_influence.errors import ResultsError, TinflError
from tui_influence.roles import Role
from tui_influence.runs.cluster.rounds import read_round
from tui_influence.runs.control import StopLevel, StopSignals, stop_request, stop_signals
from tui_influence.runs.devices import node_name, worker_devices
from tui_influence.runs.prepare import version_warnings
from tui_influence.runs.row_queue import RowQueue
from tui_influence.runs.session import Session
from tui_influence.runs.worker_pool import WorkerPool
from tui_influence.store.events import EventLog
from tui_influence.store.files import make_directory, write_atomically
from tui_influence.store.matrix import compact
from tui_influence.store.paths import Paths
from tui_influence.store.plan import read_plan
from tui_influence.store.run_info import RunInfo, read_run_info


class _Task:
    """A session's host that tells nobody: its events say all there is.

    Whoever started it waits for it, so it ends with that: else what an engine has given up, and hands out again, would
    go on here.
    """

    def __init__(self, paths: Paths, asked: StopSignals, warn: Callable[[str], None]) -> None:
        self._paths, self._asked, self._warn = paths, asked, warn
        self._parent = os.getppid()

    def stop_level(self) -> StopLevel:
        if os.getppid() != self._parent:
            return StopLevel.AT_ONCE
        return max(self._asked.level, stop_request(self._paths))

    def beat(self, *, force: bool = False) -> None:
        pass

    def under_way(self) -> None:
        pass

    def warn(self, text: str) -> None:
        self._warn(text)

    def compact(self) -> None:
        pass

    def plan_extension(self) -> list[Row]:
        return []


def run_task(
    paths: Paths, number: int, block: int, *, allow_code: bool = False, label: str = "", request: str = ""
) -> None:
    """Train what is left of a block.

    Args:
        paths: of the run.
        number: of the round.
        block: position in the round.
        allow_code: whether the user's network may be imported.
        label: what the engine calls this task.
        request: which request this task is of.

    Raises:
        TinflError: it cannot be trained here; the events say so too.
    """
    given = read_round(paths, number)
    if given.request != request or block >= len(given.blocks) or stop_request(paths) is not StopLevel.NO:
        return  # the directory is another run's by now, or nothing is wanted
    info, plan = read_run_info(paths.root), read_plan(paths)
    config = config_from_json(info.config)
    rows = [plan[position] for position in given.blocks[block]]
    host = node_name()
    events = EventLog(paths.task_events(number, block), task=label or f"{number}.{block}")
    events.write("task-started", node=host, rows=len(rows), pid=os.getpid())
    gpus = _gpus_given(config.compute)
    pool = WorkerPool(
        paths,
        config.compute.threads,
        allow_code=allow_code,
        log=lambda worker: paths.task_log(number, block),
    )
    at_once = True

    def warn(text: str) -> None:
        if _is_new(paths, text, host):
            events.write("warning", node=host, reason=text)

    try:
        for warning in version_warnings(info):
            warn(warning)
        stage = config.compute.slurm.stage if config.compute.executor == "slurm" else None
        with stop_signals() as asked, use_stage(stage, _fingerprints(info), warn):
            task = _Task(paths, asked, warn)
            queue = RowQueue(paths, rows, len(info.targets), config.compute.attempts)
            devices = worker_devices(config.compute, gpus, warn)
            session = Session(queue, pool, devices, config.compute, events, task, has_succeeded=given.done > 0)
            if given.timing is not None:
                groups = round(fmean(row.mask.sum() for row in plan))
                for device in set(devices):
                    session.statistics.remember(device, given.timing.seconds, groups)
            if len(queue):
                session.run()
            at_once = session.failure is not None or task.stop_level() is StopLevel.AT_ONCE
            pool.end(at_once=at_once)
        if session.failure is not None:
            raise session.failure
        events.write("task-ended", left=len(queue))
        if given.compacts(block):
            _compact(paths, info)
    except TinflError as error:
        with suppress(ResultsError):
            events.write("task-failed", reason=str(error))
        raise
    finally:
        pool.end(at_once=at_once)
        events.close()


def _gpus_given(compute: ComputeSection) -> int:
    """Return how many GPUs the engine gave this task."""
    given = {"slurm": compute.slurm.gpus_per_task, "ray": ceil(compute.ray.num_gpus)}
    return given.get(compute.executor, 0)


def _fingerprints(info: RunInfo) -> list[str]:
    return [info.source.fingerprint, *(one for target in info.targets for one in target.fingerprints)]


def _is_new(paths: Paths, warning: str, host: str) -> bool:
    """Leave a warning for `tinfl status`, unless a task has: the same warning of a thousand nodes is one file."""
    file = paths.node_warnings / hashlib.blake2b(warning.encode(), digest_size=8).hexdigest()
    if file.exists():
        return False
    make_directory(paths.node_warnings)
    write_atomically(file, f"tasks on {host}: {warning}".encode(), durable=False)
    return True


def _compact(paths: Paths, info: RunInfo) -> None:
    """Write new generations of the matrices while records arrive, so that who reads finds few loose ones."""
    for role in Role:
        for target in range(len(info.targets)):
            compact(paths, info, role, target)


def main() -> int:
    """Run one task; the exit code says how it ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("round", type=int)
    parser.add_argument("block", type=int)
    parser.add_argument("--allow-code", action="store_true")
    parser.add_argument("--label", default="")
    parser.add_argument("--request", default="")
    asked = parser.parse_args()
    try:
        run_task(
            Paths(asked.root),
            asked.round,
            asked.block,
            allow_code=asked.allow_code,
            label=asked.label,
            request=asked.request,
        )
    except TinflError as error:
        sys.stderr.write(f"{error}\n")
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
