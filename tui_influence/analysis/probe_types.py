"""Failures, subpopulations, leaks and duplicates, as plain data: importing them loads no other library."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from tui_influence.influence.types import SIGNIFICANCE_LEVEL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tui_influence.analysis.question import Question
    from tui_influence.analysis.snapshot import RunSnapshot


@dataclass(frozen=True)
class HarmfulGroup:
    """A group that hurts a failing example; numbers are in the unit of the outputs.

    Attributes:
        group: its column in the masks.
        influence: on the example; negative.
        se, low, high: standard error, and ends of the 95% interval.
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
        """Whether the group hurts the example significantly."""
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
        harmful_groups: groups that hurt it, the most harmful first.
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
        examples: those that were requested, the lowest margin first.
        n_wrong: examples that most models predict wrongly.
        n_low_margin: other examples of a low mean margin; 0 if they were not requested.
        n_examples: number of examples examined.
        models: number of models behind it.
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
    """A source group and a test example that it influences.

    Attributes:
        group: its column in the masks.
        example: its number among all test examples.
        influence: class-relative influence of the group on the example.
        se, low, high: standard error, and ends of the 95% interval.
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
    """Pairs of a source group and a test example, the most significant first.

    Attributes:
        helped, hurt: examples that a group helps, or hurts, more than their class: likely leaks, or misleading.
        n_helped, n_hurt: number of pairs that are helped or hurt significantly.
        n_tested: number of pairs examined.
        n_examples: number of test examples examined.
        models: number of models behind it.
        detectable_influence: influence of a pair that is detected with 80% power.
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
        """Number of significant pairs that are not listed."""
        listed = ((self.n_helped, self.helped), (self.n_hurt, self.hurt))
        return sum(max(count - len(pairs), 0) for count, pairs in listed)


@dataclass(frozen=True)
class DrivenExample:
    """A test example and the group that drives it; numbers are in the unit of the outputs.

    Attributes:
        example: its number among all test examples.
        label: its class.
        group: the group's column in the masks; None where no group helps it more than its class: the numbers are NaN.
        influence: of the group on the example.
        class_relative_influence: that influence minus the influence on the other examples of its class.
        se: standard error of `class_relative_influence`.
        low, high: ends of its 95% interval.
        q: false discovery rate at which the example would be assigned to the group.
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
        """Whether the group drives it significantly."""
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
    """The subpopulations of a class.

    Attributes:
        label: the class.
        subpopulations: the largest first.
        unassigned: the other examples, each with the group nearest to driving it, if any; those that none helps last.
        n_examples: number of examples of the class.
        models: number of models behind it.
        models_needed: models that it takes to assign half of the class; None if there are so many, or unknown.
    """

    label: int
    subpopulations: tuple[Subpopulation, ...]
    unassigned: tuple[DrivenExample, ...]
    n_examples: int
    models: int
    models_needed: int | None

    @property
    def n_assigned(self) -> int:
        """Number of examples that are assigned to a group."""
        return sum(len(subpopulation.members) for subpopulation in self.subpopulations)


@dataclass(frozen=True)
class DrivenExamples:
    """The examples that one group drives.

    Attributes:
        group: its column in the masks.
        examples: all examples that the group helps more than their class, the most driven first.
        not_helped: all others, likewise; none of them is significant.
        n_examples: number of examples examined.
        class_sizes: (C,) how many of them each class has.
        models: number of models behind it.
    """

    group: int
    examples: tuple[DrivenExample, ...]
    not_helped: tuple[DrivenExample, ...]
    n_examples: int
    class_sizes: NDArray[np.intp]
    models: int

    @property
    def significant(self) -> tuple[DrivenExample, ...]:
        """The examples that the group helps significantly more than their class, the most driven first."""
        return tuple(example for example in self.examples if example.is_significant)

    def significant_by_class(self) -> list[tuple[int, int]]:
        """Return (class, number of significant examples) for every class that has any, the most first."""
        counts = Counter(driven.label for driven in self.significant)
        return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


class DuplicateKind(StrEnum):
    """The kind of a duplicate."""

    IDENTICAL = "identical"
    """The same pixels."""
    NEAR = "near"
    """Recompressed, rescaled or otherwise a little changed."""
    CROP = "crop"
    """One of the two shows a part of the other."""


@dataclass(frozen=True)
class Duplicate:
    """A source image and the test image that it duplicates.

    Attributes:
        source: position among the source images.
        target: position among the test images.
        kind: identical, near or a crop.
        distance: 0 for equal pixels; see `image_similarity`.
        relative: the distance relative to that of unrelated images.
    """

    source: int
    target: int
    kind: DuplicateKind
    distance: float
    relative: float


@dataclass(frozen=True)
class Duplicates:
    """Duplicates of a target's test images among the source images.

    Attributes:
        pairs: at most one for each source image, positions as in the datasets; the nearest first.
        n_compared: number of source images that were compared.
        n_examples: number of test images that they were compared with.
        names, source_classes: of the source images.
    """

    pairs: tuple[Duplicate, ...]
    n_compared: int
    n_examples: int
    names: tuple[str, ...]
    source_classes: tuple[str, ...]

    def of_class(self, name: str) -> Duplicates:
        """Return the duplicates among the images of a source class."""
        pairs = tuple(pair for pair in self.pairs if self.source_classes[pair.source] == name)
        return replace(self, pairs=pairs)

    def names_to_remove(self) -> list[str]:
        """Return the names of the source images that are duplicates, in the dataset's order."""
        return [self.names[index] for index in sorted(pair.source for pair in self.pairs)]


class ProbeKind(StrEnum):
    """A kind of probe, by the name of its command."""

    FAILURES = "failures"
    SUBPOPULATIONS = "subpops"
    LEAKS = "leaks"


@dataclass(frozen=True)
class ProbeQuestion:
    """A probe of one kind, for one question.

    Attributes:
        kind: of the probe.
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
        question: the probe and its question.
        snapshot: the snapshot that it was computed from.
        value: the result; subpopulations of several classes are one a class.
        notes: warnings about the data behind it.
        limit: the most failures that are estimated; None for all.
        samples: position of a group's first image among the stored images of the source.
        samples_error: why there are no such images; empty if there are.
    """

    question: ProbeQuestion
    snapshot: RunSnapshot
    value: Failures | tuple[ClassSubpopulations, ...] | DrivenExamples | Leaks
    notes: tuple[str, ...] = ()
    limit: int | None = None
    samples: Mapping[int, int] = field(default_factory=dict)
    samples_error: str = ""
