"""The bytes are the contract. After a wanted change: TINFL_REGENERATE=1 pytest tests/unit/export, and read the diff."""

from pathlib import Path

import pytest

from tests.unit.export.reports import (
    alphabet_report,
    comparison_of,
    few_models_report,
    nasty_report,
    noise_report,
    printed,
)
from tests.unit.golden_files import content_and_golden
from tui_influence.export.csv import csv_text
from tui_influence.export.json import rank_json
from tui_influence.export.ranking import ranking_table

GOLDEN = Path(__file__).parent / "golden"

FORMATS = {
    "rank.csv": lambda: csv_text(ranking_table(nasty_report()), comments=True),
    "rank_without_comments.csv": lambda: csv_text(ranking_table(nasty_report())),
    "rank.json": lambda: rank_json(nasty_report()),
    "table_40.txt": lambda: printed(nasty_report(), 40),
    "table_80.txt": lambda: printed(nasty_report(), 80),
    "table_120.txt": lambda: printed(nasty_report(), 120),
    "table_40_ascii.txt": lambda: printed(nasty_report(), 40, ascii=True),
    "table_120_ascii.txt": lambda: printed(nasty_report(), 120, ascii=True),
    "table_80_both_ends.txt": lambda: printed(alphabet_report(), 80, height=24),
    "table_80_noise_top.txt": lambda: printed(noise_report(), 80, top=5),
    "table_80_two_models.txt": lambda: printed(few_models_report(), 80),
    "comparison.csv": lambda: csv_text(ranking_table(comparison_of(nasty_report())), comments=True),
    "comparison.json": lambda: rank_json(comparison_of(nasty_report()), top=4),
    "comparison_80.txt": lambda: printed(comparison_of(nasty_report()), 80),
    "comparison_80_top.txt": lambda: printed(comparison_of(alphabet_report()), 80, height=30),
    "comparison_120.txt": lambda: printed(comparison_of(nasty_report()), 120),
    "comparison_40_ascii.txt": lambda: printed(comparison_of(nasty_report()), 40, ascii=True),
}


@pytest.mark.parametrize("name", FORMATS)
def test_output_is_that_of_the_golden_file(name):
    content, golden = content_and_golden(GOLDEN / name, FORMATS[name]())
    assert content == golden


def test_no_golden_file_is_left_over():
    assert {path.name for path in GOLDEN.iterdir()} == set(FORMATS)
