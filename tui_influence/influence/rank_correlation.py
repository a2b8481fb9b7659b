"""Spearman's rank correlation, column by column, without scipy.stats (whose import takes a second)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def average_ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """Ranks of each column of (h, n) values, from 1; equal values share their average rank."""
    count = values.shape[0]
    order = np.argsort(values, axis=0, kind="stable")
    ordered = np.take_along_axis(values, order, axis=0)
    position = np.arange(count, dtype=np.int32)[:, None]
    starts = np.ones(values.shape, dtype=bool)
    starts[1:] = ordered[1:] != ordered[:-1]
    ends = np.ones(values.shape, dtype=bool)
    ends[:-1] = starts[1:]
    first = np.maximum.accumulate(np.where(starts, position, 0), axis=0)
    last = np.minimum.accumulate(np.where(ends, position, count - 1)[::-1], axis=0)[::-1]
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, (first + last) / 2 + 1, axis=0)
    return ranks


def spearman(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float64]:
    """Spearman correlation of each column of two (h, n) arrays: (n,); NaN where a column does not vary."""
    return correlation(average_ranks(first), average_ranks(second))


def correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson correlation of each column of two (h, n) arrays: (n,); NaN where a column does not vary."""
    first = first - first.mean(axis=0)
    second = second - second.mean(axis=0)
    scale = np.sqrt((first * first).sum(axis=0) * (second * second).sum(axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        r: NDArray[np.float64] = np.where(scale > 0, (first * second).sum(axis=0) / scale, np.nan)
    return r
