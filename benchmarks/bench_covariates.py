"""Further covariates from prior networks, tried on the reference sweep: do they bring `informed` closer to the truth?

    python -m benchmarks.bench_covariates [--networks 8]

Reads `benchmarks/reference` and trains as many further networks of the embedded pair as the prior has. For each source
class and target class it measures, averaged over networks:

- `features`: the cosine of the mean features of the two, in units of the features' spread over all images;
- `gradients`: the product of two gradients by the weights below the head: of minus the loss on the source class, and of
  the mean margin of the target class under a linear probe. A step of training on the source class raises the margin
  by so much;
- `directions`: the same as a cosine.

Each is shown by itself, and as covariates beside the mapping and the ablation: for one class and for all. Cells are the
correlations with the truth of `benchmarks.bench_reference`.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from benchmarks.bench_reference import Estimator, Truth
from benchmarks.reference_sweep import Reference, load_reference
from tui_influence.cli.commands.demo import demo_config
from tui_influence.influence.informed import informed
from tui_influence.influence.prior import OutputPrior, covariates
from tui_influence.runs.datasets import Datasets, open_datasets
from tui_influence.training import linear_probe
from tui_influence.training.device_images import DeviceImages, source_images
from tui_influence.training.networks import build_network, split_head
from tui_influence.training.precision import choose_numerics
from tui_influence.training.step import make_step
from tui_influence.training.training_loop import Recipe, fit

SIZES = (12, 24, 64, 192)
MEASURES = ("features", "gradients", "directions")

Floats = NDArray[np.float64]


class Measurement:
    """Networks of the embedded pair, and what each says about every source and target class."""

    def __init__(self, data: Datasets) -> None:
        self._config = demo_config(Path("results/unused"), 2)
        self._numerics = choose_numerics("cpu", "fp32", 1)
        packed = data.source
        self._classes, self._groups = len(packed.classes), torch.from_numpy(data.groups.group_of_image)
        resolution = self._config.model.resolution
        self._source = source_images(packed.images, packed.labels, torch.device("cpu"), resolution, packed.counts)
        target = data.targets[0]
        self._train = self._source.matching(target.train.images, target.train.labels)
        self._test = self._source.matching(target.test.images, target.test.labels)
        self._target_classes = len(target.test.classes)

    def network(self, seed: int) -> tuple[nn.Module, nn.Linear]:
        """Return the body and head of a network trained on every class for half the epochs."""
        torch.manual_seed(seed)
        model, settings = self._config.model, self._config.train
        body, head = split_head(build_network(model, self._classes, self._source.channels, self._source.size))
        steps = settings.source_steps(len(self._source.labels), is_prior=True)
        recipe = Recipe("source training", steps, settings.batch_size, settings.lr, settings)
        everything = self._source.all_indices()
        step = make_step(body, head, settings, self._numerics)
        fit(step, self._source, everything, recipe, torch.Generator().manual_seed(seed))
        return body.eval(), head

    def measures(self, body: nn.Module, head: nn.Linear) -> dict[str, Floats]:
        """Return each of `MEASURES`, (K, C)."""
        gains, margins = self._loss_gradients(body, head), self._margin_gradients(body)
        return {
            "features": self._feature_cosines(body),
            "gradients": (gains @ margins.T).double().numpy(),
            "directions": (normalize(gains) @ normalize(margins).T).double().numpy(),
        }

    def _feature_cosines(self, body: nn.Module) -> Floats:
        means = []
        for pixels, labels in ((self._source, self._groups), (self._test, self._test.labels)):
            values = _features(body, pixels).detach()
            values = (values - values.mean(0)) / values.std(0).clamp_min(1e-3)
            means.append(torch.stack([values[labels == label].mean(0) for label in range(int(labels.max()) + 1)]))
        return (normalize(means[0]) @ normalize(means[1]).T).double().numpy()

    def _loss_gradients(self, body: nn.Module, head: nn.Linear) -> Tensor:
        """Return the gradient of minus the loss on each group, (K, weights)."""
        gradients = []
        for group in range(int(self._groups.max()) + 1):
            chosen = torch.nonzero(self._groups == group)[:, 0]
            loss = cross_entropy(head(_features(body, self._source, chosen)), self._source.labels[chosen])
            gradients.append(-_gradient(loss, body))
        return torch.stack(gradients)

    def _margin_gradients(self, body: nn.Module) -> Tensor:
        """Return the gradient of the mean margin of each target class, (C, weights)."""
        probe = linear_probe.solve(
            _features(body, self._train).detach(),
            self._train.labels,
            self._target_classes,
            self._config.train.probe_l2,
        )
        labels = self._test.labels[:, None]
        logits = probe.logits(_features(body, self._test))
        margins = logits.gather(1, labels)[:, 0] - logits.scatter(1, labels, -torch.inf).logsumexp(1)
        means = [margins[self._test.labels == label].mean() for label in range(self._target_classes)]
        return torch.stack([_gradient(mean, body) for mean in means])


def _features(body: nn.Module, pixels: DeviceImages, indices: Tensor | None = None) -> Tensor:
    """Return the features of some images, or of all, (n, d), with their gradients."""
    order = pixels.all_indices() if indices is None else indices
    values: Tensor = body(next(pixels.batches(order, len(order))))
    return values


def _gradient(value: Tensor, body: nn.Module) -> Tensor:
    gradients = torch.autograd.grad(value, list(body.parameters()), retain_graph=True)
    return torch.cat([gradient.flatten() for gradient in gradients])


def measure(networks: int) -> tuple[dict[str, Floats], float]:
    """Return each of `MEASURES` of so many networks, (networks, K, C), and the CPU seconds of one network's."""
    measurement = Measurement(open_datasets(demo_config(Path("results/unused"), 2)))
    by_network: dict[str, list[Floats]] = {name: [] for name in MEASURES}
    seconds = 0.0
    for seed in range(networks):
        body, head = measurement.network(seed)
        begin = time.process_time()
        for name, values in measurement.measures(body, head).items():
            by_network[name].append(values)
        seconds += time.process_time() - begin
    return {name: np.array(values) for name, values in by_network.items()}, seconds / networks


def informed_with(reference: Reference, networks: int, further: Floats | None) -> Estimator:
    """Return `informed` with so many prior networks, and a further measure (networks, K, C) beside theirs."""
    columns = [covariates(reference.mapping[:networks], reference.ablation[:networks])]
    if further is not None:
        columns.append(covariates(further, np.zeros_like(further))[:, :, :2])
    measures, classes = np.concatenate(columns, axis=2), len(reference.classes)
    shares = np.concatenate([np.eye(classes), np.full((1, classes), 1 / classes)])

    def method(masks: NDArray[np.bool_], outputs: Floats, seed_pairs: NDArray[np.int32]) -> Floats:
        prior = OutputPrior(measures, outputs[:, :-1], shares)
        return np.asarray(informed(masks, outputs, seed_pairs, prior=prior).influence, np.float64)

    return Estimator("informed", method, networks)


def by_itself(name: str, values: Floats) -> Estimator:
    """Return the mean of a measure (networks, K, C) as an estimator."""
    mean = values.mean(axis=0)
    influence = np.column_stack([mean, mean.mean(axis=1)])
    return Estimator(name, lambda *_: influence, len(values), needs_models=False)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--networks", type=int, default=8)
    networks = parser.parse_args().networks
    reference = load_reference()
    truth = Truth(reference)
    found, seconds = measure(networks)
    print(
        f"CPU seconds of the measures of a network: {seconds:.2f}; of a model: {reference.model_seconds.mean():.2f}.\n"
    )
    print("| class r / whole r at m = | " + " | ".join(map(str, SIZES)) + " |")
    print("| --- |" + " --- |" * len(SIZES))
    rows: dict[str, Estimator] = {"informed": informed_with(reference, networks, None)}
    rows |= {f"informed and {name}": informed_with(reference, networks, found[name]) for name in MEASURES}
    rows |= {f"{name} alone": by_itself(name, found[name]) for name in MEASURES}
    for name, estimator in rows.items():
        cells = ["{:.3f}/{:.3f}".format(*truth.compare(estimator, size).correlation) for size in SIZES]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
