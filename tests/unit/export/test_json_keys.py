"""The keys that scripts rely on, as the issue names them."""

import json

from tests.unit.export.reports import few_models_report, nasty_report
from tui_influence.export.json import rank_json

KEYS = ["run", "target", "class", "estimator", "output", "design", "n_models", "reliability", "lds", "forecast", "rows"]
ROW_KEYS = ["rank", "group", "influence", "se", "low", "high", "q", "n_with", "n_without"]


def test_json_begins_with_the_keys_that_scripts_rely_on():
    document = json.loads(rank_json(nasty_report()))
    assert list(document)[: len(KEYS)] == KEYS
    assert list(document["lds"]) == ["value", "low", "high", "n", "n_masks", "n_repeated"]
    assert list(document["lds_ceiling"]) == ["value", "low", "high"]
    assert all(list(row) == ROW_KEYS for row in document["rows"])


def test_what_is_unknown_is_null_and_its_key_stays():
    document = json.loads(rank_json(few_models_report()))
    assert list(document)[: len(KEYS)] == KEYS
    assert document["reliability"] is None
    assert document["lds"] is None
    assert document["lds_ceiling"] is None
    assert document["forecast"]["models"] is None
    assert document["noise"] is False


def test_top_keeps_the_first_rows_and_counts_all():
    document = json.loads(rank_json(nasty_report(), top=2))
    assert [row["rank"] for row in document["rows"]] == [1, 2]
    assert document["n_groups"] == 13


def test_numbers_in_csv_and_json_agree_to_the_last_bit():
    import csv

    from tui_influence.export.csv import csv_text
    from tui_influence.export.ranking import ranking_table

    cells = list(csv.reader(csv_text(ranking_table(nasty_report())).splitlines()))[1:]
    rows = json.loads(rank_json(nasty_report()))["rows"]
    for cell, row in zip(cells, rows, strict=True):
        assert [float(text) if text else None for text in cell[2:7]] == [row[key] for key in ROW_KEYS[2:7]]
