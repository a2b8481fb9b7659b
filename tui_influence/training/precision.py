"""Which arithmetic a device is fast at, and the torch settings under which a training repeats itself.

Running out of memory, on a GPU or a CPU, told from every other error.

What a worker's environment must hold before its process starts. Imports no torch: it is read by the supervisor.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tui_influence.errors import DeviceError
from tui_influence.training.cuda import unusable_reason
from tui_influence.training.types import OutOfMemory

_FAST_BF16 = {"avx512_bf16", "amx_bf16"}


@dataclass(frozen=True)
class Numerics:
    """How a device computes.

    Attributes:
        device: where.
        bf16: convolutions and matrix products in bfloat16; statistics, losses and weights stay float32.
        threads: of a CPU.
    """

    device: torch.device
    bf16: bool
    threads: int

    def __str__(self) -> str:
        """Such as "cpu bf16 1 thread", recorded with a run."""
        kind = "bf16" if self.bf16 else "fp32"
        if self.device.type == "cuda":
            return f"cuda {kind} {torch.cuda.get_device_name(self.device)}"
        return f"{self.device.type} {kind} {self.threads} thread{'' if self.threads == 1 else 's'}"

    def autocast(self) -> torch.autocast:
        """Context of a forward pass."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16)


def choose_numerics(device: str, precision: str, threads: int) -> Numerics:
    """Numerics for a device: `precision` "auto" takes bf16 where the hardware multiplies it faster than float32.

    Raises:
        DeviceError: the device is not here.
    """
    try:
        where = torch.device(device)
    except RuntimeError as error:
        raise DeviceError(f'"{device}" is not a device: use "cpu", "cuda" or "cuda:0"') from error
    if where.type == "cuda":
        reason = unusable_reason(where.index or 0)
        if reason:
            raise DeviceError(f'device "{device}" cannot be used: {reason}')
        where = torch.device("cuda", where.index or 0)
        fast = torch.cuda.get_device_capability(where) >= (8, 0)
    elif where.type == "cpu":
        fast = bool(_FAST_BF16 & cpu_flags())
    else:
        raise DeviceError(f'"{device}" is not a device tinfl trains on: use "cpu" or "cuda"')
    return Numerics(where, fast if precision == "auto" else precision == "bf16", threads)


def cpu_flags() -> set[str]:
    """What the CPU says it can do; empty where that is not known."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return set()
    return next((set(line.split(":", 1)[1].split()) for line in lines if line.startswith("flags")), set())


def derive_seed(seed: int, *stream: int) -> int:
    """A seed for one use of a model's seed, independent of its other uses."""
    return int(np.random.SeedSequence((seed, *stream)).generate_state(1, np.uint64)[0] >> np.uint64(1))


def seeded_generator(seed: int, *stream: int) -> torch.Generator:
    """A generator for one use of a model's seed. On the CPU, so that every device draws the same numbers."""
    return torch.Generator().manual_seed(derive_seed(seed, *stream))


@contextmanager
def seeded_globals(device: torch.device, seed: int) -> Iterator[None]:
    """Torch's global generators start from `seed` inside, and go on outside as if nothing had happened.

    Initialisation and dropout draw from them, in networks that are not ours to change.
    """
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


@contextmanager
def repeatable(numerics: Numerics) -> Iterator[None]:
    """Deterministic kernels, and float32 that is float32."""
    if numerics.device.type == "cpu":
        if torch.get_num_threads() != numerics.threads:
            torch.set_num_threads(numerics.threads)
        yield
        return
    tf32 = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        with (
            torch.cuda.device(numerics.device),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
        ):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = tf32


_SAID = re.compile(
    r"""DefaultCPUAllocator:\ can't\ allocate\ memory
    | CU(BLAS|DNN|SOLVER|SPARSE)_STATUS_(\w+_)?ALLOC(ATION)?_FAILED  # a handle or a workspace of the library's own
    | (CUDA|cuDNN)\ [\s\S]*\bout\ of\ memory  # of the driver, or a library's words beside another status
    """,
    re.VERBOSE | re.IGNORECASE,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch or Python ran out of memory: only torch's allocator of a GPU has a type of error for it."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and _SAID.search(str(error)) is not None
    )


@contextmanager
def catching_out_of_memory(doing: str) -> Iterator[None]:
    """Turn running out of memory into `OutOfMemory`, which says what it was for."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(f"{doing}: out of memory") from error
