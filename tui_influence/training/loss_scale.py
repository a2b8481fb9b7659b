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
    """The scale of one training's loss, and the steps of SGD with gradients that are multiplied by it."""

    def __init__(self, device: torch.device) -> None:
        self._scale = torch.full((), _INITIAL_SCALE, device=device)
        self._good_steps = torch.zeros((), dtype=torch.int32, device=device)

    def scaled(self, loss: Tensor) -> Tensor:
        """Return the loss times the scale, for the backward pass."""
        return loss * self._scale

    def step(
        self,
        parameters: Sequence[Tensor],
        gradients: Sequence[Tensor],
        velocities: Sequence[Tensor],
        lr: float,
        momentum: float,
        weight_decay: float,
    ) -> None:
        """Take a step of SGD with Nesterov momentum, or none if a gradient is not finite; adjust the scale.

        At the scale 1 there is nothing left to halve: the step is taken, and the next loss is not finite either.

        Args:
            parameters: changed in place; those of more than one dimension decay.
            gradients: float32, of the scaled loss; changed.
            velocities: changed in place.
            lr: learning rate.
            momentum: of SGD.
            weight_decay: L2 penalty.
        """
        overflow = torch.zeros_like(self._scale)  # 1 if a gradient is not finite
        torch._amp_foreach_non_finite_check_and_unscale_(list(gradients), overflow, self._scale.reciprocal())
        overflow *= self._scale > 1
        for decays in (True, False):
            chosen = [index for index, parameter in enumerate(parameters) if (parameter.ndim > 1) == decays]
            if chosen:
                torch._fused_sgd_(
                    *([tensors[index] for index in chosen] for tensors in (parameters, gradients, velocities)),
                    weight_decay=weight_decay if decays else 0.0,
                    momentum=momentum,
                    lr=lr,
                    dampening=0.0,
                    nesterov=True,
                    maximize=False,
                    is_first_step=False,
                    found_inf=overflow,
                )
        torch._amp_update_scale_(self._scale, self._good_steps, overflow, 2.0, 0.5, _GOOD_STEPS)
