"""Which image sets a device holds, and which are read from their packed files while the network trains."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import psutil
import torch

ImageMemory = Literal["auto", "resident", "streamed"]

_RESIDENT_SHARE = 0.5
"""Share of the free memory that images may take; the rest is for weights and activations."""
_CGROUP = Path("/sys/fs/cgroup")


def available_memory(device: torch.device) -> int:
    """Return the bytes of memory that are free on a device; on the CPU, at most what the control group has left."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    available = int(psutil.virtual_memory().available)
    limit = _read_bytes(_CGROUP / "memory.max")
    if limit is not None:
        used, cached = _read_bytes(_CGROUP / "memory.current") or 0, _cached_bytes()
        available = min(available, max(limit - used + cached, 0))
    return available


def choose_streamed(sizes: Sequence[int], memory: int, setting: ImageMemory = "auto") -> list[bool]:
    """Return which image sets are streamed: the largest, so many that half of the memory holds the others.

    Args:
        sizes: bytes of each set.
        memory: bytes that are free.
        setting: "auto", or what all sets are.
    """
    if setting != "auto":
        return [setting == "streamed"] * len(sizes)
    is_streamed = [True] * len(sizes)
    left = memory * _RESIDENT_SHARE
    for index in sorted(range(len(sizes)), key=lambda index: sizes[index]):
        left -= sizes[index]
        is_streamed[index] = left < 0
    return is_streamed


def _read_bytes(path: Path) -> int | None:
    """Return the number in a file of the control group; None if there is none, as for "max"."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return int(text) if text.isdigit() else None


def _cached_bytes() -> int:
    """Return the bytes of files that the kernel drops when the control group needs memory."""
    try:
        lines = (_CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("inactive_file ")), 0)
