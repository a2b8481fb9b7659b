"""Runs on Ray: a supervisor here, whose blocks are tasks of a Ray cluster.

Ray needs a driver that lives, so unlike on Slurm a supervisor does, in the background as for a run of this machine; it
owns the run, plans its rounds and writes its heartbeat, and trains nothing. A task starts the same program as one of
Slurm, `runs.cluster.block`, in a process of its own with the GPUs that Ray gave it. Where a node is lost Ray starts
the task again elsewhere (`max_retries`); rows that are recorded are not trained again. Ray itself is an extra.
"""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tui_influence.config.schema import RaySection
from tui_influence.errors import ConfigError, RunFailedError, TinflError
from tui_influence.runs.cluster.planner import Planner
from tui_influence.runs.cluster.rounds import Round
from tui_influence.runs.cluster.trusted_commands import check_trusted, record_trust
from tui_influence.runs.control import StopLevel, StopSignals, clear_stop, request_stop, stop_request, stop_signals
from tui_influence.runs.heartbeat import ACTIVE, Heartbeat, State, observe, with_node_warnings, write_heartbeat
from tui_influence.runs.ownership import Ownership, already_running
from tui_influence.runs.prepare import extend_arms
from tui_influence.runs.supervisor import Observer, PlanExtender, Request
from tui_influence.store.events import EventTail
from tui_influence.store.files import make_directory
from tui_influence.store.paths import Paths
from tui_influence.store.results_directory import make_results_directory
from tui_influence.text import pluralize, printable

RETRIES = 5
"""How often Ray starts a task again whose node was lost."""
_BEAT = 1.0
_PATIENCE = 60.0
"""Seconds after which somebody is told that Ray has started no task."""
_KNOCK = 5.0
"""Seconds between two looks whether the head node is still there."""
_MISSES = 4
"""Looks in vain after which it is gone: sooner than Ray, which waits for 60 s, ends this process without a word."""
_CONNECT = "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False); print('connected')"
_PASSED_ON = ("TINFL_CACHE", "TINFL_CONFIG", "TINFL_COMPACT_AFTER")


def supervise(request: Request, observer: Observer, extender: PlanExtender) -> Heartbeat:
    """Run a run on Ray until it is done, stopped or failed.

    Args:
        request: what to run.
        observer: is told how it goes.
        extender: says what a plan grows by.

    Returns:
        the last heartbeat.

    Raises:
        AlreadyRunningError: another supervisor owns it.
        ConfigError: no node of this cluster can hold a task; nothing was started.
        TinflError: Ray is not here or does not answer, or the run failed.
    """
    paths = Paths(request.root.absolute())
    if observe(paths)[0] in ACTIVE:
        raise already_running(paths)
    if request.trusted:
        record_trust(request.config.compute)
    check_trusted(request.config.compute)
    observer.stage("connecting to Ray", 0, 0)
    ray = connect(request.config.compute.ray)
    try:
        slots = _slots(request.config.compute.ray, ray.nodes())
        make_results_directory(paths.root)
        make_directory(paths.cluster)
        with Ownership(paths), stop_signals() as asked:
            clear_stop(paths)
            paths.jobs.unlink(missing_ok=True)
            if request.pruning is not None:
                extend_arms(paths, request.pruning)
            return _Driver(request, paths, observer, asked, extender, ray, slots).run()
    finally:
        ray.shutdown()


def connect(section: RaySection) -> Any:
    """Return Ray, connected to its head node.

    Raises:
        ConfigError: Ray is not installed.
        RunFailedError: the head node does not answer, or refuses.
    """
    if importlib.util.find_spec("ray") is None:
        raise ConfigError('executor = "ray" needs Ray: pip install ray')
    where = printable(section.address, 100)
    silent = RunFailedError(f"no answer from the Ray head node {where} within {section.connect_seconds:g} s")
    if _is_host_and_port(section.address):
        try:
            _knock(section.address, section.connect_seconds)
        except (OSError, OverflowError, ValueError) as error:
            if isinstance(error, TimeoutError) and error.errno is None:
                raise silent from error
            strerror = error.strerror if isinstance(error, OSError) else None
            why = printable((strerror or str(error)).lower(), 200)
            raise RunFailedError(f"no answer from the Ray head node {where}: {why}") from error
    # Another process tries first: one that talks to something that is no head node may wait forever, or be aborted.
    try:
        command = [sys.executable, "-P", "-c", _CONNECT, section.address]
        tried = subprocess.run(
            command, capture_output=True, text=True, timeout=section.connect_seconds, check=False, errors="replace"
        )
    except subprocess.TimeoutExpired as error:
        raise silent from error
    if "connected" not in tried.stdout:
        words = [line for line in tried.stderr.splitlines() if line.strip()]
        raise RunFailedError(f"Ray at {where} refuses: {printable(words[-1], 300) if words else 'no reason given'}")
    ray = importlib.import_module("ray")
    ray.init(address=section.address, log_to_driver=False, logging_level="ERROR")
    return ray


def _is_host_and_port(address: str) -> bool:
    host, _, port = address.rpartition(":")
    return bool(host) and port.isdecimal()


def _knock(address: str, seconds: float) -> None:
    """Return once something at this host and port takes a connection.

    Raises:
        OSError: nothing does; a TimeoutError without a number where that took so many seconds.
        OverflowError: there is no such port.
        ValueError: there can be no such host.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    socket.create_connection((host, int(port)), seconds).close()


def train_task(arguments: list[str], environment: dict[str, str]) -> int:
    """Train a block in a process of its own, on the node that Ray chose; return its exit code.

    Ray interrupts a task that it is asked to cancel. Unless it does so by force this one goes on, and sees the request
    to stop for itself.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    command = [sys.executable, "-P", "-m", "tui_influence.runs.cluster.task", *arguments]
    root, number, block = arguments[:3]
    log = Paths(Path(root)).task_log(int(number), int(block))
    with log.open("ab") as said:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env=os.environ | environment,
            check=False,
        )
    return done.returncode


def _slots(section: RaySection, nodes: Sequence[Mapping[str, Any]]) -> int:
    """Return how many tasks run at a time on the nodes that are alive: none is spread over two.

    Raises:
        ConfigError: no node can hold one.
    """
    asked = {"GPU": section.num_gpus, "CPU": section.num_cpus} if section.num_gpus else {"CPU": section.num_cpus}
    alive: list[Mapping[str, float]] = [node["Resources"] for node in nodes if node["Alive"]]
    slots = sum(min(int(has.get(kind, 0) / each) for kind, each in asked.items()) for has in alive)
    if not slots:
        largest = max(alive, key=lambda has: [has.get(kind, 0) for kind in asked], default={})
        raise ConfigError(
            f"no node of this Ray cluster can run a task of {_cpus_and_gpus(section.num_cpus, section.num_gpus)}: "
            f"the largest has {_cpus_and_gpus(largest.get('CPU', 0), largest.get('GPU', 0))}"
        )
    return slots


def _cpus_and_gpus(cpus: float, gpus: float) -> str:
    return f"{cpus:g} CPU{'s' * (cpus != 1)} and {gpus:g} GPU{'s' * (gpus != 1)}"


class _Head:
    """The head node, while a run goes on.

    Ray tells nobody that it is gone: tasks are waited for as before, until Ray ends the process that waits. Where the
    node that this process is connected to dies with it, Ray does so at once, and there is nothing to catch.
    """

    def __init__(self, address: str, ray: Any) -> None:
        self._address = address if _is_host_and_port(address) else ray.get_runtime_context().gcs_address
        self._last, self._misses = time.monotonic(), 0

    def check(self) -> None:
        """Look whether it still takes connections, if the last look is a while ago.

        Raises:
            RunFailedError: it has not for several looks.
        """
        if time.monotonic() - self._last < _KNOCK:
            return
        self._last = time.monotonic()
        try:
            _knock(self._address, _BEAT)
            self._misses = 0
        except OSError as error:
            self._misses += 1
            if self._misses >= _MISSES:
                raise RunFailedError(
                    f"Ray's head node at {printable(self._address, 100)} is gone; "
                    "`tinfl resume` goes on from the records"
                ) from error


class _Driver:
    """The life of one run in this process."""

    def __init__(
        self,
        request: Request,
        paths: Paths,
        observer: Observer,
        asked: StopSignals,
        extender: PlanExtender,
        ray: Any,
        slots: int,
    ) -> None:
        self._request, self._paths, self._observer, self._asked, self._ray = request, paths, observer, asked, ray
        section = request.config.compute.ray
        self._planner = Planner(request, extender, observer.beat, slots=slots)
        options = {"num_cpus": section.num_cpus, "num_gpus": section.num_gpus, "max_retries": RETRIES}
        self._train = ray.remote(**options)(train_task)
        self._events = EventTail(paths)
        self._head = _Head(request.config.compute.ray.address, ray)
        self._is_under_way = False

    def run(self) -> Heartbeat:
        """Go from round to round."""
        try:
            following = self._planner.step(first=True)
            while following.round is not None:
                self._run_round(following.round, following.heartbeat)
                following = self._planner.step(first=False)
        except TinflError as error:
            self._planner.failed(error)
            raise
        return following.heartbeat

    def _run_round(self, planned: Round, heartbeat: Heartbeat) -> None:
        pending = [self._submit(planned, block) for block in range(len(planned.blocks))]
        began = last_beat = time.time()
        trained = 0
        if not self._is_under_way:
            self._is_under_way = True
            self._observer.under_way(heartbeat)
        while pending:
            ended, pending = self._ray.wait(pending, num_returns=len(pending), timeout=_BEAT / 2)
            for task in ended:
                with suppress(self._ray.exceptions.RayError):  # what it left undone is in the next round
                    self._ray.get(task)
            level = self._stop_level()
            if level is not StopLevel.NO:
                for task in pending:  # without force: those that have not begun
                    self._ray.cancel(task, force=level is StopLevel.AT_ONCE)
            if time.time() - last_beat < _BEAT:
                continue
            self._head.check()
            last_beat = time.time()
            trained += sum(event["event"] == "model" for event in self._events.read() if event["time"] > began)
            left = max(0, heartbeat.total - heartbeat.done - heartbeat.failed - trained)
            rate = 3600 * trained / (last_beat - began)
            seconds = 3600 * left / rate if rate else 0.0
            warnings = [*heartbeat.warnings, *self._waiting(planned, last_beat - began)]
            now = replace(
                heartbeat,
                state=State.RUNNING if level is StopLevel.NO else State.STOPPING,
                time=last_beat,
                done=heartbeat.done + trained,
                models_per_hour=rate,
                eta=(seconds, seconds, seconds) if rate else None,
                warnings=with_node_warnings(warnings, self._paths),
            )
            write_heartbeat(self._paths, now, durable=False)
            self._observer.beat(now)

    def _submit(self, planned: Round, block: int) -> Any:
        arguments = [str(self._paths.root), str(planned.number), str(block)]
        if self._request.allow_code:
            arguments.append("--allow-code")
        environment = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
        environment["TINFL_CPUS"] = str(max(1, int(self._request.config.compute.ray.num_cpus)))
        return self._train.remote(arguments, environment)

    def _waiting(self, planned: Round, seconds: float) -> list[str]:
        """Return a warning about a round that waits for so long without any task that has opened its log."""
        tasks = len(planned.blocks)
        if seconds < _PATIENCE or any(self._paths.task_log(planned.number, block).exists() for block in range(tasks)):
            return []
        return [f"Ray has started 0 of {pluralize(tasks, 'task')} yet: its resources are taken, or gone"]

    def _stop_level(self) -> StopLevel:
        """Return how urgently the run is asked to stop; a signal to this process is passed on by the stop file."""
        level = stop_request(self._paths)
        while level < self._asked.level:
            level = request_stop(self._paths)
        return level
