"""A ranking, or a comparison of two, as a table: a row a group, in rank order (of a comparison: most opposed first)."""

from tui_influence import __version__
from tui_influence.analysis.types import AnyReport, ComparisonReport, RankReport
from tui_influence.export.result_table import Fact, ResultTable, Value
from tui_influence.influence.types import ComparedGroup, RankedGroup
from tui_influence.render.ranking import first, meaning, verdict

_NUMBERS = ("influence", "se", "low", "high", "q", "n_with", "n_without")
COLUMNS = ("rank", "group", *_NUMBERS)
COMPARED_COLUMNS = (
    "difference_rank",
    "group",
    "effect",
    "difference",
    "difference_low",
    "difference_high",
    *(f"{side}_{name}" for side in ("first", "second") for name in ("rank", *_NUMBERS)),
)


def ranking_table(report: AnyReport, *, top: int | None = None) -> ResultTable:
    """Return a ranking, or a comparison, as a table.

    Args:
        report: it, and what it is about.
        top: keep the first so many groups; None keeps all.
    """
    if isinstance(report, ComparisonReport):
        compared = [_compared_values(row) for row in first(report.comparison.rows, top)]
        return ResultTable(_compared_facts(report), COMPARED_COLUMNS, compared)
    return ResultTable(_facts(report), COLUMNS, [_values(row) for row in first(report.ranking.rows, top)])


def _values(row: RankedGroup) -> tuple[Value, ...]:
    return row.rank, row.group, *_numbers(row)


def _numbers(row: RankedGroup) -> tuple[Value, ...]:
    floats = (float(value) for value in (row.influence, row.se, row.low, row.high, row.q))
    return *floats, int(row.n_with), int(row.n_without)


def _compared_values(row: ComparedGroup) -> tuple[Value, ...]:
    differences = (float(value) for value in (row.difference, row.low, row.high))
    sides = (value for side in (row.first, row.second) for value in (side.rank, *_numbers(side)))
    return row.rank, row.group, str(row.kind), *differences, *sides


def _facts(report: RankReport) -> tuple[Fact, ...]:
    return (
        ("run", report.run),
        ("identity", report.config_hash),
        *_about(report),
        *_how(report),
        *_models(report),
        ("influence", meaning(report)),
        ("verdict", verdict(report)),
        ("written by", f"tinfl {__version__}"),
    )


def _compared_facts(report: ComparisonReport) -> tuple[Fact, ...]:
    sides = (("first", report.first), ("second", report.second))
    return (
        ("run", report.first.run),
        ("identity", report.first.config_hash),
        *((f"{side} {key}", value) for side, report_of_side in sides for key, value in _about(report_of_side)),
        *_how(report.first),
        *((f"{side} {key}", value) for side, report_of_side in sides for key, value in _models(report_of_side)),
        ("influence", meaning(report)),
        ("verdict", verdict(report)),
        ("written by", f"tinfl {__version__}"),
    )


def _about(report: RankReport) -> list[Fact]:
    facts: list[Fact] = [("target", report.target)]
    if report.target_class is not None:
        facts.append(("class", report.target_class))
    if report.example is not None:
        facts.append(("example", report.example))
    return [*facts, ("split", report.split)]


def _how(report: RankReport) -> list[Fact]:
    return [("estimator", report.ranking.estimator), ("output", str(report.ranking.output)), ("design", report.design)]


def _models(report: RankReport) -> list[Fact]:
    failed: list[Fact] = [("failed models", report.n_failed)] if report.n_failed else []
    return [("models", int(report.ranking.n_models)), *failed]
