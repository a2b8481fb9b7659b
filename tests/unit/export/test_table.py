"""What a reader of the table is told, and when."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from io import StringIO

import pytest
from rich.cells import cell_len
from rich.console import Console

from tests.unit.export.reports import (
    NAN,
    alphabet_report,
    constant,
    few_models_report,
    nasty_report,
    noise_report,
    printed,
    report_of,
    row,
)
from tui_influence.influence.types import Reliability
from tui_influence.render.ranking import meaning
from tui_influence.render.ranking_table import rank_table

BLUE, ORANGE = "38;2;86;180;233", "38;2;230;159;0"


def coloured(report, width=80) -> str:
    console = Console(
        width=width, file=StringIO(), color_system="truecolor", force_terminal=True, legacy_windows=False, _environ={}
    )
    console.print(rank_table(report, width=width))
    return console.file.getvalue()


def group_lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if re.match(r" *(\d+|–) +\S", line) and "undefined" not in line]


def test_noise_is_announced_above_the_groups_and_has_no_colour():
    text = printed(noise_report(), 80)
    assert text.index("NOISE") < text.index("1  3 ")
    for colour in (BLUE, ORANGE):
        assert colour in coloured(alphabet_report())
        assert colour not in coloured(noise_report())


@pytest.mark.parametrize("reliability", [None, Reliability(NAN, NAN, NAN, NAN, 1)])
def test_an_unknown_reliability_is_said_to_be_unknown_and_is_no_noise(reliability):
    text = printed(alphabet_report(reliability), 80)
    assert "NOISE" not in text
    assert "Reliability unknown" in text
    assert "nan" not in text.lower()


def test_sign_shows_without_colour_in_mark_and_number_and_side_of_zero():
    for line in group_lines(printed(alphabet_report(), 100)):
        positive = "▲ +" in line
        assert positive != ("▼ -" in line)
        whisker = re.search(r"[│┼─●◂▸ ]*[│┼][│┼─●◂▸ ]*", line)[0]
        zero = re.search("[│┼]", whisker).start()
        assert (whisker.index("●") > zero) == positive


def test_discoveries_and_no_others_carry_the_mark():
    report = nasty_report()
    lines = group_lines(printed(report, 100))
    assert ["*" in line for line in lines] == [row.q < 0.05 for row in report.ranking.rows]


def test_discoveries_are_marked_where_there_is_no_room_for_q():
    lines = group_lines(printed(nasty_report(), 40))
    assert sum("*" in line for line in lines) == sum(row.q < 0.05 for row in nasty_report().ranking.rows)


def test_zero_lines_stand_under_each_other_whatever_the_names():
    text = printed(nasty_report(), 100)
    zeros = {cell_len(line[: re.search("[│┼]", line).start()]) for line in text.split("\n") if re.search("[│┼]", line)}
    assert len(zeros) == 1


def test_markup_in_names_is_text():
    assert "[bold red]x[/]" in printed(nasty_report(), 120)


def test_groups_without_influence_come_last_without_a_nan():
    text = printed(nasty_report(), 80)
    assert [line.split()[0] for line in group_lines(text)][-2:] == ["–", "–"]
    assert "2 undefined (in every model or none)" in text
    assert "nan" not in text.lower()


def test_two_models_give_a_table_without_intervals():
    text = printed(few_models_report(), 80)
    assert "●" in text
    assert "nan" not in text.lower()


def test_top_shows_so_many_and_names_the_other_end():
    text = printed(alphabet_report(), 80, top=5)
    assert [line.split()[1] for line in group_lines(text)] == list("37T95")
    assert "31 more; at the other end: C (▼ -0.85), X" in text


@pytest.mark.parametrize("top", [36, 100])
def test_top_beyond_the_end_leaves_nothing_out(top):
    text = printed(alphabet_report(), 80, top=top)
    assert len(group_lines(text)) == 36
    assert " more" not in text


@pytest.mark.parametrize("height", [20, 23, 24, 25, 38, 50, 51, 52, 70])
@pytest.mark.parametrize("report", [alphabet_report(), noise_report()], ids=["good", "noise"])
def test_a_table_fits_the_height_and_fills_it(report, height):
    text = printed(report, 80, height=height)
    whole = printed(report, 80).count("\n")
    needed = printed(report, 80, height=1).count("\n")
    assert text.count("\n") == min(max(height, needed), whole)


def test_both_ends_are_shown_where_not_all_fit():
    ranks = [int(line.split()[0]) for line in group_lines(printed(alphabet_report(), 80, height=24))]
    half = len(ranks) // 2
    assert ranks == [*range(1, len(ranks) - half + 1), *range(37 - half, 37)]
    assert f"{36 - len(ranks)} more" in printed(alphabet_report(), 80, height=24)


def test_groups_without_influence_make_room_first():
    rows = (*(row(k, f"g{k}", 1 / k) for k in range(1, 7)), *(constant(k, f"c{k}") for k in range(7, 40)))
    text = printed(report_of(rows), 80, height=20)
    assert len(group_lines(text)) <= 6
    assert "33 undefined" in text


def test_a_hundred_thousand_groups_fit_forty_columns():
    rows = tuple(row(k, f"group {k}", 1e-7 * (5 - k)) for k in (1, 2, 99_999, 100_000))
    for line in printed(report_of(rows), 40).split("\n"):
        assert cell_len(line) <= 40
    assert "●" in printed(report_of(rows), 40)


def test_the_width_of_a_column_is_measured_once(monkeypatch):
    measured = []
    monkeypatch.setattr("tui_influence.render.format.cell_len", lambda text: measured.append(text) or len(text))
    rows = tuple(row(k, f"group {k}", 0.5 - k / 500) for k in range(1, 501))
    rank_table(report_of(rows), width=80)
    assert len(measured) < 20 * len(rows)


def test_an_empty_ranking_is_a_table_without_rows():
    assert "Influence of 0 classes" in printed(report_of(()), 40)


def test_a_long_name_costs_no_more_than_its_cells():
    lines = printed(report_of((row(1, "n" * 300, 0.5), row(2, "狮" * 300, -0.5))), 60)
    assert lines.count("…") == 2


def test_zero_is_an_average_group_only_where_all_models_have_equally_many():
    relative = nasty_report()
    absolute = replace(relative, ranking=replace(relative.ranking, is_relative=False))
    assert "worse than an average class" in printed(relative, 80)
    assert "▲ helps, ▼ hurts" in printed(absolute, 80)
    assert "absolute" in meaning(absolute)


def test_export_imports_no_rich():
    modules = "tui_influence.export.csv, tui_influence.export.json, tui_influence.export.files"
    code = f"import sys, {modules}; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == 0
