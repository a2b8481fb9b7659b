"""`tinfl explore` in a real terminal, driven by real keys."""

import re

import psutil
import pytest

from tests.e2e.program import status, tinfl, wait_for, write_config
from tests.e2e.terminal import Terminal


def laid_out(text: str, width: int, height: int) -> bool:
    """Whether Rank has taken a size: words of the modes, detail beside the table, footer in the last line."""
    lines = text.splitlines()
    return (
        len(lines) == height
        and "Filter" in lines[-1]
        and re.search(r"influence .*0", text) is not None
        and ("1 Sweep" in lines[0]) == (width >= 80)
        and ("q (FDR)" in text) == (width >= 120)
    )


def test_it_opens_filters_resizes_and_leaves_nothing_behind(finished, terminal):
    terminal.start("explore", finished, COLUMNS="140", LINES="50")  # which are not the terminal's, and go unheard
    terminal.wait(lambda text: "DONE" in text and "12 of 12 models" in text)
    terminal.keys("2", "/")  # at once: what is typed must not mix with what a terminal answers
    terminal.type(">-9 a")
    text = terminal.wait(lambda text: ">-9 a" in text and "influence" in text)
    lines = text.splitlines()
    assert ">-9 a" in [line.strip() for line in lines], text
    terminal.keys("Escape")
    terminal.wait(lambda text: "influence" in text and ">-9 a" not in text)
    for width, height in ((40, 12), (140, 40), (80, 24)):
        terminal.resize(width, height)
        text = terminal.wait(lambda text, size=(width, height): laid_out(text, *size))
        assert all(len(line) <= width for line in text.splitlines())
    terminal.keys("1")
    terminal.resize(40, 12)
    terminal.wait(lambda text: "DONE" in text and "12 of 12 models" in text and "source" in text)
    terminal.keys("5")
    terminal.wait(lambda text: "following" in text and "done" in text)
    terminal.keys("q")
    text = terminal.wait(lambda text: "ended 0" in text)
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("options", "environment", "colours"),
    [
        (["--color", "256"], {}, "38;5;"),
        (["--color", "truecolor"], {}, "38;2;"),
        (["--color", "none"], {}, ""),
        ([], {"NO_COLOR": "1"}, ""),
        (["--color", "256", "--ascii", "--theme", "light"], {}, "38;5;"),
    ],
)
def test_colours_are_those_that_were_asked_for(finished, terminal, options, environment, colours):
    terminal.tmux("set-option", "-ga", "terminal-overrides", ",*:Tc")
    terminal.start("explore", finished, *options, **environment)
    terminal.wait(lambda text: "12 of 12 models" in text)
    terminal.keys("2")
    terminal.wait(lambda text: "influence" in text)
    escapes = set(re.findall(r"[34]8;[25];", terminal.screen(escapes=True)))
    assert escapes <= ({colours, colours.replace("38", "48")} if colours else set())
    assert bool(escapes) == bool(colours)
    text = terminal.screen()
    assert text.isascii() or "--ascii" not in options
    terminal.keys("q")
    terminal.wait(lambda text: "ended 0" in text)


def test_a_sweep_outlives_the_app_and_the_terminal(here, terminal, tmp_path_factory):
    tinfl("sweep", write_config(here, models=600, epochs=4))
    root = here / "results"
    terminal.start("explore", root)
    terminal.wait(lambda text: "RUNNING" in text and "models an hour" in text)
    terminal.keys("q")
    terminal.wait(lambda text: "the sweep (pid" in text and "goes on in the background" in text and "ended 0" in text)
    assert status(root)["state"] == "running"
    second = Terminal(tmp_path_factory.mktemp("second") / "socket", 40, 12)
    try:
        second.start("explore", root)
        second.wait(lambda text: "RUNNING" in text)
    finally:
        second.close()
    assert status(root)["state"] == "running"
    terminal.start("explore", root)
    terminal.wait(lambda text: "RUNNING" in text)
    terminal.keys("S")
    terminal.wait(lambda text: "Stop the sweep?" in text and "tinfl stop" in text)
    terminal.keys("y")
    terminal.wait(lambda text: "STOPPED" in text)
    stopped = wait_for(root, "stopped")
    assert sum(stopped["done"].values()) < 602
    terminal.keys("R")
    terminal.wait(lambda text: "Resume the sweep?" in text)
    terminal.keys("y")
    terminal.wait(lambda text: "RUNNING" in text)
    terminal.keys("q")
    terminal.wait(lambda text: text.count("ended 0") == 2)
    assert status(root)["state"] == "running"


def test_no_app_is_left_behind_by_a_terminal_that_ignores_its_own_end(finished, terminal):
    terminal.tmux("send-keys", "trap '' HUP", "Enter")  # as under nohup
    terminal.start("explore", finished)
    terminal.wait(lambda text: "12 of 12 models" in text)
    (app,) = (
        process
        for process in psutil.process_iter(["cmdline"])
        if {"tui_influence", "explore", str(finished)} <= {*(process.info["cmdline"] or ())}
    )
    terminal.close()
    app.wait(20)


@pytest.mark.parametrize(("what", "reason"), [("none", "no such results directory"), (".", "nor a folder of such")])
def test_what_cannot_be_opened_is_a_line_and_an_exit_code(here, terminal, what, reason):
    (here / "empty").mkdir()
    terminal.start("explore", here / "empty" / what)
    text = terminal.wait(lambda text: "ended 3" in text)
    assert reason in text.replace("\n", "")


def test_without_a_terminal_it_says_what_to_use(finished):
    assert "needs a terminal" in tinfl("explore", finished, code=2).stderr


def test_keys_of_one_s_own_work_and_wrong_ones_are_refused_before_the_screen_is_taken(finished, terminal, tmp_path):
    (tmp_path / "own.toml").write_text('[keys]\n"app.rank" = "r"\n"rank.filter" = "f2,F"\n')
    terminal.start("explore", finished, TINFL_CONFIG=str(tmp_path / "own.toml"))
    terminal.wait(lambda text: "12 of 12 models" in text and "r Rank" in text)
    terminal.keys("r")
    terminal.wait(lambda text: "f2 Filter" in text and "influence" in text)
    terminal.keys("F", "F")
    terminal.wait(lambda text: "F" in [line.strip() for line in text.splitlines()])
    terminal.keys("Escape")
    terminal.wait(lambda text: "36 classes, 10 models" in text and " of 36" not in text)
    terminal.keys("q")
    terminal.wait(lambda text: "ended 0" in text)
    (tmp_path / "wrong.toml").write_text('[keys]\n"rank.filtre" = "f"\n')
    terminal.start("explore", finished, TINFL_CONFIG=str(tmp_path / "wrong.toml"))
    text = terminal.wait(lambda text: "ended 2" in text)
    assert "did you mean rank.filter?" in text.replace("\n", "")
