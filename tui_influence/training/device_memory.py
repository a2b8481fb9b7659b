"""Which image sets a device holds, and which are read from their packed files while the network trains."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import psutil
import torch

ImageMemory = Literal["auto", "resident", "streamed"]

_RESIDENT_SHARE = 0.5
"""Share of the free memory that images may take; the rest is for weights and activations."""
_PROCESS_GROUPS = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")
_FILES = {  # of versions 2 and 1: limit, use, and lines of memory.stat that count files
    2: ("memory.max", "memory.current", ("active_file", "inactive_file")),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_active_file", "total_inactive_file")),
}


def available_memory(device: torch.device) -> int:
    """Return the bytes that this process can still take on a device; on the CPU, within its control groups."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
    return min([int(psutil.virtual_memory().available), *_left_in_groups()])


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


def _left_in_groups() -> Iterator[int]:
    """Yield the bytes left in each control group of this process that has a limit; the kernel drops cached files."""
    for folder, version in _memory_groups():
        limit_file, use_file, cache_keys = _FILES[version]
        limit, used = (_whole_number(_text(folder / name)) for name in (limit_file, use_file))
        if limit is None or used is None:
            continue
        lines = (line.split() for line in _text(folder / "memory.stat").splitlines())
        cached = sum(int(line[1]) for line in lines if len(line) == 2 and line[0] in cache_keys)
        yield max(limit - used + cached, 0)


def _memory_groups() -> Iterator[tuple[Path, int]]:
    """Yield the control groups of memory that this process is in, with their version, from the innermost outwards."""
    for line in _text(_PROCESS_GROUPS).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            root, version = _GROUPS, 2
        elif "memory" in controllers.split(","):
            root, version = _GROUPS / "memory", 1
        else:
            continue
        folder = root / path.strip("/")
        while folder != root and root in folder.parents:
            yield folder, version
            folder = folder.parent
        yield root, version  # in a container, the group itself


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""


def _whole_number(text: str) -> int | None:
    """Return a number of bytes; None for "max"."""
    return int(text) if text.strip().isdigit() else None
