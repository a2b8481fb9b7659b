"""Sweeps of many classes with known effects: what masks over clusters of classes are worth, by estimator.

    python -m benchmarks.simulate_class_clusters [--sweeps 8]

Effects of 200 classes in 25 clusters, on 10 target classes; a share of their variance is between clusters. Shown are
the correlation of the influences with the effects, the coverage of the intervals, and the root mean square of the
standard errors over that of the errors. `two-level` is a reference: a regression like `informed` whose unexplained
effects have the intraclass correlation of the mapping within clusters, where `informed` takes them for independent.
"""

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.cluster_stage import ClusterStage, row_options
from tui_influence.designs import Design
from tui_influence.growth.cluster_share import effect_variances, posterior_variance
from tui_influence.influence.cluster_factors import common_share
from tui_influence.influence.difference import difference
from tui_influence.influence.informed import informed
from tui_influence.influence.prior import OutputPrior, class_prior
from tui_influence.influence.ridge import ridge
from tui_influence.influence.strata import seed_strata
from tui_influence.roles import Role
from tui_influence.staged_design import StagedDesign

CLASSES, CLUSTERS, TARGETS = 200, 25, 10
LABELS: NDArray[np.int64] = np.repeat(np.arange(CLUSTERS), CLASSES // CLUSTERS)
SAME: NDArray[np.bool_] = LABELS[:, None] == LABELS
QUALITY = 0.7
"""Correlation of either measure of the prior with the effects."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sweep:
    """Masks (m, K), seeds (m,), outputs (m, C), effects (K, C), mapping (K, C) and the prior made from it."""

    masks: NDArray[np.bool_]
    seeds: NDArray[np.int64]
    outputs: Floats
    effects: Floats
    mapping: Floats
    prior: OutputPrior


def draw_effects(between: float, rng: np.random.Generator) -> Floats:
    """Return effects (K, C) of variance 1, a share of it between clusters."""
    common = rng.normal(size=(CLUSTERS, TARGETS))[LABELS]
    return np.asarray(np.sqrt(between) * common + np.sqrt(1 - between) * rng.normal(size=(CLASSES, TARGETS)))


def staged_design(cluster_rows: int, seed: int) -> StagedDesign:
    """Return the balanced design with so many cluster rows."""
    over_classes, over_clusters = (Design("balanced", 0.5, groups, seed) for groups in (CLASSES, CLUSTERS))
    return StagedDesign(over_classes, over_clusters, ClusterStage(tuple(LABELS.tolist()), cluster_rows, cluster_rows))


def draw_sweep(models: int, cluster_rows: int, between: float, noise: float, seed: int) -> Sweep:
    """Return a sweep; `noise` is the standard deviation of a model's outputs, in units of a class's effect."""
    rng = np.random.default_rng(seed)
    effects = draw_effects(between, rng)
    rows = [staged_design(cluster_rows, seed).row(Role.ESTIMATE, index) for index in range(models)]
    masks, seeds = np.array([row.mask for row in rows]), np.array([row.cluster for row in rows])
    outputs = masks @ effects + noise * rng.normal(size=(models, TARGETS))
    errors = np.sqrt(1 - QUALITY**2)
    mapping, ablation = (QUALITY * effects + errors * draw_effects(between, rng) for _ in range(2))
    return Sweep(masks, seeds, outputs, effects, mapping, class_prior(mapping[None], ablation[None], outputs))


def two_level(sweep: Sweep) -> tuple[Floats, Floats]:
    """Return influences and standard errors (K, C) of the reference, by dense matrices; see the module."""
    correlation = common_share(sweep.mapping, LABELS)
    covariance = correlation * SAME + (1 - correlation) * np.eye(CLASSES)
    strata = seed_strata(sweep.seeds, len(sweep.masks))
    # One row a pair: the two that are centred within it are opposite.
    masks = np.sqrt(2) * strata.centred(sweep.masks.astype(np.float64))[::2]
    outputs = np.sqrt(2) * strata.centred(sweep.outputs)[::2]
    pairs, shared = len(masks), covariance @ masks.T
    influence, se = np.empty(sweep.effects.shape), np.empty(sweep.effects.shape)
    for column in range(TARGETS):
        covariates = sweep.prior.covariates[:, column] - sweep.prior.covariates[:, column].mean(axis=0)
        y, w = outputs[:, column], masks @ covariates
        evidences: list[float] = []
        means: list[Floats] = []
        variances: list[Floats] = []
        for share in np.linspace(0.02, 0.98, 25):
            penalty = (masks**2).sum() / pairs * (1 - share) / share
            inverse = np.linalg.inv(masks @ shared / penalty + np.eye(pairs))
            precision = w.T @ inverse @ w
            slopes = np.linalg.solve(precision, w.T @ inverse @ y)
            residual = y - w @ slopes
            power = residual @ inverse @ residual
            gain = shared / penalty @ inverse
            rest = covariates - gain @ w
            unexplained = np.diag(covariance) / penalty - np.einsum("kp,kp->k", gain, shared / penalty)
            slope_part = np.einsum("kp,pq,kq->k", rest, np.linalg.inv(precision), rest)
            evidences.append(
                0.5 * (np.linalg.slogdet(inverse)[1] - np.linalg.slogdet(precision)[1] - pairs * np.log(power))
            )
            means.append(covariates @ slopes + gain @ residual)
            variances.append(power / pairs * (unexplained + slope_part))
        weight = np.exp(np.array(evidences) - max(evidences))
        weight /= weight.sum()
        mean = weight @ np.array(means)
        influence[:, column] = mean
        se[:, column] = np.sqrt(weight @ (np.array(variances) + (np.array(means) - mean) ** 2))
    return influence, se


def quality(sweep: Sweep) -> dict[str, tuple[float, float, float]]:
    """Return, by estimator, correlation, coverage, and standard errors over errors."""
    masks, outputs, seeds = sweep.masks, sweep.outputs, sweep.seeds
    fits: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {"two-level": two_level(sweep)}
    for name, estimate in (
        ("difference", difference(masks, outputs, seeds)),
        ("ridge", ridge(masks, outputs, seeds)),
        ("informed", informed(masks, outputs, seeds, prior=sweep.prior)),
    ):
        fits[name] = estimate.influence, estimate.se
    return {
        name: (
            float(np.corrcoef(influence.ravel(), sweep.effects.ravel())[0, 1]),
            float((np.abs(influence - sweep.effects) <= 1.96 * se).mean()),
            float(np.sqrt((se**2).mean() / ((influence - sweep.effects) ** 2).mean())),
        )
        for name, (influence, se) in fits.items()
    }


def chosen_rows(models: int, between: float, noise: float, seed: int) -> int:
    """Return the number of cluster rows that a run would decide on after half of its models."""
    half = draw_sweep(models // 2, models // 2, between, noise, seed)
    variances = effect_variances(half.masks, half.seeds, half.outputs, half.mapping, LABELS)
    options = row_options(models, models // 2)
    if variances is None:
        return options["half"]
    expected = {
        count: posterior_variance(
            [staged_design(count, seed).row(Role.ESTIMATE, index) for index in range(models)], LABELS, variances
        )
        for count in options.values()
    }
    return min(expected, key=lambda count: expected[count])


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sweeps", type=int, default=8)
    sweeps = range(parser.parse_args().sweeps)
    names = ("difference", "ridge", "informed", "two-level")
    print("| models | between | noise | cluster masks | " + " | ".join(names) + " |")
    print("| --- | --- | --- | --- |" + " --- |" * len(names))
    for models, between, noise in ((128, 0.3, 5.0), (128, 0.3, 15.0), (128, 0.7, 5.0), (512, 0.3, 5.0)):
        choices = [chosen_rows(models, between, noise, seed) for seed in sweeps]
        for share in (1.0, 0.75, 0.5, 0.0):
            count = round(share * models)
            results = [quality(draw_sweep(models, count, between, noise, seed)) for seed in sweeps]
            cells = [
                "{:.2f}, {:.0%}, {:.2f}".format(*np.mean([result[name] for result in results], axis=0))
                for name in names
            ]
            times = f" (chosen {choices.count(count)} of {len(choices)})" if count in choices else ""
            print(f"| {models} | {between} | {noise:g} | {count}{times} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
