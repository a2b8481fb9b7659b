"""One task of a round: trains its rows that have no record yet, on the devices that the cluster allocated.

    python -P -m tui_influence.runs.cluster.task RESULTS ROUND TASK [--allow-code] [--label TEXT] [--request TEXT]

It is a session like that of a local run (`runs.session`: workers, retries, memory), without a supervisor's heartbeat:
its events go into a file of its own, which the planner collects later. At a request to end (SIGTERM, the SIGUSR1 that
Slurm sends before a time limit, a stop file) it begins no more models, finishes those in training if it has the time,
and exits with 0: what it leaves is in the next round. Started again by the cluster it continues.
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

from tui_influence.config.compute import ComputeSection
from tui_influence.config.loader import config_from_json
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


class _TaskHost:
    """The host of a task's session: it publishes nothing, as the events hold everything.

    It stops when the process that started it ends; otherwise rows that the cluster has handed out again would also be
    trained here.
    """

    def __init__(self, paths: Paths, signals: StopSignals, warn: Callable[[str], None]) -> None:
        self._paths, self._signals, self._warn = paths, signals, warn
        self._parent = os.getppid()

    def stop_level(self) -> StopLevel:
        if os.getppid() != self._parent:
            return StopLevel.AT_ONCE
        return max(self._signals.level, stop_request(self._paths))

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
    paths: Paths, number: int, task: int, *, allow_code: bool = False, label: str = "", request: str = ""
) -> None:
    """Train what is left of a task.

    Args:
        paths: of the run.
        number: of the round.
        task: its number in the round.
        allow_code: whether the user's network may be imported.
        label: the cluster's name for this task.
        request: digest of the request that this task belongs to.

    Raises:
        TinflError: it cannot be trained here; the events have the reason too.
    """
    planned = read_round(paths, number)
    if planned.request != request or task >= len(planned.tasks) or stop_request(paths) is not StopLevel.NO:
        return  # the directory belongs to another request by now, or the run is to stop
    info, plan = read_run_info(paths.root), read_plan(paths)
    config = config_from_json(info.config)
    rows = [plan[position] for position in planned.tasks[task]]
    node = node_name()
    events = EventLog(paths.task_events(number, task), task=label or f"{number}.{task}")
    events.write("task-started", node=node, rows=len(rows), pid=os.getpid())
    gpus = _allocated_gpus(config.compute)
    pool = WorkerPool(
        paths,
        config.compute.threads,
        allow_code=allow_code,
        log=lambda worker: paths.task_log(number, task),
    )
    at_once = True

    def warn(text: str) -> None:
        if _add_node_warning(paths, text, node):
            events.write("warning", node=node, reason=text)

    try:
        for warning in version_warnings(info):
            warn(warning)
        stage = config.compute.slurm.stage if config.compute.executor == "slurm" else None
        with stop_signals() as signals, use_stage(stage, _fingerprints(info), warn):
            host = _TaskHost(paths, signals, warn)
            queue = RowQueue(paths, rows, len(info.targets), config.compute.attempts)
            devices = worker_devices(config.compute, gpus, warn)
            session = Session(queue, pool, devices, config.compute, events, host, has_succeeded=planned.done > 0)
            if planned.timing is not None:
                groups = round(fmean(row.mask.sum() for row in plan))
                for device in set(devices):
                    session.statistics.add_time(device, planned.timing.seconds, groups)
            if len(queue):
                session.run()
            at_once = session.failure is not None or host.stop_level() is StopLevel.AT_ONCE
            pool.end(at_once=at_once)
        if session.failure is not None:
            raise session.failure
        events.write("task-ended", left=len(queue))
        if planned.compacts(task):
            _compact(paths, info)
    except TinflError as error:
        with suppress(ResultsError):
            events.write("task-failed", reason=str(error))
        raise
    finally:
        pool.end(at_once=at_once)
        events.close()


def _allocated_gpus(compute: ComputeSection) -> int:
    """Return how many GPUs the cluster allocated to this task."""
    gpus = {"slurm": compute.slurm.gpus_per_task, "ray": ceil(compute.ray.num_gpus)}
    return gpus.get(compute.executor, 0)


def _fingerprints(info: RunInfo) -> list[str]:
    return [info.source.fingerprint, *(part for target in info.targets for part in target.fingerprints)]


def _add_node_warning(paths: Paths, warning: str, node: str) -> bool:
    """Write a warning for `tinfl status`, and return whether it is new; the same from a thousand nodes is one file."""
    file = paths.node_warnings / hashlib.blake2b(warning.encode(), digest_size=8).hexdigest()
    if file.exists():
        return False
    make_directory(paths.node_warnings)
    write_atomically(file, f"tasks on {node}: {warning}".encode(), durable=False)
    return True


def _compact(paths: Paths, info: RunInfo) -> None:
    """Write new generations of the matrices while records arrive, so that readers find few loose ones."""
    for role in Role:
        for target in range(len(info.targets)):
            compact(paths, info, role, target)


def main() -> int:
    """Run one task; the exit code says how it ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("round", type=int)
    parser.add_argument("task", type=int)
    parser.add_argument("--allow-code", action="store_true")
    parser.add_argument("--label", default="")
    parser.add_argument("--request", default="")
    arguments = parser.parse_args()
    try:
        run_task(
            Paths(arguments.root),
            arguments.round,
            arguments.task,
            allow_code=arguments.allow_code,
            label=arguments.label,
            request=arguments.request,
        )
    except TinflError as error:
        sys.stderr.write(f"{error}\n")
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
