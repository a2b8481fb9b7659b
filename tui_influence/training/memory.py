"""Running out of memory, on a GPU or a CPU, told from every other error."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from tui_influence.training.data import OutOfMemory


def out_of_memory(error: BaseException) -> bool:
    """Whether torch or Python ran out of memory: the CPU's allocator says so only in its message."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate memory" in str(error)
    )


@contextmanager
def memory_for(doing: str) -> Iterator[None]:
    """Turn running out of memory into `OutOfMemory`, which says what it was for."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise OutOfMemory(f"{doing}: out of memory") from error
