"""`growth.json`: what is written is read again, and what is damaged is not believed."""

import json
from dataclasses import replace

import pytest

from tests.unit.store.digested import write_with_digest
from tui_influence.errors import ResultsError
from tui_influence.store.growth import (
    Growth,
    MeasuredReliability,
    Outcome,
    check_growth,
    read_growth,
    write_decision,
    write_forecast,
)

FORECAST = MeasuredReliability(12, "digits", 0.9, 0.3, None, 40, None)
GROWN = MeasuredReliability(16, "digits", 0.9, 0.6, 30, 20, 50, outcome=Outcome.GROWN, further=8)
LIMIT = replace(GROWN, models=24, outcome=Outcome.LIMIT, further=0)


def test_nothing_is_known_where_there_is_no_file(paths):
    assert read_growth(paths) == check_growth(paths) == Growth()
    assert Growth().latest is None


def test_what_is_written_is_read_again(paths):
    write_forecast(paths, FORECAST)
    assert read_growth(paths) == Growth(FORECAST)
    write_decision(paths, GROWN)
    write_decision(paths, LIMIT)
    assert check_growth(paths) == Growth(LIMIT, (GROWN, LIMIT))
    assert read_growth(paths).latest == LIMIT


def test_a_decision_made_again_replaces_the_first_and_those_after_it(paths):
    for decision in (GROWN, LIMIT, replace(GROWN, further=6)):
        write_decision(paths, decision)
    assert read_growth(paths).decisions == (replace(GROWN, further=6),)


def test_the_latest_is_a_decision_until_more_models_are_recorded(paths):
    write_decision(paths, GROWN)
    write_forecast(paths, FORECAST)
    assert read_growth(paths).latest == GROWN
    write_forecast(paths, replace(FORECAST, models=20))
    assert read_growth(paths).latest.models == 20


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("models", -1), ("models", "16"), ("models", 1.5), ("goal", 2), ("reliability", 7), ("reliability", "nan"),
        ("low", -3), ("high", 1e9), ("expected", True), ("is_reachable", 1), ("outcome", "finished"), ("further", None),
        ("target", 3),
    ],
)  # fmt: skip
@pytest.mark.parametrize("part", ["forecast", "decisions"])
def test_what_no_run_writes_is_damage(paths, part, key, value):
    write_decision(paths, GROWN)
    values = json.loads(paths.growth.read_text())
    (values[part] if part == "forecast" else values[part][0])[key] = value
    write_with_digest(paths.growth, values)
    assert read_growth(paths) == Growth()
    with pytest.raises(ResultsError, match=r"growth\.json: damaged"):
        check_growth(paths)
    write_forecast(paths, FORECAST)
    assert check_growth(paths) == Growth(FORECAST)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"{", b'{"forecast": [], "decisions": []}', b"\xff" * 9])
def test_what_is_no_such_document_is_damage(paths, content):
    paths.growth.write_bytes(content)
    assert read_growth(paths) == Growth()
    with pytest.raises(ResultsError, match=r"growth\.json: damaged"):
        check_growth(paths)


def test_a_file_that_was_edited_does_not_match_its_digest(paths):
    write_forecast(paths, FORECAST)
    paths.growth.write_text(paths.growth.read_text().replace("0.3", "0.8"))
    assert read_growth(paths) == Growth()
    with pytest.raises(ResultsError, match="digest"):
        check_growth(paths)
