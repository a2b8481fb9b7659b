"""A grid of ridge penalties, and the evidence of outputs for each.

Used by `ridge`, which chooses a penalty and needs its uncertainty, and by `design_effect`, which needs the share of an
output that the other groups explain.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tui_influence.influence.factors import Factors
from tui_influence.influence.outputs import Floats

_GRID_SIZE = 40
_MIN_SHARE, _MAX_SHARE = 1e-4, 1 - 1e-5


@dataclass(frozen=True)
class Grid:
    """Penalties λ = T (1 - h) / h for shares h of variance explained, T = trace(XᵀX) / N; L of them, largest first.

    Attributes:
        penalties: (L,) λ.
        remains: (L, r) λ / (s² + λ): the share of each direction that is shrunk away.
        log_share_prior: (L,) log prior: h uniform on (0, 1).
        log_weight: (L,) log prior plus the log determinant of the marginal likelihood.
        df: (L,) effective degrees of freedom, Σ s² / (s² + λ).
    """

    penalties: NDArray[np.float64]
    remains: NDArray[np.float64]
    log_share_prior: NDArray[np.float64]
    log_weight: NDArray[np.float64]
    df: NDArray[np.float64]

    @classmethod
    def over(cls, factors: Factors, penalty: float | None = None) -> "Grid":
        """Return a grid for these masks, from "explain nothing" to "explain everything", or of one given penalty."""
        squares = factors.squares
        if penalty is None:
            low_logit, high_logit = (float(np.log(h / (1 - h))) for h in (_MIN_SHARE, _MAX_SHARE))
            share = 1 / (1 + np.exp(-np.linspace(low_logit, high_logit, _GRID_SIZE)))
            penalties = squares.sum() / factors.rows * (1 - share) / share
            log_prior = np.log(share * (1 - share))  # uniform in h, on a grid that is even in logit h
        else:
            penalties = np.array([float(penalty)])
            log_prior = np.zeros(1)
        remains = penalties[:, None] / (squares + penalties[:, None])
        log_weight = log_prior + 0.5 * np.log(remains).sum(axis=1)
        return cls(penalties, remains, log_prior, log_weight, (1 - remains).sum(axis=1))


@dataclass(frozen=True)
class Evidence:
    """Evidence of n outputs for the penalties of a grid.

    Attributes:
        rotated: (r, n) outputs in the directions of the masks, z = Uᵀy.
        power: (r, n) float64, z².
        outside: (n,) sum of squares that no effect of groups explains.
        residual: (L, n) residual sum of squares of the ridge fit.
        spread: (L, n) yᵀ (XXᵀ/λ + I)⁻¹ y: N times the noise variance, given λ.
        weight: (L, n) posterior of λ; sums to one over the grid.
    """

    rotated: Floats
    power: NDArray[np.float64]
    outside: NDArray[np.float64]
    residual: NDArray[np.float64]
    spread: NDArray[np.float64]
    weight: NDArray[np.float64]

    @classmethod
    def of(cls, factors: Factors, grid: Grid, centred: Floats) -> "Evidence":
        """Compute it from outputs (m, n), centred within the strata of `factors`."""
        rotated = factors.rotate(centred)
        return cls.of_rotated(factors, grid, rotated, power_outside(factors, centred, rotated))

    @classmethod
    def of_rotated(cls, factors: Factors, grid: Grid, rotated: Floats, outside: NDArray[np.float64]) -> "Evidence":
        """Compute it from outputs in the directions of the masks, (r, n), and their `power_outside`, (n,)."""
        power = (rotated * rotated).astype(np.float64)
        spread = outside + grid.remains @ power
        # a constant output has no spread: any penalty explains it
        log_spread = np.log(np.maximum(spread, np.finfo(float).tiny))
        log_weight = grid.log_weight[:, None] - factors.rows / 2 * log_spread
        weight = np.exp(log_weight - log_weight.max(axis=0))
        residual = outside + (grid.remains**2) @ power
        return cls(rotated, power, outside, residual, spread, weight / weight.sum(axis=0))


def power_outside(factors: Factors, centred: Floats, rotated: Floats) -> NDArray[np.float64]:
    """Return the sum of squares of outputs that no effect of groups explains, (n,).

    Args:
        factors: of the masks.
        centred: (m, n) outputs, centred within the strata.
        rotated: (r, n) the same in the directions of the masks.
    """
    total = np.einsum("ij,ij->j", centred, centred, dtype=np.float64)
    if factors.rows <= factors.squares.size:
        return np.zeros_like(total)
    within = np.einsum("ij,ij->j", rotated, rotated, dtype=np.float64)
    return np.asarray(np.maximum(total - within, 0))
