"""JSON of anybody's is finite, shallow and of the kind that is expected, or it is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_influence.errors import ResultsError
from tui_influence.store.files import read_json
from tui_influence.store.json_values import array, count, finite, number, parse, table, text, texts

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats(-1e100, 1e100)
VALUES = st.recursive(
    SCALARS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=30,
)


@given(VALUES)
def test_what_was_written_comes_back(value):
    assert parse(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "content",
    [
        b"NaN",
        b"[1, Infinity]",
        b'{"a": -Infinity}',
        b"1e999",
        b"1.7e308",
        b"-1e999",
        b"1" * 400,
        b"-" + b"1" * 5000,
        b"[" * 100_000,
        b"[" * 500 + b"]" * 500,
        b'{"a":' * 500 + b"1" + b"}" * 500,
        b"[" + b"[]," * 3_000_000 + b"[]]",
        b"\xff",
        b"",
        b"{} {}",
    ],
    ids=lambda content: repr(content[:12]),
)
def test_what_cannot_be_computed_with_or_fills_the_memory_is_refused(tmp_path, content):
    with pytest.raises(ValueError, match=r"."):
        parse(content)
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(ResultsError, match="not JSON"):
        read_json(path)


@pytest.mark.parametrize(
    ("read", "values"),
    [
        (text, [3, None, ["a"]]),
        (texts, ["abc", ["a", 3], None]),
        (array, ["abc", {}, 3]),
        (table, [[], "a", None]),
        (number, ["1", True, None, float("nan"), float("inf"), 10**400]),
        (lambda value: number(value, 0, 1), [-0.1, 1.1]),
        (count, ["1", 1.0, True, -1, 10**18]),
    ],
)
def test_values_of_another_kind_are_refused(read, values):
    for value in values:
        with pytest.raises((TypeError, ValueError, OverflowError)):
            read(value)


def test_fields_that_json_has_no_word_for_are_left_out():
    event = {
        "a": float("nan"),
        "b": 1.5,
        "e": -1e300,
        "metrics": [{"x": float("inf"), "y": 2.0}],
        "c": {"d": float("-inf")},
    }
    assert finite(event) == {"b": 1.5, "metrics": [{"y": 2.0}], "c": {}}
