"""What a run's devices and workers are doing: how busy, how much memory, how warm.

A thread measures, and the supervisor takes the last reading. A driver that no longer answers, as when a GPU has fallen
off its bus, so costs a run its gauges and never a model. One reading costs 0.06 ms a worker (measured).
"""

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

import psutil

from tui_influence.runs.devices import cpu_cores
from tui_influence.runs.heartbeat import DeviceState, WorkerState
from tui_influence.runs.nvml import Nvml

EVERY = 2.0
"""Seconds between readings."""
EXPIRY = 3 * EVERY
"""Seconds after which a reading is not shown any more."""
_PATIENCE = 1.0


@dataclass(frozen=True)
class Usage:
    """What a process uses.

    Attributes:
        cpu: cores, since the last reading; None at the first.
        resident: bytes of memory.
        shared: of these, bytes that other processes may have too.
    """

    cpu: float | None
    resident: int
    shared: int


@dataclass(frozen=True)
class Reading:
    """Devices by name and processes by pid, at a time of the monotonic clock."""

    time: float = 0.0
    devices: Mapping[str, DeviceState] = field(default_factory=dict)
    processes: Mapping[int, Usage] = field(default_factory=dict)


class Meter:
    """Measures; whoever has one closes it."""

    def __init__(self) -> None:
        self._nvml: Nvml | None = None
        self._known: dict[int, tuple[psutil.Process, float, float]] = {}

    def read(self, workers: Sequence[WorkerState]) -> Reading:
        """Measure the workers, and the devices they use."""
        processes = {worker.pid: usage for worker in workers if (usage := self._usage(worker.pid)) is not None}
        self._known = {pid: known for pid, known in self._known.items() if pid in processes}
        devices = {}
        for device in dict.fromkeys(worker.device for worker in workers):
            if device.startswith("cuda"):
                self._nvml = self._nvml or Nvml()
                devices[device] = self._nvml.read(device)
            else:
                here = [
                    processes[worker.pid] for worker in workers if worker.device == device and worker.pid in processes
                ]
                devices[device] = _cpu(device, here)
        return Reading(time.monotonic(), devices, processes)

    def close(self) -> None:
        """Let go of the driver."""
        if self._nvml is not None:
            self._nvml.close()

    def _usage(self, pid: int) -> Usage | None:
        try:
            known = self._known.get(pid)
            process = known[0] if known else psutil.Process(pid)
            with process.oneshot():
                times, memory = process.cpu_times(), process.memory_info()
        except psutil.Error:  # it has ended
            return None
        now, used = time.monotonic(), times.user + times.system
        cpu = max(used - known[2], 0.0) / max(now - known[1], 1e-3) if known else None
        self._known[pid] = (process, now, used)
        return Usage(cpu, memory.rss, getattr(memory, "shared", 0))


class Gauges:
    """The last reading of a meter that runs in a thread, from the first worker on."""

    def __init__(self) -> None:
        self._reading = Reading()
        self._workers: Sequence[WorkerState] = ()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def show(self, workers: Sequence[WorkerState]) -> tuple[list[DeviceState], list[WorkerState]]:
        """Return the devices of these workers, and the workers with what they use, as far as is known by now."""
        self._workers = workers
        if self._thread is None and workers and not self._closed.is_set():
            # A daemon: a driver that does not answer must not keep the supervisor from ending.
            self._thread = threading.Thread(target=self._measure, name="tinfl-gauges", daemon=True)
            self._thread.start()
        reading = self._reading
        if time.monotonic() - reading.time > EXPIRY:
            reading = Reading()
        devices = dict.fromkeys(worker.device for worker in workers)
        return (
            [reading.devices.get(device, DeviceState(device)) for device in devices],
            [
                replace(worker, cpu=usage.cpu, memory=usage.resident)
                if (usage := reading.processes.get(worker.pid))
                else worker
                for worker in workers
            ],
        )

    def close(self) -> None:
        """Measure no more."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(_PATIENCE)

    def _measure(self) -> None:
        with closing(Meter()) as meter:
            while True:
                self._reading = meter.read(self._workers)
                if self._closed.wait(EVERY):
                    return


def _cpu(device: str, usages: Sequence[Usage]) -> DeviceState:
    """The cores this run may use, as far as its workers use them.

    Memory that workers may have in common (the packed images, the code of torch) is counted once.
    """
    cores = cpu_cores()
    known = [usage.cpu for usage in usages if usage.cpu is not None]
    used = sum(usage.resident - usage.shared for usage in usages) + max((usage.shared for usage in usages), default=0)
    return DeviceState(
        device,
        name=f"{cores} core{'' if cores == 1 else 's'}",
        utilisation=min(sum(known) / cores, 1.0) if known else None,
        memory_used=used if usages else None,
        memory_total=psutil.virtual_memory().total,
    )
