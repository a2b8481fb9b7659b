"""The most significant influences of single groups on single target examples, without an array of all.

K x n influences may be hundreds of millions: they are estimated a block of examples at a time, and only the most
significant of each block stay in memory. False discovery rates are over all K x n tests. Every statistic is counted in
a bin of 1/256, and Benjamini & Hochberg's procedure is applied to the counts, each p-value rounded up to that of its
bin's lower end: a q is never too small, and too large by 2% where it matters.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.influence.difference import Differences
from tui_influence.influence.estimate import p_values, t_quantile
from tui_influence.influence.outputs import Floats, Integers, Mask
from tui_influence.influence.types import SIGNIFICANCE_LEVEL, Pairs, StrongestPairs

MAX_BLOCK_VALUES = 8_000_000
"""Influences of one block: a handful of float32 arrays of this size."""
_MAX_BLOCK_WIDTH, _READERS = 1024, 2
_BINS_PER_UNIT, _MAX_STATISTIC = 256, 64
_ZERO = _BINS_PER_UNIT * _MAX_STATISTIC
_EXPLAINED_SHARE = 0.5
_MAX_MODELS = 1_000_000

Block = Callable[[slice], Floats]
"""Outputs (m, c) of all models on the examples of a slice."""


def strongest_pairs(
    masks: Mask,
    block: Block,
    n_examples: int,
    clusters: NDArray[Any] | None = None,
    *,
    max_pairs: int = 200,
    level: float = SIGNIFICANCE_LEVEL,
    only: Integers | None = None,
    is_eligible: Callable[[slice, Floats], Mask] | None = None,
) -> StrongestPairs:
    """Find the pairs of a group and an example whose influence is most significant, by `Differences`, pooled.

    Args:
        masks: (m, K) bool.
        block: outputs of some examples, which must be finite.
        n_examples: n.
        clusters: (m,) int, equal for models that share a training seed; None if no two do.
        max_pairs: pairs to return of each sign, at most.
        level: false discovery rate below which a pair is significant.
        only: (K',) groups whose pairs are tested; None for all.
        is_eligible: (examples, influences on them (K', c)) -> (K', c) bool, which pairs may be returned; the others are
            tested as if their influence were zero.
    """
    groups_tested = None if only is None else np.asarray(only, dtype=np.intp)
    differences = Differences(masks, clusters, np.dtype(np.float32), only=groups_tested, pooled=True)
    groups = masks.shape[1] if groups_tested is None else len(groups_tested)
    counts = np.zeros(2 * _ZERO + 1, np.int64)
    best = (_Strongest(max_pairs), _Strongest(max_pairs))
    width = min(_MAX_BLOCK_WIDTH, max(1, MAX_BLOCK_VALUES // max(groups, 1)))

    def scan_block(start: int) -> tuple[NDArray[np.int64], list[NDArray[np.float64]]]:
        columns = slice(start, min(start + width, n_examples))
        influence, se = differences.estimate(block(columns))
        statistic = _statistic(influence, se)
        if is_eligible is not None:
            statistic[~is_eligible(columns, influence) & ~np.isnan(statistic)] = 0
        sides = zip((1, -1), best, strict=True)
        return _bin_counts(statistic), [
            strongest.candidates(sign * statistic, influence, se, start) for sign, strongest in sides
        ]

    with ThreadPoolExecutor(_READERS) as readers:  # one thread reads while the other multiplies
        for count, candidates in readers.map(scan_block, range(0, n_examples, width)):
            counts += count
            for strongest, block_pairs in zip(best, candidates, strict=True):
                strongest.add(block_pairs)
    both = counts[_ZERO:].copy()
    both[1:] += counts[:_ZERO][::-1]
    edges, q = _false_discovery_rates(both, differences.df)
    n_helped, n_hurt = (int(side[q < level].sum()) for side in (counts[_ZERO:], counts[: _ZERO + 1][::-1]))
    helped, hurt = (strongest.pairs(edges, q, groups_tested) for strongest in best)
    return StrongestPairs(helped, hurt, int(counts.sum()), n_helped, n_hurt, differences.df)


def models_needed(n_tests: int) -> int:
    """Return the number of models from which one of so many pairs can be significant.

    With that many, a group that explains half of the variance of an example's output is: its statistic is about
    sqrt(m - 2), which must exceed Student's quantile at 0.05 / tests (Bonferroni's bound, which is Benjamini &
    Hochberg's for a single discovery).
    """
    low, high = 3, _MAX_MODELS
    ratio = _EXPLAINED_SHARE / (1 - _EXPLAINED_SHARE)
    while low < high:
        middle = (low + high) // 2
        enough = (ratio * (middle - 2)) ** 0.5 > t_quantile(1 - SIGNIFICANCE_LEVEL / (2 * max(n_tests, 1)), middle - 2)
        low, high = (low, middle) if enough else (middle + 1, high)
    return low


def min_detectable_influence(n_tests: int, spread: float, n_models: int, share: float = 0.5) -> float:
    """Return the influence that a single pair must have to be significant with a probability of 80%.

    Args:
        n_tests: pairs that are tested.
        spread: standard deviation of an example's output over models.
        n_models: models that the influences are estimated from.
        share: share of the models that have a group.
    """
    if n_models < 3:
        return float("inf")
    quantile = t_quantile(1 - SIGNIFICANCE_LEVEL / (2 * max(n_tests, 1)), n_models - 2) + t_quantile(0.8, n_models - 2)
    return float(quantile * spread / (share * (1 - share) * n_models) ** 0.5)


class _Strongest:
    """The pairs with the largest statistics so far."""

    def __init__(self, max_pairs: int) -> None:
        self._max_pairs = max_pairs
        self._threshold = 0.0
        self._pairs = np.empty((5, 0))

    def candidates(self, statistic: Floats, influence: Floats, se: Floats, start: int) -> NDArray[np.float64]:
        """Return the pairs of a block, (K, c) from example `start` on, that may be among them: (5, pairs)."""
        group, column = np.nonzero(statistic > self._threshold)
        rows = (group, column + start, statistic[group, column], influence[group, column], se[group, column])
        return self._largest(np.array(rows, dtype=np.float64))

    def add(self, candidates: NDArray[np.float64]) -> None:
        """Merge candidates of a block."""
        self._pairs = self._largest(np.concatenate([self._pairs, candidates], axis=1))
        if self._pairs.shape[1] == self._max_pairs:
            self._threshold = float(self._pairs[2, -1])

    def _largest(self, pairs: NDArray[np.float64]) -> NDArray[np.float64]:
        if pairs.shape[1] > 4 * self._max_pairs:
            pairs = pairs[:, np.argpartition(-pairs[2], 2 * self._max_pairs)[: 2 * self._max_pairs]]
        return pairs[:, np.lexsort((pairs[1], pairs[0], -pairs[2]))[: self._max_pairs]]

    def pairs(self, edges: NDArray[np.float64], q: NDArray[np.float64], only: NDArray[np.intp] | None) -> Pairs:
        group, example, statistic, influence, se = self._pairs
        rows = group.astype(np.intp)
        return Pairs(
            group=rows if only is None else only[rows],
            example=example.astype(np.intp),
            influence=influence,
            se=se,
            q=q[np.searchsorted(edges, np.minimum(statistic, _MAX_STATISTIC), side="right") - 1],
        )


def _statistic(influence: Floats, se: Floats) -> Floats:
    """Influence in standard errors; 0 where there is neither, NaN where undefined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic: Floats = influence / se
    statistic[(influence == 0) & (se == 0)] = 0
    return statistic


def _bin_counts(statistic: Floats) -> NDArray[np.int64]:
    """Return the number of statistics in each bin, from the most negative to the most positive; zero has one bin."""
    defined = statistic.reshape(-1)
    if np.isnan(defined.sum()):
        defined = defined[~np.isnan(defined)]
    bins = (np.clip(defined, -_MAX_STATISTIC, _MAX_STATISTIC) * _BINS_PER_UNIT).astype(np.int32)
    return np.bincount(bins + _ZERO, minlength=2 * _ZERO + 1)


def _false_discovery_rates(counts: NDArray[np.int64], df: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return lower ends of the bins, and the q of the statistics in each."""
    edges = np.arange(len(counts)) / _BINS_PER_UNIT
    at_least = np.cumsum(counts[::-1])[::-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = p_values(edges, np.ones_like(edges), df) * counts.sum() / at_least
    scaled[at_least == 0] = np.inf
    return edges, np.minimum(np.minimum.accumulate(scaled), 1.0)
