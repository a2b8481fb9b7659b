"""`tinfl doctor` says what pictures look like here, and why."""

import json

import pytest

from tests.integration.command_line import run

_SAYS = ("TERM", "TERM_PROGRAM", "COLORTERM", "NO_COLOR", "TMUX", "STY", "KITTY_WINDOW_ID", "LC_TERMINAL")


@pytest.mark.parametrize(
    ("environment", "ok", "found"),
    [
        ({"TERM": "xterm-kitty", "COLORTERM": "truecolor"}, True, "by the kitty protocol (TERM is xterm-kitty)"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, True, "by the iterm2 protocol"),
        ({"TERM": "xterm-256color"}, True, "half blocks; not the terminal's own graphics: nothing says"),
        ({"TERM": "tmux-256color", "TMUX": "x", "KITTY_WINDOW_ID": "1"}, True, "tmux and screen do not pass images on"),
        ({"TERM": "xterm"}, False, "shades without colour: half blocks need 256 colours"),
        ({"TERM": "xterm-kitty", "NO_COLOR": "1"}, True, "shades without colour: NO_COLOR is set"),
        ({}, False, "shades without colour"),
    ],
    ids=str,
)
def test_doctor_says_how_images_are_shown_and_why(monkeypatch, environment, ok, found):
    for name in _SAYS:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    said = json.loads(run("doctor", "--json").out)

    (images,) = [finding for finding in said if finding["what"] == "images"]
    assert images["ok"] is ok
    assert found in images["found"]
