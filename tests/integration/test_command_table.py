"""`tinfl --help` and the table it is made of: complete, uncut, and cheap."""

import subprocess
import sys

import pytest

from tests.integration.command_line import run
from tests.integration.test_imports import HEAVY, loaded, running
from tui_influence.cli.app import COMMANDS
from tui_influence.config.messages import KINDS

HELP_LENGTH = 50


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_loaded_and_explains_itself(name):
    answer = run(name, "--help")
    assert answer.code == 0, answer
    assert f" {name} " in answer.out.splitlines()[0]


def test_the_list_of_commands_is_uncut_and_in_panels():
    lines = run("--help").out.splitlines()
    for name, command in COMMANDS.items():
        assert len(command.help) <= HELP_LENGTH, command
        assert not command.help.endswith("."), command
        assert f"  {name:<8}  {command.help}" in lines
        assert f"{command.panel}:" in lines
    assert max(map(len, lines)) < 80


def test_a_piped_list_of_commands_is_plain_text():
    program = [sys.executable, "-m", "tui_influence", "--help"]
    environment = {"COLUMNS": "80", "TERM": "xterm-256color", "FORCE_COLOR": "1", "PATH": "/usr/bin:/bin"}
    text = subprocess.run(program, capture_output=True, text=True, check=True, env=environment).stdout
    assert "\x1b" not in text
    assert "..." not in text.split("Start:")[1]
    assert text.split("Start:")[1] == run("--help").out.split("Start:")[1]


def test_a_mistyped_command_is_answered_with_a_similar_one():
    answer = run("rnak")
    assert answer.code == 2
    assert "rnak" in answer.err


def test_the_help_of_init_lists_the_kinds_of_datasets():
    text = run("init", "--help").out
    assert all(kind in text for kind in KINDS["source"])


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_loads_nothing_heavy(name):
    assert not loaded(running(name, "--help")) & {*HEAVY, "numpy", "scipy", "PIL"}
