"""The words and lines of a run."""

import pytest

from tui_influence.influence.types import Reliability
from tui_influence.render.run import _broken_fact, reliability_word
from tui_influence.render.style import Style


@pytest.mark.parametrize(
    ("value", "low", "any_significant", "word"),
    [
        (0.1, -0.2, False, "NOISE"),
        (0.1, -0.2, True, "uncertain"),
        (0.4, 0.1, False, "weak"),
        (0.95, 0.9, True, "strong"),
        (float("nan"), float("nan"), False, "unknown"),
    ],
)
def test_one_word_says_how_far_a_ranking_can_be_trusted(value, low, any_significant, word):
    assert reliability_word(Reliability(value, value, low, 0.99, 100), any_significant=any_significant) == word


def test_a_fact_that_is_too_wide_is_broken_between_its_parts_and_indented():
    parts = ["256 of 256 to estimate from", "32 of 32 held out"]
    assert [line.plain for line in _broken_fact("models", parts, Style(), 70)] == [f"models      {', '.join(parts)}"]
    assert [line.plain for line in _broken_fact("models", parts, Style(), 55)] == [
        "models      256 of 256 to estimate from,",
        "            32 of 32 held out",
    ]
