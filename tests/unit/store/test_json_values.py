"""JSON of anybody's is finite, shallow and of the kind that is expected, or it is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_influence.errors import ResultsError
from tui_influence.store import json_values
from tui_influence.store.files import read_json
from tui_influence.store.json_values import array, count, finite, number, numbers, parse, table, text, texts

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


@pytest.mark.parametrize(("content", "value"), [(b"1e100", 1e100), (b"-1e100", -1e100), (b"1" * 20, int("1" * 20))])
def test_the_largest_numbers_that_can_be_computed_with_are_read(content, value):
    assert parse(content) == value
    assert finite({"a": value}) == {"a": value}


@pytest.mark.parametrize("content", [b"1.1e100", b"-1.1e100", b"1" * 21])
def test_larger_ones_are_not(content):
    with pytest.raises(ValueError, match=r"."):
        parse(content)


@pytest.mark.parametrize(("opened", "closed"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_a_hundred_levels_are_read_and_one_more_is_not(opened, closed):
    """However much stands beside them."""

    def nested(levels):
        return b"[" + b"[0]," * 150 + opened * (levels - 1) + b"1" + closed * (levels - 1) + b"]"

    assert len(parse(nested(100))) == 151
    with pytest.raises(ValueError, match="nested too deep"):
        parse(nested(101))
    assert parse(opened * 100 + b"1" + closed * 100)
    with pytest.raises(ValueError, match="nested too deep"):
        parse(opened * 101 + b"1" + closed * 101)


def test_parts_are_counted_before_they_are_made(monkeypatch):
    monkeypatch.setattr(json_values, "_MAX_PARTS", 4)
    assert parse(b'[{}, [], "{"]') == [{}, [], "{"]
    with pytest.raises(ValueError, match="too many parts"):
        parse(b"[{}, [], [], {}]")


def test_values_at_the_end_of_what_is_expected_are_taken():
    assert [number(value, 0, 1) for value in (0, 0.5, 1)] == [0, 0.5, 1]
    assert isinstance(number(1), float)
    assert [count(value) for value in (0, 100_000_000)] == [0, 100_000_000]
    with pytest.raises(ValueError, match="a count up to 100,000,000 expected, not 100000001"):
        count(100_000_001)
    assert count(7, maximum=7) == 7
    assert numbers({"a": 1, "b": 2.5}) == {"a": 1.0, "b": 2.5}
    assert numbers({}) == {}
    for wrong in ({"a": True}, {"a": None}, {"a": "1"}):
        with pytest.raises(TypeError, match="numbers expected"):
            numbers(wrong)


def test_a_wrong_value_is_shown_short_and_safe():
    with pytest.raises(TypeError) as refused:
        text(["\x1b" * 1000])
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 80
