"""How close the estimators come to the truth, for how many models: the embedded pair, printed characters to digits.

    python -m benchmarks.bench_estimators [--models 1264] [--results results/estimators]

Trains the models once, in the results directory, and continues there if it was stopped. The truth of a block of models
is the influence by ridge from all other models; a correlation with it is divided by the square root of the truth's
reliability. Blocks are disjoint, and the table has their mean.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tui_influence.analysis.snapshot import read_snapshot
from tui_influence.cli.commands.demo import demo_config
from tui_influence.cli.launch import run_here
from tui_influence.influence.difference import difference
from tui_influence.influence.informed import informed
from tui_influence.influence.outputs import OutputMatrix, mean_outputs_by_label
from tui_influence.influence.prior import OutputPrior, covariates
from tui_influence.influence.ridge import ridge
from tui_influence.runs.supervisor import Request
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import read_run_info

BLOCK_STEP = 96
"""Models from the start of a block to that of the next."""
SIZES = (12, 24, 50, 64, 96, 192, 384)
NETWORKS = 16

Floats = NDArray[np.float64]
Estimator = Callable[[NDArray[np.bool_], Floats, NDArray[np.intp]], Floats]


class Truth:
    """All models of the run: their masks, and their outputs by class and, last, on the whole target.

    Attributes:
        masks: (m, K) bool.
        by_class: (m, C) mean margin on each class.
        outputs: (m, C + 1) the same, and their mean.
        mapping: (networks, K, C).
        ablation: (networks, K, C).
        reliability: (C + 1,) of the influences from all models.
    """

    def __init__(self, root: Path) -> None:
        paths = Paths(root)
        snapshot = read_snapshot(paths, read_run_info(root))
        matrix = OutputMatrix(snapshot.outputs.margins, None, snapshot.examples.labels)
        classes = len(snapshot.target_info.classes)
        everything = np.arange(snapshot.target_info.test)
        self.masks = snapshot.outputs.masks
        self.by_class = mean_outputs_by_label(matrix, everything, snapshot.examples.labels, classes)
        self.outputs = np.column_stack([self.by_class, self.by_class.mean(axis=1)])
        self.mapping, self.ablation = snapshot.prior.mapping, snapshot.prior.ablation
        self.shares = np.concatenate([np.eye(classes), np.full((1, classes), 1 / classes)])
        first = np.arange(len(self.masks)) < len(self.masks) // 2
        half = correlations(self.influence(first), self.influence(~first))
        self.reliability = 2 * half / (1 + half)

    def influence(self, models: NDArray[np.bool_]) -> Floats:
        """Return the influences by ridge from some models, (K, C + 1)."""
        clusters = np.flatnonzero(models) // 2
        return np.asarray(ridge(self.masks[models], self.outputs[models], clusters).influence, dtype=np.float64)

    def score(self, size: int, estimate: Estimator) -> tuple[float, float, int]:
        """Return the mean correlation with the truth by class and on the whole target, and the number of blocks."""
        scores = []
        for start in range(0, len(self.masks) // 2 - size, max(size, BLOCK_STEP)):
            chosen = np.zeros(len(self.masks), dtype=bool)
            chosen[start : start + size] = True
            influence = estimate(self.masks[chosen], self.by_class[chosen], np.arange(size) // 2)
            scores.append(correlations(influence, self.influence(~chosen)) / np.sqrt(self.reliability))
        mean = np.mean(scores, axis=0)
        return float(mean[:-1].mean()), float(mean[-1]), len(scores)


def correlations(first: Floats, second: Floats) -> Floats:
    """Return the correlation of each column."""
    return np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(first.T, second.T, strict=True)])


def estimators(truth: Truth) -> dict[str, Estimator]:
    """Return what is compared, by name."""

    def with_whole(by_class: Floats) -> Floats:
        return np.column_stack([by_class, by_class.mean(axis=1)])

    def from_prior(networks: int) -> Estimator:
        values = covariates(truth.mapping[:networks], truth.ablation[:networks])

        def estimate(masks: NDArray[np.bool_], by_class: Floats, clusters: NDArray[np.intp]) -> Floats:
            prior = OutputPrior(values, by_class, truth.shares)
            return np.asarray(informed(masks, with_whole(by_class), clusters, prior=prior).influence)

        return estimate

    def mapping(networks: int) -> Estimator:
        values = truth.mapping[:networks].mean(axis=0).astype(np.float64)
        return lambda *_: with_whole(values)

    return {
        "difference": lambda masks, outputs, clusters: np.asarray(
            difference(masks, with_whole(outputs), clusters).influence, dtype=np.float64
        ),
        "ridge": lambda masks, outputs, clusters: np.asarray(
            ridge(masks, with_whole(outputs), clusters).influence, dtype=np.float64
        ),
        "label mapping, 1 network": mapping(1),
        "label mapping, 8 networks": mapping(8),
        "informed, 1 network": from_prior(1),
        "informed, 8 networks": from_prior(8),
    }


def main() -> None:
    """Train what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", type=int, default=1264)
    parser.add_argument("--results", type=Path, default=Path("results/estimators"))
    options = parser.parse_args()
    config = demo_config(options.results, options.models)
    design = config.design.model_copy(update={"heldout": 0, "prior": NETWORKS})
    run_here(Request(config.model_copy(update={"design": design}), options.results))
    truth = Truth(options.results)
    print(
        f"{len(truth.masks):,} models; reliability of the truth {truth.reliability[:-1].mean():.2f} by class, ", end=""
    )
    print(f"{truth.reliability[-1]:.2f} on the whole target\n")
    print("| class r / whole r at m = | " + " | ".join(str(size) for size in SIZES) + " |")
    print("| --- |" + " --- |" * len(SIZES))
    for name, estimate in estimators(truth).items():
        cells = ["{:.2f}/{:.2f}".format(*truth.score(size, estimate)[:2]) for size in SIZES]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
