import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_influence.text import did_you_mean, printable, spreadsheet_safe

any_text = st.text(st.characters())  # surrogates and unassigned characters too


@given(any_text)
def test_nothing_that_is_shown_is_a_control_character(text: str) -> None:
    assert not {unicodedata.category(char) for char in printable(text)} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@given(any_text)
def test_what_is_shown_can_be_encoded(text: str) -> None:
    printable(text).encode("utf-8")


@given(any_text)
def test_making_it_safe_twice_changes_nothing(text: str) -> None:
    assert printable(printable(text)) == printable(text)


@given(any_text, st.integers(0, 20))
def test_a_limit_is_kept(text: str, limit: int) -> None:
    shown = printable(text, limit)
    assert len(shown) <= limit
    if len(printable(text)) > limit > 0:
        assert shown.endswith("…")


@pytest.mark.parametrize(
    "text", ["plain", "漢字 かな", "Žluťoučký kůň", "ﾊﾝｶｸ", "🐈 cat", "עברית", "e\u0301", "a\u00a0b", "\\"]
)
def test_letters_wide_ones_and_signs_are_kept(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\nb\r\tc\x00", r"a\x0ab\x0d\x09c\x00"),
        ("\x9b31m", r"\x9b31m"),
        ("safe\u202egnp.exe", r"safe\u202egnp.exe"),
        ("in\u200bvisible\ufeff", r"in\u200bvisible\ufeff"),
        ("a\u2028b", r"a\u2028b"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
    ],
    ids=ascii,
)
def test_what_could_command_a_terminal_is_shown_as_text(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(any_text)
def test_no_cell_starts_a_formula(text: str) -> None:
    cell = spreadsheet_safe(text)
    assert not cell.lstrip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠"))
    assert printable(cell) == cell
    assert cell.removeprefix("'") == printable(text).removeprefix("'")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "  =1", "\u3000=1", "＝1"])
def test_a_formula_gets_an_apostrophe(text: str) -> None:
    assert spreadsheet_safe(text) == "'" + text


@pytest.mark.parametrize("text", ["cat", "a=b", "n02123045", "", "'quoted"])
def test_other_names_stay_as_they_are(text: str) -> None:
    assert spreadsheet_safe(text) == text


def test_a_mistyped_name_is_answered_with_the_nearest_one_made_safe():
    assert did_you_mean("ostrch", ["zebra", "ostrich"]) == '; did you mean "ostrich"?'
    assert did_you_mean("quagga", ["zebra", "ostrich"]) == ""
    assert did_you_mean("zebra", ["zebr\x1b"]) == '; did you mean "zebr\\x1b"?'
    assert did_you_mean("x", []) == ""
