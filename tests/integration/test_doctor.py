"""`tinfl doctor` says what pictures look like here, and why."""

import json
import sys

import PIL
import pytest

from tests.integration.command_line import run
from tui_influence.cli.commands import doctor
from tui_influence.images import graphics

_SAYS = ("TERM", "TERM_PROGRAM", "COLORTERM", "NO_COLOR", "TMUX", "STY", "KITTY_WINDOW_ID", "LC_TERMINAL")


@pytest.mark.parametrize(
    ("environment", "ok", "found"),
    [
        ({"TERM": "xterm-kitty", "COLORTERM": "truecolor"}, True, "uses the kitty protocol (TERM is xterm-kitty)"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, True, "uses the iterm2 protocol"),
        ({"TERM": "xterm-256color"}, True, "half blocks; no terminal graphics: this terminal is not identified"),
        ({"TERM": "tmux-256color", "TMUX": "x", "KITTY_WINDOW_ID": "1"}, True, "tmux and screen do not pass images on"),
        (
            {"TERM": "xterm"},
            False,
            "half blocks need 256 colours; remedy: set TERM=xterm-256color, or COLORTERM=truecolor",
        ),
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
    monkeypatch.setattr(doctor, "library_problem", lambda: "")

    images = finding("images")

    assert images["ok"] is ok
    assert found in images["detail"]


def finding(what: str) -> dict:
    """Return the line of `tinfl doctor` on one thing."""
    (line,) = [line for line in json.loads(run("doctor", "--json").out) if line["check"] == what]
    return line


def test_doctor_gives_the_remedy_where_torch_cannot_be_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    torch = finding("torch")
    assert torch["ok"] is False
    assert torch["detail"].startswith("cannot be imported: ")
    assert torch["detail"].endswith("remedy: pip install --force-reinstall torch torchvision")


def test_doctor_says_that_a_terminals_own_graphics_need_term_image(monkeypatch):
    for name in _SAYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-kitty")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setattr(doctor, "library_problem", lambda: "term-image is not installed")

    assert "half blocks; the kitty protocol (TERM is xterm-kitty) needs term-image" in finding("images")["detail"]
    assert graphics.LIBRARY_REMEDY in finding("term-image")["detail"]


@pytest.mark.parametrize(("version", "ok"), [("10.4.0", False), ("12.3.0", False), ("13.0.0", True), ("14.0.1", True)])
def test_doctor_warns_of_a_pillow_with_a_known_hole(monkeypatch, version, ok):
    monkeypatch.setattr(PIL, "__version__", version)

    pillow = finding("pillow")

    assert pillow["ok"] is ok
    assert version in pillow["detail"]
    assert ("remedy: pip install 'pillow>=13'" in pillow["detail"]) is not ok


@pytest.mark.parametrize("reason", ["", "torch 2.9 is built without MPS"])
def test_doctor_says_on_a_mac_whether_its_gpu_can_be_used(monkeypatch, reason):
    assert "mps" not in {found.check for found in doctor._devices()}
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(doctor, "mps_reason", lambda: reason)
    (found,) = (found for found in doctor._devices() if found.check == "mps")
    assert found.ok
    assert found.detail == (reason or 'torch can use the GPU of this Mac; sweeps do if devices = ["mps"]')
