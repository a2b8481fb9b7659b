"""Estimators compared on the reference sweep: how close they come to the truth, for how many models and CPU seconds.

    python -m benchmarks.bench_reference [--figure docs/figures/estimators.svg] [--sizes 12,24,50]

Reads `benchmarks/reference`, which `make reference` builds, and trains nothing. Each estimator gets blocks of models,
disjoint where the reference has enough, and is compared with the influences by ridge from all other models: by the
correlation over the source classes, divided by the square root of the truth's reliability, and by the LDS on the other
models, also of influences that add up to zero. The tables have the mean over the blocks. Needs scikit-learn, for the
lasso, and matplotlib, for the figure; both come with the extra `dev`.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.linear_model import LassoCV

from benchmarks.reference_sweep import FILE, Reference, influences, load_reference
from tui_influence.export.figure import UNDATED, figure_style
from tui_influence.export.files import write_bytes_atomically
from tui_influence.influence.difference import difference
from tui_influence.influence.informed import informed
from tui_influence.influence.lds import correlation, spearman
from tui_influence.influence.prior import OutputPrior, covariates

SIZES = (12, 24, 50, 64, 96, 192, 384)
BLOCK_STEP = 96
"""Models from the start of a block to that of the next, at least."""
FEW, MANY = 1, 8
"""Numbers of prior networks in the tables."""
_FOLDS = 5

Floats = NDArray[np.float64]
Method = Callable[[NDArray[np.bool_], Floats, NDArray[np.int32]], Floats]
"""From masks (m, K), outputs (m, C + 1) and seed pairs (m,) to influences (K, C + 1)."""


@dataclass(frozen=True)
class Estimator:
    """What is compared.

    Attributes:
        name: in tables.
        method: from the models of a block to influences.
        networks: prior networks that it needs.
        needs_models: whether its influences depend on the models of the block.
    """

    name: str
    method: Method
    networks: int = 0
    needs_models: bool = True

    def cost(self, reference: Reference, models: int) -> float:
        """Return the CPU seconds of training what it needs for a block of so many models."""
        networks = self.networks * float(reference.network_seconds.mean())
        return networks + self.needs_models * models * float(reference.model_seconds.mean())


@dataclass(frozen=True)
class Comparison:
    """An estimator on blocks of one size.

    Attributes:
        correlation: with the truth, divided by the square root of its reliability: mean over classes, whole target.
        lds: mean over classes, whole target.
        centred_lds: of influences less their mean, so that the number of classes of a model does not count.
        seconds: CPU seconds of an estimate of all outputs.
        blocks: number of blocks.
    """

    correlation: tuple[float, float]
    lds: tuple[float, float]
    centred_lds: tuple[float, float]
    seconds: float
    blocks: int


class Truth:
    """The reference, and the influences from all models that are not in a block."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.outputs = reference.outputs
        self._outside = cache(self._influence_outside)

    def _influence_outside(self, start: int, size: int) -> Floats:
        chosen = self.block(start, size)
        reference = self.reference
        return influences(reference.masks[~chosen], self.outputs[~chosen], reference.seed_pairs[~chosen])[0]

    def block(self, start: int, size: int) -> NDArray[np.bool_]:
        """Return which models are in a block, (m,)."""
        position = np.arange(len(self.outputs))
        return (start <= position) & (position < start + size)

    def compare(self, estimator: Estimator, size: int) -> Comparison:
        """Return how an estimator does on blocks of so many models.

        Raises:
            ValueError: the reference has too few models.
        """
        reference, root = self.reference, np.sqrt(self.reference.truth_reliability.astype(np.float64))
        starts = range(0, len(self.outputs) - size + 1, max(size, BLOCK_STEP))
        if len(self.outputs) < 2 * size:
            raise ValueError(
                f"blocks of {size} models: the reference has {len(self.outputs)}, at least twice as needed"
            )
        correlations, scores, centred_scores, seconds = [], [], [], []
        for start in starts:
            chosen = self.block(start, size)
            begin = time.process_time()
            influence = estimator.method(reference.masks[chosen], self.outputs[chosen], reference.seed_pairs[chosen])
            seconds.append(time.process_time() - begin)
            correlations.append(correlation(influence, self._outside(start, size)) / root)
            masks, outputs = reference.masks[~chosen], self.outputs[~chosen]
            scores.append(spearman(masks @ influence, outputs))
            centred_scores.append(spearman(masks @ (influence - influence.mean(axis=0)), outputs))
        return Comparison(
            correlation=_class_and_whole(correlations),
            lds=_class_and_whole(scores),
            centred_lds=_class_and_whole(centred_scores),
            seconds=float(np.median(seconds)),
            blocks=len(starts),
        )


def _class_and_whole(values: Sequence[Floats]) -> tuple[float, float]:
    mean = np.nan_to_num(np.array(values)).mean(axis=0)  # influences that are all zero say nothing
    return float(mean[:-1].mean()), float(mean[-1])


def lasso(masks: NDArray[np.bool_], outputs: Floats, seed_pairs: NDArray[np.int32]) -> Floats:
    """Return influences by the lasso on the differences within seed pairs, its penalty chosen by cross-validation."""
    order = np.argsort(seed_pairs, kind="stable")
    first, second = order[::2], order[1::2]
    mask_differences = masks[first].astype(np.float64) - masks[second]
    differences = outputs[first] - outputs[second]
    model = LassoCV(cv=_FOLDS, fit_intercept=False, max_iter=10_000)
    return np.column_stack([model.fit(mask_differences, column).coef_.copy() for column in differences.T])


def random_influence(masks: NDArray[np.bool_], outputs: Floats, seed_pairs: NDArray[np.int32]) -> Floats:
    """Return influences that are drawn at random, others for every block."""
    return np.random.default_rng(int(seed_pairs[0])).normal(size=(masks.shape[1], outputs.shape[1]))


def label_mapping(reference: Reference, networks: int) -> Estimator:
    """Return the mean label mapping of so many prior networks as an estimator."""
    values = _with_whole(reference.mapping[:networks].mean(axis=0).astype(np.float64))
    return Estimator(f"label mapping, {_count(networks)}", lambda *_: values, networks, needs_models=False)


def informed_by(reference: Reference, networks: int) -> Estimator:
    """Return `informed` with so many prior networks."""
    measures = covariates(reference.mapping[:networks], reference.ablation[:networks])
    classes = len(reference.classes)
    shares = np.concatenate([np.eye(classes), np.full((1, classes), 1 / classes)])

    def method(masks: NDArray[np.bool_], outputs: Floats, seed_pairs: NDArray[np.int32]) -> Floats:
        prior = OutputPrior(measures, outputs[:, :-1], shares)
        return np.asarray(informed(masks, outputs, seed_pairs, prior=prior).influence, np.float64)

    return Estimator(f"informed, {_count(networks)}", method, networks)


def estimators(reference: Reference) -> list[Estimator]:
    """Return what is compared in the tables."""
    return [
        Estimator("difference", lambda *block: np.asarray(difference(*block).influence, np.float64)),
        Estimator("ridge", lambda *block: influences(*block)[0]),
        Estimator("lasso", lasso),
        informed_by(reference, FEW),
        informed_by(reference, MANY),
        label_mapping(reference, FEW),
        label_mapping(reference, MANY),
        Estimator("random", random_influence, needs_models=False),
        Estimator("equal", lambda masks, outputs, _: np.ones((masks.shape[1], outputs.shape[1])), needs_models=False),
    ]


def _with_whole(by_class: Floats) -> Floats:
    return np.column_stack([by_class, by_class.mean(axis=1)])


def _count(networks: int) -> str:
    return f"{networks} network" if networks == 1 else f"{networks} networks"


Results = dict[str, dict[int, Comparison]]
"""By estimator and number of models."""


def tables(reference: Reference, results: Results, sizes: Sequence[int]) -> list[str]:
    """Return the comparison as lines of Markdown."""
    by_class, whole = reference.truth_reliability[:-1].mean(), reference.truth_reliability[-1]
    blocks = ", ".join(f"{next(iter(results.values()))[size].blocks} of {size}" for size in sizes)
    lines = [
        f"{len(reference.masks):,} models; reliability of the truth {by_class:.2f} by class, {whole:.2f} on the whole "
        f"target. Blocks: {blocks}. CPU seconds of a model {reference.model_seconds.mean():.2f}, of a prior network "
        f"{reference.network_seconds.mean():.2f}."
    ]
    cells: dict[str, Callable[[Comparison], str]] = {
        "class r / whole r": lambda result: "{:.2f}/{:.2f}".format(*result.correlation),
        "class LDS / whole LDS": lambda result: "{:.2f}/{:.2f}".format(*result.lds),
        "class LDS / whole LDS of centred influences": lambda result: "{:.2f}/{:.2f}".format(*result.centred_lds),
        "CPU milliseconds of analysis": lambda result: f"{1000 * result.seconds:.1f}",
    }
    for title, cell in cells.items():
        lines += ["", f"| {title} at m = | " + " | ".join(map(str, sizes)) + " |"]
        lines += ["| --- |" + " --- |" * len(sizes)]
        lines += [
            f"| {name} | " + " | ".join(cell(by_size[size]).replace("-0.00", "0.00") for size in sizes) + " |"
            for name, by_size in results.items()
        ]
    return lines


_NETWORKS_OF_MAPPING = (1, 2, 4, 8, 16)
_MARKS = {"difference": "o", "ridge": "s", "lasso": "^", "informed, 1 network": "D", "informed, 8 networks": "v"}
_COLOURS = ("#999999", "#0072B2", "#E69F00", "#56B4E9", "#009E73", "#CC79A7")  # Okabe and Ito


def cost_figure(truth: Truth, results: Results, sizes: Sequence[int]) -> bytes:
    """Return the correlation with the truth against the CPU seconds of training, as an SVG file."""
    reference = truth.reference
    curves = {
        estimator.name: [(estimator.cost(reference, size), results[estimator.name][size].correlation) for size in sizes]
        for estimator in estimators(reference)
        if estimator.needs_models
    }
    mappings = [label_mapping(reference, networks) for networks in _NETWORKS_OF_MAPPING]
    curves["label mapping"] = [
        (mapping.cost(reference, 0), truth.compare(mapping, sizes[0]).correlation) for mapping in mappings
    ]
    with figure_style():
        figure = Figure(figsize=(6.8, 3.2), layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        for panel, level, title in zip(panels, (0, 1), ("mean over target classes", "whole target"), strict=True):
            for (name, points), colour in zip(curves.items(), _COLOURS, strict=True):
                costs, values = [cost for cost, _ in points], [value[level] for _, value in points]
                panel.plot(costs, values, marker=_MARKS.get(name, "x"), color=colour, label=name)
            panel.set_xscale("log")
            panel.xaxis.set_major_formatter("{x:g}")
            panel.set_title(title)
            panel.set_xlabel("CPU seconds of training")
        panels[0].set_ylabel("correlation with the truth")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
        content = BytesIO()
        figure.savefig(content, format="svg", metadata=UNDATED["svg"])
    return content.getvalue()


def main() -> None:
    """Print the tables, and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--reference", type=Path, default=FILE)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="numbers of models, such as 12,24,50")
    parser.add_argument("--figure", type=Path, help="draw the correlations against CPU seconds (.svg)")
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    reference = load_reference(options.reference)
    truth = Truth(reference)
    results = {
        estimator.name: {size: truth.compare(estimator, size) for size in sizes} for estimator in estimators(reference)
    }
    print("\n".join(tables(reference, results, sizes)))
    if options.figure is not None:
        options.figure.parent.mkdir(parents=True, exist_ok=True)
        write_bytes_atomically(options.figure, cost_figure(truth, results, sizes))


if __name__ == "__main__":
    main()
