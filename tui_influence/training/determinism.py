"""Deterministic kernels of a GPU, and a warning for each operation that has none.

The networks of tinfl need no other kernels. A user's network may: its models then do not repeat to the last bit, which
is no reason to refuse it, but is said once for each operation, in the log of the worker.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import torch

_WITHOUT_KERNEL = re.compile(r"(\w+) does not have a deterministic implementation")
_reported: set[str] = set()


@contextmanager
def deterministic_kernels() -> Iterator[None]:
    """Use deterministic kernels where there are any; warn of each other operation, once in this process.

    `torch.use_deterministic_algorithms` imports torch's compiler, and by default fills all memory before it is used:
    more than a second of every worker's start, and a kernel for each tensor.
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    fills = torch._C._get_deterministic_fill_uninitialized_memory()
    torch._C._set_deterministic_algorithms(True, warn_only=True)
    torch._C._set_deterministic_fill_uninitialized_memory(False)
    try:
        with warnings.catch_warnings():
            show = warnings.showwarning

            def show_once(
                message: Warning | str,
                category: type[Warning],
                filename: str,
                lineno: int,
                file: TextIO | None = None,
                line: str | None = None,
            ) -> None:
                match = _WITHOUT_KERNEL.match(str(message))
                if match is not None:
                    if match[1] in _reported:
                        return
                    _reported.add(match[1])
                    message = f"models do not repeat to the last bit: {match[1]} has no deterministic kernel here"
                show(message, category, filename, lineno, file, line)

            warnings.showwarning = show_once
            yield
    finally:
        torch._C._set_deterministic_fill_uninitialized_memory(fills)
        torch._C._set_deterministic_algorithms(before[0], warn_only=before[1])
