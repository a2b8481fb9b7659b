"""The CUDA devices that torch can use on this machine, or its reason for having none.

    python -P -m tui_influence.training.cuda        (prints a probe as JSON)

A probe initialises CUDA, which takes seconds and memory and cannot be undone, so everything but a worker runs it in
another process (`runs.devices.probe_cuda`).
"""

import json
import sys
from dataclasses import asdict, dataclass
from typing import Any

from tui_influence.errors import first_line


@dataclass(frozen=True)
class CudaDevice:
    """One CUDA device.

    Attributes:
        name: of the product.
        free: bytes of memory.
        total: bytes of memory.
        reason: torch's message if it cannot be used; else empty.
    """

    name: str
    free: int
    total: int
    reason: str = ""


@dataclass(frozen=True)
class CudaProbe:
    """CUDA on this machine, according to torch.

    Attributes:
        devices: by number.
        reason: torch's message if there are none; else empty.
    """

    devices: tuple[CudaDevice, ...] = ()
    reason: str = ""

    def unusable_reason(self, index: int) -> str:
        """Return why a device cannot be used; empty if it can."""
        if index < len(self.devices):
            return self.devices[index].reason
        if self.reason:
            return self.reason
        count = len(self.devices)
        return f"{count} CUDA device{'' if count == 1 else 's'} here" if count else "no CUDA device here"


def probe() -> CudaProbe:
    """Probe every device in this process: each gets a context, which takes memory.

    `torch.cuda.device_count` alone is not enough: it also counts the devices of a driver that is too old to be used.
    """
    import torch

    reason = _start_cuda()
    if reason:
        return CudaProbe(reason=reason)
    return CudaProbe(tuple(_device(index) for index in range(torch.cuda.device_count())))


def unusable_reason(index: int) -> str:
    """Return why this process cannot use a device; empty if it can. No other device is initialised."""
    import torch

    reason = _start_cuda()
    if reason:
        return reason
    count = torch.cuda.device_count()
    return _device(index).reason if index < count else CudaProbe((CudaDevice("", 0, 0),) * count).unusable_reason(index)


def _start_cuda() -> str:
    """Initialise CUDA; return the reason if that fails, else an empty text."""
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
        properties = torch.cuda.get_device_properties(index)
        free, total = torch.cuda.mem_get_info(index)
    except RuntimeError as error:
        return CudaDevice("", 0, 0, first_line(error))
    return CudaDevice(properties.name, free, total)


def to_json(result: CudaProbe) -> str:
    """Return a probe as one line of JSON."""
    return json.dumps(asdict(result))


def from_json(line: str) -> CudaProbe:
    """Parse a probe.

    Raises:
        ValueError: it is not a probe.
    """
    try:
        fields: Any = json.loads(line)
        return CudaProbe(tuple(CudaDevice(**device) for device in fields["devices"]), str(fields["reason"]))
    except (KeyError, TypeError) as error:
        raise ValueError("not a probe") from error


if __name__ == "__main__":
    sys.stdout.write(f"\n{to_json(probe())}\n")
