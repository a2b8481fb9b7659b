"""What the intervals, q values and orders of the estimators hold, by simulation of every design.

    python -m benchmarks.bench_coverage [--sweeps 100] [--groups 36] [--models 24 96 256]

Outputs are sums of the effects of a model's groups and of noise, of which half is common to the models of a seed. The
masks explain a quarter of an output's variance. Truths: `dense`, normal effects of every group; `sparse`, of one group
in ten. A sweep has outputs on 6 classes. Priors: mapping and ablation of 4 networks with the truth in other units and
noise of 0.7 (`useful`) or 100 (`useless`) times its spread; without a prior there are `difference` and `ridge`.

For each it prints: the share of 95% intervals that hold the truth, of all groups and of the three highest and three
lowest of a ranking; the share of rankings with some q < 0.05 where there are no effects; power, the share of
the effects that are larger than a standard deviation of all of them which have q < 0.05; and the correlation of the
estimates with the truth.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tui_influence.designs import Design
from tui_influence.influence.difference import difference
from tui_influence.influence.estimate import benjamini_hochberg, interval, p_values
from tui_influence.influence.informed import informed
from tui_influence.influence.prior import OutputPrior, covariates
from tui_influence.influence.ridge import ridge
from tui_influence.influence.types import SIGNIFICANCE_LEVEL, Estimate
from tui_influence.roles import Role

DESIGNS = ("fixed", "bernoulli", "clusters", "balanced")
TRUTHS = ("dense", "sparse")
PRIORS = {"useful": 0.7, "useless": 100.0}
ESTIMATORS = ("difference", "ridge", "informed, useful prior", "informed, useless prior")
CLASSES, NETWORKS, CLUSTER_SIZE, EXTREMES = 6, 4, 3, 3
SPARSE_SHARE = 0.1
NOISE_TO_SIGNAL = 3.0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sweep:
    """masks (m, K), clusters (m,) or None, outputs (m, C), the truth (K, C) and the effects (K, C) behind it."""

    masks: NDArray[np.bool_]
    clusters: NDArray[np.intp] | None
    outputs: Floats
    truth: Floats
    effects: Floats


def simulate(design: str, truth: str, groups: int, models: int, seed: int, *, has_effects: bool) -> Sweep:
    """Return a sweep; without effects its outputs are the noise of the sweep with them."""
    kind = "bernoulli" if design == "clusters" else design
    rows = Design(kind, 0.5, groups, seed).rows(Role.ESTIMATE, models)  # type: ignore[arg-type]
    masks = np.stack([row.mask for row in rows])
    rng = np.random.default_rng([seed, models])
    effects = rng.standard_normal((groups, CLASSES))
    if truth == "sparse":
        effects *= (rng.random((groups, 1)) < SPARSE_SHARE) | (np.arange(groups)[:, None] == 0)
    clusters = None
    noise = rng.standard_normal((models, CLASSES))
    if design in ("clusters", "balanced"):
        clusters = np.arange(models) // (CLUSTER_SIZE if design == "clusters" else 2)
        noise = np.sqrt(0.5) * (noise + rng.standard_normal((models, CLASSES))[clusters])
    noise = noise * np.sqrt(NOISE_TO_SIGNAL * 0.25 * (effects**2).sum(axis=0))
    if not has_effects:
        effects = np.zeros_like(effects)
    estimand = (effects - effects.mean(axis=0)) * groups / (groups - 1) if design == "fixed" else effects
    return Sweep(masks, clusters, masks @ effects + noise, estimand, effects)


def prior_of(sweep: Sweep, noise: float, seed: int) -> OutputPrior:
    """Return a prior that says the truth with noise in units of its spread; of no effects, noise alone."""
    rng = np.random.default_rng([seed, 1])
    effects, spread = sweep.effects, sweep.effects.std() or 1.0
    mapping, ablation = (
        scale * (effects + noise * spread * rng.standard_normal((NETWORKS, *effects.shape))) for scale in (0.01, 3.0)
    )
    return OutputPrior(covariates(mapping, ablation), sweep.outputs, np.eye(CLASSES))


def estimates(sweep: Sweep, seed: int) -> Iterator[Estimate]:
    """Yield the estimates in the order of `ESTIMATORS`."""
    data = sweep.masks, sweep.outputs, sweep.clusters
    yield difference(*data)
    yield ridge(*data)
    for noise in PRIORS.values():
        yield informed(*data, prior=prior_of(sweep, noise, seed))


def discoveries(estimate: Estimate) -> NDArray[np.bool_]:
    """Return which influences are significant within the ranking of their output, (K, C)."""
    p = p_values(estimate.influence, estimate.se, estimate.df)
    return np.stack([benjamini_hochberg(column) < SIGNIFICANCE_LEVEL for column in p.T], axis=1)


def measure(design: str, truth: str, groups: int, models: int, sweeps: int) -> Floats:
    """Return coverage, that of the extremes, null share, power and correlation of each estimator, (estimators, 5)."""
    figures = np.zeros((sweeps, len(ESTIMATORS), 5))
    for seed in range(sweeps):
        sweep = simulate(design, truth, groups, models, seed, has_effects=True)
        null = simulate(design, truth, groups, models, seed, has_effects=False)
        is_large = np.abs(sweep.truth) > sweep.truth.std(axis=0)
        for index, (estimate, of_null) in enumerate(zip(estimates(sweep, seed), estimates(null, seed), strict=True)):
            low, high = interval(estimate.influence, estimate.se, estimate.df)
            covers = (low <= sweep.truth) & (sweep.truth <= high)
            order = np.argsort(estimate.influence, axis=0)
            of_extremes = np.take_along_axis(covers, np.concatenate([order[:EXTREMES], order[-EXTREMES:]]), axis=0)
            pairs = zip(estimate.influence.T, sweep.truth.T, strict=True)
            figures[seed, index] = (
                covers.mean(),
                of_extremes.mean(),
                discoveries(of_null).any(axis=0).mean(),
                discoveries(estimate)[is_large].mean(),
                np.mean([np.corrcoef(one, other)[0, 1] if one.any() else 0.0 for one, other in pairs]),
            )
    mean: Floats = figures.mean(axis=0)
    return mean


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sweeps", type=int, default=100)
    parser.add_argument("--groups", type=int, default=36)
    parser.add_argument("--models", type=int, nargs="+", default=[24, 96, 256])
    options = parser.parse_args()
    print(
        f"{options.groups} groups, {options.sweeps} sweeps of {CLASSES} outputs a line. Each cell: coverage / coverage "
        f"of the {EXTREMES} highest and lowest / some q < {SIGNIFICANCE_LEVEL:g} without effects / power (all in %) / "
        "correlation with the truth.\n"
    )
    print("| design | truth | models | " + " | ".join(ESTIMATORS) + " |")
    print("| --- " * (3 + len(ESTIMATORS)) + "|")
    for design in DESIGNS:
        for truth in TRUTHS:
            for models in options.models:
                cells = [
                    " / ".join([*(f"{100 * value:.0f}" for value in figures[:4]), f"{figures[4]:.2f}"])
                    for figures in measure(design, truth, options.groups, models, options.sweeps)
                ]
                print(f"| {design} | {truth} | {models} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
