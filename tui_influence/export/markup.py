"""A ranking, or a comparison of two, as a table in a markup language: HTML, Markdown, LaTeX.

Numbers have the digits of the printed table, and a group with q < 0.05 is marked. Names are printable and escaped: no
name is read as markup, and none adds a cell, a line or a tag.
"""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from tui_influence.analysis.types import AnyReport, ComparisonReport
from tui_influence.influence.types import SIGNIFICANCE_LEVEL, ComparedGroup, RankedGroup
from tui_influence.render.numbers import format_interval, format_q, value_format
from tui_influence.render.ranking import comparison_labels, comparison_title, first, meaning, scope, verdict
from tui_influence.text import printable

_UNKNOWN = "-"
_HTML_ENDS = 12
"""Groups of either end of a long ranking that an HTML table shows."""
_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>#|~$&@!]|:(?=//)|(?<=www)\.", re.IGNORECASE)
"""What begins markup, an HTML tag or entity, or an address that becomes a link."""
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\symbol{34}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}
_SIGNED = re.compile(r"[-+<]\d[\d.]*(?:e[-+]\d+)?")
_MARK = "*"


@dataclass(frozen=True)
class _Cells:
    """The cells of a table as plain text.

    Attributes:
        title: what it is about.
        header: of each column; the second is that of the names.
        rows: of cells.
        note: the meaning and reliability of the numbers.
    """

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str


def html_table(report: AnyReport, *, top: int | None = None) -> str:
    """Return a table as HTML without any style of its own; of a long one, both ends.

    Args:
        report: a ranking, or a comparison.
        top: show the first so many groups; None shows all, or both ends of more than 24.
    """
    cells = _cells(report, top)
    head, tail, between = cells.rows, cells.rows[:0], ""
    if top is None and len(cells.rows) > 2 * _HTML_ENDS:
        head, tail = cells.rows[:_HTML_ENDS], cells.rows[-_HTML_ENDS:]
        count = len(cells.rows) - 2 * _HTML_ENDS
        between = f'<tr><td colspan="{len(cells.header)}">… {count:,} more …</td></tr>\n'
    lines = ["".join(f"<tr>{_html_cells(row)}</tr>\n" for row in rows) for rows in (head, tail)]
    header = "".join(f"<th>{html.escape(text)}</th>" for text in cells.header)
    return (
        f"<table>\n<caption>{html.escape(cells.title)}</caption>\n<thead><tr>{header}</tr></thead>\n"
        f"<tbody>\n{between.join(lines)}</tbody>\n</table>\n<p>{html.escape(cells.note)}</p>\n"
    )


def markdown_table(report: AnyReport, *, top: int | None = None) -> str:
    """Return a table as Markdown (GitHub's tables); arguments as in `ranking_table`."""
    cells = _cells(report, top)
    header = [_markdown(text) for text in cells.header]
    rule = ["---" if column == 1 else "--:" for column in range(len(header))]
    rows = [[_markdown(text) for text in row] for row in cells.rows]
    lines = [f"| {' | '.join(row)} |" for row in (header, rule, *rows)]
    return "\n".join([_markdown(cells.title), "", *lines, "", _markdown(cells.note), ""])


def latex_table(report: AnyReport, *, top: int | None = None) -> str:
    """Return a table as LaTeX for `booktabs`, to be put into a document; arguments as in `ranking_table`.

    Names with letters beyond ASCII need an engine or encoding that has them.
    """
    cells = _cells(report, top)
    columns = "".join("l" if column == 1 else "r" for column in range(len(cells.header)))
    rows = [" & ".join(_latex_number(text) if column != 1 else _latex(text) for column, text in enumerate(row))
            for row in cells.rows]  # fmt: skip
    return "\n".join(
        [
            "% \\usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_latex(cells.title)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(_latex(text) for text in cells.header) + r" \\",
            r"\midrule",
            *(rf"{row} \\" for row in rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\par\smallskip",
            rf"\parbox{{\linewidth}}{{\footnotesize {_latex(cells.note)}}}",
            r"\end{table}",
            "",
        ]
    )


def _cells(report: AnyReport, top: int | None) -> _Cells:
    if isinstance(report, ComparisonReport):
        return _compared_cells(report, top)
    rows = report.ranking.rows
    digits = _digits(rows)
    title = f"Influence of {len(rows):,} {report.nouns} on {scope(report)}"
    header = ("#", report.noun, "influence", "95% interval", "q", "with/without")
    shown = [
        (
            str(row.rank) if isfinite(row.influence) else _UNKNOWN,
            printable(row.group),
            _influence(row, digits),
            format_interval(row.low, row.high, digits) or _UNKNOWN,
            format_q(row.q, _UNKNOWN),
            f"{row.n_with:,}/{row.n_without:,}",
        )
        for row in first(rows, top)
    ]
    return _Cells(title, header, shown, _note(report))


def _compared_cells(report: ComparisonReport, top: int | None) -> _Cells:
    rows: Sequence[ComparedGroup] = report.comparison.rows
    digits = _digits([side for row in rows for side in (row.first, row.second)])
    header = ("#", report.first.noun, *comparison_labels(report), "difference", "95% interval", "effect")
    shown = [
        (
            str(row.rank) if isfinite(row.difference) else _UNKNOWN,
            printable(row.group),
            _influence(row.first, digits),
            _influence(row.second, digits),
            f"{row.difference:{digits}}" if isfinite(row.difference) else _UNKNOWN,
            format_interval(row.low, row.high, digits) or _UNKNOWN,
            str(row.kind),
        )
        for row in first(rows, top)
    ]
    return _Cells(comparison_title(report), header, shown, _note(report))


def _digits(rows: Sequence[RankedGroup]) -> str:
    return value_format([row.influence for row in rows], [row.se for row in rows])


def _influence(row: RankedGroup, digits: str) -> str:
    if not isfinite(row.influence):
        return _UNKNOWN
    return f"{row.influence:{digits}}{_MARK if row.q < SIGNIFICANCE_LEVEL else ''}"


def _note(report: AnyReport) -> str:
    return f"{_MARK} q < {SIGNIFICANCE_LEVEL:g} (FDR). Influence: {meaning(report)}. {verdict(report)}"


def _html_cells(row: Sequence[str]) -> str:
    return "".join(f"<td>{html.escape(text)}</td>" for text in row)


def _markdown(text: str) -> str:
    return _MARKDOWN.sub(lambda match: f"\\{match[0]}", text)


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def _latex_number(text: str) -> str:
    """Return a cell of numbers, or of words, with the signs of mathematics."""
    return "".join(
        f"${part}$" if _SIGNED.fullmatch(part) else _latex(part) for part in re.split(f"({_SIGNED.pattern})", text)
    )
