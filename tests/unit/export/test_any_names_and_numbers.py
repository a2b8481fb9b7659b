"""Whatever groups are called and whatever their numbers are, every format stays readable and harmless."""

import csv
import json
import math
import unicodedata
from dataclasses import replace
from io import StringIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from tests.unit.export.reports import GOOD, NOISE, other_target, printed, ranking_of, report_of
from tui_influence.analysis.ranking import compare_reports
from tui_influence.export.csv import csv_text
from tui_influence.export.json import rank_json
from tui_influence.export.ranking import COLUMNS, ranking_table
from tui_influence.influence.types import RankedGroup, Reliability
from tui_influence.text import spreadsheet_safe

FORMULA = tuple("=+-@\t\r\n")
ENDLESS = "e" + "\u0301" * 400

HOSTILE = [
    *("", " ", "=1+1", " =1", "a,=1", 'a,"b', "a;@b", "#", "[/]", "[red]", ":smile:", "'=", "…", "x" * 300),
    *("\x1b]0;x\x07", "\x9b31m", "\r\n", "\x00", "\u202e", "\u2028", "\ud800", "\ufeff"),
    *("狮子" * 200, "👩‍👩‍👧", "🇩🇪🇩", "❤️", ENDLESS),
]
awkward = st.sampled_from(HOSTILE)
names = st.one_of(awkward, st.text(max_size=40), st.tuples(awkward, st.text(max_size=5), awkward).map("".join))
numbers = st.one_of(st.floats(), st.floats(-1, 1), st.just(-0.0))
counts = st.integers(0, 10**7)


@st.composite
def reports(draw):
    rows = tuple(
        RankedGroup(rank, draw(names), rank, *(draw(numbers) for _ in range(5)), *draw(st.tuples(counts, counts)))
        for rank in range(1, draw(st.integers(0, 8)) + 1)
    )
    reliability = draw(st.sampled_from([GOOD, NOISE, None, Reliability(*[math.nan] * 4, 1)]))
    ranking = ranking_of(rows, reliability, is_relative=draw(st.booleans()))
    return report_of(
        rows,
        ranking=ranking,
        run=draw(names),
        target=draw(names),
        target_class=draw(st.none() | names),
        design=draw(names),
    )


@st.composite
def comparisons(draw):
    report = draw(reports())
    return compare_reports(
        report, replace(other_target(report), target=draw(names), target_class=draw(st.none() | names))
    )


every_report = st.one_of(reports(), comparisons())


def controls(text: str) -> set[str]:
    return {char for char in text if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}} - {"\n"}


@settings(max_examples=40, deadline=None)
@given(reports())
def test_csv_reads_back_as_what_was_written(report):
    rows = list(csv.reader(StringIO(csv_text(ranking_table(report)), newline="")))
    assert rows[0] == list(COLUMNS)
    assert len(rows) == len(report.ranking.rows) + 1
    for cells, row in zip(rows[1:], report.ranking.rows, strict=True):
        assert cells[:2] == [str(row.rank), spreadsheet_safe(row.group)]
        for cell, value in zip(cells[2:7], (row.influence, row.se, row.low, row.high, row.q), strict=True):
            assert (float(cell) == value) if math.isfinite(value) else cell == ""


@settings(max_examples=40, deadline=None)
@given(every_report)
def test_no_cell_of_a_csv_is_a_formula(report):
    for cells in csv.reader(StringIO(csv_text(ranking_table(report), comments=True), newline="")):
        for cell in cells:
            assert not cell.lstrip().startswith(FORMULA) or math.isfinite(float(cell))


@settings(max_examples=40, deadline=None)
@given(reports())
def test_comments_do_not_swallow_rows(report):
    text = csv_text(ranking_table(report), comments=True)
    lines = [line for line in text.split("\n") if not line.startswith("# ")]
    assert "\n".join(lines) == csv_text(ranking_table(report))
    rows = list(csv.reader(StringIO(text, newline="")))
    assert list(COLUMNS) in rows
    assert len(rows) - rows.index(list(COLUMNS)) == len(report.ranking.rows) + 1


@settings(max_examples=40, deadline=None)
@given(reports())
def test_json_is_strict_and_reads_back(report):
    def refuse(constant):
        pytest.fail(f"{constant} is not JSON")

    document = json.loads(rank_json(report), parse_constant=refuse)
    for row, source in zip(document["rows"], report.ranking.rows, strict=True):
        encodable = source.group.encode("utf-8", "backslashreplace").decode()
        assert (row["group"], row["rank"]) == (encodable, source.rank)
        for key in ("influence", "se", "low", "high", "q"):
            value = getattr(source, key)
            assert row[key] == (value if math.isfinite(value) else None)


@settings(max_examples=40, deadline=None)
@given(every_report, st.integers(40, 130), st.booleans())
def test_no_format_holds_a_control_character(report, width, ascii):
    for text in (
        csv_text(ranking_table(report), comments=True),
        rank_json(report),
        printed(report, width, ascii=ascii),
    ):
        assert not controls(text)
    assert printed(report, width, ascii=True).isascii()
    assert rank_json(report).isascii()


@settings(max_examples=80, deadline=None)
@given(
    every_report,
    st.integers(40, 130),
    st.booleans(),
    st.none() | st.integers(0, 10),
    st.none() | st.integers(1, 40),
)
def test_a_table_is_never_wider_than_the_terminal(report, width, ascii, top, height):
    for line in printed(report, width, ascii=ascii, top=top, height=height).split("\n"):
        assert cell_len(line) <= width
