"""Running out of memory, on a GPU or a CPU, told from every other error."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from tui_influence.training.data import OutOfMemory

_SAID = re.compile(
    r"""DefaultCPUAllocator:\ can't\ allocate\ memory
    | CU(BLAS|DNN|SOLVER|SPARSE)_STATUS_(\w+_)?ALLOC(ATION)?_FAILED  # a handle or a workspace of the library's own
    | (CUDA|cuDNN)\ [\s\S]*\bout\ of\ memory  # of the driver, or a library's words beside another status
    """,
    re.VERBOSE | re.IGNORECASE,
)


def out_of_memory(error: BaseException) -> bool:
    """Whether torch or Python ran out of memory: only torch's allocator of a GPU has a type of error for it."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and _SAID.search(str(error)) is not None
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
