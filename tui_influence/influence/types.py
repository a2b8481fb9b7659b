"""Results of estimating influence, as plain data: importing them loads neither numpy nor any other library."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Estimate:
    """Influence of K groups on n target outputs.

    Attributes:
        influence: (K, n), in the unit of the outputs; NaN where undefined (see `n_with`, `n_without`).
        se: (K, n) standard error, same unit; NaN where the models are too few.
        df: degrees of freedom of the t interval influence ± t(df) · se; 0 when there is none.
        n_with: (K,) number of models that were trained on the group.
        n_without: (K,) number that were not. One of the two is 0 for a constant group: influence undefined.
        estimator: its name.
        is_relative: True where every model has the same number of groups, so that the influences sum to zero and
            each says "better or worse than an average other group in its place". False: the effect of having the
            group, the others as they may be.
        penalty: (n,) the ridge penalty that was used, None for other estimators.
        prior_share: (n,) part of the influences' variance over groups that comes from a prior; None without a prior.
    """

    influence: Floats
    se: Floats
    df: float
    n_with: NDArray[np.int64]
    n_without: NDArray[np.int64]
    estimator: str
    is_relative: bool = False
    penalty: Floats | None = None
    prior_share: Floats | None = None

    def of_groups(self, groups: NDArray[np.intp]) -> Estimate:
        """Return the rows of some groups, (K',) indices."""
        return replace(
            self,
            influence=self.influence[groups],
            se=self.se[groups],
            n_with=self.n_with[groups],
            n_without=self.n_without[groups],
        )


DEFAULT_GOAL = 0.9
"""Reliability that models are forecast for, unless another is requested."""
MAX_FORECAST_FACTOR = 20
"""A forecast for more than so many times the present models is not stated."""


@dataclass(frozen=True)
class ReliabilityForecast:
    """Reliability forecast: models, in all, until the reliability of a ranking reaches a target, as a range.

    Attributes:
        target_reliability: the goal.
        n_models: models in all, including the present ones, to be expected; None where they are unknown or too many.
        low: lower end of the range; None without a forecast. Where it is the largest number that is forecast, and
            `high` is None, more are needed.
        high: upper end; None if it is open.
        reason: the case, in a sentence.
        is_reachable: whether any number of models may reach it.
    """

    target_reliability: float
    n_models: int | None
    low: int | None
    high: int | None
    reason: str
    is_reachable: bool = True


MIN_HELDOUT_MASKS = 4
"""Different held-out masks that an LDS takes."""

MIN_REPEATED_MASKS = 5
"""Held-out masks with more than one model that the ceiling of an LDS takes."""


@dataclass(frozen=True)
class LDS:
    """Linear datamodeling score with its 95% interval over held-out models.

    Attributes:
        value: mean over examples of the rank correlation between predicted and actual outputs.
        low: lower end of the interval.
        high: upper end.
        n: held-out models.
        n_masks: their different masks.
        n_repeated: masks that several of them share.
    """

    value: float
    low: float
    high: float
    n: int
    n_masks: int
    n_repeated: int


@dataclass(frozen=True)
class LDSCeiling:
    """The LDS that the true mean outputs of the held-out masks would have, with its 95% interval over masks.

    Attributes:
        value: the rank correlation that no prediction can exceed, because trainings of one mask differ.
        low: lower end of the interval; above zero.
        high: upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Reliability:
    """How far to trust the order of a ranking: what that is depends on the estimator (`reliability_meaning`).

    Attributes:
        value: without a prior, the rank correlation expected with the ranking of a second sweep of the same size:
            Spearman-Brown corrected split-half correlation, 2 r / (1 + r), for random masks, and what the standard
            errors imply for orthogonal ones. With a prior, the squared correlation expected with the true influences.
        half: r, the mean rank correlation between the two halves' rankings, uncorrected; NaN without halves.
        low: lower end of the 95% interval for `value`.
        high: upper end.
        n_splits: random halvings; 0 without.
    """

    value: float
    half: float
    low: float
    high: float
    n_splits: int


def reliability_grade(reliability: Reliability | None) -> str:
    """Return the grade of a ranking.

    "noise" if the interval includes zero, or there is no reliability; then, by value: "weak" under 0.5, "fair" under
    0.7, "good" under 0.9, "strong".
    """
    if reliability is None or not reliability.low > 0:
        return "noise"
    for bound, word in ((0.5, "weak"), (0.7, "fair"), (0.9, "good")):
        if reliability.value < bound:
            return word
    return "strong"


class OutputKind(StrEnum):
    """The number that is compared between models."""

    MARGIN = "margin"
    """log p_y - log(1 - p_y), in nats; additive where probabilities saturate."""
    PROBABILITY = "probability"
    """The probability of the correct class, 0 to 1."""
    CORRECT = "correct"
    """1 where the predicted label is the true one, else 0: its mean is accuracy."""


@dataclass(frozen=True)
class RankedGroup:
    """One line of a ranking; influence, se, low and high are in the unit of the outputs.

    Attributes:
        rank: from 1, the most helpful first.
        group: its name.
        index: its column in the masks.
        influence: effect of the group on the output; NaN where undefined.
        se: standard error.
        low: lower end of the 95% interval.
        high: upper end.
        q: false discovery rate at which it would count as a discovery.
        n_with: models that have the group.
        n_without: models that do not.
    """

    rank: int
    group: str
    index: int
    influence: float
    se: float
    low: float
    high: float
    q: float
    n_with: int
    n_without: int


@dataclass(frozen=True)
class Ranking:
    """Groups from most helpful to most harmful; those of undefined influence last.

    Attributes:
        rows: one a group, all K.
        estimator: how influence was estimated.
        output: what it is an influence on.
        n_models: models it is estimated from.
        n_examples: target examples averaged over.
        reliability: of the ranking; None where the models are too few.
        lds: of the averaged output over the held-out models; None if there are too few.
        forecast: models needed for a reliability of 0.9, as a range.
        constant_groups: names of groups that every model has, or none: undefined influence.
        is_relative: influences are relative to an average other group and sum to zero (see `Estimate`).
        prior_share: part of the influences' variance over groups that comes from a prior; None without a prior.
        lds_ceiling: of that LDS; None if too few held-out masks are repeated, or it cannot be distinguished from zero.
    """

    rows: tuple[RankedGroup, ...]
    estimator: str
    output: OutputKind
    n_models: int
    n_examples: int
    reliability: Reliability | None
    lds: LDS | None
    forecast: ReliabilityForecast | None
    constant_groups: tuple[str, ...]
    is_relative: bool
    prior_share: float | None = None
    lds_ceiling: LDSCeiling | None = None


class ComparisonKind(Enum):
    """Significant effects of a group in two rankings: the sign of its influence in each, 0 if not significant."""

    HELPS_BOTH = 1, 1
    HURTS_BOTH = -1, -1
    HELPS_FIRST_BUT_HURTS_SECOND = 1, -1
    HURTS_FIRST_BUT_HELPS_SECOND = -1, 1
    HELPS_FIRST = 1, 0
    HURTS_FIRST = -1, 0
    HELPS_SECOND = 0, 1
    HURTS_SECOND = 0, -1
    NOT_SIGNIFICANT = 0, 0

    def __str__(self) -> str:
        """Return it in words: "helps first but hurts second"."""
        return self.name.lower().replace("_", " ")

    @property
    def is_opposed(self) -> bool:
        """Whether the group significantly helps in one ranking and hurts in the other."""
        first, second = self.value
        return bool(first * second < 0)


@dataclass(frozen=True)
class ComparedGroup:
    """A group in two rankings; numbers are in the unit of the outputs.

    Attributes:
        rank: from 1, the most opposed first (see `compare`).
        first: the group in the first ranking.
        second: the same group in the second.
        kind: its significant effects in both.
    """

    rank: int
    first: RankedGroup
    second: RankedGroup
    kind: ComparisonKind

    @property
    def group(self) -> str:
        """Its name."""
        return self.first.group

    @property
    def index(self) -> int:
        """Its column in the masks."""
        return self.first.index

    @property
    def difference(self) -> float:
        """Influence in the first ranking minus influence in the second; NaN where either is."""
        return self.first.influence - self.second.influence

    @property
    def low(self) -> float:
        """Lower end of the difference's interval: from the first's low to the second's high.

        The standard error of a difference is at most the sum of both standard errors, whatever their correlation, so
        two 95% intervals subtracted from each other hold the true difference at least as often.
        """
        return self.first.low - self.second.high

    @property
    def high(self) -> float:
        """Upper end of the difference's interval."""
        return self.first.high - self.second.low


@dataclass(frozen=True)
class Comparison:
    """Two rankings of the same groups.

    Attributes:
        rows: one a group, all K, the most opposed first; those of undefined influence last.
        correlation: Spearman's, of both orders; NaN if there are too few groups. An error that both share, because they
            come from the same models, raises it.
        n_compared: groups that it is over.
    """

    rows: tuple[ComparedGroup, ...]
    correlation: float
    n_compared: int


@dataclass(frozen=True)
class Pairs:
    """Influences of groups on examples, (c,) each, the most significant first.

    Attributes:
        group: column in the masks.
        example: column in the outputs.
        influence: in the unit of the outputs.
        se: standard error.
        q: false discovery rate over all pairs tested.
    """

    group: NDArray[np.intp]
    example: NDArray[np.intp]
    influence: NDArray[np.float64]
    se: NDArray[np.float64]
    q: NDArray[np.float64]


@dataclass(frozen=True)
class StrongestPairs:
    """Result of `strongest_pairs`.

    Attributes:
        helped: pairs with the most significant positive influence.
        hurt: pairs with the most significant negative influence.
        n_tested: pairs whose influence is defined.
        n_helped: pairs with a significant positive influence.
        n_hurt: pairs with a significant negative influence.
        df: degrees of freedom of the intervals.
    """

    helped: Pairs
    hurt: Pairs
    n_tested: int
    n_helped: int
    n_hurt: int
    df: float


SIGNIFICANCE_LEVEL = 0.05
"""A group is marked when its false discovery rate q is below this."""
