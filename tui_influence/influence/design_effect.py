"""Correction of the standard error of a difference of means for orthogonal masks.

The standard error of a difference of means counts the effects of the other groups as random error. Masks that are
orthogonal by design (`balanced`) cancel them, so that it is too large: by half, where the masks explain 40% of the
difference between the models of a pair. With group effects of variance σ²/λ and noise of variance σ²
the difference for group k, slope on column x_k of the centred masks, G = XᵀX over N rows, has error variance

    (σ²/λ) Σ_{l≠k} (G_kl / G_kk)² + σ² / G_kk

and for random masks with the same column lengths, Σ_{l≠k} G_kl² would be G_kk (tr G - G_kk) / N on average.
Their ratio, averaged over the posterior of λ (see `shrinkage`), corrects the standard error.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.influence.factors import Factors, factorise, gram, gram_columns
from tui_influence.influence.outputs import Floats, Mask
from tui_influence.influence.shrinkage import Evidence, Grid
from tui_influence.influence.strata import Strata, seed_strata

_SAMPLED_COLUMNS = 32
_MAX_RELATIVE_OVERLAP = 0.9  # of the columns, relative to random masks; above it nothing is corrected


@dataclass(frozen=True)
class DesignEffect:
    """Variance under these masks relative to random ones.

    Attributes:
        factors: of the masks.
        grid: penalties λ.
        by_penalty: (K', L) the ratio for each group that varies and each λ.
    """

    factors: Factors
    grid: Grid
    by_penalty: NDArray[np.float64]

    @classmethod
    def of(cls, masks: Mask, clusters: NDArray[Any] | None, dtype: np.dtype[Any]) -> "DesignEffect | None":
        """Return the correction for masks (m, K); None where they overlap like random ones, or m <= K.

        Args:
            masks: (m, K) bool.
            clusters: (m,) int or None; see `strata`.
            dtype: of the products with outputs.
        """
        m, groups = masks.shape
        if not 1 < groups < m:
            return None
        if not better_than_random(masks, seed_strata(clusters, m)):
            return None
        factors = factorise(masks, clusters, dtype)
        squares = factors.vectors**2 * factors.squares  # G = V s² Vᵀ
        lengths = squares.sum(axis=1)
        overlap = squares @ factors.squares / lengths - lengths
        at_random = (lengths.sum() - lengths) / factors.rows
        grid = Grid.over(factors)
        by_penalty = (overlap[:, None] + grid.penalties) / (at_random[:, None] + grid.penalties)
        return cls(factors, grid, by_penalty)

    def posterior(self, outputs: Floats) -> NDArray[np.float64]:
        """Return the posterior of λ given outputs (m, n): (L, n)."""
        return Evidence.of(self.factors, self.grid, self.factors.strata.centred(outputs)).weight

    def ratio(self, outputs: Floats) -> NDArray[np.float64]:
        """Return ratios of variances for outputs (m, n): (K, n); 1 for groups that do not vary."""
        ratio = np.ones((self.factors.varies.size, outputs.shape[1]))
        ratio[self.factors.varies] = self.by_penalty @ self.posterior(outputs)
        return ratio


def halving_factor(masks: Mask, clusters: NDArray[Any] | None, half: Mask, penalty: float) -> float:
    """Return the effective number of models of a whole sweep over that of a half, for ridge estimates.

    A half of an orthogonal design is not orthogonal, so this is more than two. The factor is the
    error variance of a half relative to that of all, each in units of the variance that the estimates carry:
    1 / ρ - 1 with ρ = 1 - λ trace((XᵀX + λ)⁻¹) / K.

    Args:
        masks: (m, K) bool.
        clusters: (m,) int or None.
        half: (m,) bool, one half of the models.
        penalty: λ.

    Returns:
        at least 2, its value for random masks (Spearman 1910; Brown 1910).
    """
    shares = [
        _unexplained_share(
            gram(masks[models], seed_strata(None if clusters is None else clusters[models], int(models.sum()))), penalty
        )
        for models in (half, np.ones_like(half))
    ]
    half_share, whole_share = shares
    return max(2.0, half_share / (1 - half_share) / (whole_share / (1 - whole_share)))


def _unexplained_share(product: NDArray[np.float64], penalty: float) -> float:
    """Return the share of variance that a ridge leaves unexplained, λ trace((G + λ)⁻¹) / K, inside (0, 1)."""
    squares = np.linalg.eigvalsh(product)
    return float(np.clip((penalty / (np.maximum(squares, 0) + penalty)).mean(), 1e-9, 1 - 1e-9))


def better_than_random(masks: Mask, strata: Strata) -> bool:
    """Whether the columns of masks (m, K) overlap clearly less than random ones, by a sample of columns."""
    groups = masks.shape[1]
    sample = np.unique(np.linspace(0, groups - 1, min(groups, _SAMPLED_COLUMNS)).astype(int))
    product, lengths = gram_columns(masks, strata, sample)
    column_lengths = lengths[sample]
    varies = column_lengths > 0
    overlap = (product * product).sum(axis=0)[varies] / column_lengths[varies] - column_lengths[varies]
    at_random = (lengths.sum() - column_lengths[varies]) / max(strata.rows, 1)
    return bool(varies.sum() > 1 and overlap.sum() < _MAX_RELATIVE_OVERLAP * at_random.sum())
