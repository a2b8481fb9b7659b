"""Results of questions about a run, as plain data: importing them loads neither numpy nor any other library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, TypeAlias

from tui_influence.analysis.names import PLURAL, Noun
from tui_influence.influence.types import (
    SIGNIFICANCE_LEVEL,
    Comparison,
    RankedGroup,
    Ranking,
    Reliability,
    ReliabilityForecast,
    reliability_grade,
)

if TYPE_CHECKING:
    from tui_influence.analysis.question import Question
    from tui_influence.analysis.snapshot import RunSnapshot

MIN_MODELS = 8
"""Models below which a reliability is meaningless."""


@dataclass(frozen=True)
class RankReport:
    """A ranking and its question.

    Attributes:
        run: name of the run.
        config_hash: of the run's resolved config.
        target: name of the target.
        target_class: the class of the target whose examples were averaged, if one was chosen.
        example: the one target example, if one was chosen.
        split: the part of the target's test examples: estimate, evaluate or all.
        design: kind and parameters, such as "fixed alpha=0.5".
        ranking: the groups, best first, and how reliable their order is.
        n_failed: models that were to be used and failed.
        noun: what a group is.
        n_prior: prior networks that the influences start from.
        clusters: cluster of each class by its name; empty if the run has no class clusters.
    """

    run: str
    config_hash: str
    target: str
    target_class: str | None
    example: int | None
    split: str
    design: str
    ranking: Ranking
    n_failed: int = 0
    noun: Noun = "class"
    n_prior: int = 0
    clusters: Mapping[str, int] = field(default_factory=dict)

    @property
    def nouns(self) -> str:
        """The plural of the noun."""
        return PLURAL[self.noun]

    @property
    def is_relative(self) -> bool:
        """Whether zero means an average group, not no effect: so where all models have equally many groups."""
        return self.ranking.is_relative

    def is_noise(self) -> bool:
        """Whether nothing here is significant: neither the order as a whole nor any single group.

        A ranking whose reliability may be zero can still hold groups with a significant influence.
        """
        return self.order_is_noise and not any(row.q < SIGNIFICANCE_LEVEL for row in self.ranking.rows)

    @property
    def order_is_noise(self) -> bool:
        """Whether the reliability of the order cannot be distinguished from zero."""
        reliability = self.ranking.reliability
        return reliability is not None and isfinite(reliability.value) and reliability_grade(reliability) == "noise"


@dataclass(frozen=True)
class ComparisonReport:
    """Two rankings of the same run and groups, by the same estimator and output.

    Attributes:
        first: a ranking.
        second: the ranking that it is compared with.
        comparison: both, row by row.
    """

    first: RankReport
    second: RankReport
    comparison: Comparison


AnyReport: TypeAlias = RankReport | ComparisonReport
"""The results that `tinfl rank` shows and writes."""


@dataclass(frozen=True)
class RankingResult:
    """A ranking, and warnings about the data behind it.

    Attributes:
        report: the ranking and its question.
        warnings: such as damaged records, or models that learnt nothing.
    """

    report: RankReport
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class ComparisonResult:
    """A comparison, and warnings about the data behind it.

    Attributes:
        report: both rankings and their questions.
        warnings: about the data behind either.
    """

    report: ComparisonReport
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class ExampleEffect:
    """The effect of a group on one test example.

    Attributes:
        example: its number among all test examples.
        label: its class.
        predicted: the class that most models predict.
        influence: of the group on its output.
        se, low, high: standard error, and ends of the 95% interval.
        q: false discovery rate over the chosen examples.
    """

    example: int
    label: int
    predicted: int
    influence: float
    se: float
    low: float
    high: float
    q: float


@dataclass(frozen=True)
class GroupEffects:
    """The effects of a group on a target.

    Attributes:
        group: its column in the masks.
        classes: the target's classes in ranking order, each with the group's influence on its mean output.
        helped, hurt: examples, the most helped or the most hurt first; none is in both.
        n_helped, n_hurt: number of examples that are helped or hurt significantly.
        n_examples: number of examples examined.
        models: number of models behind it.
    """

    group: int
    classes: tuple[RankedGroup, ...]
    helped: tuple[ExampleEffect, ...]
    hurt: tuple[ExampleEffect, ...]
    n_helped: int
    n_hurt: int
    n_examples: int
    models: int


@dataclass(frozen=True)
class PredictionSummary:
    """The predictions of some models for one example.

    Attributes:
        models: how many they are.
        votes: (label, share of the models that predict it), the most common first.
        accuracy: share that predict the true label; NaN without models.
        probability: mean probability of the true label; NaN without models.
        margin: mean margin, nats; NaN without models.
    """

    models: int
    votes: tuple[tuple[int, float], ...]
    accuracy: float
    probability: float
    margin: float

    @property
    def label(self) -> int | None:
        """The label that most of the models predict."""
        return self.votes[0][0] if self.votes else None


@dataclass(frozen=True)
class ExampleReport:
    """One test example of a target.

    Attributes:
        example: its number among all test examples.
        name: where it came from.
        label: its class, by position.
        split: the half of the test examples that it is in: estimate or evaluate.
        overall: the predictions of all models.
        with_and_without: those of the models with a group, and without it; None if there is no group in question.
        drivers: the ranking of all groups by their influence on this example.
    """

    example: int
    name: str
    label: int
    split: str
    overall: PredictionSummary
    with_and_without: tuple[PredictionSummary, PredictionSummary] | None
    drivers: RankingResult


@dataclass(frozen=True)
class ReliabilityCurve:
    """The reliability of a ranking against the number of models, and the accuracies of the models.

    Attributes:
        models: number of models recorded.
        measured: (number of models, reliability of the ranking from the first so many), growing.
        forecast: (number of models, expected reliability), from there to all that are planned, or to 0.9.
        models_needed: models for a reliability of 0.9; None if there are too few to measure it.
        source_accuracy, target_accuracy: of each model.
    """

    models: int
    measured: tuple[tuple[int, Reliability], ...]
    forecast: tuple[tuple[int, float], ...]
    models_needed: ReliabilityForecast | None
    source_accuracy: tuple[float, ...]
    target_accuracy: tuple[float, ...]

    @property
    def reliability(self) -> Reliability | None:
        """The reliability of the ranking from all models so far."""
        return self.measured[-1][1] if self.measured and self.measured[-1][0] == self.models else None


@dataclass(frozen=True)
class ExampleQuestion:
    """A question about one example.

    Attributes:
        snapshot: the snapshot that it is answered from; not compared.
        question: estimator and output.
        example: its number.
        group: the group that models are compared with and without; None compares nothing.
    """

    snapshot: RunSnapshot = field(compare=False)
    question: Question
    example: int
    group: int | None


@dataclass(frozen=True)
class ImageSeries:
    """Examples to go through one by one.

    Attributes:
        snapshot: the snapshot that they are shown from.
        question: estimator and output.
        examples: their numbers.
        groups: for each, the group that models are compared with and without; None compares nothing.
        role: what that group does to the example, in words; may be empty.
        description: of the examples, in words.
    """

    snapshot: RunSnapshot
    question: Question
    examples: Sequence[int]
    groups: Sequence[int | None]
    role: str
    description: str

    def question_at(self, index: int) -> ExampleQuestion:
        """Return the question about one of them."""
        return ExampleQuestion(self.snapshot, self.question, self.examples[index], self.groups[index])
