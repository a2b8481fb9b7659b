"""The models of the Rank mode's table: one ranking, or two side by side, which are filtered and ordered alike.

Loads numpy, so it is imported when there is a ranking to show.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

from rich.text import Text

from tui_influence.analysis.filtering import ComparisonOrder, RankingOrder, filter_comparison, filter_ranking
from tui_influence.analysis.ranking import compare_reports
from tui_influence.analysis.types import AnyReport, ComparisonReport, RankReport
from tui_influence.influence.types import ComparedGroup, RankedGroup
from tui_influence.render.ranking import agreement
from tui_influence.render.ranking_table import compared_group_detail, comparison_rows, group_detail, ranking_rows
from tui_influence.render.style import Style
from tui_influence.tui.state import RunState
from tui_influence.tui.widgets.table import TableLines


class RankModel(ABC):
    """The rows of a report, and the ways to show them.

    Attributes:
        report: what is exported.
        rows: all groups, in the order in which they are exported.
        noun: what a group is called.
        nouns: what groups are called.
        n_models: the number of models that the report is made from.
        agreement: how far two rankings agree, in a few words; empty for one.
        orders: in which rows may be shown, in words; the first is that of `rows`.
        file_name: the parts of a name for a file.
    """

    report: AnyReport
    rows: Sequence[RankedGroup] | Sequence[ComparedGroup]
    noun: str
    nouns: str
    n_models: int
    agreement: str = ""
    orders: Sequence[str]
    file_name: Sequence[str]

    @abstractmethod
    def filtered(self, text: str, order: int) -> Sequence[RankedGroup] | Sequence[ComparedGroup]:
        """Return the rows that pass a filter, in one of the orders."""

    @abstractmethod
    def written(self, width: int, style: Style) -> TableLines:
        """Return all rows as lines of a width."""

    @abstractmethod
    def detail(self, index: int | None, images: int | None, style: Style) -> Text:
        """Return the details of a row, if any, and of the whole.

        Args:
            index: of the row among all.
            images: of its group in the source, if that is known.
            style: colours and signs.
        """

    @abstractmethod
    def subset(self, groups: set[int]) -> AnyReport:
        """Return the report with some of the groups only."""


class RankingModel(RankModel):
    """One ranking; noise is written without colour."""

    def __init__(self, report: RankReport) -> None:
        self.report = self._ranking = report
        self.rows = self._rows = report.ranking.rows
        self.noun, self.nouns = report.noun, report.nouns
        self.n_models = report.ranking.n_models
        self.orders = self._orders = tuple(RankingOrder)
        self.file_name = (report.run, *_target(report))

    def filtered(self, text: str, order: int) -> Sequence[RankedGroup]:
        """Return the rows that pass a filter, in one of the orders."""
        return filter_ranking(self._rows, text, self._orders[order])

    def written(self, width: int, style: Style) -> TableLines:
        """Return all rows as lines of a width."""
        return ranking_rows(self._rows, self._ranking.noun, style.muted(self._ranking.is_noise()), width)

    def detail(self, index: int | None, images: int | None, style: Style) -> Text:
        """Return the details of a row, if any, and of the ranking."""
        return group_detail(self._ranking, None if index is None else self._rows[index], images, style)

    def subset(self, groups: set[int]) -> RankReport:
        """Return the report with some of the groups only."""
        rows = tuple(row for row in self._rows if row.index in groups)
        return replace(self._ranking, ranking=replace(self._ranking.ranking, rows=rows))


class ComparisonModel(RankModel):
    """Two rankings side by side."""

    def __init__(self, report: ComparisonReport) -> None:
        first, second = report.first, report.second
        self.report = self._comparison = report
        self.rows = self._rows = report.comparison.rows
        self.noun, self.nouns = first.noun, first.nouns
        self.n_models = min(first.ranking.n_models, second.ranking.n_models)
        self.agreement = agreement(report)
        self.orders = self._orders = tuple(ComparisonOrder)
        self.file_name = (first.run, *_target(first), "vs", *_target(second))

    def filtered(self, text: str, order: int) -> Sequence[ComparedGroup]:
        """Return the rows that pass a filter, in one of the orders."""
        return filter_comparison(self._rows, text, self._orders[order])

    def written(self, width: int, style: Style) -> TableLines:
        """Return all rows as lines of a width."""
        return comparison_rows(self._rows, self._comparison, style, width)

    def detail(self, index: int | None, images: int | None, style: Style) -> Text:
        """Return the details of a row, if any, and of the comparison."""
        return compared_group_detail(self._comparison, None if index is None else self._rows[index], images, style)

    def subset(self, groups: set[int]) -> ComparisonReport:
        """Return the report with some of the groups only."""
        rows = tuple(row for row in self._rows if row.index in groups)
        return replace(self._comparison, comparison=replace(self._comparison.comparison, rows=rows))


def rank_model(state: RunState) -> RankModel | None:
    """Return the model of what a run has: of two rankings once both are there, of one, or None."""
    ranking, comparison = state.ranking.value, state.comparison
    if ranking is None:
        return None
    first, second = ranking.report, comparison.value.report if comparison.value is not None else None
    if comparison.question is None or second is None or not _are_comparable(first, second):
        return RankingModel(first)
    return ComparisonModel(compare_reports(first, second))


def _are_comparable(first: RankReport, second: RankReport) -> bool:
    """Return whether both are made alike: while a new pair is computed, one is older than the other."""
    same = [(side.ranking.estimator, side.ranking.output, side.split) for side in (first, second)]
    return same[0] == same[1] and _target(first) != _target(second)


def _target(report: RankReport) -> tuple[str, ...]:
    return (report.target,) if report.target_class is None else (report.target, report.target_class)
