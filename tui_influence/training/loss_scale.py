"""Loss scaling, without which small gradients are zero in float16 (Micikevicius et al. 2018, section 3.2).

The loss is multiplied by a scale before the backward pass, and the gradients are divided by it in float32. A step with
a gradient that is not finite is skipped and halves the scale; after many good steps the scale doubles. The scale and
what follows from it stay on the device, with the kernels of `torch.amp.GradScaler` and `torch.optim.SGD(fused=True)`:
the host never waits for them, as it does in `GradScaler.step`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

_INITIAL_SCALE = 2.0**10
"""Trainings have hundreds of steps: few may be lost to a scale that begins too high."""
_GOOD_STEPS = 200
"""Steps without an overflow after which the scale doubles."""


class LossScale:
    """The scale of one training's loss after another.

    Attributes:
        state: the scale, and the number of good steps since it changed; changed in place.
    """

    def __init__(self, device: torch.device) -> None:
        self._scale = torch.empty((), device=device)
        self._good_steps = torch.empty((), dtype=torch.int32, device=device)
        self.state = [self._scale, self._good_steps]
        self.begin()

    def begin(self) -> None:
        """Begin another training."""
        self._scale.fill_(_INITIAL_SCALE)
        self._good_steps.zero_()

    def scaled(self, loss: Tensor) -> Tensor:
        """Return the loss times the scale, for the backward pass."""
        return loss * self._scale

    def unscale(self, gradients: Sequence[Tensor]) -> Tensor:
        """Divide float32 gradients of the scaled loss by the scale; return 1 if the step is to be skipped, else 0.

        At the scale 1 there is nothing left to halve: the step is taken, and the next loss is not finite either.
        """
        overflow = torch.zeros_like(self._scale)
        torch._amp_foreach_non_finite_check_and_unscale_(list(gradients), overflow, self._scale.reciprocal())
        overflow *= self._scale > 1
        return overflow

    def update(self, overflow: Tensor) -> None:
        """Adjust the scale after a step."""
        torch._amp_update_scale_(self._scale, self._good_steps, overflow, 2.0, 0.5, _GOOD_STEPS)
