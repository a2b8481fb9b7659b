"""Results and plans of prunings and counterfactuals, as plain data: importing it loads no numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import isfinite, nan
from typing import TYPE_CHECKING, Literal

from tui_influence.influence.types import SIGNIFICANCE_LEVEL
from tui_influence.roles import ArmKind

if TYPE_CHECKING:
    from tui_influence.analysis.probe_types import HarmfulGroup
    from tui_influence.analysis.question import Question
    from tui_influence.analysis.types import RankReport
    from tui_influence.influence.types import LDS
    from tui_influence.pruning.options import PruningRequest
    from tui_influence.store.paths import Paths
    from tui_influence.store.pruning_plan import Arm, GainForecast, Pruning
    from tui_influence.store.run_info import RunInfo

Quantity = Literal["accuracy", "margin"]


@dataclass(frozen=True)
class Interval:
    """A value with its 95% interval, and the p-value of zero; NaN where unknown.

    Attributes:
        value: the value.
        low: end of the interval.
        high: end of the interval.
        p: two-sided, of a true value of zero.
        se: standard error.
        df: degrees of freedom of its t interval.
    """

    value: float
    low: float
    high: float
    p: float = nan
    se: float = nan
    df: float = nan

    @property
    def sign(self) -> int:
        """1 or -1 where the interval leaves out zero, else 0."""
        return 1 if self.low > 0 else -1 if self.high < 0 else 0

    def within_unit(self) -> Interval:
        """Return the interval of a fraction without what is below 0 or above 1: a t interval knows no bounds."""
        return replace(self, low=max(self.low, 0.0), high=min(self.high, 1.0)) if isfinite(self.low) else self


@dataclass(frozen=True)
class Score:
    """One quantity of an arm.

    Attributes:
        mean: over its retrainings.
        gain: over keeping everything.
        over: gain over the arms that drop as many groups otherwise, by their kind, as far as there are any.
    """

    mean: Interval
    gain: Interval
    over: dict[ArmKind, Interval]


@dataclass(frozen=True)
class ClassGain:
    """The gain of an arm on one target class.

    Attributes:
        target: the class is of.
        name: of the class.
        accuracy: gain over keeping everything.
        margin: likewise.
        q: false discovery rate, over the arm's classes, at which its accuracy would count as changed.
    """

    target: str
    name: str
    accuracy: Interval
    margin: Interval
    q: float = nan

    def of(self, quantity: Quantity) -> Interval:
        """Return the gain of accuracy or of margin."""
        return self.accuracy if quantity == "accuracy" else self.margin


@dataclass(frozen=True)
class ArmResult:
    """An arm as measured so far.

    Attributes:
        arm: which.
        models: retrainings recorded.
        accuracy: on the targets together, as a fraction.
        margin: likewise, in nats.
        by_target: accuracy and margin on each target alone.
        by_class: what each target class gained or lost over keeping everything.
    """

    arm: Arm
    models: int
    accuracy: Score
    margin: Score
    by_target: dict[str, dict[str, Score]]
    by_class: tuple[ClassGain, ...]

    def score(self, quantity: Quantity) -> Score:
        """Return accuracy or margin on the targets together."""
        return self.accuracy if quantity == "accuracy" else self.margin


@dataclass(frozen=True)
class PruningResults:
    """A pruning as measured so far.

    Attributes:
        info: of the pruning.
        pruning: its plan.
        results: an arm each, in the order of the tables.
        damaged: records that had to be left out.
    """

    info: RunInfo
    pruning: Pruning
    results: tuple[ArmResult, ...]
    damaged: tuple[str, ...]

    @property
    def models(self) -> int:
        """Retrainings recorded."""
        return sum(result.models for result in self.results)

    def result_of(self, kind: ArmKind, k: int) -> ArmResult | None:
        """Return the result of one arm."""
        return next((result for result in self.results if (result.arm.kind, result.arm.k) == (kind, k)), None)

    def forecast(self, k: int) -> GainForecast | None:
        """Return the predicted gain of dropping the k lowest."""
        return next((forecast for forecast in self.pruning.forecast if forecast.k == k), None)

    @property
    def is_complete(self) -> bool:
        """Whether every arm has all its retrainings."""
        return all(result.models == len(result.arm.rows) for result in self.results)


@dataclass(frozen=True)
class OrderAgreement:
    """Pairs of arms in the order that the ranking implies, of a pruning trained by another recipe than its sweep.

    Attributes:
        settings: that differ from the sweep's, a line each.
        pairs: of recorded arms that drop as many groups.
        accuracy: pairs of which the mean accuracy is in that order.
        margin: pairs of which the mean margin is.
    """

    settings: tuple[str, ...]
    pairs: int
    accuracy: int
    margin: int


class Outcome(StrEnum):
    """The conclusion of a counterfactual: the effect of dropping the groups that hurt an example."""

    OPEN = "open"
    """Too few retrainings are recorded."""
    HOLDS = "holds"
    """Most models predict it correctly, where with everything most did not; and more than with as many groups dropped
    at random."""
    OFTENER = "oftener"
    """More models predict it correctly than with everything and than at random, but the majority is not turned."""
    ANY = "any"
    """More models predict it correctly than with everything, but not more than at random."""
    WORSE = "worse"
    """Fewer models predict it correctly than with everything."""
    RIGHT = "right"
    """Most models that keep everything predict it correctly, so that nothing could flip."""
    MARGIN = "margin"
    """Only its margin is higher than with everything and than at random."""
    NOTHING = "nothing"
    """No difference is significant."""


@dataclass(frozen=True)
class ControlComparison:
    """The comparison of an arm with a control, on one example.

    Attributes:
        p: two-sided p-value that both are right equally often (Fisher's exact test); NaN without retrainings.
        margin: change of the mean margin, nats, with Welch's interval.
    """

    p: float
    margin: Interval


@dataclass(frozen=True)
class FlipCounts:
    """Examples of the evaluate half whose usual prediction is another than in models that keep everything.

    Attributes:
        to_right: wrong by most with everything, right by most without the groups.
        to_wrong: the other way round.
        size: number of examples examined.
    """

    to_right: int
    to_wrong: int
    size: int


@dataclass(frozen=True)
class ArmOnExample:
    """The predictions of one arm's retrainings for the example.

    Attributes:
        arm: which.
        models: retrainings recorded.
        right: how many of them are right about the example.
        margin: mean margin of the example, nats, with its t interval.
        over_all: against keeping everything; None for that arm itself.
        over_random: against as many dropped at random; None where that is the arm itself, or not retrained.
        flips: of the evaluate half, against keeping everything; None where either has no retraining.
    """

    arm: Arm
    models: int
    right: int
    margin: Interval
    over_all: ControlComparison | None
    over_random: ControlComparison | None
    flips: FlipCounts | None


@dataclass(frozen=True)
class CounterfactualResult:
    """A counterfactual as far as it is recorded.

    Attributes:
        info: of the retrainings.
        pruning: what they were planned to be.
        example: its number.
        label: its class.
        arms: in the order of the plan.
        damaged: records that had to be left out.
    """

    info: RunInfo
    pruning: Pruning
    example: int
    label: int
    arms: tuple[ArmOnExample, ...]
    damaged: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether every arm has all its retrainings."""
        return all(arm.models == len(arm.arm.rows) for arm in self.arms)

    @property
    def drop_arms(self) -> tuple[ArmOnExample, ...]:
        """The arms that drop the harmful groups; more than one where different numbers of groups were requested."""
        return tuple(arm for arm in self.arms if arm.arm.kind is ArmKind.DROP)

    def arm_of(self, kind: ArmKind, k: int) -> ArmOnExample | None:
        """Return the first arm of a kind that drops `k` groups."""
        return next((arm for arm in self.arms if (arm.arm.kind, arm.arm.k) == (kind, k)), None)

    def outcome(self, arm: ArmOnExample) -> Outcome:
        """Return the conclusion from an arm that drops the harmful groups."""
        everything, control = self.arm_of(ArmKind.ALL, 0), self.arm_of(ArmKind.RANDOM, arm.arm.k)
        if everything is None or control is None or arm.over_all is None or arm.over_random is None:
            return Outcome.OPEN
        if not all(control_arm.models > 1 for control_arm in (arm, everything, control)):
            return Outcome.OPEN
        flips, beats_random = (
            comparison.p < SIGNIFICANCE_LEVEL and arm.right * other.models > other.right * arm.models
            for comparison, other in ((arm.over_all, everything), (arm.over_random, control))
        )
        if flips and not beats_random:
            return Outcome.ANY
        if flips:
            turns = 2 * everything.right <= everything.models and 2 * arm.right > arm.models
            return Outcome.HOLDS if turns else Outcome.OFTENER
        if arm.over_all.p < SIGNIFICANCE_LEVEL:
            return Outcome.WORSE
        if 2 * everything.right > everything.models:
            return Outcome.RIGHT
        rises = arm.over_all.margin.sign > 0 and arm.over_random.margin.sign > 0
        return Outcome.MARGIN if rises else Outcome.NOTHING


@dataclass(frozen=True)
class Recommendation:
    """A recommended number of groups to drop.

    Attributes:
        k: how many of the lowest; None for none.
        why: in one sentence.
        gains: whether dropping them gains; else it only costs nothing that was measured.
    """

    k: int | None
    why: str
    gains: bool = True


@dataclass(frozen=True)
class Point:
    """An arm on the curve.

    Attributes:
        k: groups dropped.
        seeds: retrainings recorded.
        mean: over them, with its interval (ends NaN from one retraining).
    """

    k: int
    seeds: int
    mean: Interval

    @property
    def ends(self) -> tuple[float, float]:
        """The interval's ends; the mean itself where there is no interval."""
        low, high = self.mean.low, self.mean.high
        return (low, high) if isfinite(low) and isfinite(high) else (self.mean.value, self.mean.value)


@dataclass(frozen=True)
class RemovalCurves:
    """A quantity of every arm that is measured.

    Attributes:
        everything: k = 0: where every curve begins; None while nothing of it is recorded.
        by_kind: the further points of each curve by k, ascending; only kinds that have any, in the order of
            `ARM_STYLES`.
        lists: label and point of each list of the user's.
    """

    everything: Point | None
    by_kind: dict[ArmKind, tuple[Point, ...]]
    lists: tuple[tuple[str, Point], ...]

    def points(self) -> list[Point]:
        """Return all points."""
        begin = [self.everything] if self.everything is not None else []
        curves = (point for curve in self.by_kind.values() for point in curve)
        return [*begin, *curves, *(point for _, point in self.lists)]

    def ks(self) -> list[int]:
        """Return how many groups are dropped at the points, ascending and once each."""
        return sorted({point.k for point in self.points()})


@dataclass(frozen=True)
class PruningProposal:
    """A pruning, or an extension of one, that could be started.

    Attributes:
        name: of the pruning.
        request: the arms.
        question: the ranking of a pruning that does not exist yet; None for one that has its ranking.
    """

    name: str
    request: PruningRequest
    question: Question | None


@dataclass(frozen=True)
class PlanPreview:
    """The plan and the expected duration of a proposal.

    Attributes:
        pruning: with all its arms, those that are trained already included.
        seconds: that its retrainings take at the rate of the last ones, of the pruning or of the sweep; None if that
            is not known.
        recommendation: how many groups to drop, by the gain forecast.
    """

    pruning: Pruning
    seconds: float | None
    recommendation: Recommendation


@dataclass(frozen=True)
class CounterfactualPreview:
    """A counterfactual that could be started.

    Attributes:
        question: the example, and how its influences are estimated.
        label: class of the example.
        plan: what is to be retrained, and the groups that are left out.
        pruning: the plan.
        seconds: expected duration at the sweep's rate; None if that is unknown.
    """

    question: Question
    label: str
    plan: CounterfactualPlan
    pruning: Pruning
    seconds: float | None


@dataclass(frozen=True)
class CounterfactualPlan:
    """The retrainings for one example.

    Attributes:
        pruning_paths: their results directory.
        harmful_groups: the groups that are dropped, the most harmful first.
        request: the pruning that drops them.
    """

    pruning_paths: Paths
    harmful_groups: tuple[HarmfulGroup, ...]
    request: PruningRequest

    @property
    def is_significant(self) -> bool:
        """Whether any of the groups hurts the example significantly."""
        return any(group.is_significant for group in self.harmful_groups)


@dataclass(frozen=True)
class LowestArm:
    """An arm that dropped the lowest groups of a run's own ranking, beside another ranking of the same groups.

    Attributes:
        pruning: name of the pruning, safe to show.
        k: number of groups that the arm dropped.
        n_groups: K, number of all groups.
        n_shared: how many of the dropped groups are among the k lowest of the other ranking.
        models: retrainings recorded.
        scores: accuracy and margin on the target.
    """

    pruning: str
    k: int
    n_groups: int
    n_shared: int
    models: int
    scores: dict[Quantity, Score]

    @property
    def n_shared_by_chance(self) -> float:
        """Expected number of shared groups if the other ranking is drawn at random."""
        return self.k**2 / self.n_groups


@dataclass(frozen=True)
class RankingScore:
    """Score of a ranking from a file on a run.

    Attributes:
        file: its name.
        n_groups: K, number of groups.
        n_unknown: groups whose influence the file leaves open.
        has_influences: whether the file has influences, not an order alone.
        n_heldout: held-out models of the run.
        report: the run's own ranking for the same question.
        lds: of the file's influences; None without influences, of equal ones, or from too few held-out models.
        lds_of_size: of the number of groups alone, which the influences' mean adds; None where all masks have one size.
        correlation: rank correlation with the run's own ranking (Spearman); NaN over too few groups.
        n_compared: groups that it is over.
        arms: of the prunings on the same target, by pruning and number of groups.
        n_other_prunings: prunings on other targets, which are left out.
        warnings: about the data behind it.
    """

    file: str
    n_groups: int
    n_unknown: int
    has_influences: bool
    n_heldout: int
    report: RankReport
    lds: LDS | None
    lds_of_size: LDS | None
    correlation: float
    n_compared: int
    arms: tuple[LowestArm, ...]
    n_other_prunings: int
    warnings: tuple[str, ...]


def lost_and_gained(gains: Sequence[ClassGain]) -> tuple[list[ClassGain], list[ClassGain]]:
    """Return the target classes whose accuracy fell and those whose it rose, the most changed first."""
    significant = sorted((gain for gain in gains if gain.q < SIGNIFICANCE_LEVEL), key=lambda gain: gain.accuracy.value)
    lost = [gain for gain in significant if gain.accuracy.value < 0]
    return lost, [gain for gain in significant[::-1] if gain.accuracy.value > 0]
