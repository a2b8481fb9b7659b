"""Distributions of the effects that a prior leaves over: alike in size, or a few large ones among many small ones.

A ridge penalty takes the effects u of all groups for normal, with one variance τ². Where only a few groups matter it
shrinks these too much and the others too little. So other *shapes* of the same variance are tried beside the normal:
a share of the groups has large effects, and the others have a fiftieth of the variance,

    u ~ share · N(0, a τ²) + (1 - share) · N(0, τ²/50),   a = (1 - (1 - share) / 50) / share

The posterior of one effect under the normal, N(m, v), is the normal times what the outputs say of this effect,
N(m', v'): 1/v' = 1/v - 1/τ², m'/v' = m/v. The posterior under another shape is the shape times the same N(m', v'), a
mixture of two normals. The evidence for the shape is the product over groups of the integral of the shape times
N(m', v'), divided by that of the normal. The effects of other groups stay normal in this: it is one step of expectation
propagation (Minka 2001), and in simulations as close to the truth as sampling all effects together.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHARES = (0.25, 0.1, 0.04)
"""Share of the groups with large effects, of each shape beside the normal."""
_SMALL = 0.02
"""Variance of the small effects, in units of that of all."""
_NORMAL = 0.95
"""Prior probability of the normal; the other shapes share the rest."""
_MIN_PRECISION = 1e-6
"""Least precision of what the outputs say of an effect, in units of that of the effect."""
_MAX_EXPONENT = 600.0
"""Of densities: more would be too large for a float, and is no less certain."""

LOG_PRIOR: NDArray[np.float64] = np.log([_NORMAL] + [(1 - _NORMAL) / len(SHARES)] * len(SHARES))
"""(P,) log prior probability of each shape, the normal first."""


@dataclass(frozen=True)
class NormalPosterior:
    """Posterior of effects under the normal shape: mean and variance, (K, n), and prior variance τ², (n,)."""

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    prior_variance: NDArray[np.float64]


@dataclass(frozen=True)
class ShapePosterior:
    """Posterior of effects under another shape.

    Attributes:
        log_evidence: (n,) of each output for the shape, less that for the normal.
        mean: (K, n).
        variance: (K, n).
    """

    log_evidence: NDArray[np.float64]
    mean: NDArray[np.float64]
    variance: NDArray[np.float64]


def shape_posteriors(normal: NormalPosterior) -> Iterator[ShapePosterior]:
    """Yield the posterior under each shape of `SHARES`."""
    prior = normal.prior_variance
    precision = np.maximum(1 / normal.variance - 1 / prior, _MIN_PRECISION / prior)
    reading, noise = normal.mean / (normal.variance * precision), 1 / precision  # m', v'
    for share in SHARES:
        size = (1 - (1 - share) * _SMALL) / share
        large, large_kept = _density(reading, noise, prior, size)
        small, small_kept = _density(reading, noise, prior, _SMALL)
        density = share * large + (1 - share) * small
        is_large = share * large / density
        kept = is_large * large_kept + (1 - is_large) * small_kept
        unsure = is_large * (1 - is_large) * ((large_kept - small_kept) * reading) ** 2
        yield ShapePosterior(np.log(density).sum(axis=0), kept * reading, kept * noise + unsure)


def _density(
    reading: NDArray[np.float64], noise: NDArray[np.float64], prior: NDArray[np.float64], size: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the density of m' under N(0, size τ²), over that under N(0, τ²), and the share of m' that is kept."""
    total, spread = noise + prior, noise + size * prior
    exponent = 0.5 * reading**2 * (1 / total - 1 / spread)
    return np.sqrt(total / spread) * np.exp(np.minimum(exponent, _MAX_EXPONENT)), size * prior / spread


def shape_probabilities(log_prior: NDArray[np.float64], log_evidence: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probability of each shape, (P, n), the normal first.

    Args:
        log_prior: (P, n) or (P, 1).
        log_evidence: (P - 1, n) of the other shapes, less that of the normal.
    """
    log_weight = log_prior + np.concatenate([np.zeros((1, log_evidence.shape[1])), log_evidence])
    weight = np.exp(log_weight - log_weight.max(axis=0))
    return np.asarray(weight / weight.sum(axis=0))


def common_log_prior(log_evidence: NDArray[np.float64], others: float, unlike: float) -> NDArray[np.float64]:
    """Return the log prior of the shapes for one class, from what all classes say together, (P,).

    Args:
        log_evidence: (P - 1, C) of each class, less that of the normal.
        others: number of classes besides the one that the prior is for, those that are alike counted as fewer.
        unlike: probability that a class is unlike the others, and the prior `LOG_PRIOR`.
    """
    together = others * log_evidence.mean(axis=1, keepdims=True)
    common = shape_probabilities(LOG_PRIOR[:, None], together)[:, 0]
    return np.log((1 - unlike) * common + unlike * np.exp(LOG_PRIOR))
