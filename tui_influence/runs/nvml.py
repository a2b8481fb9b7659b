"""What NVIDIA's driver tells about CUDA devices, by NVML.

Every value is optional: a driver that is missing, does not support a question or has lost its GPU answers with None.
NVML counts GPUs in the order of their bus, as `worker_environment` makes CUDA do, and knows nothing of
CUDA_VISIBLE_DEVICES: that is read here as CUDA reads it.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tui_influence.runs.heartbeat import DeviceState


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
