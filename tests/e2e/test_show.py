"""`tinfl show` in a real terminal: pictures fit, colours are what the terminal has, and a key ends the waiting."""

import re

import numpy as np
import pytest

from tests.e2e.terminal import Terminal
from tests.tui.runs import make_run

SIDE = 28


@pytest.fixture
def terminal(tmp_path_factory):
    # A directory of its own: the path of a socket is short.
    made = Terminal(tmp_path_factory.mktemp("t") / "s")
    yield made
    made.close()


@pytest.fixture
def results(tmp_path):
    paths = make_run(tmp_path / "run", groups=["ostrich", "zebra", "ant", "bee", "cat", "dog", "eel"], planned=40)
    ramp = np.linspace(0, 255, SIDE).astype(np.uint8)
    pixels = np.stack([np.broadcast_to(ramp, (SIDE, SIDE)), np.broadcast_to(ramp[:, None], (SIDE, SIDE))], axis=-1)
    image = np.concatenate([pixels, np.zeros((SIDE, SIDE, 1), np.uint8)], axis=-1)
    np.save(paths.target(0) / "thumbnails.npy", np.broadcast_to(image, (12, SIDE, SIDE, 3)))
    return paths.root


def test_a_picture_and_its_words_fit_the_terminal_and_a_key_ends_the_waiting(terminal, results):
    terminal.start("show", results, "--example", 4, "--wait", COLORTERM="truecolor")

    screen = terminal.wait(lambda screen: "press any key" in screen)
    assert 'example 4 of target "digits"' in screen
    assert "▀" * 4 in screen.splitlines()[1]
    assert "Reliability" in screen
    terminal.keys("Up")  # three bytes: none of them may be left for the shell
    screen = terminal.wait(lambda screen: "ended 0" in screen)
    assert screen.split("ended 0")[1].strip() in ("$", "#")  # the prompt, and nothing typed


@pytest.mark.parametrize(
    ("environment", "there", "absent"),
    [
        ({"COLORTERM": "truecolor"}, "▀", "[░▒▓]"),
        ({"TERM": "xterm-256color"}, "▀", "[░▒▓]"),
        ({"TERM": "xterm"}, "▓", r"[34]8;[25];"),
        ({"NO_COLOR": "1", "COLORTERM": "truecolor"}, "▓", r"[34]8;[25];"),
    ],
    ids=str,
)
def test_colours_are_what_the_terminal_has(terminal, results, environment, there, absent):
    terminal.start("show", results, "--example", 4, **environment)

    terminal.wait(lambda screen: "ended 0" in screen)
    screen = terminal.screen(escapes=True)
    assert there in screen
    assert not re.search(absent, screen)


def test_what_went_wrong_can_be_read_before_an_app_takes_the_screen_back(terminal, results):
    terminal.start("show", results, "--example", 99, "--wait")

    screen = terminal.wait(lambda screen: "press any key" in screen)
    assert "no example 99" in screen
    terminal.keys("q")
    terminal.wait(lambda screen: "ended 2" in screen)
