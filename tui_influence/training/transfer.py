"""Transfer of a source network to a target: a linear probe on its features, or fine-tuning all of it."""

from contextlib import closing

import torch
from torch import Tensor, nn

from tui_influence.training import linear_probe as linear
from tui_influence.training.device_images import DeviceImages
from tui_influence.training.precision import Numerics, is_out_of_memory
from tui_influence.training.step import Step
from tui_influence.training.training_loop import Recipe, fit
from tui_influence.training.types import Labels, Outcome, TrainingFailed


def features(
    body: nn.Module, pixels: DeviceImages, numerics: Numerics, batch: int, indices: Tensor | None = None
) -> Tensor:
    """Return float32 features (n, d) of images in eval mode, in which BatchNorm uses the source's statistics.

    They are on the device, but on the CPU if the device has no float64.

    Out of memory halves the batch, down to one image; the result does not depend on it.

    Args:
        body: images -> features.
        pixels: the images.
        numerics: of the device.
        batch: images at a time.
        indices: (n,) of the images, on the CPU; None for all.
    """
    body.eval()
    order = pixels.all_indices() if indices is None else indices
    while True:
        try:
            with closing(pixels.batches(order, batch)) as batches, torch.no_grad():
                parts = [_output(body, images, numerics) for images, _ in batches]
            return torch.cat(parts).to(numerics.exact_device)
        except (RuntimeError, MemoryError) as error:
            if batch == 1 or not is_out_of_memory(error):
                raise
        # After the handler: inside it, the traceback holds the memory of the failed attempt.
        parts = []
        batch //= 2
        torch.cuda.empty_cache()


def _output(body: nn.Module, images: Tensor, numerics: Numerics) -> Tensor:
    """Return float32 outputs; only the network computes in lower precision, not what cuts and scales the images."""
    with numerics.autocast():
        output: Tensor = body(images)
    return output.float()


def fit_linear_probe(
    body: nn.Module, train: DeviceImages, test: DeviceImages, classes: int, l2: float, numerics: Numerics, batch: int
) -> tuple[Tensor, dict[str, float]]:
    """Fixed-feature transfer: return (n, classes) test logits of a linear probe on the source network's features."""
    train_features = features(body, train, numerics, batch)
    if not bool(torch.isfinite(train_features).all()):
        raise TrainingFailed("the source network's features are not finite")
    train_labels = train.labels.to(train_features.device)
    solution = linear.solve(train_features, train_labels, classes, l2)
    metrics = {
        "target_train_loss": solution.loss,
        "target_train_accuracy": _accuracy(solution.logits(train_features), train_labels),
        "probe_objective": solution.objective,
        "probe_iterations": float(solution.iterations),
    }
    return solution.logits(features(body, test, numerics, batch)), metrics


def finetune(
    step: Step, train: DeviceImages, test: DeviceImages, recipe: Recipe, batch: int, generator: torch.Generator
) -> tuple[Tensor, dict[str, float]]:
    """Full-network transfer: train all of a step's network in place; return (n, classes) test logits."""
    result = fit(step, train, train.all_indices(), recipe, generator)
    logits = features(step.network, test, step.numerics, batch)
    return logits, {"target_train_loss": result.loss, "target_train_accuracy": result.accuracy}


def to_outcome(logits: Tensor, labels: Tensor, metrics: dict[str, float]) -> Outcome:
    """Return margins, predictions, test accuracy and its mean over classes, from (n, classes) logits.

    Raises:
        TrainingFailed: a logit is not finite.
    """
    labels = labels.to(logits.device)
    margins = linear.margins(logits.double(), labels)
    if not bool(torch.isfinite(margins).all()):
        raise TrainingFailed("the transferred network's outputs are not finite")
    return Outcome(
        margins.float().cpu().numpy(),
        logits.argmax(1).cpu().numpy(),
        {
            **metrics,
            "target_accuracy": _accuracy(logits, labels),
            "target_class_accuracy": _mean_class_accuracy(logits, labels),
        },
    )


_MAX_IMAGES_PER_MEAN = 100
"""Source images that the mean feature of a class is computed from, at most."""


def class_features(body: nn.Module, source: DeviceImages, classes: int, numerics: Numerics, batch: int) -> Tensor:
    """Return the mean feature of each source class over its first images, (S, d); NaN for a class without images."""
    labels = source.labels.to(numerics.exact_device)
    order = torch.argsort(labels, stable=True)
    counts = torch.bincount(labels, minlength=classes)
    rank = torch.arange(len(labels), device=labels.device) - (counts.cumsum(0) - counts)[labels[order]]
    sample = order[rank < _MAX_IMAGES_PER_MEAN]
    sample_features = features(body, source, numerics, batch, sample.cpu())
    sums = torch.zeros(len(counts), sample_features.shape[1], device=sample_features.device).index_add_(
        0, labels[sample], sample_features
    )
    means = sums / torch.bincount(labels[sample], minlength=len(counts))[:, None]
    return torch.where(means.isfinite(), means, torch.nan)


def nearest_source_classes(
    body: nn.Module, means: Tensor, tests: list[DeviceImages], numerics: Numerics, batch: int
) -> list[Labels]:
    """Return the source class whose mean feature is nearest (Euclidean) to each test image's, (n,) for each target.

    Args:
        body: images -> features.
        means: (S, d) mean feature of each source class; NaN for a class without images.
        tests: the test images of each target.
        numerics: of the device.
        batch: images at a time.
    """
    present = torch.nonzero(~means.isnan().any(1)).flatten()
    nearest: list[Labels] = []
    for test in tests:
        distances = torch.cdist(features(body, test, numerics, batch), means[present])
        nearest.append(present[distances.argmin(1)].cpu().numpy())
    return nearest


def _accuracy(logits: Tensor, labels: Tensor) -> float:
    return float((logits.argmax(1) == labels).double().mean())


def _mean_class_accuracy(logits: Tensor, labels: Tensor) -> float:
    """Mean of the accuracies on each class that has images."""
    classes = logits.shape[1]
    hits = torch.bincount(labels[logits.argmax(1) == labels], minlength=classes)
    counts = torch.bincount(labels, minlength=classes)
    return float((hits.double() / counts)[counts > 0].mean())
