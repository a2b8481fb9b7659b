"""Factorisation of the masks, one for all target outputs.

The singular values and right singular vectors of the centred masks come from whichever Gram matrix is smaller: over
groups, whose entries are counts and exact in float32, or over models when there are fewer of these. numpy's eigh, not
scipy's: the two bring a BLAS each, and the threads of one wait actively while the other works.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.influence.outputs import Floats, Mask
from tui_influence.influence.strata import Strata, seed_strata

_EXACT_IN_FLOAT32 = 2**24  # counts up to this are exact


_CHEAP_PRODUCT, _CHEAP_COPY = 2_000_000_000, 10_000_000  # multiplications, outputs: float64 costs nothing below


def product_dtype(models: int, groups: int, outputs: int) -> np.dtype[Any]:
    """Return the type of the products of masks with outputs: float64 where it costs nothing, else float32."""
    cheap = models * groups * outputs <= _CHEAP_PRODUCT and models * outputs <= _CHEAP_COPY
    return np.dtype(np.float64 if cheap else np.float32)


@dataclass(frozen=True)
class Factors:
    """Centred masks X = U diag(s) Vᵀ, over the groups that vary, r of them directions that vary.

    Attributes:
        strata: sets of models that are compared with each other.
        varies: (K,) bool; groups that differ between models of one stratum.
        design: (m, K') masks of those groups, not centred, in the dtype of the products.
        squares: (r,) float64, s².
        vectors: (K', r) float64, V.
        rows: independent rows of X, m less the strata's means.
        unidentified: (K',) share of each group's unit vector outside V, in directions that the models do not
            determine (fewer models than groups); never the all-ones direction of same-size masks.
        is_relative: X 1 = 0, so that only differences between groups are identified.
    """

    strata: Strata
    varies: Mask
    design: Floats
    squares: NDArray[np.float64]
    vectors: NDArray[np.float64]
    rows: int
    unidentified: NDArray[np.float64]
    is_relative: bool

    @property
    def scale(self) -> float:
        """Factor from "relative to the mean of all groups" to "of all other groups", which `difference` estimates."""
        count = self.vectors.shape[0]
        return count / (count - 1) if self.is_relative and count > 1 else 1.0

    def rotate(self, centred: Floats) -> Floats:
        """Return outputs centred within strata, (m, n), in the directions of X: Uᵀ y, (r, n)."""
        # Vᵀ Xᵀ y / s; X need not be centred because y is
        return (self.vectors / np.sqrt(self.squares)).T.astype(centred.dtype) @ (self.design.T @ centred)


def factorise(masks: Mask, clusters: NDArray[Any] | None, dtype: np.dtype[Any]) -> Factors:
    """Factorise masks (m, K), compared within clusters if there are any.

    Args:
        masks: (m, K) bool.
        clusters: (m,) int or None; see `strata`.
        dtype: of the products with outputs.
    """
    strata = seed_strata(clusters, masks.shape[0])
    varies = varying_groups(masks, strata)
    varying_masks = masks[:, varies]
    m, count = varying_masks.shape
    rows = strata.rows
    relative = count > 0 and _same_size_within(varying_masks, strata)
    design = varying_masks.astype(dtype)
    if count == 0:
        empty = np.zeros((0, 0))
        return Factors(strata, varies, design, np.zeros(0), empty, rows, np.zeros(0), False)
    if count <= m:
        squares, vectors = np.linalg.eigh(gram(varying_masks, strata))
        real = squares > squares[-1] * max(m, count) * np.finfo(float).eps * 10
        squares, vectors = squares[real], vectors[:, real]
    else:
        centred = strata.centred(varying_masks.astype(np.float64))
        squares, left = np.linalg.eigh(centred @ centred.T)
        real = squares > squares[-1] * max(m, count) * np.finfo(float).eps * 10
        squares = squares[real]
        vectors = (centred.T @ left[:, real]) / np.sqrt(squares)
    unseen = np.clip(1 - (vectors * vectors).sum(axis=1) - (1 / count if relative else 0), 0, 1)
    return Factors(strata, varies, design, squares, vectors, rows, unseen, relative)


def joint_counts(masks: Mask) -> NDArray[np.float64]:
    """Return the number of models (m, K) that have both groups, of each two: (K, K), exact."""
    design: Floats = masks.astype(np.float32 if masks.shape[0] < _EXACT_IN_FLOAT32 else np.float64)
    counts: NDArray[np.float64] = (design.T @ design).astype(np.float64)
    return counts


def gram(masks: Mask, strata: Strata, counts: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Return XᵀX of the masks (m, K) centred within strata: (K, K), exact counts less the strata's means.

    Args:
        masks: (m, K).
        strata: of the m models.
        counts: the `joint_counts` of the masks, if they are known; they are overwritten.
    """
    single = np.dtype(np.float32 if masks.shape[0] < _EXACT_IN_FLOAT32 else np.float64)
    double = np.dtype(np.float64)
    product = joint_counts(masks) if counts is None else counts
    sums: Floats = strata.sums(masks.astype(single))
    for size in np.unique(strata.sizes):
        stratum_sums: Floats = sums[strata.sizes == size]
        stratum_sums = stratum_sums.astype(single if size * masks.shape[0] < _EXACT_IN_FLOAT32 else double)
        product -= (stratum_sums.T @ stratum_sums).astype(np.float64) / size
    return product


def gram_columns(
    masks: Mask, strata: Strata, columns: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return some columns of `gram`, (K, c), and its whole diagonal, (K,), for a fraction of its cost."""
    sums = strata.sums(masks.astype(np.float32))
    weighted = (sums / strata.sizes[:, None]).astype(np.float32)
    design = masks.astype(np.float32)
    product = (design.T @ design[:, columns] - weighted.T @ sums[:, columns]).astype(np.float64)
    lengths = sums.sum(axis=0, dtype=np.float64) - np.einsum("ck,ck->k", weighted, sums, dtype=np.float64)
    return product, lengths


def varying_groups(masks: Mask, strata: Strata) -> Mask:
    """Return the groups of masks (m, K) that some models of a stratum have and others have not, (K,) bool."""
    sums = strata.sums(masks.astype(np.float32))
    varying: Mask = np.any((sums > 0) & (sums < strata.sizes[:, None]), axis=0)
    return varying


def _same_size_within(masks: Mask, strata: Strata) -> bool:
    size = np.count_nonzero(masks, axis=1)
    first = size[strata.order[strata.starts]]
    return bool((size == first[strata.labels]).all())
