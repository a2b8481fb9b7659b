"""The training loop: `fit` trains a network by SGD with Nesterov momentum.

Every random choice is drawn on the CPU before the first step and made into index arithmetic, so a step is one
gather, one forward and one backward pass.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tui_influence.config.schema import TrainSection
from tui_influence.training.augment import draw_views
from tui_influence.training.device_images import DeviceImages
from tui_influence.training.loss_scale import LossScale
from tui_influence.training.precision import Numerics
from tui_influence.training.types import TrainingFailed

_WARM_UP = 0.2


@dataclass(frozen=True)
class Recipe:
    """Settings of one training.

    Attributes:
        phase: in words, for messages.
        steps: of the optimiser.
        batch_size: images of a step.
        lr: peak of the learning rate.
        settings: the config's `[train]`, for what is common to all phases.
    """

    phase: str
    steps: int
    batch_size: int
    lr: float
    settings: TrainSection


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
    indices: Tensor,
    recipe: Recipe,
    numerics: Numerics,
    generator: torch.Generator,
) -> Fit:
    """Train `body` and `head` in place on some images.

    Epochs are shuffles laid end to end and cut into batches of one size, so no image is dropped at an epoch's end
    and no batch is small; the last epoch is cut where the steps end.

    Args:
        body: images -> features.
        head: features -> logits.
        pixels: labelled images.
        indices: (n,) of the images to train on, on the CPU.
        recipe: steps, batch size, learning rate, augmentation.
        numerics: device and precision.
        generator: order, shifts and mirror images are drawn from it.

    Raises:
        TrainingFailed: the loss is not finite, or there are fewer than two images.
    """
    batch, device, settings = min(recipe.batch_size, len(indices)), numerics.device, recipe.settings
    if batch < 2:
        raise TrainingFailed(f"{recipe.phase}: {len(indices)} images to train on; at least 2 are needed")
    steps, steps_per_epoch = recipe.steps, -(-len(indices) // batch)
    epochs = -(-steps * batch // len(indices))
    shuffles = [torch.randperm(len(indices), generator=generator) for _ in range(epochs)]
    order = indices[torch.cat(shuffles)[: steps * batch]]
    views = draw_views(len(order), pixels.size, settings.crop, settings.flip, generator)
    all_labels = pixels.labels[order.to(device)].view(steps, batch)
    scale = numerics.loss_scale()
    optimiser = SGD((body, head), settings.momentum, settings.weight_decay, scale)
    losses, hits = torch.empty(2, steps, device=device)
    body.train()
    with closing(pixels.batches(order, batch, views)) as batches:
        for step, images in enumerate(batches):
            labels = all_labels[step]
            with numerics.autocast():
                logits = head(body(images))
            loss = cross_entropy(logits.float(), labels, label_smoothing=settings.label_smoothing)
            (loss if scale is None else scale.scaled(loss)).backward()  # type: ignore[no-untyped-call]
            optimiser.step(recipe.lr * one_cycle((step + 0.5) / steps))
            losses[step] = loss.detach()
            hits[step] = (logits.argmax(1) == labels).float().mean()
            if (step + 1) % steps_per_epoch == 0 or step + 1 == steps:  # the one synchronisation an epoch
                _check_finite(losses[: step + 1], recipe, epochs, steps_per_epoch)
    return Fit(float(losses[-steps_per_epoch:].mean()), float(hits[-steps_per_epoch:].mean()), steps)


class SGD:
    """SGD with Nesterov momentum; weights decay, biases and BatchNorm's scales and shifts do not.

    The arithmetic of `torch.optim.SGD(nesterov=True)`, which imports torch's compiler when it is first made: more
    than a second of every worker's start. With `loss_scale`, gradients are those of the scaled loss.
    """

    def __init__(
        self, modules: Sequence[nn.Module], momentum: float, weight_decay: float, loss_scale: LossScale | None = None
    ) -> None:
        self._parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
        self._velocities = [torch.zeros_like(p) for p in self._parameters]
        self._momentum, self._weight_decay, self._loss_scale = momentum, weight_decay, loss_scale

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Move against the gradients and forget them; a parameter without one stays as it is."""
        moving = [(p, v, p.grad) for p, v in zip(self._parameters, self._velocities, strict=True) if p.grad is not None]
        if not moving:
            return
        parameters, velocities, gradients = map(list, zip(*moving, strict=True))
        for parameter in parameters:
            parameter.grad = None
        if self._loss_scale is not None:
            self._loss_scale.step(parameters, gradients, velocities, lr, self._momentum, self._weight_decay)
            return
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


def _check_finite(losses: Tensor, recipe: Recipe, epochs: int, steps_per_epoch: int) -> None:
    bad_steps = torch.nonzero(~torch.isfinite(losses))
    if len(bad_steps):
        epoch, step = divmod(int(bad_steps[0]), steps_per_epoch)
        raise TrainingFailed(
            f"{recipe.phase}: the loss is not finite in epoch {epoch + 1} of {epochs}, "
            f"step {step + 1} of {steps_per_epoch}"
        )
