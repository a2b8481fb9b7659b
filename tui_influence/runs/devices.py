"""Which devices a run's workers use, found out without loading torch into the supervisor."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from tui_influence.config.schema import ComputeSection, Config
from tui_influence.errors import DeviceError

MOST_WORKERS_PER_GPU = 8
"""Where the config leaves the number open, `tuning` finds it between 1 and this."""

_COUNT = "import torch; print(torch.cuda.device_count())"


def cpu_cores() -> int:
    """Return the cores this process may use: in a task of a cluster no more than it was given."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("TINFL_CPUS", "")
    return min(cores, int(given)) if given.isdigit() and int(given) else cores


def node() -> str:
    """Return what a cluster calls this machine."""
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


def cuda_devices() -> int:
    """Return how many CUDA devices torch sees; 0 at once where there is no driver."""
    if not (Path("/dev/nvidiactl").exists() or Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi")):
        return 0
    try:
        found = subprocess.run(
            [sys.executable, "-P", "-c", _COUNT], capture_output=True, text=True, timeout=120, check=False
        )
        return int(found.stdout.strip() or 0)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return 0


def with_devices(config: Config, devices: list[str] | str | None) -> Config:
    """Return the config with other devices than it names; None leaves them."""
    if devices is None:
        return config
    return config.model_copy(update={"compute": config.compute.model_copy(update={"devices": devices})})


def worker_devices(compute: ComputeSection, gpus: int = 0) -> list[str]:
    """Return the device of each worker to start with.

    Args:
        compute: which are asked for.
        gpus: that an engine gave this task, so that they are paid for; not to be passed over for the processor.

    Raises:
        DeviceError: a device is asked for that is not here.
    """
    if compute.devices == "auto":
        count = cuda_devices()
        if count < gpus:
            seen = f"torch sees {count}" if count else "torch sees none"
            raise DeviceError(f"{gpus} GPU{'' if gpus == 1 else 's'} a task were asked for, {seen} on {node()}")
        devices = [f"cuda:{index}" for index in range(count)] or ["cpu"]
    else:
        devices = list(compute.devices)
        _check(devices)
    workers = {device: _workers(device, compute) for device in devices}
    # Turn by turn, so that a plan shorter than the list still uses every device.
    return [device for turn in range(max(workers.values())) for device in devices if turn < workers[device]]


def most_workers(device: str, compute: ComputeSection) -> int:
    """Return how many workers `tuning` may give a device; 1 where their number is fixed."""
    if compute.workers_per_device != "auto" or device == "cpu":
        return 1
    return max(1, min(MOST_WORKERS_PER_GPU, cpu_cores()))


def _workers(device: str, compute: ComputeSection) -> int:
    if compute.workers_per_device != "auto":
        return compute.workers_per_device
    return max(1, cpu_cores() // compute.threads) if device == "cpu" else 1


def _check(devices: list[str]) -> None:
    if not devices:
        raise DeviceError('compute.devices is empty: name at least one device, or use "auto"')
    count = -1
    for device in devices:
        kind, _, index = device.partition(":")
        if kind == "cpu" and not index:
            continue
        if kind != "cuda" or (index and not index.isdigit()):
            raise DeviceError(f'compute.devices: "{device}" is no device; use "cpu", "cuda" or "cuda:0"')
        count = cuda_devices() if count < 0 else count
        if int(index or 0) >= count:
            here = f"{count} CUDA device{'' if count == 1 else 's'} here" if count else "no CUDA device here"
            raise DeviceError(f'compute.devices: "{device}" is not available ({here})')
