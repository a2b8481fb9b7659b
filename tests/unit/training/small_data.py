"""Small image sets whose classes can be learnt in a few steps, and trainers over them."""

import numpy as np
import torch

from tui_influence.config.schema import ModelSection, TrainSection
from tui_influence.training.device_memory import ImageMemory
from tui_influence.training.trainer import Trainer
from tui_influence.training.types import Outcome, SourceData, TargetData

K, PER_CLASS, SIZE = 6, 30, 8


def images_of(classes: int, per_class: int, seed: int = 0, size: int = SIZE, channels: int = 1, pattern: int = 0):
    """(N, size, size, channels) uint8 and (N,): a random pattern a class, with noise on it."""
    patterns = np.random.default_rng((99, pattern)).integers(0, 256, (classes, size, size, channels))
    labels = np.repeat(np.arange(classes), per_class)
    noise = np.random.default_rng(seed).normal(0, 60, (len(labels), size, size, channels))
    return np.clip(patterns[labels] + noise, 0, 255).astype(np.uint8), labels.astype(np.int64)


def source(channels: int = 1, size: int = SIZE, per_class: int = PER_CLASS, groups=None) -> SourceData:
    images, labels = images_of(K, per_class, size=size, channels=channels)
    return SourceData(images, labels, K, labels.astype(np.int32) if groups is None else groups)


def target(
    transfer="fixed-feature",
    classes: int = 4,
    seed: int = 1,
    channels: int = 1,
    per_class: int = 8,
    size: int = SIZE,
    **settings,
) -> TargetData:
    train = images_of(classes, per_class, seed, size=size, channels=channels, pattern=seed)
    test = images_of(classes, 15, seed + 100, size=size, channels=channels, pattern=seed)
    return TargetData(transfer, *train, *test, classes, **settings)


def trainer(
    data=None,
    targets=None,
    arch: str = "small-cnn",
    width: float = 1.0,
    resolution: int | None = None,
    stored_side: int | None = None,
    image_memory: ImageMemory = "auto",
    **train,
) -> Trainer:
    recipe = {"epochs": 2, "batch_size": 32, "lr": 0.1, "precision": "fp32"}
    return Trainer(
        data or source(),
        [target()] if targets is None else targets,
        ModelSection(arch=arch, width=width, resolution=resolution, stored_side=stored_side),
        TrainSection(**{**recipe, **train}),
        image_memory=image_memory,
    )


def mask(*left_out: int) -> np.ndarray:
    keep = np.ones(K, dtype=bool)
    keep[list(left_out)] = False
    return keep


def same(first: list[Outcome], second: list[Outcome]) -> bool:
    """Equal to the bit, metrics included."""
    return len(first) == len(second) and all(
        a.margins.tobytes() == b.margins.tobytes()
        and a.predicted.tobytes() == b.predicted.tobytes()
        and a.metrics == b.metrics
        for a, b in zip(first, second, strict=True)
    )


class Oom:
    """A forward hook that runs out of memory on batches of more than `most` images, and remembers what it saw."""

    def __init__(self, most: int, error: Exception, training: bool = False) -> None:
        self.most, self.error, self.training, self.seen = most, error, training, []

    def __call__(self, module: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        if module.training == self.training:
            self.seen.append(len(inputs[0]))
            if len(inputs[0]) > self.most:
                raise self.error
