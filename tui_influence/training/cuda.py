"""The CUDA devices that torch can use here, or torch's own reason why there are none.

    python -P -m tui_influence.training.cuda        (prints a probe as JSON)

Asking torch initialises CUDA, which takes seconds and memory and cannot be undone, so everything but a worker asks in a
process of its own (`runs.devices.probe_cuda`).
"""

import json
import sys
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class CudaDevice:
    """One CUDA device.

    Attributes:
        name: of the product.
        free: bytes of memory.
        total: bytes of memory.
        reason: why it cannot be used, in torch's words; empty if it can.
    """

    name: str
    free: int
    total: int
    reason: str = ""


@dataclass(frozen=True)
class CudaProbe:
    """What torch says of CUDA on this machine.

    Attributes:
        devices: by their number.
        reason: why there are none, in torch's words; empty if there are some.
    """

    devices: tuple[CudaDevice, ...] = ()
    reason: str = ""

    def unusable_reason(self, index: int) -> str:
        """Return why the device of this number cannot be used; empty if it can."""
        if index < len(self.devices):
            return self.devices[index].reason
        if self.reason:
            return self.reason
        count = len(self.devices)
        return f"{count} CUDA device{'' if count == 1 else 's'} here" if count else "no CUDA device here"


def probe() -> CudaProbe:
    """Ask torch, in this process, for every device: each gets a context, which takes memory.

    `torch.cuda.device_count` alone is not enough: it also counts the devices of a driver that is too old to be used.
    """
    import torch

    reason = _start_cuda()
    if reason:
        return CudaProbe(reason=reason)
    return CudaProbe(tuple(_device(index) for index in range(torch.cuda.device_count())))


def unusable_reason(index: int) -> str:
    """Return why this process cannot use the device of this number; empty if it can. No other device is touched."""
    import torch

    reason = _start_cuda()
    if reason:
        return reason
    count = torch.cuda.device_count()
    return _device(index).reason if index < count else CudaProbe((CudaDevice("", 0, 0),) * count).unusable_reason(index)


def _start_cuda() -> str:
    """Initialise CUDA; return why that is not possible, or nothing."""
    import torch

    if torch.version.cuda is None and torch.version.hip is None:
        return f"torch {torch.__version__} is built without CUDA"
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError, torch.cuda.DeferredCudaCallError) as error:
        return first_line(error)
    return ""


def _device(index: int) -> CudaDevice:
    import torch

    try:
        known = torch.cuda.get_device_properties(index)
        free, total = torch.cuda.mem_get_info(index)
    except RuntimeError as error:
        return CudaDevice("", 0, 0, first_line(error))
    return CudaDevice(known.name, free, total)


def first_line(error: BaseException) -> str:
    """Return an error in one line: CUDA's are followed by advice for programmers."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def to_json(result: CudaProbe) -> str:
    """Return a probe as one line of JSON."""
    return json.dumps(asdict(result))


def from_json(line: str) -> CudaProbe:
    """Return the probe in a line.

    Raises:
        ValueError: it holds none.
    """
    try:
        fields: Any = json.loads(line)
        return CudaProbe(tuple(CudaDevice(**device) for device in fields["devices"]), str(fields["reason"]))
    except (KeyError, TypeError) as error:
        raise ValueError("not a probe") from error


if __name__ == "__main__":
    sys.stdout.write(f"\n{to_json(probe())}\n")
