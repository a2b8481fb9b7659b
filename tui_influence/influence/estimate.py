"""What every estimator returns: influences, their standard errors, and the interval these make."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.influence.outputs import Floats


@dataclass(frozen=True)
class Estimate:
    """Influence of K groups on n target outputs.

    Attributes:
        influence: (K, n), in the unit of the outputs; NaN where undefined (see `n_with`, `n_without`).
        se: (K, n) standard error, same unit; NaN where the models are too few to tell.
        df: degrees of freedom of the t interval influence ± t(df) · se; 0 when there is none.
        n_with: (K,) number of models that were trained on the group.
        n_without: (K,) number that were not. One of the two is 0 for a constant group: influence undefined.
        kind: "difference" or "ridge".
        relative: True where every model has the same number of groups, so that the influences sum to zero and
            each says "better or worse than an average other group in its place". False: the effect of having the
            group, the others as they may be.
        penalty: (n,) the ridge penalty that was used, None for other estimators.
    """

    influence: Floats
    se: Floats
    df: float
    n_with: NDArray[np.int64]
    n_without: NDArray[np.int64]
    kind: str
    relative: bool = False
    penalty: Floats | None = None


def group_counts(masks: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return n_with and n_without, each (K,), of masks (m, K)."""
    counted = np.ones(masks.shape[0], np.float32) @ masks.astype(
        np.float32
    )  # exact, and a tenth of count_nonzero's time
    n_with = counted.astype(np.int64)
    return n_with, masks.shape[0] - n_with


def same_size_masks(masks: NDArray[np.bool_]) -> bool:
    """Whether every row of masks (m, K) has the same number of groups: the `fixed` design and its like."""
    return np.unique(np.count_nonzero(masks, axis=1)).size == 1


def interval(influence: Any, se: Any, df: float, level: float = 0.95) -> tuple[Floats, Floats]:
    """Return the two-sided t interval, influence ± t((1 + level) / 2, df) · se.

    Args:
        influence: (...) estimates.
        se: (...) standard errors, same shape.
        df: degrees of freedom; 0 or less makes the interval NaN.
        level: its coverage.

    Returns:
        low and high, shaped like `influence`.
    """
    half = t_quantile((1 + level) / 2, df) * np.asarray(se)
    centre = np.asarray(influence)
    return centre - half, centre + half


def t_quantile(probability: float, df: float) -> float:
    """Quantile of Student's t; NaN where df is not positive (scipy.stats would take a second to import)."""
    from scipy.special import stdtrit

    return float(stdtrit(df, probability)) if df > 0 else float("nan")
