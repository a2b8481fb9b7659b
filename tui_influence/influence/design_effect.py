"""Correction of the standard error of a difference of means for orthogonal masks.

The standard error of a difference of means counts the effects of the other groups as random error. Masks that are
orthogonal by design (`balanced`) cancel them, so that it is too large: by half, where the masks explain 40% of the
difference between the models of a pair. With group effects of variance τ² and noise of variance σ² the difference for
group k, slope on column x_k of the centred masks, G = XᵀX over N rows, has error variance

    τ² Σ_{l≠k} (G_kl / G_kk)² + σ² / G_kk

and for random masks with the same column lengths, Σ_{l≠k} G_kl² would be G_kk (tr G - G_kk) / N on average, so that
G_kk times the variance would be T_k, that of the outputs less what group k explains. With a_k the overlap of column k
over that at random, the ratio of both is (1 - a_k) σ² / T_k + a_k. The noise is the residual variance of least squares
on all groups, which has N - rank(X) degrees of freedom; where these are few, the total variance, which is too large
rather than too uncertain, takes its place.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.influence.factors import Factors, factorise, gram_columns
from tui_influence.influence.outputs import Floats, Mask
from tui_influence.influence.shrinkage import power_outside
from tui_influence.influence.strata import Strata, seed_strata

_SAMPLED_COLUMNS = 32
_MAX_RELATIVE_OVERLAP = 0.9  # of the columns, relative to random masks; above it nothing is corrected
_NO_SPREAD = 1e-12  # relative; less is a rounding error
_ENOUGH_DF = 4.0  # at so many degrees of freedom the residual and the total variance count alike


@dataclass(frozen=True)
class DesignEffect:
    """Variance under these masks relative to random ones.

    Attributes:
        factors: of the masks.
        relative_overlap: (K,) a_k above, 0 to 1; 1 for groups that do not vary.
        lengths: (K,) G_kk; 0 for groups that do not vary.
        residual_df: degrees of freedom of the residual of least squares on all groups.
        df: degrees of freedom of the corrected variance.
    """

    factors: Factors
    relative_overlap: NDArray[np.float64]
    lengths: NDArray[np.float64]
    residual_df: int
    df: float

    @classmethod
    def of(cls, masks: Mask, clusters: NDArray[Any] | None, dtype: np.dtype[Any]) -> "DesignEffect | None":
        """Return the correction for masks (m, K).

        None where they overlap like random ones, or where least squares leaves no residual: no more rows than groups.

        Args:
            masks: (m, K) bool.
            clusters: (m,) int or None; see `strata`.
            dtype: of the products with outputs.
        """
        m, groups = masks.shape
        strata = seed_strata(clusters, m)
        if not 1 < groups < m or not better_than_random(masks, strata):
            return None
        factors = factorise(masks, clusters, dtype)
        residual_df = factors.rows - factors.squares.size
        if residual_df < 1:
            return None
        squares = factors.vectors**2 * factors.squares  # G = V s² Vᵀ
        lengths = squares.sum(axis=1)
        overlap = squares @ factors.squares / lengths - lengths
        at_random = (lengths.sum() - lengths) / factors.rows
        of_all, lengths_of_all = np.ones(groups), np.zeros(groups)
        of_all[factors.varies] = relative_overlap = np.clip(overlap / at_random, 0, 1)
        lengths_of_all[factors.varies] = lengths
        df = _corrected_df(factors, residual_df, float(relative_overlap.mean()))
        return cls(factors, of_all, lengths_of_all, residual_df, df)

    def of_groups(self, groups: NDArray[np.intp]) -> "DesignEffect":
        """Return the correction for some groups, (K',) indices."""
        return replace(self, relative_overlap=self.relative_overlap[groups], lengths=self.lengths[groups])

    def ratios(self, outputs: Floats, influence: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return ratios of variances for outputs (m, n) and the differences (K, n), and without an effect: (K, n) each.

        1 for groups that do not vary, and for an output that does not.
        """
        factors = self.factors
        centred = factors.strata.centred(outputs)
        total = np.einsum("ij,ij->j", centred, centred, dtype=np.float64)
        residual = power_outside(factors, centred, factors.rotate(centred))
        weight = _residual_weight(self.residual_df)
        noise = weight * residual / self.residual_df + (1 - weight) * total / factors.rows
        explained = self.lengths[:, None] * np.square(np.nan_to_num(influence), dtype=np.float64)
        without_group = np.maximum(total - explained, residual) / (factors.rows - 1)
        overlap = self.relative_overlap[:, None]
        ratio, null_ratio = (
            (1 - overlap) * np.divide(noise, of, out=np.ones_like(of), where=of > _NO_SPREAD * total) + overlap
            for of in (without_group, (total / factors.rows)[None])
        )
        return ratio, null_ratio


def _residual_weight(residual_df: int) -> float:
    """Weight of the residual variance in that of the noise; the rest is that of the total variance."""
    return residual_df**2 / (residual_df**2 + _ENOUGH_DF**2)


def _corrected_df(factors: Factors, residual_df: int, relative_overlap: float) -> float:
    """Degrees of freedom (Satterthwaite 1946) of a mixture of the residual and the explained mean square.

    The weights are those of `DesignEffect.ratio`, for an output that no group has an effect on: with effects there are
    more.
    """
    explained_df = factors.squares.size
    of_noise = (1 - relative_overlap) * _residual_weight(residual_df)
    of_residual = of_noise + (1 - of_noise) * residual_df / factors.rows
    of_explained = (1 - of_noise) * explained_df / factors.rows
    return float(1 / (of_residual**2 / residual_df + of_explained**2 / explained_df))


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
