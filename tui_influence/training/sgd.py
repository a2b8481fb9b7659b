"""Training one network by SGD: `fit` is the whole loop.

Every random choice is drawn on the CPU before the first step and made into index arithmetic, so a step is one
gather, one forward and one backward pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tui_influence.config.schema import TrainSection
from tui_influence.training.augment import DeviceImages
from tui_influence.training.precision import Numerics
from tui_influence.training.types import TrainingFailed

_WARM_UP = 0.2


@dataclass(frozen=True)
class Recipe:
    """How one network is trained; from the config's `[train]`."""

    what: str
    epochs: int
    batch_size: int
    lr: float
    train: TrainSection


@dataclass(frozen=True)
class Fit:
    """Mean loss and accuracy over the last epoch, and the number of steps."""

    loss: float
    accuracy: float
    steps: int


def fit(
    body: nn.Module,
    head: nn.Linear,
    pixels: DeviceImages,
    chosen: Tensor,
    recipe: Recipe,
    how: Numerics,
    generator: torch.Generator,
) -> Fit:
    """Train `body` and `head` in place on the chosen images.

    Epochs are shuffles laid end to end and cut into batches of one size, so no image is dropped at an epoch's end
    and no batch is small; only the last, incomplete batch of all is left out.

    Args:
        body: images -> features.
        head: features -> logits.
        pixels: labelled images.
        chosen: (n,) positions of the images to train on, on the CPU.
        recipe: epochs, batch size, learning rate, augmentation.
        how: device and precision.
        generator: order, shifts and mirror images are drawn from it.

    Raises:
        TrainingFailed: the loss is not finite, or there are fewer than two images.
    """
    batch, device = min(recipe.batch_size, len(chosen)), how.device
    if batch < 2:
        raise TrainingFailed(f"{recipe.what}: {len(chosen)} images to train on; at least 2 are needed")
    steps, each = max(1, recipe.epochs * len(chosen) // batch), -(-len(chosen) // batch)
    shuffles = [chosen[torch.randperm(len(chosen), generator=generator)] for _ in range(recipe.epochs)]
    order = torch.cat(shuffles)[: steps * batch].view(steps, batch).to(device)
    views = pixels.draw_views(order.shape, recipe.train.crop, recipe.train.flip, generator)
    optimiser = SGD((body, head), recipe.train.momentum, recipe.train.weight_decay)
    losses, hits = torch.empty(2, steps, device=device)
    body.train()
    for step in range(steps):
        labels = pixels.labels[order[step]]
        with how.autocast():
            logits = head(body(pixels.batch(order[step], views[step] if views is not None else None)))
        loss = cross_entropy(logits.float(), labels, label_smoothing=recipe.train.label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step(recipe.lr * one_cycle((step + 0.5) / steps))
        losses[step] = loss.detach()
        hits[step] = (logits.argmax(1) == labels).float().mean()
        if (step + 1) % each == 0 or step + 1 == steps:  # the one synchronisation an epoch
            _check_finite(losses[: step + 1], recipe, each)
    return Fit(float(losses[-each:].mean()), float(hits[-each:].mean()), steps)


class SGD:
    """SGD with Nesterov momentum; weights decay, biases and BatchNorm's scales and shifts do not.

    The arithmetic of `torch.optim.SGD(nesterov=True)`, which imports torch's compiler when it is first made: more
    than a second of every worker's start.
    """

    def __init__(self, modules: Sequence[nn.Module], momentum: float, weight_decay: float) -> None:
        self._parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
        self._velocities = [torch.zeros_like(p) for p in self._parameters]
        self._momentum, self._weight_decay = momentum, weight_decay

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Move against the gradients and forget them; a parameter without one stays as it is."""
        moving = [(p, v, p.grad) for p, v in zip(self._parameters, self._velocities, strict=True) if p.grad is not None]
        if not moving:
            return
        parameters, velocities, gradients = map(list, zip(*moving, strict=True))
        for parameter in parameters:
            parameter.grad = None
        decaying = [(g, p) for p, g in zip(parameters, gradients, strict=True) if p.ndim > 1]
        if decaying:
            torch._foreach_add_(*map(list, zip(*decaying, strict=True)), alpha=self._weight_decay)
        torch._foreach_mul_(velocities, self._momentum)
        torch._foreach_add_(velocities, gradients)
        torch._foreach_add_(gradients, velocities, alpha=self._momentum)
        torch._foreach_add_(parameters, gradients, alpha=-lr)


def one_cycle(progress: float) -> float:
    """Learning rate over its peak: up a straight line, down a straight line to zero; `progress` in (0, 1)."""
    return progress / _WARM_UP if progress < _WARM_UP else (1 - progress) / (1 - _WARM_UP)


def _check_finite(losses: Tensor, recipe: Recipe, each: int) -> None:
    bad = torch.nonzero(~torch.isfinite(losses))
    if len(bad):
        epoch, step = divmod(int(bad[0]), each)
        raise TrainingFailed(
            f"{recipe.what}: the loss is not finite in epoch {epoch + 1} of {recipe.epochs}, step {step + 1} of {each}"
        )
