"""What is said of two rankings side by side, and that every format says the same."""

import csv
import json
import re
from dataclasses import replace

import pytest
from rich.cells import cell_len

from tests.unit.export.reports import (
    alphabet_report,
    comparison_of,
    few_models_report,
    nasty_report,
    noise_report,
    other_target,
    printed,
    report_of,
    row,
)
from tui_influence.analysis.ranking import compare_reports
from tui_influence.export.csv import csv_text
from tui_influence.export.json import rank_json
from tui_influence.export.ranking import ranking_table
from tui_influence.render.ranking import comparison_labels

NUMBERS = ("influence", "se", "low", "high", "q")


def lines_of(text: str) -> list[str]:
    return [line for line in text.split("\n") if re.match(r" *(\d+|–) +\S", line)]


def test_csv_and_json_hold_the_same_rows_to_the_last_bit():
    report = comparison_of(nasty_report())
    read = list(csv.DictReader(csv_text(ranking_table(report)).splitlines()))
    document = json.loads(rank_json(report))
    assert len(read) == len(document["rows"]) == document["n_groups"] == 13
    for cells, found in zip(read, document["rows"], strict=True):
        assert cells["effect"] == found["effect"]
        assert [cells[f"difference{end}"] for end in ("", "_low", "_high")] == [
            "" if found[key] is None else repr(found[key]) for key in ("difference", "low", "high")
        ]
        for side in ("first", "second"):
            assert int(cells[f"{side}_rank"]) == found[side]["rank"]
            for key in NUMBERS:
                assert cells[f"{side}_{key}"] == ("" if found[side][key] is None else repr(found[side][key]))


def test_each_side_of_the_json_has_the_numbers_of_its_own_ranking():
    report = comparison_of(alphabet_report())
    rows = json.loads(rank_json(report))["rows"]
    for side, own in (("first", report.first), ("second", report.second)):
        alone = {found["group"]: found for found in json.loads(rank_json(own))["rows"]}
        for found in rows:
            wanted = {key: value for key, value in alone[found["group"]].items() if key != "group"}
            assert found[side] == wanted


def test_top_keeps_the_most_opposed_and_says_how_many_there_are():
    report = comparison_of(alphabet_report())
    text = printed(report, 80, top=5)
    assert [line.split()[0] for line in lines_of(text)] == list("12345")
    assert "31 more" in text
    assert len(json.loads(rank_json(report, top=5))["rows"]) == 5


@pytest.mark.parametrize("width", [40, 50, 60, 80, 100, 140])
@pytest.mark.parametrize("ascii", [False, True])
def test_a_line_shows_both_signs_in_any_width(width, ascii):
    report = comparison_of(alphabet_report())
    text = printed(report, width, ascii=ascii)
    assert all(cell_len(line) <= width for line in text.split("\n"))
    assert text.isascii() or not ascii
    found = {line.split()[1]: line for line in lines_of(text)}
    for one in report.comparison.rows:
        signs = re.findall(r"([+-])\d\.\d+", found[one.group])
        assert signs[:2] == ["+" if side.influence > 0 else "-" for side in (one.first, one.second)]


def test_zero_lines_of_both_stand_under_each_other():
    zeros = {
        tuple(cell_len(line[: found.start()]) for found in re.finditer("[│┼]", line))
        for line in lines_of(printed(comparison_of(alphabet_report()), 100))
    }
    assert len(zeros) == 1
    assert len(next(iter(zeros))) == 2


def test_a_height_is_kept():
    text = printed(comparison_of(alphabet_report()), 100, height=30)
    assert text.count("\n") == 30
    assert " more" in text


def test_one_side_that_is_noise_is_named():
    good = alphabet_report()
    noise = replace(other_target(noise_report()), target="letters")
    assert "NOISE, not a result: the order for letters" in printed(compare_reports(good, noise), 100)
    assert "NOISE" not in printed(comparison_of(good), 100)


@pytest.mark.parametrize(
    ("first", "second", "labels"),
    [
        ({}, {"target": "letters"}, ("digits", "letters")),
        ({"target_class": "7"}, {"target_class": "1"}, ("class 7", "class 1")),
        ({}, {"target_class": "\x1b[2J"}, ("all classes", "class \\x1b[2J")),
        ({"target_class": "7"}, {"target": "letters", "target_class": "T"}, ("digits, class 7", "letters, class T")),
        ({"example": 3}, {}, ("example 3", "all classes")),
    ],
)
def test_both_sides_are_called_by_what_they_differ_in(first, second, labels):
    report = alphabet_report()
    comparison = compare_reports(replace(report, **first), replace(report, **second))
    assert comparison_labels(comparison) == labels


def test_two_models_can_be_compared():
    text = printed(comparison_of(few_models_report()), 80)
    assert "nan" not in text.lower()
    assert "not significant" in printed(comparison_of(few_models_report()), 140)


def test_no_groups_are_a_table_without_rows():
    assert "Influence of 0 classes" in printed(comparison_of(report_of(())), 40)


def test_wide_names_leave_the_columns_straight():
    report = comparison_of(report_of((row(1, "n" * 300, 0.5), row(2, "狮" * 300, -0.5))))
    widths = {cell_len(line) for line in printed(report, 70).split("\n") if re.match(r" *[12] ", line)}
    assert max(widths) <= 70
