"""CSV files that other programs read as they are, and the facts about them beside them."""

import json
import os
import re
import threading
from pathlib import Path

import pandas
import pytest

from tests.unit.export.reports import comparison_of, nasty_report
from tui_influence.errors import ResultsError
from tui_influence.export.csv import csv_text, facts_path, write_csv
from tui_influence.export.ranking import COLUMNS, COMPARED_COLUMNS, ranking_table
from tui_influence.export.result_table import ResultTable
from tui_influence.text import spreadsheet_safe


@pytest.mark.parametrize(
    ("report", "columns"), [(nasty_report(), COLUMNS), (comparison_of(nasty_report()), COMPARED_COLUMNS)]
)
def test_pandas_reads_what_is_written_without_options(tmp_path, report, columns):
    table = ranking_table(report)
    write_csv(tmp_path / "ranking.csv", table)
    frame = pandas.read_csv(tmp_path / "ranking.csv")
    assert tuple(frame.columns) == columns
    assert frame["group"].tolist() == [spreadsheet_safe(row[1]) for row in table.rows]
    for index, column in enumerate(columns):
        if isinstance(table.rows[0][index], float):
            expected = [row[index] for row in table.rows]
            assert frame[column].tolist() == pytest.approx(expected, rel=1e-15, nan_ok=True)


def test_the_facts_are_those_of_the_comment_lines(tmp_path):
    table = ranking_table(nasty_report())
    files = write_csv(tmp_path / "ranking.csv", table, comments=True)
    assert files == [tmp_path / "ranking.csv", tmp_path / "ranking.meta.json"]
    comments = [line for line in files[0].read_text().splitlines() if line.startswith("# ")]
    facts = json.loads(files[1].read_text())
    assert [line.removeprefix("# ").partition(":")[0] for line in comments] == list(facts)
    assert facts == dict(table.facts)
    assert facts["models"] == 200
    assert files[0].read_text().endswith(csv_text(table))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ranking.csv", "ranking.meta.json"),
        ("ranking.CSV", "ranking.meta.json"),
        ("of.2026", "of.2026.meta.json"),
        ("ranking", "ranking.meta.json"),
    ],
)
def test_the_file_of_facts_is_named_after_the_table(name, expected):
    assert facts_path(Path("a") / name) == Path("a") / expected


def test_a_pipe_gets_the_table_alone(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_text()))
    reader.start()
    table = ranking_table(nasty_report())
    assert write_csv(pipe, table) == [pipe]
    reader.join()
    assert received == [csv_text(table)]
    assert list(tmp_path.iterdir()) == [pipe]


@pytest.mark.parametrize("name", ["/dev/fd/{}", "/proc/self/fd/{}"])
def test_an_open_file_gets_the_table_alone_and_nothing_lands_beside_its_device(tmp_path, name):
    with (tmp_path / "redirected.csv").open("w") as file:
        path = Path(name.format(file.fileno()))
        assert write_csv(path, ranking_table(nasty_report())) == [path]
    assert [path.name for path in tmp_path.iterdir()] == ["redirected.csv"]


@pytest.mark.parametrize("name", ["ranking.csv", "ranking.meta.json"])
def test_a_file_that_cannot_be_written_is_the_one_that_is_named(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(ResultsError, match=f"cannot write .*/{re.escape(name)}: "):
        write_csv(tmp_path / "ranking.csv", ranking_table(nasty_report()))
    with pytest.raises(ResultsError, match=r"cannot write .*/none/ranking\.csv: "):
        write_csv(tmp_path / "none" / "ranking.csv", ranking_table(nasty_report()))


def test_a_name_that_is_no_unicode_is_a_fact_in_strict_json():
    text = ResultTable((("run", "a\udcff"),), (), ()).facts_json()
    assert json.loads(text) == {"run": "a\\udcff"}


def test_cells_of_every_kind_of_value():
    table = ResultTable(
        (), ("a", "b", "c", "d", "e"), [(None, True, float("nan"), 3, 0.1), ("", False, 1e-9, -3, "=x")]
    )
    assert csv_text(table) == "a,b,c,d,e\n,yes,,3,0.1\n,no,1e-09,-3,'=x\n"
