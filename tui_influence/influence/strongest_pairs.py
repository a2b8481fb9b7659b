"""The strongest of all influences of single groups on single target examples, without keeping all of them.

K x n influences may be hundreds of millions: they are estimated a block of examples at a time, and of each block only
the strongest stay. False discovery rates are over all K x n tests all the same. Every statistic is counted in a bin of
1/256, and Benjamini & Hochberg's procedure is applied to the counts, each p-value rounded up to that of its bin's lower
end: a q is never too small, and too large by 2% where it matters.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.influence.difference import Differences
from tui_influence.influence.estimate import p_values, t_quantile
from tui_influence.influence.outputs import Floats, Integers, Mask
from tui_influence.influence.types import Pairs, StrongestPairs

MAX_BLOCK_VALUES = 8_000_000
"""Influences estimated at once: a handful of float32 arrays of this size."""
_WIDEST, _READERS = 1024, 2
_BINS_PER_UNIT, _LARGEST = 256, 64
_ZERO = _BINS_PER_UNIT * _LARGEST
_FOUND, _EXPLAINED = 0.05, 0.5
_MOST_MODELS = 1_000_000

Block = Callable[[slice], Floats]
"""Outputs (m, c) of all models on the examples of a slice."""


def strongest_pairs(
    masks: Mask,
    block: Block,
    n_examples: int,
    clusters: NDArray[Any] | None = None,
    *,
    max_pairs: int = 200,
    level: float = _FOUND,
    only: Integers | None = None,
    is_eligible: Callable[[slice, Floats], Mask] | None = None,
) -> StrongestPairs:
    """Find the pairs of a group and an example with the surest influence, by `Differences` with pooled spread.

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
    chosen = None if only is None else np.asarray(only, dtype=np.intp)
    differences = Differences(masks, clusters, np.dtype(np.float32), only=chosen, pooled=True)
    groups = masks.shape[1] if chosen is None else len(chosen)
    counts = np.zeros(2 * _ZERO + 1, np.int64)
    best = (_Strongest(max_pairs), _Strongest(max_pairs))
    width = min(_WIDEST, max(1, MAX_BLOCK_VALUES // max(groups, 1)))

    def looked_at(start: int) -> tuple[NDArray[np.int64], list[NDArray[np.float64]]]:
        columns = slice(start, min(start + width, n_examples))
        influence, se = differences.estimate(block(columns))
        statistic = _statistic(influence, se)
        if is_eligible is not None:
            statistic[~is_eligible(columns, influence) & ~np.isnan(statistic)] = 0
        sides = zip((1, -1), best, strict=True)
        return _counted(statistic), [
            strongest.candidates(sign * statistic, influence, se, start) for sign, strongest in sides
        ]

    with ThreadPoolExecutor(_READERS) as readers:  # one reads while the other multiplies
        for count, candidates in readers.map(looked_at, range(0, n_examples, width)):
            counts += count
            for strongest, found in zip(best, candidates, strict=True):
                strongest.take(found)
    both = counts[_ZERO:].copy()
    both[1:] += counts[:_ZERO][::-1]
    edges, q = _false_discovery_rates(both, differences.df)
    n_helped, n_hurt = (int(side[q < level].sum()) for side in (counts[_ZERO:], counts[: _ZERO + 1][::-1]))
    helped, hurt = (strongest.pairs(edges, q, chosen) for strongest in best)
    return StrongestPairs(helped, hurt, int(counts.sum()), n_helped, n_hurt, differences.df)


def models_needed(n_tests: int) -> int:
    """Return with how many models so many pairs can be told from chance at all.

    With that many, a group that explains half of what an example's output varies by is found among them: its statistic
    is about sqrt(m - 2), which must exceed Student's quantile at 0.05 / tests (Bonferroni's bound, to which Benjamini &
    Hochberg's comes down for a single discovery).
    """
    low, high = 3, _MOST_MODELS
    ratio = _EXPLAINED / (1 - _EXPLAINED)
    while low < high:
        middle = (low + high) // 2
        enough = (ratio * (middle - 2)) ** 0.5 > t_quantile(1 - _FOUND / (2 * max(n_tests, 1)), middle - 2)
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
    quantile = t_quantile(1 - _FOUND / (2 * max(n_tests, 1)), n_models - 2) + t_quantile(0.8, n_models - 2)
    return float(quantile * spread / (share * (1 - share) * n_models) ** 0.5)


class _Strongest:
    """The pairs of the largest statistics so far."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._least = 0.0
        self._found = np.empty((5, 0))

    def candidates(self, statistic: Floats, influence: Floats, se: Floats, start: int) -> NDArray[np.float64]:
        """Return those of a block, (K, c) each with its first example at `start`, that may be among them: (5, few)."""
        group, column = np.nonzero(statistic > self._least)
        rows = (group, column + start, statistic[group, column], influence[group, column], se[group, column])
        return self._largest(np.array(rows, dtype=np.float64))

    def take(self, candidates: NDArray[np.float64]) -> None:
        """Keep the largest of what is kept and candidates."""
        self._found = self._largest(np.concatenate([self._found, candidates], axis=1))
        if self._found.shape[1] == self._keep:
            self._least = float(self._found[2, -1])

    def _largest(self, found: NDArray[np.float64]) -> NDArray[np.float64]:
        if found.shape[1] > 4 * self._keep:
            found = found[:, np.argpartition(-found[2], 2 * self._keep)[: 2 * self._keep]]
        return found[:, np.lexsort((found[1], found[0], -found[2]))[: self._keep]]

    def pairs(self, edges: NDArray[np.float64], q: NDArray[np.float64], only: NDArray[np.intp] | None) -> Pairs:
        group, example, statistic, influence, se = self._found
        places = group.astype(np.intp)
        return Pairs(
            group=places if only is None else only[places],
            example=example.astype(np.intp),
            influence=influence,
            se=se,
            q=q[np.searchsorted(edges, np.minimum(statistic, _LARGEST), side="right") - 1],
        )


def _statistic(influence: Floats, se: Floats) -> Floats:
    """Influence in standard errors; 0 where there is neither, NaN where undefined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic: Floats = influence / se
    statistic[(influence == 0) & (se == 0)] = 0
    return statistic


def _counted(statistic: Floats) -> NDArray[np.int64]:
    """How many statistics are in each bin, from the largest below zero to the largest above; zero has one bin."""
    known = statistic.reshape(-1)
    if np.isnan(known.sum()):
        known = known[~np.isnan(known)]
    bins = (np.clip(known, -_LARGEST, _LARGEST) * _BINS_PER_UNIT).astype(np.int32)
    return np.bincount(bins + _ZERO, minlength=2 * _ZERO + 1)


def _false_discovery_rates(counts: NDArray[np.int64], df: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower ends of the bins, and the q of what is in each."""
    edges = np.arange(len(counts)) / _BINS_PER_UNIT
    at_least = np.cumsum(counts[::-1])[::-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = p_values(edges, np.ones_like(edges), df) * counts.sum() / at_least
    scaled[at_least == 0] = np.inf
    return edges, np.minimum(np.minimum.accumulate(scaled), 1.0)
