"""Pictures of `tinfl explore` in a real terminal: keys, sizes, colours, leaving, and names from outside."""

import re
import time

import pytest

from tests.e2e.terminal import Terminal
from tests.tui.runs import make_run, spoil
from tui_influence.store.run_info import read_run_info

PICTURE = re.compile(r"[▀▄█░▒▓]{3}|%%|@@")
HOSTILE = [
    "\x1b]0;owned\x07",
    "\x1b[6n",
    "\x9b31mred",
    "\x1b_Gi=1,a=q;AAAA\x1b\\",
    "\x1bP+q544e\x1b\\",
    "a\r\nb\x08\x07",
    "ok",
]
SENT = (b"\x1b]0;owned", b"\x1b[6n", b"\xc2\x9b", b"\x1b_G", b"\x1bP+q", b"\x07", b"\x08")

POINTER = b"\x1b]22;default\x07"
"""What Textual itself sends, of the shape of the mouse pointer."""


def open_class(terminal: Terminal, *arguments: object, **environment: str) -> str:
    """Start the app and go to mode Class; return the screen with its pictures."""
    terminal.start("explore", *arguments, **environment)
    terminal.wait(lambda text: "DONE" in text)
    terminal.keys("3")
    return terminal.wait(lambda text: "helped most" in text and PICTURE.search(text))


def leave(terminal: Terminal) -> None:
    """Leave the app; it has ended well."""
    terminal.keys("q")
    text = terminal.wait(lambda text: re.search(r"ended \d", text))
    assert "ended 0" in text
    assert "Traceback" not in text


def test_a_key_straight_after_pictures_is_that_key_and_nothing_besides(finished, terminal):
    open_class(terminal, finished)
    terminal.keys("2", "/")
    terminal.type(">-9 a")
    text = terminal.wait(lambda text: ">-9 a" in text and "influence" in text)
    assert ">-9 a" in [line.strip() for line in text.splitlines()], text
    terminal.keys("Escape")
    terminal.wait(lambda text: ">-9 a" not in text)  # a key straight after escape would be that key with alt
    terminal.keys("3")
    terminal.wait(lambda text: "helped most" in text and PICTURE.search(text))
    leave(terminal)


def test_pictures_keep_within_any_size_and_come_back_as_they_were(finished, terminal):
    terminal.resize(140, 40)
    open_class(terminal, finished)
    whole = settled(terminal)
    for width, height in ((80, 24), (40, 12), (140, 40)):
        terminal.resize(width, height)
        terminal.wait(lambda text, width=width, height=height: fits(text, width, height, "Open"))
    terminal.wait(lambda _: terminal.screen(escapes=True) == whole)
    terminal.keys("Enter")
    terminal.wait(lambda text: "without it" in text and shades(terminal) > 5)
    opened = settled(terminal)
    for width, height in ((80, 24), (40, 12), (140, 40)):
        terminal.resize(width, height)
        terminal.wait(lambda text, width=width, height=height: fits(text, width, height, "Back"))
    terminal.wait(lambda _: terminal.screen(escapes=True) == opened)
    terminal.keys("Escape")
    terminal.wait(lambda text: "helped most" in text)
    leave(terminal)


def shades(terminal: Terminal) -> int:
    """How many backgrounds are on the screen: a picture has many, everything else a few."""
    return len(set(re.findall(r"48;5;\d+", terminal.screen(escapes=True))))


def settled(terminal: Terminal) -> str:
    """Return a screen that has not changed for two seconds, colours and all: every picture has come."""
    screen, since = terminal.screen(escapes=True), time.monotonic()

    def rests(_: str) -> bool:
        nonlocal screen, since
        latest = terminal.screen(escapes=True)
        if latest != screen:
            screen, since = latest, time.monotonic()
        return time.monotonic() - since > 2

    terminal.wait(rests)
    return screen


def fits(text: str, width: int, height: int, key: str) -> bool:
    """Whether a size has been taken: the footer, with this key, is the last line, and no line is longer."""
    lines = text.splitlines()
    return len(lines) == height and key in lines[-1] and max(map(len, lines)) <= width


@pytest.mark.parametrize(
    ("options", "environment", "colours"),
    [
        (["--color", "truecolor"], {}, "2"),
        (["--color", "256"], {}, "5"),
        ([], {"NO_COLOR": "1"}, ""),
        (["--color", "256", "--ascii"], {}, "5"),
    ],
    ids=["truecolor", "256", "no colour", "ascii"],
)
def test_pictures_are_sent_in_what_was_asked_for(finished, terminal, tmp_path, options, environment, colours):
    terminal.start("explore", finished, *options, **environment)
    terminal.wait(lambda text: "DONE" in text)
    terminal.record(tmp_path / "sent")
    terminal.keys("3")
    terminal.wait(lambda text: "helped most" in text and PICTURE.search(text))
    terminal.keys("Enter")
    terminal.wait(lambda text: "without it" in text and PICTURE.search(text))
    terminal.keys("Escape")
    terminal.wait(lambda text: "helped most" in text)
    leave(terminal)
    sent = (tmp_path / "sent").read_bytes()
    assert len(sent) > 2000
    assert set(re.findall(rb"[34]8;([25]);", sent)) == ({colours.encode()} if colours else set())
    assert colours or not re.search(rb"\x1b\[(\d+;)*([34][0-7]|9[0-7]|10[0-7])[;m]", sent)
    assert b"\x1b_" not in sent  # graphics, of kitty
    assert b"\x1bP" not in sent  # sixel
    assert b"\x1b]1337" not in sent  # iTerm2
    if "--ascii" in options:
        assert sent[: sent.rindex(b"ended")].isascii()


def test_it_can_be_left_while_pictures_are_being_drawn(finished, terminal):
    for keys in (("3", "q"), ("3", "n", "n", "n", "q"), ("3", "n", "+", "q")):
        terminal.tmux("send-keys", "clear", "Enter")
        terminal.wait(lambda text: "ended" not in text)
        terminal.start("explore", finished)
        terminal.wait(lambda text: "DONE" in text)
        terminal.keys(*keys)
        text = terminal.wait(lambda text: re.search(r"ended \d", text))
        assert "ended 0" in text
        assert "Traceback" not in text


def test_escapes_in_names_never_reach_the_terminal(terminal, tmp_path):
    paths = make_run(tmp_path / "run", groups=HOSTILE, name=HOSTILE[0], noise=0.05)
    target = read_run_info(paths.root).targets[0]
    spoil(paths, targets=[vars(target) | {"name": HOSTILE[1], "classes": HOSTILE[:3]}])
    title = terminal.tmux("display-message", "-p", "#{pane_title}")
    terminal.start("explore", paths.root)
    terminal.wait(lambda text: "DONE" in text)
    terminal.record(tmp_path / "sent")
    terminal.keys("2")
    terminal.wait(lambda text: "influence" in text and "\\x1b]0;owned" in text)
    terminal.keys("3")
    terminal.wait(lambda text: "helped most" in text)
    for _ in HOSTILE:
        terminal.keys("n")
    terminal.keys("v")
    terminal.wait(lambda text: "effect on each class" in text)
    terminal.keys("v", "g")
    terminal.wait(lambda text: "type to narrow" in text)
    terminal.keys("Escape")
    terminal.wait(lambda text: "type to narrow" not in text)
    terminal.keys("Enter")
    terminal.wait(lambda text: "without it" in text)
    terminal.keys("Escape")
    terminal.wait(lambda text: "helped most" in text)
    leave(terminal)
    sent = (tmp_path / "sent").read_bytes().replace(POINTER, b"")
    assert b"\\x1b]0;owned" in sent
    assert [part for part in SENT if part in sent] == []
    assert terminal.tmux("display-message", "-p", "#{pane_title}") == title
