"""Which influences stand out from noise, when many are looked at: p-values and false discovery rates."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def p_values(influence: ArrayLike, se: ArrayLike, df: float) -> NDArray[np.float64]:
    """Two-sided p-values of "no influence", from Student's t.

    Args:
        influence: (...) estimates.
        se: (...) standard errors, same shape.
        df: degrees of freedom; 0 or less makes every p-value NaN.

    Returns:
        (...) float64; NaN where either is. A standard error of 0 gives 1 for no influence, else 0. For `ridge`, whose
        estimates are shrunk, this is twice the posterior probability of the other sign, and errs towards 1.
    """
    from scipy.special import stdtr

    effect = np.abs(np.asarray(influence, dtype=np.float64))
    error: NDArray[np.float64] = np.asarray(se, dtype=np.float64)
    if not df > 0:
        return np.full(effect.shape, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.where((error == 0) & (effect == 0), 0.0, effect / error)
    return np.asarray(2 * stdtr(df, -statistic), dtype=np.float64)


def benjamini_hochberg(p: NDArray[Any]) -> NDArray[np.float64]:
    """Return q-values: the smallest false discovery rate at which each group would be called a discovery.

    q of the i-th smallest of K p-values is min over j >= i of p_(j) K / j, at most 1 (Benjamini & Hochberg 1995;
    adjusted as in Yekutieli & Benjamini 1999).

    Args:
        p: (K,) p-values; NaN for groups that were not tested, which do not count towards K.

    Returns:
        (K,), NaN where p is.
    """
    p = np.asarray(p, dtype=np.float64)
    q = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    if tested.size == 0:
        return q
    order = tested[np.argsort(p[tested], kind="stable")]
    scaled = p[order] * tested.size / np.arange(1, tested.size + 1)
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q
