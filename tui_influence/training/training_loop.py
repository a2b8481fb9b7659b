"""The training loop: `fit` takes a network through the steps of a recipe.

Every random choice is drawn on the CPU before the first step and made into index arithmetic, so a step is one
gather, one forward and one backward pass.
"""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from math import cos, pi

import torch
from torch import Tensor

from tui_influence.config.schema import Schedule, TrainSection
from tui_influence.training.augment import Views, draw_views
from tui_influence.training.device_images import Batch, DeviceImages
from tui_influence.training.step import Step
from tui_influence.training.types import TrainingFailed


@dataclass(frozen=True)
class Recipe:
    """Settings of one training.

    Attributes:
        phase: in words, for messages.
        steps: of the optimiser.
        batch_size: images of a step.
        lr: peak of the learning rate.
        settings: the config's `[train]`, for what is common to all phases.
        sides: of the images in pixels, each for an equal part of the steps; those of the images if there are none.
    """

    phase: str
    steps: int
    batch_size: int
    lr: float
    settings: TrainSection
    sides: Sequence[int] = ()


@dataclass(frozen=True)
class Fit:
    """Mean loss and accuracy over the last epoch, and the number of steps."""

    loss: float
    accuracy: float
    steps: int


def fit(step: Step, pixels: DeviceImages, indices: Tensor, recipe: Recipe, generator: torch.Generator) -> Fit:
    """Train the network of a step in place on some images.

    Epochs are shuffles laid end to end and cut into batches of one size, so no image is dropped at an epoch's end
    and no batch is small; the last epoch is cut where the steps end.

    Args:
        step: moves the weights.
        pixels: labelled images.
        indices: (n,) of the images to train on, on the CPU.
        recipe: steps, batch size, learning rate, augmentation.
        generator: order, shifts and mirror images are drawn from it.

    Raises:
        TrainingFailed: the loss is not finite, or there are fewer than two images.
    """
    batch, settings = min(recipe.batch_size, len(indices)), recipe.settings
    if batch < 2:
        raise TrainingFailed(f"{recipe.phase}: {len(indices)} images to train on; at least 2 are needed")
    steps, steps_per_epoch = recipe.steps, -(-len(indices) // batch)
    epochs = -(-steps * batch // len(indices))
    indices = indices.int()
    shuffles = [indices[torch.randperm(len(indices), generator=generator)] for _ in range(epochs)]
    order = torch.cat(shuffles)[: steps * batch]
    views = draw_views(len(order), pixels.stored_side, settings, generator)
    losses, hits = torch.empty(2, steps, device=pixels.device)
    step.begin()
    with closing(_batches(pixels, order, batch, views, recipe.sides or (pixels.size,))) as batches:
        for number, (images, labels) in enumerate(batches):
            lr = recipe.lr * one_cycle((number + 0.5) / steps, settings.warm_up, settings.schedule)
            losses[number], hits[number] = step(images, labels, lr)
            if (number + 1) % steps_per_epoch == 0 or number + 1 == steps:  # the one synchronisation an epoch
                _check_finite(losses[: number + 1], recipe, epochs, steps_per_epoch)
    return Fit(float(losses[-steps_per_epoch:].mean()), float(hits[-steps_per_epoch:].mean()), steps)


def _batches(
    pixels: DeviceImages, order: Tensor, size: int, views: Views, sides: Sequence[int]
) -> Generator[Batch, None, None]:
    """Yield the batches of a training; `sides` are those of the images in equal parts of its steps."""
    steps = len(order) // size
    for number, side in enumerate(sides):
        part = slice(*(size * (steps * edge // len(sides)) for edge in (number, number + 1)))
        yield from pixels.batches(order[part], size, replace(views[part], side=side))


def one_cycle(progress: float, warm_up: float, schedule: Schedule) -> float:
    """Learning rate over its peak: up a straight line, then down to zero.

    Args:
        progress: in (0, 1), share of the steps.
        warm_up: share of the steps up to the peak.
        schedule: of the way down: a straight line, or half a period of a cosine.
    """
    if progress < warm_up:
        return progress / warm_up
    left = (1 - progress) / (1 - warm_up)
    return left if schedule == "linear" else (1 - cos(pi * left)) / 2


def _check_finite(losses: Tensor, recipe: Recipe, epochs: int, steps_per_epoch: int) -> None:
    bad_steps = torch.nonzero(~torch.isfinite(losses))
    if len(bad_steps):
        epoch, step = divmod(int(bad_steps[0]), steps_per_epoch)
        raise TrainingFailed(
            f"{recipe.phase}: the loss is not finite in epoch {epoch + 1} of {epochs}, "
            f"step {step + 1} of {steps_per_epoch}"
        )
