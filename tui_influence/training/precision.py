"""Arithmetic of a training: precision, threads, seeds, deterministic kernels, and errors that mean "out of memory"."""

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
    """Arithmetic of a device.

    Attributes:
        device: that computes.
        bf16: convolutions and matrix products in bfloat16; statistics, losses and weights stay float32.
        threads: of the CPU.
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
    """Return the numerics of a device; the precision "auto" is bf16 where hardware multiplies it faster than float32.

    Raises:
        DeviceError: this machine has no such device, or it cannot be used.
    """
    try:
        torch_device = torch.device(device)
    except RuntimeError as error:
        raise DeviceError(f'"{device}" is not a device: use "cpu", "cuda" or "cuda:0"') from error
    if torch_device.type == "cuda":
        reason = unusable_reason(torch_device.index or 0)
        if reason:
            raise DeviceError(f'device "{device}" cannot be used: {reason}')
        torch_device = torch.device("cuda", torch_device.index or 0)
        has_fast_bf16 = torch.cuda.get_device_capability(torch_device) >= (8, 0)
    elif torch_device.type == "cpu":
        has_fast_bf16 = bool(_FAST_BF16 & cpu_flags())
    else:
        raise DeviceError(f'"{device}" is not a device tinfl trains on: use "cpu" or "cuda"')
    return Numerics(torch_device, has_fast_bf16 if precision == "auto" else precision == "bf16", threads)


def cpu_flags() -> set[str]:
    """Features that the CPU reports; empty where they cannot be read."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return set()
    return next((set(line.split(":", 1)[1].split()) for line in lines if line.startswith("flags")), set())


def derive_seed(seed: int, *stream: int) -> int:
    """Return a seed for one use of a model's seed, independent of its other uses."""
    return int(np.random.SeedSequence((seed, *stream)).generate_state(1, np.uint64)[0] >> np.uint64(1))


def seeded_generator(seed: int, *stream: int) -> torch.Generator:
    """Return a generator for one use of a model's seed: on the CPU, so that every device draws the same numbers."""
    return torch.Generator().manual_seed(derive_seed(seed, *stream))


@contextmanager
def seeded_globals(device: torch.device, seed: int) -> Iterator[None]:
    """Seed torch's global generators, and restore their state afterwards.

    Initialisation and dropout draw from them.
    """
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


@contextmanager
def repeatable(numerics: Numerics) -> Iterator[None]:
    """Use deterministic kernels, and full float32 instead of TF32."""
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


_OUT_OF_MEMORY_MESSAGE = re.compile(
    r"""DefaultCPUAllocator:\ can't\ allocate\ memory
    | CU(BLAS|DNN|SOLVER|SPARSE)_STATUS_(\w+_)?ALLOC(ATION)?_FAILED  # a handle or a workspace of the library
    | (CUDA|cuDNN)\ [\s\S]*\bout\ of\ memory  # of the driver, or a library's message beside another status
    """,
    re.VERBOSE | re.IGNORECASE,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that torch or Python ran out of memory; only torch's GPU allocator has a type for it."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and _OUT_OF_MEMORY_MESSAGE.search(str(error)) is not None
    )


@contextmanager
def catching_out_of_memory(activity: str) -> Iterator[None]:
    """Turn errors of memory into `OutOfMemory`, whose message begins with the activity."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(f"{activity}: out of memory") from error
