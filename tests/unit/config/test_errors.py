"""How problems are shown."""

import pytest

from tui_influence.cli import diagnostics
from tui_influence.config.errors import EXCERPT_COLUMNS, InvalidConfigError, Problem
from tui_influence.config.loader import parse_config
from tui_influence.errors import ExitCode

ONE = Problem('unknown key "epoch" in [train]', 18, 1, "epoch = 8", "did you mean epochs?")
TWO = Problem("design.alpha must be below 1 (got 1.0)", 20, 9, "alpha = 1.0")
NOWHERE = Problem("section [run] is missing", hint='for example: name = "x"')


def test_a_problem_is_its_place_the_line_a_caret_and_a_way_out() -> None:
    assert ONE.render("sweep.toml") == (
        'sweep.toml:18:1: unknown key "epoch" in [train]\n   18 | epoch = 8\n      | ^\n      = did you mean epochs?'
    )


def test_a_problem_that_stands_nowhere_has_no_excerpt() -> None:
    assert NOWHERE.render("a.toml") == 'a.toml: section [run] is missing\n      = for example: name = "x"'


def reported(capsys: pytest.CaptureFixture[str], *problems: Problem) -> str:
    assert diagnostics.report(InvalidConfigError("sweep.toml", problems)) == ExitCode.USAGE
    return capsys.readouterr().err


def test_one_problem_is_reported_without_saying_anything_twice(capsys: pytest.CaptureFixture[str]) -> None:
    assert reported(capsys, ONE) == (
        'error: sweep.toml:18:1: unknown key "epoch" in [train]\n'
        "     18 | epoch = 8\n"
        "        | ^\n"
        "        = did you mean epochs?\n"
    )


def test_several_problems_are_counted_and_each_is_reported_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert reported(capsys, ONE, TWO) == (
        "error: sweep.toml: 2 problems\n"
        '  sweep.toml:18:1: unknown key "epoch" in [train]\n'
        "     18 | epoch = 8\n"
        "        | ^\n"
        "        = did you mean epochs?\n"
        "  sweep.toml:20:9: design.alpha must be below 1 (got 1.0)\n"
        "     20 | alpha = 1.0\n"
        "        |         ^\n"
    )


def test_a_problem_without_more_to_say_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert reported(capsys, Problem("nested too deeply")) == "error: sweep.toml: nested too deeply\n"


def test_the_caret_stands_below_wide_characters() -> None:
    _, excerpt, caret = Problem("x", 1, 4, "漢字 = 1").render("f").split("\n")
    assert excerpt.endswith("| 漢字 = 1")
    assert caret == "      |      ^"  # two columns for each of two characters, and a blank


@pytest.mark.parametrize("column", [1, 90, 500, 999, 1001])
def test_a_long_line_is_cut_around_the_caret(column: int) -> None:
    line = "".join(chr(ord("a") + i % 26) for i in range(1000))
    _, excerpt, caret = Problem("x", 1, column, line).render("f").split("\n")
    assert len(excerpt) <= EXCERPT_COLUMNS + 10
    assert caret[-1] == "^"
    if column <= 1000:
        assert excerpt[len(caret) - 1] == line[column - 1]


def test_nothing_from_the_file_or_its_name_reaches_the_terminal_raw() -> None:
    with pytest.raises(InvalidConfigError) as caught:
        parse_config('"\\u001b]0;x" = 1 # \u202e\n[run]\nname = "\\u009b"\n', "a\x1b[2J.toml")
    shown = "".join([str(caught.value), caught.value.render(), *caught.value.details])
    assert all(part.isprintable() for part in shown.split("\n"))
    assert "\\x1b]0;x" in shown
    assert "\\u202e" in shown
