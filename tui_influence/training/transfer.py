"""From a source network to outputs on a target's test images: a probe on its features, or fine-tuning all of it."""

import torch
from torch import Tensor, nn

from tui_influence.training import linear_probe as linear
from tui_influence.training.augment import DeviceImages
from tui_influence.training.precision import Numerics, is_out_of_memory
from tui_influence.training.sgd import Recipe, fit
from tui_influence.training.types import Labels, Outcome, TrainingFailed


def features(body: nn.Module, pixels: DeviceImages, how: Numerics, batch: int) -> Tensor:
    """(n, d) float32 features of all images in eval mode, so that BatchNorm uses the source's statistics.

    Out of memory halves the batch, down to one image: it changes how much is computed at once, not what.
    """
    body.eval()
    while True:
        try:
            with torch.no_grad(), how.autocast():
                parts = [body(pixels.batch(index)).float() for index in torch.split(pixels.all_indices(), batch)]
            return torch.cat(parts)
        except (RuntimeError, MemoryError) as error:
            if batch == 1 or not is_out_of_memory(error):
                raise
        # After the handler: while it runs, the traceback holds on to the memory of the failed attempt.
        parts = []
        batch //= 2
        torch.cuda.empty_cache()


def fit_linear_probe(
    body: nn.Module, train: DeviceImages, test: DeviceImages, classes: int, l2: float, how: Numerics, batch: int
) -> tuple[Tensor, dict[str, float]]:
    """Fixed-feature transfer: (n, classes) test logits of a linear probe on the source network's features."""
    known = features(body, train, how, batch)
    if not bool(torch.isfinite(known).all()):
        raise TrainingFailed("the source network's features are not finite")
    solution = linear.solve(known, train.labels, classes, l2)
    metrics = {
        "target_train_loss": solution.loss,
        "target_train_accuracy": _accuracy(solution.logits(known), train.labels),
        "probe_objective": solution.objective,
        "probe_iterations": float(solution.iterations),
    }
    return solution.logits(features(body, test, how, batch)), metrics


def finetune(
    body: nn.Module,
    head: nn.Linear,
    train: DeviceImages,
    test: DeviceImages,
    recipe: Recipe,
    how: Numerics,
    batch: int,
    generator: torch.Generator,
) -> tuple[Tensor, dict[str, float]]:
    """Full-network transfer: (n, classes) test logits after training all of `body` and a fresh `head`, in place."""
    result = fit(body, head, train, torch.arange(len(train.labels)), recipe, how, generator)
    logits = features(nn.Sequential(body, head), test, how, batch)
    return logits, {"target_train_loss": result.loss, "target_train_accuracy": result.accuracy}


def to_outcome(logits: Tensor, labels: Tensor, metrics: dict[str, float]) -> Outcome:
    """Margins, predictions and test accuracy from (n, classes) logits.

    Raises:
        TrainingFailed: a logit is not finite.
    """
    margins = linear.margins(logits.double(), labels)
    if not bool(torch.isfinite(margins).all()):
        raise TrainingFailed("the transferred network's outputs are not finite")
    return Outcome(
        margins.float().cpu().numpy(),
        logits.argmax(1).cpu().numpy(),
        {**metrics, "target_accuracy": _accuracy(logits, labels)},
    )


_IMAGES_OF_A_MEAN = 100
"""Source images that a class's mean feature is made from, at most."""


def predict_source_classes(body: nn.Module, head: nn.Linear, test: DeviceImages, how: Numerics, batch: int) -> Labels:
    """(n,) source class that the source network takes each test image for."""
    labels: Labels = features(nn.Sequential(body, head), test, how, batch).argmax(1).cpu().numpy()
    return labels


def nearest_source_classes(
    body: nn.Module, source: DeviceImages, tests: list[DeviceImages], how: Numerics, batch: int
) -> list[Labels]:
    """(n,) source class whose mean feature is nearest (Euclidean) to that of each test image, for each set of them."""
    labels = source.labels
    order = torch.argsort(labels, stable=True)
    counts = torch.bincount(labels)
    rank = torch.arange(len(labels), device=labels.device) - (counts.cumsum(0) - counts)[labels[order]]
    few = order[rank < _IMAGES_OF_A_MEAN]
    chosen = DeviceImages(source.images[few], labels[few], source.mean, source.deviation)
    known = features(body, chosen, how, batch)
    sums = torch.zeros(len(counts), known.shape[1], device=known.device).index_add_(0, chosen.labels, known)
    means = sums / torch.bincount(chosen.labels, minlength=len(counts))[:, None]
    present = torch.nonzero(counts).flatten()  # a class without images has no mean
    found: list[Labels] = []
    for test in tests:
        distances = torch.cdist(features(body, test, how, batch), means[present])
        found.append(present[distances.argmin(1)].cpu().numpy())
    return found


def _accuracy(logits: Tensor, labels: Tensor) -> float:
    return float((logits.argmax(1) == labels).double().mean())
