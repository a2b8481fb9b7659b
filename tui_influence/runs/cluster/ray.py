"""Runs on Ray: a supervisor on this machine, and the tasks of its rounds on a Ray cluster.

Ray needs a driver that lives, so unlike on Slurm there is a supervisor, in the background as for a run of this machine;
it owns the run, plans its rounds and writes its heartbeat, and trains nothing. A task starts the same program as on
Slurm, `runs.cluster.task`, in a separate process with the GPUs that Ray allocated to it. When a node is lost Ray starts
the task again elsewhere (`max_retries`); rows that are recorded are not trained again. Ray is an optional dependency.
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

from tui_influence.config.compute import RaySection
from tui_influence.errors import ConfigError, RunFailedError, TinflError
from tui_influence.runs.cluster.planner import Planner
from tui_influence.runs.cluster.rounds import Round
from tui_influence.runs.cluster.trusted_commands import check_trusted, record_trust
from tui_influence.runs.control import StopLevel, StopSignals, clear_stop, request_stop, stop_request, stop_signals
from tui_influence.runs.heartbeat import ACTIVE, Heartbeat, State, observe, with_node_warnings, write_heartbeat
from tui_influence.runs.ownership import Ownership, already_running
from tui_influence.runs.prepare import PlanExtender, extend_arms
from tui_influence.runs.supervisor import Observer, PlanForecaster, Request, no_forecast
from tui_influence.store.events import EventTail
from tui_influence.store.files import make_directory
from tui_influence.store.paths import Paths
from tui_influence.store.results_directory import make_results_directory
from tui_influence.text import pluralize, printable

MAX_RETRIES = 5
"""How often Ray starts a task again whose node was lost."""
_HEARTBEAT_INTERVAL = 1.0
_WAITING_WARNING = 60.0
"""Seconds without any started task after which the user is warned."""
_HEAD_CHECK_INTERVAL = 5.0
"""Seconds between two checks whether the head node is still there."""
_MAX_HEAD_FAILURES = 4
"""Failed checks in a row after which the head node counts as gone: sooner than Ray, which waits for 60 s and then ends
this process without a message."""
_CONNECT = "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False); print('connected')"
_EXPORTED = ("TINFL_CACHE", "TINFL_CONFIG", "TINFL_COMPACT_AFTER")


def supervise(
    request: Request, observer: Observer, extender: PlanExtender, forecaster: PlanForecaster = no_forecast
) -> Heartbeat:
    """Execute a run on Ray until it is done, stopped or failed.

    Args:
        request: the run.
        observer: gets the progress.
        extender: returns an extended plan once all of the present one is done.
        forecaster: called once a round.

    Returns:
        the last heartbeat.

    Raises:
        AlreadyRunningError: another supervisor owns it.
        ConfigError: no node of this cluster can hold a task; nothing was started.
        TinflError: Ray is not installed or does not answer, or the run failed.
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
        with Ownership(paths), stop_signals() as signals:
            clear_stop(paths)
            paths.jobs.unlink(missing_ok=True)
            if request.pruning is not None:
                extend_arms(paths, request.pruning)
            return _Driver(request, paths, observer, signals, extender, forecaster, ray, slots).run()
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
    timed_out = RunFailedError(f"no answer from the Ray head node {where} within {section.connect_seconds:g} s")
    if _is_host_and_port(section.address):
        try:
            _check_reachable(section.address, section.connect_seconds)
        except (OSError, OverflowError, ValueError) as error:
            if isinstance(error, TimeoutError) and error.errno is None:
                raise timed_out from error
            strerror = error.strerror if isinstance(error, OSError) else None
            reason = printable((strerror or str(error)).lower(), 200)
            raise RunFailedError(f"no answer from the Ray head node {where}: {reason}") from error
    # First in another process: a connection to something that is not a head node may block for ever, or abort.
    try:
        command = [sys.executable, "-P", "-c", _CONNECT, section.address]
        process = subprocess.run(
            command, capture_output=True, text=True, timeout=section.connect_seconds, check=False, errors="replace"
        )
    except subprocess.TimeoutExpired as error:
        raise timed_out from error
    if "connected" not in process.stdout:
        lines = [line for line in process.stderr.splitlines() if line.strip()]
        raise RunFailedError(f"Ray at {where} refuses: {printable(lines[-1], 300) if lines else 'no reason given'}")
    ray = importlib.import_module("ray")
    ray.init(address=section.address, log_to_driver=False, logging_level="ERROR")
    return ray


def _is_host_and_port(address: str) -> bool:
    host, _, port = address.rpartition(":")
    return bool(host) and port.isdecimal()


def _check_reachable(address: str, seconds: float) -> None:
    """Check that something at this host and port accepts a connection.

    Raises:
        OSError: nothing does; a TimeoutError without an errno if that took so many seconds.
        OverflowError: there is no such port.
        ValueError: there can be no such host.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    socket.create_connection((host, int(port)), seconds).close()


def train_task(arguments: list[str], environment: dict[str, str]) -> int:
    """Train a task in a separate process, on the node that Ray chose; return its exit code.

    Ray interrupts a task when it is cancelled. Unless it is cancelled by force this one continues, and sees the stop
    file by itself.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    command = [sys.executable, "-P", "-m", "tui_influence.runs.cluster.task", *arguments]
    root, number, task = arguments[:3]
    path = Paths(Path(root)).task_log(int(number), int(task))
    with path.open("ab") as log:
        process = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | environment,
            check=False,
        )
    return process.returncode


def _slots(section: RaySection, nodes: Sequence[Mapping[str, Any]]) -> int:
    """Return how many tasks run at a time on the nodes that are alive; a task does not span two nodes.

    Raises:
        ConfigError: no node can hold a task.
    """
    required = {"GPU": section.num_gpus, "CPU": section.num_cpus} if section.num_gpus else {"CPU": section.num_cpus}
    alive: list[Mapping[str, float]] = [node["Resources"] for node in nodes if node["Alive"]]
    slots = sum(min(int(node.get(kind, 0) / amount) for kind, amount in required.items()) for node in alive)
    if not slots:
        largest = max(alive, key=lambda node: [node.get(kind, 0) for kind in required], default={})
        raise ConfigError(
            f"no node of this Ray cluster can run a task of {_cpus_and_gpus(section.num_cpus, section.num_gpus)}: "
            f"the largest has {_cpus_and_gpus(largest.get('CPU', 0), largest.get('GPU', 0))}"
        )
    return slots


def _cpus_and_gpus(cpus: float, gpus: float) -> str:
    return f"{cpus:g} CPU{'s' * (cpus != 1)} and {gpus:g} GPU{'s' * (gpus != 1)}"


class _HeadNode:
    """A check of the head node, for as long as a run lasts.

    Ray does not report that it is gone: tasks are waited for as before, until Ray ends the waiting process. If the node
    that this process is connected to dies together with it, Ray does so at once, and there is nothing to catch.
    """

    def __init__(self, address: str, ray: Any) -> None:
        self._address = address if _is_host_and_port(address) else ray.get_runtime_context().gcs_address
        self._last_check, self._failures = time.monotonic(), 0

    def check(self) -> None:
        """Check that it accepts connections, if the last check was a while ago.

        Raises:
            RunFailedError: several checks in a row have failed.
        """
        if time.monotonic() - self._last_check < _HEAD_CHECK_INTERVAL:
            return
        self._last_check = time.monotonic()
        try:
            _check_reachable(self._address, _HEARTBEAT_INTERVAL)
            self._failures = 0
        except OSError as error:
            self._failures += 1
            if self._failures >= _MAX_HEAD_FAILURES:
                raise RunFailedError(
                    f"Ray's head node at {printable(self._address, 100)} is gone; run `tinfl resume` to continue"
                ) from error


class _Driver:
    """The life of one run in this process."""

    def __init__(
        self,
        request: Request,
        paths: Paths,
        observer: Observer,
        signals: StopSignals,
        extender: PlanExtender,
        forecaster: PlanForecaster,
        ray: Any,
        slots: int,
    ) -> None:
        self._request, self._paths, self._observer, self._signals, self._ray = request, paths, observer, signals, ray
        section = request.config.compute.ray
        self._planner = Planner(request, extender, observer.beat, slots=slots, forecaster=forecaster)
        options = {"num_cpus": section.num_cpus, "num_gpus": section.num_gpus, "max_retries": MAX_RETRIES}
        self._train = ray.remote(**options)(train_task)
        self._events = EventTail(paths)
        self._head = _HeadNode(request.config.compute.ray.address, ray)
        self._is_under_way = False

    def run(self) -> Heartbeat:
        """Execute one round after the other."""
        try:
            following = self._planner.step(first=True)
            while following.round is not None:
                self._run_round(following.round, following.heartbeat)
                following = self._planner.step(first=False)
        except TinflError as error:
            self._planner.record_failure(error)
            raise
        return following.heartbeat

    def _run_round(self, planned: Round, heartbeat: Heartbeat) -> None:
        pending = [self._submit(planned, task) for task in range(len(planned.tasks))]
        began = last_beat = time.time()
        trained = 0
        if not self._is_under_way:
            self._is_under_way = True
            self._observer.under_way(heartbeat)
        while pending:
            ended, pending = self._ray.wait(pending, num_returns=len(pending), timeout=_HEARTBEAT_INTERVAL / 2)
            for reference in ended:
                with suppress(self._ray.exceptions.RayError):  # what it left undone is in the next round
                    self._ray.get(reference)
            level = self._stop_level()
            if level is not StopLevel.NO:
                for reference in pending:  # without force: those that have not begun
                    self._ray.cancel(reference, force=level is StopLevel.AT_ONCE)
            if time.time() - last_beat < _HEARTBEAT_INTERVAL:
                continue
            self._head.check()
            last_beat = time.time()
            trained += sum(event["event"] == "model" for event in self._events.read() if event["time"] > began)
            left = max(0, heartbeat.total - heartbeat.done - heartbeat.failed - trained)
            rate = 3600 * trained / (last_beat - began)
            seconds = 3600 * left / rate if rate else 0.0
            warnings = [*heartbeat.warnings, *self._waiting_warnings(planned, last_beat - began)]
            current = replace(
                heartbeat,
                state=State.RUNNING if level is StopLevel.NO else State.STOPPING,
                time=last_beat,
                done=heartbeat.done + trained,
                models_per_hour=rate,
                eta=(seconds, seconds, seconds) if rate else None,
                warnings=with_node_warnings(warnings, self._paths),
            )
            write_heartbeat(self._paths, current, durable=False)
            self._observer.beat(current)

    def _submit(self, planned: Round, task: int) -> Any:
        arguments = [str(self._paths.root), str(planned.number), str(task)]
        if self._request.allow_code:
            arguments.append("--allow-code")
        environment = {key: os.environ[key] for key in _EXPORTED if key in os.environ}
        environment["TINFL_CPUS"] = str(max(1, int(self._request.config.compute.ray.num_cpus)))
        return self._train.remote(arguments, environment)

    def _waiting_warnings(self, planned: Round, seconds: float) -> list[str]:
        """Return a warning about a round of which no task has opened its log for that long."""
        tasks = len(planned.tasks)
        if seconds < _WAITING_WARNING:
            return []
        if any(self._paths.task_log(planned.number, task).exists() for task in range(tasks)):
            return []
        return [f"Ray has started 0 of {pluralize(tasks, 'task')} yet: its resources are taken, or gone"]

    def _stop_level(self) -> StopLevel:
        """Return how urgently the run is to stop; a signal to this process is passed on by the stop file."""
        level = stop_request(self._paths)
        while level < self._signals.level:
            level = request_stop(self._paths)
        return level
