"""What a comparison of two rankings is about, and what its numbers mean, in words.

The counterpart of `report`: two `RankReport`s of one run that differ in whom the influence is on, and the rows that
pair them. Every output format says the same about it, so the sentences are made here. Plain text, no markup.
"""

from dataclasses import dataclass
from math import isfinite
from typing import TypeAlias

from tui_influence.export.report import SIGNIFICANT, RankReport, shown
from tui_influence.influence.comparison import Comparison, compare


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

    @property
    def labels(self) -> tuple[str, str]:
        """Both in a word or two, as far as they differ; safe to show."""
        same = self.first.target == self.second.target
        return _label(self.first, same), _label(self.second, same)

    def title(self) -> str:
        """What is compared, in one line."""
        nouns, rows = self.first.nouns, len(self.comparison.rows)
        return f"Influence of {rows:,} {nouns} on {self.first.scope()}, against {self.second.scope()}"

    def meaning(self) -> str:
        """What the numbers mean: influences, difference and kind."""
        return (
            f"{self.first.meaning()}; the second is the same on {self.second.scope()}; the difference is the first "
            "minus the second, in an interval that holds whatever their errors have in common; what is shown is beyond "
            f"chance in that ranking (q < {SIGNIFICANT:g}), what is not shown may be there all the same"
        )

    def agreement(self) -> str:
        """How alike both orders are, in a few words."""
        found = self.comparison
        if not isfinite(found.correlation):
            return "rank correlation unknown"
        return f"rank correlation {found.correlation:z.2f}"

    def verdict(self) -> str:
        """How alike both orders are and how far each can be trusted, in sentences."""
        found, nouns = self.comparison, self.first.nouns
        if isfinite(found.correlation):
            alike = f"Rank correlation of both orders {found.correlation:z.2f} over {found.n_compared:,} {nouns}"
            alike += "; some of it may be chance that both share, as they come from the same models."
        else:
            alike = f"Rank correlation unknown: too few {nouns} have an influence in both."
        return f"{alike} First: {self.first.trust()} Second: {self.second.trust()}"


def compare_reports(first: RankReport, second: RankReport) -> ComparisonReport:
    """Return two rankings of one run side by side."""
    return ComparisonReport(first, second, compare(first.ranking, second.ranking, level=SIGNIFICANT))


AnyReport: TypeAlias = RankReport | ComparisonReport
"""What `tinfl rank` shows and writes."""


def _label(report: RankReport, same_target: bool) -> str:
    if report.example is not None:
        part = f"example {report.example}"
    elif report.target_class is not None:
        part = f"class {shown(report.target_class)}"
    else:
        part = ""
    if same_target:
        return part or "all classes"
    return f"{shown(report.target)}, {part}" if part else shown(report.target)
