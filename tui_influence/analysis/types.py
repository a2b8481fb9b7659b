"""Answers to questions about a run, as plain data: importing them loads neither numpy nor any other library."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import isfinite
from typing import TYPE_CHECKING, TypeAlias

from tui_influence.analysis.names import PLURAL, Noun
from tui_influence.influence.types import (
    SIGNIFICANCE_LEVEL,
    Comparison,
    RankedGroup,
    Ranking,
    Reliability,
    reliability_grade,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tui_influence.analysis.question import Question
    from tui_influence.analysis.snapshot import RunSnapshot


@dataclass(frozen=True)
class RankReport:
    """A ranking and what it is about.

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

    @property
    def nouns(self) -> str:
        """What groups are called."""
        return PLURAL[self.noun]

    @property
    def is_relative(self) -> bool:
        """Whether zero is an average group rather than no effect: so where all models have equally many groups."""
        return self.ranking.is_relative

    def is_noise(self) -> bool:
        """Whether nothing here is more than chance: neither the order as a whole nor any single group.

        A ranking whose reliability may be zero can still hold groups whose own effect is beyond doubt.
        """
        return self.order_is_noise and not any(row.q < SIGNIFICANCE_LEVEL for row in self.ranking.rows)

    @property
    def order_is_noise(self) -> bool:
        """Whether the order as a whole cannot be told from chance."""
        reliability = self.ranking.reliability
        return reliability is not None and isfinite(reliability.value) and reliability_grade(reliability) == "noise"


@dataclass(frozen=True)
class ComparisonReport:
    """Two rankings of the same run and groups, by the same estimator and output.

    Attributes:
        first: a ranking and what it is about.
        second: the ranking that it is compared with.
        comparison: both, row by row.
    """

    first: RankReport
    second: RankReport
    comparison: Comparison


AnyReport: TypeAlias = RankReport | ComparisonReport
"""What `tinfl rank` shows and writes."""


@dataclass(frozen=True)
class RankingResult:
    """A ranking, and what a reader of it should know besides.

    Attributes:
        report: the ranking and its circumstances.
        notes: what is wrong with the data behind it: damaged records, sources that learnt nothing.
    """

    report: RankReport
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class ComparisonResult:
    """A comparison, and what a reader of it should know besides.

    Attributes:
        report: both rankings and their circumstances.
        notes: what is wrong with the data behind either.
    """

    report: ComparisonReport
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class ExampleEffect:
    """A test example and what a group does to it.

    Attributes:
        example: its number among all test examples.
        label: its class.
        predicted: the class that most models predict.
        influence: of the group on its output.
        se: standard error.
        low: lower end of the 95% interval.
        high: upper end.
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
    """What a group does to a target.

    Attributes:
        group: its column in the masks.
        classes: the target's classes in ranking order, each with the group's influence on its mean output.
        helped: examples, the most helped first.
        hurt: examples, the most hurt first; none is in both.
        n_helped: examples helped beyond chance.
        n_hurt: examples hurt beyond chance.
        n_examples: examples that were looked at.
        models: that all this is estimated from.
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
    """What some models say about one example.

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
        """The label that most of them predict."""
        return self.votes[0][0] if self.votes else None


@dataclass(frozen=True)
class ExampleReport:
    """One test example of a target.

    Attributes:
        example: its number among all test examples.
        name: where it came from.
        label: its class, by position.
        split: the half of the test examples that it is in: estimate or evaluate.
        overall: predictions of all models.
        with_and_without: predictions of models with a group, and of those without it; None if no group was given.
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
class HarmfulGroup:
    """A group and what it does to a failing example; numbers are in the unit of the outputs.

    Attributes:
        group: its column in the masks.
        influence: on the example; negative.
        se: standard error.
        low: lower end of the 95% interval.
        high: upper end.
        q: false discovery rate over the groups, for this example.
    """

    group: int
    influence: float
    se: float
    low: float
    high: float
    q: float

    @property
    def is_significant(self) -> bool:
        """Whether it is more than chance that the group hurts the example."""
        return self.q < SIGNIFICANCE_LEVEL


@dataclass(frozen=True)
class Failure:
    """A test example that models get wrong.

    Attributes:
        example: its number among all test examples.
        label: its class.
        predicted: the class that most models predict.
        right: share of the models that predict its class.
        margin: mean margin, nats.
        blamed: groups that hurt it, the worst first.
    """

    example: int
    label: int
    predicted: int
    right: float
    margin: float
    harmful_groups: tuple[HarmfulGroup, ...]


@dataclass(frozen=True)
class Failures:
    """The failures of a target, or of one of its classes.

    Attributes:
        found: those that were asked for, the lowest margin first.
        wrong: examples that most models are wrong about.
        low: other examples of a low mean margin; 0 if they were not asked for.
        size: examples that were looked at.
        models: that all this is from.
        relative: zero is an average group, not no effect (see `Estimate`).
    """

    examples: tuple[Failure, ...]
    n_wrong: int
    n_low_margin: int
    n_examples: int
    models: int
    relative: bool


@dataclass(frozen=True)
class Leak:
    """A source group and a test example that it moves.

    Attributes:
        group: its column in the masks.
        example: its number among all test examples.
        influence: of the group on the example beyond its class.
        se: standard error.
        low: lower end of the 95% interval.
        high: upper end.
        q: false discovery rate over all pairs.
        on_example: influence on the example itself, of the same sign: what it does to the class included.
    """

    group: int
    example: int
    influence: float
    se: float
    low: float
    high: float
    q: float
    on_example: float


@dataclass(frozen=True)
class Leaks:
    """Pairs of a source group and a test example, the surest first.

    Attributes:
        helped: examples that a group helps, and helps beyond their class: likely leakage.
        hurt: examples that a group hurts, and hurts beyond their class: misleading.
        n_helped: pairs helped beyond chance.
        n_hurt: pairs hurt beyond chance.
        tested: pairs that were looked at.
        examples: test examples that were looked at.
        models: that all this is estimated from.
        smallest: influence that one pair must have to be found four times in five.
    """

    helped: tuple[Leak, ...]
    hurt: tuple[Leak, ...]
    n_helped: int
    n_hurt: int
    n_tested: int
    n_examples: int
    models: int
    detectable_influence: float

    @property
    def n_excluded(self) -> int:
        """Pairs beyond chance that are not among those that were kept."""
        kept = ((self.n_helped, self.helped), (self.n_hurt, self.hurt))
        return sum(max(count - len(pairs), 0) for count, pairs in kept)


@dataclass(frozen=True)
class DrivenExample:
    """A test example and what one group does to it beyond its class; numbers are in the unit of the outputs.

    Attributes:
        example: its number among all test examples.
        label: its class.
        group: the group's column in the masks; None where no group helps it beyond its class: the numbers are NaN then.
        influence: of the group on the example.
        beyond: that influence less the one on the average of the others of its class.
        se: standard error of `beyond`.
        low: lower end of its 95% interval.
        high: upper end.
        q: false discovery rate at which the example would be given to the group.
    """

    example: int
    label: int
    group: int | None
    influence: float
    class_relative_influence: float
    se: float
    low: float
    high: float
    q: float

    @property
    def is_significant(self) -> bool:
        """Whether it is more than chance that the group drives it."""
        return self.q < SIGNIFICANCE_LEVEL and self.class_relative_influence > 0 and self.influence > 0


@dataclass(frozen=True)
class Subpopulation:
    """Test examples of one class that one group drives.

    Attributes:
        group: its column in the masks.
        members: the examples, the most driven first.
    """

    group: int
    members: tuple[DrivenExample, ...]


@dataclass(frozen=True)
class ClassSubpopulations:
    """The examples of a class by what drives them.

    Attributes:
        label: the class.
        parts: subpopulations, the largest first.
        untold: examples that no group can be told to drive, each with the group that comes nearest, if any does; those
            that none helps last.
        size: examples of the class that were looked at.
        models: that all this is estimated from.
        needed: models that telling half of the class takes, at the least; None if they are there, or unknown.
    """

    label: int
    subpopulations: tuple[Subpopulation, ...]
    unassigned: tuple[DrivenExample, ...]
    n_examples: int
    models: int
    models_needed: int | None

    @property
    def n_assigned(self) -> int:
        """Examples that are given to a group."""
        return sum(len(part.members) for part in self.subpopulations)


@dataclass(frozen=True)
class DrivenExamples:
    """The examples that one group drives beyond their class.

    Attributes:
        group: its column in the masks.
        examples: all that were looked at and that the group helps beyond their class, the most driven first.
        others: all others, likewise; none of them is told.
        size: examples that were looked at.
        sizes: (C,) how many of them each class has.
        models: that all this is estimated from.
    """

    group: int
    examples: tuple[DrivenExample, ...]
    not_helped: tuple[DrivenExample, ...]
    n_examples: int
    class_sizes: NDArray[np.intp]
    models: int

    def significant_by_class(self) -> list[tuple[int, int]]:
        """Return (class, examples told) for every class that has any, the most first."""
        counts = Counter(driven.label for driven in self.examples if driven.is_significant)
        return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


class DuplicateKind(StrEnum):
    """How a copy was found."""

    IDENTICAL = "identical"
    """The same pixels."""
    NEAR = "near"
    """Recompressed, rescaled or otherwise a little changed."""
    CROP = "crop"
    """One of the two shows a part of the other."""


@dataclass(frozen=True)
class Duplicate:
    """A source image and the test image that it is a copy of.

    Attributes:
        source: position among the source images.
        target: position among the test images.
        kind: of the copy.
        distance: 0 for equal pixels; see `likeness`.
        relative: the distance relative to that of unrelated images.
    """

    source: int
    target: int
    kind: DuplicateKind
    distance: float
    relative: float


@dataclass(frozen=True)
class Duplicates:
    """Copies of a target's test images among the source images.

    Attributes:
        found: one a source image, positions as in the datasets; the nearest first.
        compared: source images that were compared.
        examples: test images that they were compared with.
        names: of the source images.
        source_classes: of the source images.
    """

    pairs: tuple[Duplicate, ...]
    n_compared: int
    n_examples: int
    names: tuple[str, ...]
    source_classes: tuple[str, ...]

    def of_class(self, name: str) -> Duplicates:
        """The copies among the images of a source class."""
        found = tuple(copy for copy in self.pairs if self.source_classes[copy.source] == name)
        return replace(self, pairs=found)

    def names_to_remove(self) -> list[str]:
        """Names of the source images that are copies, in the dataset's order."""
        return [self.names[place] for place in sorted(copy.source for copy in self.pairs)]


@dataclass(frozen=True)
class ReliabilityCurve:
    """How a run's models did.

    Attributes:
        models: how many have been recorded.
        measured: (number of models, reliability of the ranking from the first so many), growing.
        forecast: (number of models, reliability to expect), from there to all that are planned, or to 0.9.
        needed: models for a reliability of 0.9 (expected, low, high); None where nothing can be said.
        source_accuracy: one a model.
        target_accuracy: one a model.
    """

    models: int
    measured: tuple[tuple[int, Reliability], ...]
    forecast: tuple[tuple[int, float], ...]
    models_needed: tuple[int, int | None, int | None] | None
    source_accuracy: tuple[float, ...]
    target_accuracy: tuple[float, ...]

    @property
    def reliability(self) -> Reliability | None:
        """Of the ranking from all models so far."""
        return self.measured[-1][1] if self.measured and self.measured[-1][0] == self.models else None


class ProbeKind(StrEnum):
    """A kind of probe, by the name of its command."""

    FAILURES = "failures"
    PARTS = "subpops"
    LEAKS = "leaks"


@dataclass(frozen=True)
class ProbeQuestion:
    """A probe of one kind, for one question.

    Attributes:
        view: the kind of probe.
        question: target, class, estimator and output, as far as the probe uses them.
        source: the group that subpopulations are limited to, by its number; None for all.
    """

    kind: ProbeKind
    question: Question
    source: int | None = None


@dataclass(frozen=True)
class ProbeResult:
    """The result of a probe.

    Attributes:
        asked: the probe and its question.
        reading: the snapshot that it was computed from.
        what: the result; subpopulations of several classes are one a class.
        notes: warnings about the data behind it.
        limit: the most failures that are estimated; None for all.
        samples: position of a group's first image among the stored images of the source.
        unsampled: why there are no such images; empty if there are.
    """

    question: ProbeQuestion
    reading: RunSnapshot
    value: Failures | tuple[ClassSubpopulations, ...] | DrivenExamples | Leaks
    notes: tuple[str, ...] = ()
    limit: int | None = None
    samples: Mapping[int, int] = field(default_factory=dict)
    samples_error: str = ""


@dataclass(frozen=True)
class ExampleQuestion:
    """A question about one example.

    Attributes:
        question: estimator and output.
        example: its number.
        group: the group that models are compared with and without; None compares nothing.
    """

    question: Question
    example: int
    group: int | None


@dataclass(frozen=True)
class ImageSeries:
    """Examples to go through one by one.

    Attributes:
        reading: the snapshot that they are shown from.
        question: estimator and output.
        examples: their numbers.
        groups: for each, the group that models are compared with and without; None compares nothing.
        role: what that group does to the example, in words; may be empty.
        which: a description of the examples, in words.
    """

    reading: RunSnapshot
    question: Question
    examples: Sequence[int]
    groups: Sequence[int | None]
    role: str
    description: str

    def question_at(self, place: int) -> ExampleQuestion:
        """Return the question about one of them."""
        return ExampleQuestion(self.question, self.examples[place], self.groups[place])
