"""A ranking, or a comparison of two, as CSV, for spreadsheets and scripts.

The bytes are the contract (golden files): UTF-8, `\\n` line ends, quotes as RFC 4180 has them, a few `#` comment
lines that say what the numbers are, one header line, one line a group in rank order (of a comparison: the most opposed
first). A number is the shortest decimal that reads back as the same float64, so that CSV and JSON agree to the last
bit; NaN and infinities are empty cells. Names are `text.spreadsheet_safe`: no formula, no control character.
"""

import csv
import re
from collections.abc import Iterable, Sequence
from io import StringIO

from tui_influence import __version__
from tui_influence.analysis.types import AnyReport, ComparisonReport, RankReport
from tui_influence.influence.types import ComparedGroup, RankedGroup
from tui_influence.render.numbers import finite
from tui_influence.render.ranking import first, meaning, verdict
from tui_influence.text import printable, spreadsheet_safe

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
_LIVE_CELL = re.compile(r"""([,;|])(?=\s*["=+\-@])""")


def rank_csv(report: AnyReport, *, comments: bool = True, top: int | None = None) -> str:
    """Return the ranking, or the comparison, as the text of a CSV file.

    Args:
        report: it, and what it is about.
        comments: whether to begin with `#` lines; without them the header is the first line.
        top: keep the first so many groups; None keeps all.
    """
    if isinstance(report, ComparisonReport):
        compared = (_compared_cells(row) for row in first(report.comparison.rows, top))
        return csv_text(_compared_comments(report) if comments else [], COMPARED_COLUMNS, compared)
    rows = (_cells(row) for row in first(report.ranking.rows, top))
    return csv_text(_comments(report) if comments else [], COLUMNS, rows)


def csv_text(comments: Iterable[tuple[str, str]], columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a CSV file: `#` lines of a key and a value, a header, rows of cells that are safe already."""
    out = StringIO()
    out.writelines(f"# {key}: {_commented(value)}\n" for key, value in comments)
    # A reader that skips `#` comments also looks for them in unquoted cells ("C#" would lose its end).
    plain = csv.writer(out, lineterminator="\n")
    quoted = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
    plain.writerow(columns)
    for cells in rows:
        (quoted if any("#" in cell for cell in cells) else plain).writerow(cells)
    return out.getvalue()


def _cells(row: RankedGroup) -> list[str]:
    return [str(row.rank), spreadsheet_safe(row.group), *_numbers(row)]


def _numbers(row: RankedGroup) -> list[str]:
    numbers = (csv_number(value) for value in (row.influence, row.se, row.low, row.high, row.q))
    return [*numbers, str(row.n_with), str(row.n_without)]


def _compared_cells(row: ComparedGroup) -> list[str]:
    differences = [csv_number(value) for value in (row.difference, row.low, row.high)]
    sides = [cell for side in (row.first, row.second) for cell in (str(side.rank), *_numbers(side))]
    return [str(row.rank), spreadsheet_safe(row.group), str(row.kind), *differences, *sides]


def _commented(text: str) -> str:
    # A spreadsheet knows no comments: it splits them at commas, runs a part that is a formula, and takes one that
    # begins with a quote to go on over the following lines.
    return _LIVE_CELL.sub(r"\1'", printable(text))


def csv_number(value: float) -> str:
    """Return a number's cell: the shortest decimal that reads back as the same float; NaN is an empty one."""
    finite_value = finite(value)
    return "" if finite_value is None else repr(finite_value)


def _comments(report: RankReport) -> list[tuple[str, str]]:
    return [
        ("run", report.run),
        ("identity", report.config_hash),
        *_about(report),
        *_how(report),
        ("models", _models(report)),
        ("influence", meaning(report)),
        ("verdict", verdict(report)),
        ("written by", f"tinfl {__version__}"),
    ]


def _compared_comments(report: ComparisonReport) -> list[tuple[str, str]]:
    sides = (("first", report.first), ("second", report.second))
    return [
        ("run", report.first.run),
        ("identity", report.first.config_hash),
        *((f"{side} {key}", value) for side, report_of_side in sides for key, value in _about(report_of_side)),
        *_how(report.first),
        *((f"{side} models", _models(report_of_side)) for side, report_of_side in sides),
        ("influence", meaning(report)),
        ("verdict", verdict(report)),
        ("written by", f"tinfl {__version__}"),
    ]


def _about(report: RankReport) -> list[tuple[str, str]]:
    lines = [("target", report.target)]
    if report.target_class is not None:
        lines.append(("class", report.target_class))
    if report.example is not None:
        lines.append(("example", str(report.example)))
    return [*lines, ("split", report.split)]


def _how(report: RankReport) -> list[tuple[str, str]]:
    return [("estimator", report.ranking.estimator), ("output", str(report.ranking.output)), ("design", report.design)]


def _models(report: RankReport) -> str:
    count = report.ranking.n_models
    return f"{count} ({report.n_failed} failed)" if report.n_failed else str(count)
