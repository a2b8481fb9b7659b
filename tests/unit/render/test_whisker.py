"""The side of zero is the sign, exactly."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_influence.render.style import ASCII_WHISKER, UNICODE_WHISKER
from tui_influence.render.whisker import PointEstimate, Scale, common_scale, draw

numbers = st.floats(allow_nan=True, allow_infinity=True)
plain = st.floats(-10, 10)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.builds(PointEstimate, numbers, numbers, numbers), max_size=6), st.integers(5, 60))
def test_any_interval_takes_exactly_its_cells(intervals, cells):
    scale = common_scale(intervals)
    assert scale.low <= 0 <= scale.high
    for interval in intervals:
        assert len(draw(interval, scale, cells)) == cells


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(plain, st.floats(0, 5), st.floats(0, 5)), min_size=1, max_size=6), st.integers(5, 60))
def test_dot_and_ends_are_on_their_side_of_zero(values, cells):
    intervals = [PointEstimate(value, value - below, value + above) for value, below, above in values]
    scale = common_scale(intervals)
    zero = scale.zero(cells)
    for interval in intervals:
        text = draw(interval, scale, cells)
        dot = text.index(UNICODE_WHISKER.dot)
        assert (dot > zero) == (interval.value > 0)
        assert (dot < zero) == (interval.value < 0)
        if interval.low > 0:
            assert set(text[:zero]) <= {" "}
            assert text[zero] == UNICODE_WHISKER.zero
        if interval.high < 0:
            assert set(text[zero + 1 :]) <= {" "}
            assert text[zero] == UNICODE_WHISKER.zero


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (PointEstimate(0.5, 0.25, 0.75), "     |--o- "),
        (PointEstimate(-0.5, -0.75, -0.25), " -o--|     "),
        (PointEstimate(0.0, -0.5, 0.5), "  ---o---  "),
        (PointEstimate(0.25, -0.25, 0.5), "    -+o--  "),
        (PointEstimate(math.nan, math.nan, math.nan), "     |     "),
        (PointEstimate(0.5, math.nan, math.nan), "     |  o  "),
        (PointEstimate(0.5, -3.0, 3.0), "<----+--o->"),
    ],
)
def test_a_whisker_looks_like_this(interval, text):
    assert draw(interval, Scale(-1.0, 1.0), 11, ASCII_WHISKER) == text


def test_one_endless_interval_does_not_flatten_the_others():
    usual = [PointEstimate(0.5, 0.4, 0.6), PointEstimate(-0.2, -0.3, -0.1)]
    assert common_scale([*usual, PointEstimate(0.1, -50.0, 50.0)]) == common_scale(usual)
