"""Two questions to a results directory, answered side by side: what helps with one and hurts the other."""

from dataclasses import dataclass

from tui_influence.errors import ConfigError
from tui_influence.export.comparison_report import ComparisonReport, compare_reports
from tui_influence.ranking import Answer, rank_run
from tui_influence.ranking_question import Question
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo


@dataclass(frozen=True)
class Compared:
    """A comparison, and what a reader of it should know besides.

    Attributes:
        report: both rankings and their circumstances.
        notes: what is wrong with the data behind either.
    """

    report: ComparisonReport
    notes: tuple[str, ...]


def compare_run(paths: Paths, info: RunInfo, first: Question, second: Question) -> Compared:
    """Rank the groups of a run twice and compare.

    Args:
        paths: of the run.
        info: what it is.
        first: a question.
        second: made from it by `Question.against`.

    Raises:
        ConfigError: the questions are the same, or one does not fit the run.
        ResultsError: the run has no records yet, or cannot be read.
    """
    if _whom(info, first) == _whom(info, second):
        raise ConfigError(
            "both sides of the comparison are the same; --versus and --versus-class say what the other is"
        )
    return compare_answers(rank_run(paths, info, first), rank_run(paths, info, second))


def compare_answers(first: Answer, second: Answer) -> Compared:
    """Compare two answers to questions about one run."""
    notes = tuple(dict.fromkeys([*first.notes, *second.notes]))
    return Compared(compare_reports(first.report, second.report), notes)


def _whom(info: RunInfo, question: Question) -> tuple[int, str | None, int | None]:
    return info.target_index(question.target), question.target_class, question.example
