"""Sweeps with known truth: masks of each design, linear effects of the groups, noise shared within a seed's pair."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import hadamard

NOISE_FOR_A_QUARTER = 3.0  # noise variance per signal variance at which the mask explains 25%


@dataclass(frozen=True)
class Sweep:
    """masks (m, K), outputs (m, n), clusters (m,) or None, effects (K, n): the truth."""

    masks: NDArray[np.bool_]
    outputs: NDArray[np.float64]
    clusters: NDArray[np.intp] | None
    effects: NDArray[np.float64]

    @property
    def truth(self) -> NDArray[np.float64]:
        """(K, n) what an influence estimates: against the mean of the other groups, under same-size masks."""
        if np.unique(self.masks.sum(axis=1)).size > 1:
            return self.effects
        count = self.effects.shape[0]
        return (self.effects - self.effects.mean(axis=0)) * count / (count - 1)

    def kept(self, models: NDArray[np.bool_]) -> "Sweep":
        """The sweep with only those models finished."""
        clusters = None if self.clusters is None else self.clusters[models]
        return replace(self, masks=self.masks[models], outputs=self.outputs[models], clusters=clusters)


def draw_masks(design: str, m: int, groups: int, rng: np.random.Generator, alpha: float = 0.5) -> NDArray[np.bool_]:
    """(m, K) masks: `fixed`, `bernoulli`, `pairs` (random masks and their complements), `balanced` (Hadamard)."""
    if design == "fixed":
        order = rng.random((m, groups)).argsort(axis=1)
        return order < round(alpha * groups)
    if design == "bernoulli":
        return rng.random((m, groups)) < alpha
    if design == "pairs":
        return _with_complements(rng.random((m // 2, groups)) < 0.5)
    assert design == "balanced"
    order = 1 << groups.bit_length()  # a power of two above K: the constant column is left out
    blocks = []
    for _ in range(-(-m // (2 * order))):
        columns = 1 + rng.permutation(order - 1)[:groups]
        rows = rng.permutation(order)
        blocks.append(_with_complements((hadamard(order)[rows][:, columns] * rng.choice([-1, 1], groups)) > 0))
    return np.concatenate(blocks)[:m]


def simulate(
    design: str,
    m: int,
    groups: int,
    examples: int,
    seed: int,
    *,
    effects: NDArray[np.float64] | None = None,
    noise: float = NOISE_FOR_A_QUARTER,
    shared: float = 0.5,
    alpha: float = 0.5,
) -> Sweep:
    """A sweep whose outputs are 1 + mask · effects + noise.

    Effects are standard normal unless given. `noise` is its variance as a multiple of the variance that the masks
    explain; under `pairs` and `balanced` a share `shared` of it is common to a mask and its complement.
    """
    rng = np.random.default_rng([seed, m])
    masks = draw_masks(design, m, groups, rng, alpha)
    if effects is None:
        effects = rng.standard_normal((groups, examples))
    explained = alpha * (1 - alpha) * (effects**2).sum(axis=0)
    deviation = np.sqrt(noise * explained)
    error = rng.standard_normal((m, effects.shape[1]))
    clusters = None
    if design in ("pairs", "balanced"):
        clusters = np.arange(m) // 2
        common = rng.standard_normal((m // 2 + 1, effects.shape[1]))[clusters]
        error = np.sqrt(1 - shared) * error + np.sqrt(shared) * common
    return Sweep(masks, 1 + masks @ effects + error * deviation, clusters, effects)


def _with_complements(masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.stack([masks, ~masks], axis=1).reshape(-1, masks.shape[1])
