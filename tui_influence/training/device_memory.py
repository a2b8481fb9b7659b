"""Which image sets a device holds, and which are read from their packed files while the network trains."""

from collections.abc import Sequence
from typing import Literal

import torch

from tui_influence.host_memory import available_host_memory

ImageMemory = Literal["auto", "resident", "streamed"]

_RESIDENT_SHARE = 0.5
"""Share of the free memory that images may take; the rest is for weights and activations."""


def available_memory(device: torch.device) -> int:
    """Return the bytes that this process can still take on a device; on the CPU, within its control groups."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
    return available_host_memory()


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
