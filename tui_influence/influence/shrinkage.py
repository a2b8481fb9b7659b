"""How strongly to shrink: the penalties to choose from, and what an output's data say about each.

Shared by `ridge`, which chooses one and needs its uncertainty, and by `difference`, which needs to know how much of an
output the other groups explain when its masks are orthogonal.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tui_influence.influence.factors import Factors
from tui_influence.influence.outputs import Floats

_GRID = 40
_LEAST_SHARE, _MOST_SHARE = 1e-4, 1 - 1e-5


@dataclass(frozen=True)
class Grid:
    """Penalties λ = T (1 - h) / h for shares h of variance explained, T = trace(XᵀX) / N; L of them, largest first.

    Attributes:
        penalties: (L,) λ.
        remains: (L, r) λ / (s² + λ): the share of each direction that is shrunk away.
        log_weight: (L,) log prior (h uniform on (0, 1)) plus the log determinant of the marginal likelihood.
        df: (L,) effective degrees of freedom, Σ s² / (s² + λ).
    """

    penalties: NDArray[np.float64]
    remains: NDArray[np.float64]
    log_weight: NDArray[np.float64]
    df: NDArray[np.float64]

    @classmethod
    def over(cls, factors: Factors, penalty: float | None = None) -> "Grid":
        """Penalties for these masks, from "explain nothing" to "explain everything"; or just the one given."""
        squares = factors.squares
        if penalty is None:
            least, most = (float(np.log(h / (1 - h))) for h in (_LEAST_SHARE, _MOST_SHARE))
            share = 1 / (1 + np.exp(-np.linspace(least, most, _GRID)))
            penalties = squares.sum() / factors.rows * (1 - share) / share
            log_prior = np.log(share * (1 - share))  # uniform in h, on a grid that is even in logit h
        else:
            penalties = np.array([float(penalty)])
            log_prior = np.zeros(1)
        remains = penalties[:, None] / (squares + penalties[:, None])
        return cls(penalties, remains, log_prior + 0.5 * np.log(remains).sum(axis=1), (1 - remains).sum(axis=1))


@dataclass(frozen=True)
class Evidence:
    """What n outputs say about the penalties of a grid.

    Attributes:
        rotated: (r, n) outputs in the directions of the masks, z = Uᵀy.
        power: (r, n) float64, z².
        residual: (L, n) residual sum of squares of the ridge fit.
        spread: (L, n) yᵀ (XXᵀ/λ + I)⁻¹ y: N times the noise variance, given λ.
        weight: (L, n) posterior of λ; sums to one over the grid.
    """

    rotated: Floats
    power: NDArray[np.float64]
    residual: NDArray[np.float64]
    spread: NDArray[np.float64]
    weight: NDArray[np.float64]

    @classmethod
    def of(cls, factors: Factors, grid: Grid, centred: Floats) -> "Evidence":
        """From outputs (m, n), centred within the strata of `factors`."""
        rotated = factors.rotate(centred)
        power = (rotated * rotated).astype(np.float64)
        total = np.einsum("ij,ij->j", centred, centred, dtype=np.float64)
        outside = np.maximum(total - power.sum(axis=0), 0) if factors.rows > factors.squares.size else 0 * total
        spread = outside + grid.remains @ power
        # a constant output has no spread: nothing to explain, and any penalty will do
        log_spread = np.log(np.maximum(spread, np.finfo(float).tiny))
        log_weight = grid.log_weight[:, None] - factors.rows / 2 * log_spread
        weight = np.exp(log_weight - log_weight.max(axis=0))
        return cls(rotated, power, outside + (grid.remains**2) @ power, spread, weight / weight.sum(axis=0))
