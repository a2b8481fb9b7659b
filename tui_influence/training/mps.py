"""Apple's GPU, by torch's name "mps": whether torch can use it, and the state of its generator.

    python -P -m tui_influence.training.mps        (prints the reason against it as JSON)

It has no float64, so what is computed in float64 (linear probes, margins, prior quantities) is computed on the CPU. The
supervisor does not load torch, so it asks in another process (`runs.devices.mps_reason`).
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tui_influence.errors import first_line


def unusable_reason() -> str:
    """Return why this process cannot use Apple's GPU; empty if it can."""
    import torch

    if not torch.backends.mps.is_built():
        return f"torch {torch.__version__} is built without MPS"
    if not torch.backends.mps.is_available():
        return "no GPU of Apple that torch can use here"
    try:
        torch.zeros(1, device="mps")
    except RuntimeError as error:
        return first_line(error)
    return ""


@contextmanager
def restored_generator() -> Iterator[None]:
    """Restore the state of the GPU's generator afterwards."""
    import torch

    state = torch.mps.get_rng_state()
    try:
        yield
    finally:
        torch.mps.set_rng_state(state)


if __name__ == "__main__":
    sys.stdout.write(f"\n{json.dumps({'reason': unusable_reason()})}\n")
