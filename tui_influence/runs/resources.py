"""What NVIDIA's driver tells about CUDA devices, by NVML.

Every value is optional: a driver that is missing, does not support a question or has lost its GPU answers with None.
NVML counts GPUs in the order of their bus, as `worker_environment` makes CUDA do, and knows nothing of
CUDA_VISIBLE_DEVICES: that is read here as CUDA reads it.

What a run's devices and workers are doing: how busy, how much memory, how warm.

A thread measures, and the supervisor takes the last reading. A driver that no longer answers, as when a GPU has fallen
off its bus, so costs a run its gauges and never a model. One reading costs 0.06 ms a worker (measured).
"""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import psutil

from tui_influence.runs.devices import cpu_cores
from tui_influence.runs.heartbeat import DeviceState, WorkerState


@dataclass(frozen=True)
class _Gpu:
    """A GPU, or a slice of one, by its NVML handle; `chip` is the whole GPU, which alone is warm and draws power."""

    handle: Any
    chip: Any


class Nvml:
    """NVML, initialised once."""

    def __init__(self) -> None:
        self._nvml: Any = None
        self._gpus: dict[str, _Gpu | None] = {}
        try:
            import pynvml  # here, because a sweep on the CPU does not need it
        except ImportError:
            return
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError:
            return
        self._nvml = pynvml

    def close(self) -> None:
        """Let go of the driver."""
        if self._nvml is not None:
            self._told(self._nvml.nvmlShutdown)
            self._nvml = None

    def read(self, device: str) -> DeviceState:
        """Return what the driver tells about a device by torch's name for it: "cuda" or "cuda:1"."""
        nvml = self._nvml
        if nvml is None:
            return DeviceState(device)
        if device not in self._gpus:
            self._gpus[device] = self._find(device)
        gpu = self._gpus[device]
        if gpu is None:
            return DeviceState(device)
        load = self._told(nvml.nvmlDeviceGetUtilizationRates, gpu.handle)
        memory = self._told(nvml.nvmlDeviceGetMemoryInfo, gpu.handle)
        milliwatts = self._told(nvml.nvmlDeviceGetPowerUsage, gpu.chip)
        return DeviceState(
            device,
            name=self._told(nvml.nvmlDeviceGetName, gpu.handle) or "",
            utilisation=None if load is None else load.gpu / 100,
            memory_used=None if memory is None else memory.used,
            memory_total=None if memory is None else memory.total,
            temperature=self._told(nvml.nvmlDeviceGetTemperature, gpu.chip, nvml.NVML_TEMPERATURE_GPU),
            power=None if milliwatts is None else milliwatts / 1000,
        )

    def _find(self, device: str) -> _Gpu | None:
        nvml = self._nvml
        wanted = _visible(int(device.partition(":")[2] or 0))
        if wanted.isdecimal():
            handle = self._told(nvml.nvmlDeviceGetHandleByIndex, int(wanted))
        elif wanted.startswith("MIG-"):
            handle = self._told(nvml.nvmlDeviceGetHandleByUUID, wanted)
        else:
            handle = self._find_by_uuid(wanted) if wanted else None
        if handle is None:
            return None
        chip = self._told(nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle, handle) if "MIG-" in wanted else handle
        return _Gpu(handle, handle if chip is None else chip)

    def _find_by_uuid(self, start: str) -> Any:
        """Return the GPU whose UUID starts so: CUDA takes as much of one as tells it from the others."""
        for index in range(self._told(self._nvml.nvmlDeviceGetCount) or 0):
            handle = self._told(self._nvml.nvmlDeviceGetHandleByIndex, index)
            if handle is not None and (self._told(self._nvml.nvmlDeviceGetUUID, handle) or "").startswith(start):
                return handle
        return None

    def _told(self, ask: Callable[..., Any], *arguments: Any) -> Any:
        """Return an answer of the driver; None where it has none."""
        try:
            return ask(*arguments)
        except self._nvml.NVMLError:
            return None


def _visible(index: int) -> str:
    """Return the bus index or UUID of the GPU that CUDA gives a number; "" if there is none."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return str(index)
    names = [name.strip() for name in chosen.split(",")]
    return names[index] if index < len(names) else ""


SAMPLE_INTERVAL = 2.0
"""Seconds between readings."""
SAMPLE_EXPIRY = 3 * SAMPLE_INTERVAL
"""Seconds after which a reading is not shown any more."""
_PATIENCE = 1.0


@dataclass(frozen=True)
class ProcessUsage:
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
class ResourceSample:
    """Devices by name and processes by pid, at a time of the monotonic clock."""

    time: float = 0.0
    devices: Mapping[str, DeviceState] = field(default_factory=dict)
    processes: Mapping[int, ProcessUsage] = field(default_factory=dict)


class ResourceSampler:
    """Measures; whoever has one closes it."""

    def __init__(self) -> None:
        self._nvml: Nvml | None = None
        self._known: dict[int, tuple[psutil.Process, float, float]] = {}

    def sample(self, workers: Sequence[WorkerState]) -> ResourceSample:
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
        return ResourceSample(time.monotonic(), devices, processes)

    def close(self) -> None:
        """Let go of the driver."""
        if self._nvml is not None:
            self._nvml.close()

    def _usage(self, pid: int) -> ProcessUsage | None:
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
        return ProcessUsage(cpu, memory.rss, getattr(memory, "shared", 0))


class ResourceMonitor:
    """The last reading of a meter that runs in a thread, from the first worker on."""

    def __init__(self) -> None:
        self._reading = ResourceSample()
        self._workers: Sequence[WorkerState] = ()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def with_usage(self, workers: Sequence[WorkerState]) -> tuple[list[DeviceState], list[WorkerState]]:
        """Return the devices of these workers, and the workers with what they use, as far as is known by now."""
        self._workers = workers
        if self._thread is None and workers and not self._closed.is_set():
            # A daemon: a driver that does not answer must not keep the supervisor from ending.
            self._thread = threading.Thread(target=self._measure, name="tinfl-gauges", daemon=True)
            self._thread.start()
        reading = self._reading
        if time.monotonic() - reading.time > SAMPLE_EXPIRY:
            reading = ResourceSample()
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
        with closing(ResourceSampler()) as meter:
            while True:
                self._reading = meter.sample(self._workers)
                if self._closed.wait(SAMPLE_INTERVAL):
                    return


def _cpu(device: str, usages: Sequence[ProcessUsage]) -> DeviceState:
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
