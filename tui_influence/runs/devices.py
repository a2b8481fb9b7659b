"""The devices that a run's workers use, detected without loading torch into the supervisor."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from tui_influence.config.compute import ComputeSection
from tui_influence.config.schema import Config
from tui_influence.errors import DeviceError
from tui_influence.host_memory import available_host_memory
from tui_influence.text import pluralize, printable
from tui_influence.training.cuda import CudaProbe, from_json

MAX_WORKERS_PER_GPU = 8
"""Where the config leaves the number open, `autotune` chooses it between 1 and this."""

_HOST_BYTES = {"cpu": 1 << 30, "cuda": 5 << 29}
"""Memory of the machine that a worker takes: torch and a ResNet-18 at 56 pixels; with a GPU, also CUDA's libraries."""
_PROBE_TIMEOUT = 300.0
"""Seconds that torch may take to list its devices: loading it from a cold file system is slow."""
_DRIVER_FILES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg")
"""Present where the kernel has a driver for an NVIDIA GPU (the last: Windows' subsystem for Linux)."""
_GPU_FILES = ("/dev/nvidia[0-9]*", "/dev/dxg")


def ignore_warning(text: str) -> None:
    """Ignore a warning."""


def cpu_cores() -> int:
    """Return how many cores this process may use; in a cluster task, at most those allocated to it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    allocated = os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("TINFL_CPUS", "")
    return min(cores, int(allocated)) if allocated.isdigit() and int(allocated) else cores


def node_name() -> str:
    """Return the name of this machine on its cluster."""
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


@cache
def probe_cuda() -> CudaProbe:
    """List torch's CUDA devices, in a separate process and once; an empty list at once where there is no driver."""
    if not (any(Path(file).exists() for file in _DRIVER_FILES) or shutil.which("nvidia-smi")):
        return CudaProbe(reason="no NVIDIA driver here")
    line, reason = _last_line_of_probe("cuda")
    if reason:
        return CudaProbe(reason=reason)
    try:
        return from_json(line)
    except ValueError:
        return CudaProbe(reason="cannot run torch: no message")


@cache
def mps_reason() -> str:
    """Return why torch cannot use the GPU of a Mac, from a separate process and once; empty if it can."""
    if sys.platform != "darwin":
        return "this is not a Mac"
    line, reason = _last_line_of_probe("mps")
    try:
        return reason or str(json.loads(line)["reason"])
    except (ValueError, KeyError, TypeError):
        return "cannot run torch: no message"


def _last_line_of_probe(kind: str) -> tuple[str, str]:
    """Run the probe of a kind of device: return the last line of its output, a JSON object, or why there is none."""
    command = [sys.executable, "-P", "-m", f"tui_influence.training.{kind}"]
    try:
        process = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PROBE_TIMEOUT,
            check=False,
            stdin=subprocess.DEVNULL,
            env=os.environ | worker_environment(kind),  # GPUs are numbered as workers see them
        )
    except subprocess.TimeoutExpired:
        return "", f"torch did not answer within {_PROBE_TIMEOUT:.0f} s"
    except OSError as error:
        return "", f"cannot run torch: {error.strerror}"
    lines = process.stdout.strip().splitlines()
    if lines and lines[-1].startswith("{"):
        return lines[-1], ""
    last = (process.stderr.strip().splitlines() or ["no message"])[-1]
    return "", f"cannot run torch: {printable(last, 200)}"


def has_unusable_gpu(probe: CudaProbe) -> bool:
    """Whether this machine has a GPU, not hidden by CUDA_VISIBLE_DEVICES, that torch cannot use for a stated reason."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1", "NoDevFiles")
    present = any(list(Path("/").glob(pattern.lstrip("/"))) for pattern in _GPU_FILES)
    return bool(probe.reason) and not probe.devices and present and not hidden


def with_devices(config: Config, devices: list[str] | str | None) -> Config:
    """Return the config with these devices instead of its own; None leaves it unchanged."""
    if devices is None:
        return config
    return config.model_copy(update={"compute": config.compute.model_copy(update={"devices": devices})})


def worker_devices(compute: ComputeSection, gpus: int = 0, warn: Callable[[str], None] = ignore_warning) -> list[str]:
    """Return the device of each worker that a run starts with.

    Args:
        compute: the config section that names the devices.
        gpus: number of GPUs allocated to this cluster task; if they cannot be used, training on the CPU is an error.
        warn: called with a warning for each device that is left out.

    Raises:
        DeviceError: the config names an invalid device, or no device can be used.
    """
    devices = _all_devices(gpus, warn) if compute.devices == "auto" else _usable_devices(list(compute.devices), warn)
    workers = {device: _initial_workers(device, compute) for device in devices}
    if compute.workers_per_device == "auto" and workers.get("cpu", 1) > 1:
        fitting = max(1, available_host_memory() // _HOST_BYTES["cpu"])
        if fitting < workers["cpu"]:
            warn(
                f"{pluralize(fitting, 'worker')} on {workers['cpu']} cores: more would not fit into the memory that is "
                "free ([compute] workers_per_device sets another number)"
            )
            workers["cpu"] = fitting
    # Round robin, so that a plan shorter than the list still uses every device.
    return [device for turn in range(max(workers.values())) for device in devices if turn < workers[device]]


def max_workers(device: str, compute: ComputeSection) -> int:
    """Return how many workers `autotune` may give a device; 1 where their number is fixed.

    They fit into the machine's memory if as many use each of its other devices.
    """
    if compute.workers_per_device != "auto" or device in ("cpu", "mps"):
        return 1
    n_devices = max(1, len(probe_cuda().devices)) if compute.devices == "auto" else len(compute.devices)
    fitting = available_host_memory() // (_HOST_BYTES["cuda"] * n_devices)
    return max(1, min(MAX_WORKERS_PER_GPU, cpu_cores(), fitting))


def _initial_workers(device: str, compute: ComputeSection) -> int:
    if compute.workers_per_device != "auto":
        return compute.workers_per_device
    return max(1, cpu_cores() // compute.threads) if device == "cpu" else 1


def _all_devices(gpus: int, warn: Callable[[str], None]) -> list[str]:
    """Return every usable CUDA device, or the CPU if there is none."""
    probe = probe_cuda()
    reasons = {index: device.reason for index, device in enumerate(probe.devices) if device.reason}
    usable = [f"cuda:{index}" for index in range(len(probe.devices)) if index not in reasons]
    if len(usable) < gpus:
        why = "; ".join([probe.reason, *(f"cuda:{index}: {reason}" for index, reason in reasons.items())]).strip("; ")
        available = f"torch can use {len(usable) or 'none'}" + (f" ({printable(why, 300)})" if why else "")
        raise DeviceError(f"the config requests {pluralize(gpus, 'GPU')} per task, but {available} on {node_name()}")
    for index, reason in reasons.items():
        warn(f"cuda:{index} is not used: {printable(reason, 300)}")
    if has_unusable_gpu(probe):
        warn(f"training on the CPU: torch cannot use the GPU of this machine: {printable(probe.reason, 300)}")
    return usable or ["cpu"]


def _usable_devices(devices: list[str], warn: Callable[[str], None]) -> list[str]:
    """Return the named devices that can be used."""
    if not devices:
        raise DeviceError('compute.devices is empty: name at least one device, or use "auto"')
    reasons = {device: reason for device in devices if (reason := _reason_against(device))}
    refusals = [f'"{device}" cannot be used: {printable(reason, 300)}' for device, reason in reasons.items()]
    if len(reasons) == len(set(devices)):
        raise DeviceError(f"compute.devices: {'; '.join(refusals)}")
    for refusal in refusals:
        warn(f"compute.devices: {refusal}; training on the others")
    return [device for device in devices if device not in reasons]


def _reason_against(device: str) -> str:
    """Return why a device cannot be used; empty if it can."""
    kind, _, index = device.partition(":")
    if kind == "cpu" and not index:
        return ""
    if device == "mps":
        return mps_reason()
    if kind != "cuda" or (index and not (index.isascii() and index.isdigit() and len(index) < 4)):
        raise DeviceError(f'compute.devices: "{device}" is not a device; use "cpu", "cuda", "cuda:0" or "mps"')
    return probe_cuda().unusable_reason(int(index or 0))


_ALLOCATOR_AND_THREADS = {
    # Let the allocator keep its pages and use huge ones: activations are freed and allocated again at every step,
    # and otherwise each step pays for the page faults.
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "MALLOC_TOP_PAD_": "268435456",
    # Workers share the machine: an idle OpenMP thread must sleep, not spin on a core that another worker needs.
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
}

_CUDA = {
    # cuBLAS is deterministic over several streams only with a workspace of fixed size.
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    # Number the GPUs as nvidia-smi and NVML do; by default CUDA puts the fastest first.
    "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
}

_OF_KIND = {
    "cuda": _CUDA,
    # Let the CPU compute what the GPU of a Mac has no kernel for.
    "mps": {"PYTORCH_ENABLE_MPS_FALLBACK": "1"},
}


def worker_environment(device: str, threads: int = 1) -> dict[str, str]:
    """Return the environment variables that a worker must start with; they have no effect once it runs.

    Args:
        device: "cpu", "mps", "cuda" or "cuda:0".
        threads: threads of the worker.
    """
    counts = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    of_kind = _OF_KIND.get(device.partition(":")[0], {})
    return {**_ALLOCATOR_AND_THREADS, **counts, **of_kind}
