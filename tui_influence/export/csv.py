"""A ranking as CSV, for spreadsheets and scripts.

The bytes are the contract (golden files): UTF-8, `\\n` line ends, quotes as RFC 4180 has them, a few `#` comment
lines that say what the numbers are, one header line, one line a group in rank order. A number is the shortest
decimal that reads back as the same float64, so that CSV and JSON agree to the last bit; NaN and infinities are
empty cells. Names are `text.spreadsheet_safe`: no formula, no control character.
"""

import csv
import re
from io import StringIO

from tui_influence import __version__
from tui_influence.export.report import RankReport, finite, first
from tui_influence.influence.ranking import RankedGroup
from tui_influence.text import printable, spreadsheet_safe

COLUMNS = ("rank", "group", "influence", "se", "low", "high", "q", "n_with", "n_without")
_LIVE_CELL = re.compile(r"""([,;|])(?=\s*["=+\-@])""")


def rank_csv(report: RankReport, *, comments: bool = True, top: int | None = None) -> str:
    """Return the ranking as the text of a CSV file.

    Args:
        report: the ranking and what it is about.
        comments: whether to begin with `#` lines; without them the header is the first line.
        top: keep the first so many groups; None keeps all.
    """
    out = StringIO()
    if comments:
        out.writelines(f"# {key}: {_commented(value)}\n" for key, value in _comments(report))
    # A reader that is told of `#` comments looks for them in unquoted cells too ("C#" would lose its end).
    plain = csv.writer(out, lineterminator="\n")
    quoted = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
    plain.writerow(COLUMNS)
    for row in first(report.ranking.rows, top):
        cells = _cells(row)
        (quoted if any("#" in cell for cell in cells) else plain).writerow(cells)
    return out.getvalue()


def _cells(row: RankedGroup) -> list[str]:
    numbers = (_number(value) for value in (row.influence, row.se, row.low, row.high, row.q))
    return [str(row.rank), spreadsheet_safe(row.group), *numbers, str(row.n_with), str(row.n_without)]


def _commented(text: str) -> str:
    # A spreadsheet knows no comments: it splits them at commas, runs a part that is a formula, and takes one that
    # begins with a quote to go on over the following lines.
    return _LIVE_CELL.sub(r"\1'", printable(text))


def _number(value: float) -> str:
    number = finite(value)
    return "" if number is None else repr(number)


def _comments(report: RankReport) -> list[tuple[str, str]]:
    ranking = report.ranking
    lines = [("run", report.run), ("config hash", report.config_hash), ("target", report.target)]
    if report.target_class is not None:
        lines.append(("class", report.target_class))
    if report.example is not None:
        lines.append(("example", str(report.example)))
    lines += [
        ("split", report.split),
        ("estimator", ranking.estimator),
        ("output", str(ranking.output)),
        ("design", report.design),
        ("models", f"{ranking.n_models} ({report.n_failed} failed)" if report.n_failed else str(ranking.n_models)),
        ("influence", report.meaning()),
        ("verdict", report.verdict()),
        ("written by", f"tinfl {__version__}"),
    ]
    return lines
