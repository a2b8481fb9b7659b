"""What orthogonal masks are worth to a difference of means.

A difference of means takes the other groups' effects for random error, and its standard error counts them as such.
Masks that are orthogonal by design (`balanced`) cancel them, so that standard error is too large: by half, where the
masks explain 40% of what the models of a pair differ in. With group effects of variance σ²/λ and noise of variance σ²
the difference for group k, slope on column x_k of the centred masks, G = XᵀX over N rows, has error variance

    (σ²/λ) Σ_{l≠k} (G_kl / G_kk)² + σ² / G_kk

and were the masks random, with the same column lengths, Σ_{l≠k} G_kl² would be G_kk (tr G - G_kk) / N on average.
Their ratio, averaged over what the data say about λ (see `shrinkage`), corrects the standard error.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.influence.factors import Factors, factorise, gram, gram_columns
from tui_influence.influence.outputs import Floats, Mask
from tui_influence.influence.shrinkage import Evidence, Grid
from tui_influence.influence.strata import Strata, seed_strata

_COLUMNS_JUDGED = 32
_AS_GOOD_AS_RANDOM = 0.9  # overlap of the columns, relative to random masks, above which nothing is corrected


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
        """None where the masks (m, K) are as good as random, or too few to tell the groups apart (m < K).

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
        """(L, n) what outputs (m, n) say about λ."""
        return Evidence.of(self.factors, self.grid, self.factors.strata.centred(outputs)).weight

    def ratio(self, outputs: Floats) -> NDArray[np.float64]:
        """(K, n) ratios of variances for outputs (m, n); 1 for groups that do not vary."""
        ratio = np.ones((self.factors.varies.size, outputs.shape[1]))
        ratio[self.factors.varies] = self.by_penalty @ self.posterior(outputs)
        return ratio


def halving_factor(masks: Mask, clusters: NDArray[Any] | None, half: Mask, penalty: float) -> float:
    """What all models are worth, in models, relative to a half of them, when effects are estimated by ridge.

    A half of an orthogonal design is not orthogonal, so all models are worth more than twice a half. The factor is the
    error variance of a half relative to that of all, each in units of the variance that the estimates carry:
    1 / ρ - 1 with ρ = 1 - λ trace((XᵀX + λ)⁻¹) / K.

    Args:
        masks: (m, K) bool.
        clusters: (m,) int or None.
        half: (m,) bool, one half of the models.
        penalty: λ.

    Returns:
        At least 2, which is what it is for random masks (Spearman 1910; Brown 1910).
    """
    left = [
        _left_over(
            gram(masks[models], seed_strata(None if clusters is None else clusters[models], int(models.sum()))), penalty
        )
        for models in (half, np.ones_like(half))
    ]
    halved, whole = left
    return max(2.0, halved / (1 - halved) / (whole / (1 - whole)))


def _left_over(product: NDArray[np.float64], penalty: float) -> float:
    """Share of the groups' variance that a ridge leaves unknown, λ trace((G + λ)⁻¹) / K, inside (0, 1)."""
    squares = np.linalg.eigvalsh(product)
    return float(np.clip((penalty / (np.maximum(squares, 0) + penalty)).mean(), 1e-9, 1 - 1e-9))


def better_than_random(masks: Mask, strata: Strata) -> bool:
    """Whether the columns of masks (m, K) overlap clearly less than random ones, judged by some of them."""
    groups = masks.shape[1]
    some = np.unique(np.linspace(0, groups - 1, min(groups, _COLUMNS_JUDGED)).astype(int))
    product, lengths = gram_columns(masks, strata, some)
    own = lengths[some]
    varies = own > 0
    overlap = (product * product).sum(axis=0)[varies] / own[varies] - own[varies]
    at_random = (lengths.sum() - own[varies]) / max(strata.rows, 1)
    return bool(varies.sum() > 1 and overlap.sum() < _AS_GOOD_AS_RANDOM * at_random.sum())
