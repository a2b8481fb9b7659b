"""Arithmetic of a training: precision, threads, seeds, deterministic kernels, and errors that mean "out of memory"."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch

from tui_influence.errors import DeviceError
from tui_influence.training import mps
from tui_influence.training.cuda import unusable_reason
from tui_influence.training.determinism import deterministic_kernels
from tui_influence.training.loss_scale import LossScale
from tui_influence.training.types import OutOfMemory

_FAST_BF16 = {"avx512_bf16", "amx_bf16"}
_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class Numerics:
    """Arithmetic of a device.

    Attributes:
        device: that computes.
        precision: of convolutions and matrix products; statistics, losses and weights stay float32.
        threads: of the CPU.
    """

    device: torch.device
    precision: Precision
    threads: int

    def __str__(self) -> str:
        """Such as "cpu bf16 1 thread", recorded with a run."""
        if self.device.type == "cuda":
            return f"cuda {self.precision} {torch.cuda.get_device_name(self.device)}"
        if self.device.type == "mps":
            return f"mps {self.precision}"
        return f"{self.device.type} {self.precision} {self.threads} thread{'' if self.threads == 1 else 's'}"

    @property
    def exact_device(self) -> torch.device:
        """The device for float64: the CPU if this one has none."""
        return torch.device("cpu") if self.device.type == "mps" else self.device

    def autocast(self) -> torch.autocast:
        """Context of a forward pass."""
        is_lower = self.precision != "fp32"
        return torch.autocast(
            self.device.type, dtype=_TYPES[self.precision] if is_lower else torch.bfloat16, enabled=is_lower
        )

    def loss_scale(self) -> LossScale | None:
        """Return a new scale for the loss of a training; None if the precision needs none."""
        return LossScale(self.device) if self.precision == "fp16" else None


def choose_numerics(device: str, precision: str, threads: int) -> Numerics:
    """Return the numerics of a device; the precision "auto" is the one that its hardware is fast at.

    That is bfloat16 on CPUs with instructions for it and on GPUs from compute capability 8.0, float16 on GPUs from 7.0,
    which have units for float16 alone, and else float32, also on GPUs of Apple.

    Raises:
        DeviceError: this machine has no such device, or it cannot be used.
    """
    try:
        torch_device = torch.device(device)
    except RuntimeError as error:
        raise DeviceError(f'"{device}" is not a device: use "cpu", "cuda", "cuda:0" or "mps"') from error
    fast: Precision = "fp32"
    if torch_device.type == "cuda":
        reason = unusable_reason(torch_device.index or 0)
        if reason:
            raise DeviceError(f'device "{device}" cannot be used: {reason}')
        torch_device = torch.device("cuda", torch_device.index or 0)
        capability = torch.cuda.get_device_capability(torch_device)
        fast = "bf16" if capability >= (8, 0) else "fp16" if capability >= (7, 0) else "fp32"
    elif torch_device.type == "cpu":
        fast = "bf16" if _FAST_BF16 & cpu_flags() else "fp32"
    elif torch_device.type == "mps":
        reason = mps.unusable_reason()
        if reason:
            raise DeviceError(f'device "{device}" cannot be used: {reason}')
        torch_device = torch.device("mps", 0)
    else:
        raise DeviceError(f'"{device}" is not a device tinfl trains on: use "cpu", "cuda" or "mps"')
    return Numerics(torch_device, fast if precision == "auto" else cast(Precision, precision), threads)


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
    restored = mps.restored_generator() if device.type == "mps" else nullcontext()
    with torch.random.fork_rng([device] if device.type == "cuda" else []), restored:
        torch.manual_seed(seed)
        yield


@contextmanager
def repeatable(numerics: Numerics) -> Iterator[None]:
    """Use deterministic kernels, and full float32 instead of TF32."""
    if numerics.device.type != "cuda":
        if torch.get_num_threads() != numerics.threads:
            torch.set_num_threads(numerics.threads)
        with deterministic_kernels() if numerics.device.type == "mps" else nullcontext():
            yield
        return
    tf32 = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        with (
            torch.cuda.device(numerics.device),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
            deterministic_kernels(),
        ):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = tf32


_OUT_OF_MEMORY_MESSAGE = re.compile(
    r"""DefaultCPUAllocator:\ can't\ allocate\ memory
    | CU(BLAS|DNN|SOLVER|SPARSE)_STATUS_(\w+_)?ALLOC(ATION)?_FAILED  # a handle or a workspace of the library
    | MPS\ backend\ out\ of\ memory
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
