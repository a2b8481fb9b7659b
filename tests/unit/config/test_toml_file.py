"""What is said about a file that is not TOML."""

import pytest

from tui_influence.config.errors import InvalidConfigError
from tui_influence.config.loader import parse_config

SYNTAX = [
    ("[run\n", 1, 5, "expected ']' at the end of a table declaration", ""),
    ("[run]\nname = x\n", 2, 8, "invalid value", 'write text in quotes, as in name = "text"'),
    ("[run]\nname\n", 2, 5, "expected '=' after a key in a key/value pair", "a line is key = value, or [section]"),
    ('[run]\nname = "x\n', 2, 10, "illegal character '\\n'", "the quotes that are opened on this line are not closed"),
    ("[run]\n[run]\n", 2, 5, "cannot declare ('run',) twice", "only [[target]] may be repeated"),
    ("a = 1\na = 2\n", 2, 6, "cannot overwrite a value", "the key is already set above"),
    ("a = [1,\n\n", 1, 8, "invalid value", ""),
    ('a = "C:\\data"\n', 1, 9, "unescaped '\\' in a string", "single quotes"),
    ("a = 2020-13-45\n", 1, 9, "", ""),
    ("a = '\x1b'\n", 1, 6, "found invalid character", ""),
]


@pytest.mark.parametrize(("text", "line", "column", "said", "hint"), SYNTAX, ids=lambda part: repr(part)[:20])
def test_what_is_not_toml_has_its_place(text: str, line: int, column: int, said: str, hint: str) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        parse_config(text, "sweep.toml")
    (problem,) = caught.value.problems
    assert problem.message.startswith(f"not valid TOML: {said}")
    assert problem.line == line
    assert problem.column is not None
    assert abs(problem.column - column) <= 1  # versions of Python differ by one
    assert problem.hint is not None
    assert hint in problem.hint
    assert "first syntax error" in problem.hint
