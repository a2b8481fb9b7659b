"""Use of devices and workers: utilisation, memory, temperature and power.

CUDA devices are read through NVML. Every value is optional: where the driver is missing, does not support a question or
has lost its GPU, it is None. NVML numbers GPUs by bus, as `worker_environment` makes CUDA do, but ignores
CUDA_VISIBLE_DEVICES, so that variable is interpreted here as CUDA does.

A thread samples, and the supervisor reads the latest sample. So a driver that stops answering, as when a GPU falls off
its bus, costs a run its measurements and never a model. A sample costs 0.06 ms per worker (measured).
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

SAMPLE_INTERVAL = 2.0
"""Seconds between samples."""
SAMPLE_EXPIRY = 3 * SAMPLE_INTERVAL
"""Seconds after which a sample is no longer shown."""
_JOIN_TIMEOUT = 1.0
"""Seconds to wait for the sampling thread when the monitor is closed."""


@dataclass(frozen=True)
class _Gpu:
    """A GPU or a MIG slice, by NVML handle; `chip` is the whole GPU, which alone reports temperature and power."""

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
        """Shut NVML down."""
        if self._nvml is not None:
            self._query(self._nvml.nvmlShutdown)
            self._nvml = None

    def read(self, device: str) -> DeviceState:
        """Return the driver's values for a device by its torch name: "cuda" or "cuda:1"."""
        nvml = self._nvml
        if nvml is None:
            return DeviceState(device)
        if device not in self._gpus:
            self._gpus[device] = self._find(device)
        gpu = self._gpus[device]
        if gpu is None:
            return DeviceState(device)
        load = self._query(nvml.nvmlDeviceGetUtilizationRates, gpu.handle)
        memory = self._query(nvml.nvmlDeviceGetMemoryInfo, gpu.handle)
        milliwatts = self._query(nvml.nvmlDeviceGetPowerUsage, gpu.chip)
        return DeviceState(
            device,
            name=self._query(nvml.nvmlDeviceGetName, gpu.handle) or "",
            utilisation=None if load is None else load.gpu / 100,
            memory_used=None if memory is None else memory.used,
            memory_total=None if memory is None else memory.total,
            temperature=self._query(nvml.nvmlDeviceGetTemperature, gpu.chip, nvml.NVML_TEMPERATURE_GPU),
            power=None if milliwatts is None else milliwatts / 1000,
        )

    def _find(self, device: str) -> _Gpu | None:
        nvml = self._nvml
        name = _nvml_name(int(device.partition(":")[2] or 0))
        if name.isdecimal():
            handle = self._query(nvml.nvmlDeviceGetHandleByIndex, int(name))
        elif name.startswith("MIG-"):
            handle = self._query(nvml.nvmlDeviceGetHandleByUUID, name)
        else:
            handle = self._find_by_uuid(name) if name else None
        if handle is None:
            return None
        chip = self._query(nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle, handle) if "MIG-" in name else handle
        return _Gpu(handle, handle if chip is None else chip)

    def _find_by_uuid(self, prefix: str) -> Any:
        """Return the GPU whose UUID has this prefix: CUDA accepts any unambiguous prefix."""
        for index in range(self._query(self._nvml.nvmlDeviceGetCount) or 0):
            handle = self._query(self._nvml.nvmlDeviceGetHandleByIndex, index)
            if handle is not None and (self._query(self._nvml.nvmlDeviceGetUUID, handle) or "").startswith(prefix):
                return handle
        return None

    def _query(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function of NVML; None where it fails."""
        try:
            return function(*arguments)
        except self._nvml.NVMLError:
            return None


def _nvml_name(index: int) -> str:
    """Return the bus index or UUID of the GPU with this CUDA index; "" if there is none."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return str(index)
    names = [name.strip() for name in visible.split(",")]
    return names[index] if index < len(names) else ""


@dataclass(frozen=True)
class ProcessUsage:
    """CPU and memory use of a process.

    Attributes:
        cpu: cores, since the previous sample; None in the first.
        resident: bytes of memory.
        shared: of these, bytes that other processes may share.
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
    """Takes samples; the caller closes it."""

    def __init__(self) -> None:
        self._nvml: Nvml | None = None
        self._previous: dict[int, tuple[psutil.Process, float, float]] = {}
        """By pid: the process, the time of its previous sample and the CPU seconds it had used by then."""

    def sample(self, workers: Sequence[WorkerState]) -> ResourceSample:
        """Measure the workers and the devices they use."""
        processes = {worker.pid: usage for worker in workers if (usage := self._usage(worker.pid)) is not None}
        self._previous = {pid: previous for pid, previous in self._previous.items() if pid in processes}
        devices = {}
        for device in dict.fromkeys(worker.device for worker in workers):
            if device.startswith("cuda"):
                self._nvml = self._nvml or Nvml()
                devices[device] = self._nvml.read(device)
            else:
                usages = [
                    processes[worker.pid] for worker in workers if worker.device == device and worker.pid in processes
                ]
                devices[device] = _cpu(device, usages)
        return ResourceSample(time.monotonic(), devices, processes)

    def close(self) -> None:
        """Shut NVML down."""
        if self._nvml is not None:
            self._nvml.close()

    def _usage(self, pid: int) -> ProcessUsage | None:
        try:
            previous = self._previous.get(pid)
            process = previous[0] if previous else psutil.Process(pid)
            with process.oneshot():
                times, memory = process.cpu_times(), process.memory_info()
        except psutil.Error:  # it has ended
            return None
        now, used = time.monotonic(), times.user + times.system
        cpu = max(used - previous[2], 0.0) / max(now - previous[1], 1e-3) if previous else None
        self._previous[pid] = (process, now, used)
        return ProcessUsage(cpu, memory.rss, getattr(memory, "shared", 0))


class ResourceMonitor:
    """The latest sample of a thread that runs from the first worker on."""

    def __init__(self) -> None:
        self._sample = ResourceSample()
        self._workers: Sequence[WorkerState] = ()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def with_usage(self, workers: Sequence[WorkerState]) -> tuple[list[DeviceState], list[WorkerState]]:
        """Return the devices of these workers, and the workers with their resource use as far as it is measured."""
        self._workers = workers
        if self._thread is None and workers and not self._closed.is_set():
            # A daemon: a driver that does not answer must not keep the supervisor from ending.
            self._thread = threading.Thread(target=self._measure, name="tinfl-resources", daemon=True)
            self._thread.start()
        sample = self._sample
        if time.monotonic() - sample.time > SAMPLE_EXPIRY:
            sample = ResourceSample()
        devices = dict.fromkeys(worker.device for worker in workers)
        return (
            [sample.devices.get(device, DeviceState(device)) for device in devices],
            [
                replace(worker, cpu=usage.cpu, memory=usage.resident)
                if (usage := sample.processes.get(worker.pid))
                else worker
                for worker in workers
            ],
        )

    def close(self) -> None:
        """Stop the thread."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(_JOIN_TIMEOUT)

    def _measure(self) -> None:
        with closing(ResourceSampler()) as sampler:
            while True:
                self._sample = sampler.sample(self._workers)
                if self._closed.wait(SAMPLE_INTERVAL):
                    return


def _cpu(device: str, usages: Sequence[ProcessUsage]) -> DeviceState:
    """Return the cores that this run may use, with the share of them that its workers use.

    Memory that workers may share (the packed images, the code of torch) is counted once.
    """
    cores = cpu_cores()
    busy = [usage.cpu for usage in usages if usage.cpu is not None]
    used = sum(usage.resident - usage.shared for usage in usages) + max((usage.shared for usage in usages), default=0)
    return DeviceState(
        device,
        name=f"{cores} core{'' if cores == 1 else 's'}",
        utilisation=min(sum(busy) / cores, 1.0) if busy else None,
        memory_used=used if usages else None,
        memory_total=psutil.virtual_memory().total,
    )
