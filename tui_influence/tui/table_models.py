"""What the Rank mode's table holds: one ranking, or two side by side, looked at in the same ways.

Widgets know only `Sheet`. Loads numpy, so it is imported where there is a ranking to show.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from rich.text import Text

from tui_influence.analysis.filtering import ComparisonOrder, RankingOrder, filter_comparison, filter_ranking
from tui_influence.analysis.ranking import (
    compare_reports,
)
from tui_influence.analysis.types import (
    AnyReport,
    ComparisonReport,
    RankReport,
)
from tui_influence.render.ranking import agreement
from tui_influence.render.ranking_table import (
    compared_group_detail,
    comparison_rows,
    group_detail,
    ranking_rows,
)
from tui_influence.render.style import Style
from tui_influence.tui.state import RunState


class Row(Protocol):
    """A group in a sheet."""

    @property
    def group(self) -> str:
        """Its name."""

    @property
    def index(self) -> int:
        """Its column in the masks."""


class Written(Protocol):
    """Rows as lines of text."""

    def header(self) -> Text:
        """Return the line above them."""

    def line(self, place: int) -> Text:
        """Return the line of the row at a place of the sheet."""


@dataclass(frozen=True, eq=False)
class Sheet:
    """Rows of a report, and the ways to look at them.

    Attributes:
        report: what is exported.
        rows: all groups, in the order in which they are exported.
        noun: what a group is called.
        nouns: what groups are called.
        models: that they were made from.
        agreement: what there is to say of the whole, in a few words.
        orders: that rows may be looked at in, in words; the first is that of `rows`.
        chosen: the rows that pass a filter, in one of the orders.
        written: all rows as lines of a width.
        detail: what there is to say of the row at a place (None: of no row), and of the whole; with the group's
            images in the source dataset, if known.
        part: the report with some of the groups only.
        name: the parts of a name for a file.
    """

    report: AnyReport
    rows: Sequence[Row]
    noun: str
    nouns: str
    models: int
    agreement: str
    orders: Sequence[str]
    chosen: Callable[[str, int], Sequence[Row]]
    written: Callable[[int, Style], Written]
    detail: Callable[[int | None, int | None, Style], Text]
    part: Callable[[set[int]], AnyReport]
    name: Sequence[str]


def sheet_of(state: RunState) -> Sheet | None:
    """Return what there is to show of a run: two rankings side by side once both are there, one, or nothing."""
    if state.answer is None:
        return None
    first, second = state.answer.report, state.second.report if state.second else None
    if state.versus is None or second is None or not _are_comparable(first, second):
        return ranking_sheet(first)
    return comparison_sheet(compare_reports(first, second))


def ranking_sheet(report: RankReport) -> Sheet:
    """Return one ranking; noise is written without colour."""
    rows = report.ranking.rows
    orders = tuple(RankingOrder)
    return Sheet(
        report=report,
        rows=rows,
        noun=report.noun,
        nouns=report.nouns,
        models=report.ranking.n_models,
        agreement="",
        orders=orders,
        chosen=lambda text, order: filter_ranking(rows, text, orders[order]),
        written=lambda width, style: ranking_rows(rows, report.noun, style.muted(report.is_noise()), width),
        detail=lambda place, images, style: group_detail(report, None if place is None else rows[place], images, style),
        part=lambda groups: replace(
            report, ranking=replace(report.ranking, rows=tuple(row for row in rows if row.index in groups))
        ),
        name=(report.run, *_whom(report)),
    )


def comparison_sheet(report: ComparisonReport) -> Sheet:
    """Return two rankings side by side."""
    first, second, rows = report.first, report.second, report.comparison.rows
    orders = tuple(ComparisonOrder)
    return Sheet(
        report=report,
        rows=rows,
        noun=first.noun,
        nouns=first.nouns,
        models=min(first.ranking.n_models, second.ranking.n_models),
        agreement=agreement(report),
        orders=orders,
        chosen=lambda text, order: filter_comparison(rows, text, orders[order]),
        written=lambda width, style: comparison_rows(rows, report, style, width),
        detail=lambda place, images, style: compared_group_detail(
            report, None if place is None else rows[place], images, style
        ),
        part=lambda groups: replace(
            report, comparison=replace(report.comparison, rows=tuple(row for row in rows if row.index in groups))
        ),
        name=(first.run, *_whom(first), "vs", *_whom(second)),
    )


def _are_comparable(first: RankReport, second: RankReport) -> bool:
    """Whether both were made in the same way: while a new pair is worked out, one is older than the other."""
    same = [(side.ranking.estimator, side.ranking.output, side.split) for side in (first, second)]
    return same[0] == same[1] and _whom(first) != _whom(second)


def _whom(report: RankReport) -> tuple[str, ...]:
    return (report.target,) if report.target_class is None else (report.target, report.target_class)
