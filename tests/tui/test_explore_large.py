"""The large view by the terminal's own graphics is offered where they can be used."""

import pytest

from tui_influence.images import graphics
from tui_influence.tui.operations import has_graphics


@pytest.mark.parametrize(
    ("term", "problem", "offered"),
    [
        ("xterm-kitty", "", True),
        ("xterm-kitty", "term-image is not installed", False),
        ("xterm-256color", "", False),
    ],
)
def test_graphics_are_offered_in_a_terminal_that_has_them_if_term_image_is_there(monkeypatch, term, problem, offered):
    for name in ("TMUX", "STY", "TERM_PROGRAM", "KITTY_WINDOW_ID", "LC_TERMINAL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(graphics, "library_problem", lambda: problem)

    assert has_graphics() is offered
