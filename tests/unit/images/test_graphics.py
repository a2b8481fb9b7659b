"""What a terminal is sent is parsed as the terminal parses it, and must be the same image."""

import io
import os
import pty
import re
import subprocess
import sys
import zlib
from base64 import b64decode

import numpy as np
import pytest
from PIL import Image

from tests.requirements import require
from tui_influence.images import graphics
from tui_influence.images.graphics import Protocol, detect_protocol, library_problem

SHAPES = [(28, 28, 1), (32, 32, 3), (1, 1, 3), (64, 64, 3), (900, 700, 3), (10, 30, 1)]


@pytest.fixture
def escape_sequence():
    require("term-image")
    from tui_influence.images import escape_sequences

    return escape_sequences.escape_sequence


def noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def parse_kitty(written: str) -> tuple[dict[str, str], np.ndarray]:
    """Read the commands of one image; every byte must belong to one of them, or move the cursor past the image.

    Returns:
        what the first command says of the image, and its (h, w, 3) pixels.
    """
    commands = re.findall(r"\x1b_G([^;]*);([A-Za-z0-9+/=]*)\x1b\\", written)
    sent = "".join(f"\x1b_G{keys};{payload}\x1b\\" for keys, payload in commands)
    assert written.startswith(sent)
    keys = [dict(pair.split("=") for pair in text.split(",")) for text, _ in commands]
    assert [command["m"] for command in keys] == ["1"] * (len(keys) - 1) + ["0"]
    assert all(command.keys() == {"m"} for command in keys[1:])
    assert all(len(payload) <= 4096 for _, payload in commands)
    assert all(len(payload) % 4 == 0 for _, payload in commands)
    first = keys[0]
    columns, rows = first["c"], int(first["r"])
    assert written == sent + "\n".join([f"\x1b[{columns}X\x1b[{columns}C"] * rows)
    assert (first["a"], first["f"], first["t"], first["o"], first["C"]) == ("T", "24", "d", "z", "1")
    content = zlib.decompress(b64decode("".join(payload for _, payload in commands), validate=True))
    return first, np.frombuffer(content, np.uint8).reshape(int(first["v"]), int(first["s"]), 3)


def parse_iterm2(written: str) -> tuple[dict[str, str], np.ndarray]:
    """Read the command of one image, after what makes room for it; like `parse_kitty`."""
    match = re.fullmatch(r"([^\]]*)\x1b]1337;File=([^:]*):([A-Za-z0-9+/=]*)\x1b\\", written)
    assert match
    keys = dict(pair.split("=") for pair in match[2].split(";"))
    below = int(keys["height"]) - 1
    assert match[1] == f"\x1b[{keys['width']}C\n" * below + (f"\x1b[{below}A" if below else "")
    content = b64decode(match[3], validate=True)
    assert keys["size"] == str(len(content))
    with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
        return keys, np.asarray(image.convert("RGB"))


def assert_enlarged(shown: np.ndarray, pixels: np.ndarray) -> None:
    times = shown.shape[0] // pixels.shape[0]
    coloured = np.broadcast_to(pixels, (*pixels.shape[:2], 3))
    assert np.array_equal(shown, coloured.repeat(times, axis=0).repeat(times, axis=1))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_kitty_gets_the_pixels_and_the_cells_and_is_asked_for_no_answer(escape_sequence, shape):
    pixels = noise(shape)

    keys, shown = parse_kitty(escape_sequence(pixels, 30, Protocol.KITTY))

    rows = max(1, -(-30 * shape[0] // (2 * shape[1])))
    assert (keys["c"], keys["r"]) == ("30", str(rows))
    assert not keys.keys() & {"i", "I", "p"}  # kitty answers to a command that numbers its image
    assert_enlarged(shown, pixels)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_iterm2_gets_the_pixels_and_the_cells(escape_sequence, shape):
    pixels = noise(shape)

    keys, shown = parse_iterm2(escape_sequence(pixels, 30, Protocol.ITERM2))

    rows = max(1, -(-30 * shape[0] // (2 * shape[1])))
    assert (keys["inline"], keys["width"], keys["height"]) == ("1", "30", str(rows))
    assert_enlarged(shown, pixels)


@pytest.mark.parametrize(("protocol", "parse"), [(Protocol.KITTY, parse_kitty), (Protocol.ITERM2, parse_iterm2)])
def test_a_small_image_is_sent_so_large_that_a_terminal_has_nothing_to_smooth(escape_sequence, protocol, parse):
    _, shown = parse(escape_sequence(noise((14, 14, 1)), 32, protocol))

    assert shown.shape[1] >= 32 * 16


ASK = """
import numpy as np
from term_image import utils
from tui_influence.images.escape_sequences import escape_sequence
from tui_influence.images.graphics import Protocol
for protocol in Protocol:
    assert escape_sequence(np.zeros((8, 8, 3), np.uint8), 8, protocol)
assert not utils._queries_enabled
"""


def test_a_terminal_is_asked_nothing(escape_sequence):
    """A question would be written to the terminal at once; an image is written by whoever has its escape sequence."""
    screen, terminal = pty.openpty()
    try:
        environment = os.environ | {"TERM": "xterm-kitty"}
        subprocess.run(
            [sys.executable, "-c", ASK], env=environment, stdin=terminal, stdout=terminal, stderr=terminal, check=True
        )
        os.set_blocking(screen, False)
        with pytest.raises(BlockingIOError):
            pytest.fail(f"written: {os.read(screen, 1000)!r}")
    finally:
        os.close(screen)
        os.close(terminal)


@pytest.mark.parametrize(
    ("versions", "problem"),
    [
        ({"term-image": "0.7.2", "requests": "2.34.2"}, ""),
        ({"requests": "2.34.2"}, "term-image is not installed"),
        ({"term-image": "0.7.2"}, "requests is not installed"),
        ({"term-image": "1.0.0", "requests": "2.34.2"}, "term-image is 1.0.0, not 0.7.x"),
    ],
    ids=str,
)
def test_what_term_image_lacks_is_named(monkeypatch, versions, problem):
    def version(name: str) -> str:
        if name not in versions:
            raise graphics.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(graphics, "version", version)
    library_problem.cache_clear()
    try:
        assert library_problem() == problem
    finally:
        library_problem.cache_clear()


@pytest.mark.parametrize(
    ("environment", "protocol"),
    [
        ({"TERM": "xterm-kitty", "KITTY_WINDOW_ID": "1"}, Protocol.KITTY),
        ({"TERM": "xterm-kitty", "TERM_PROGRAM": "WezTerm"}, Protocol.KITTY),  # kitty, started from WezTerm
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, Protocol.KITTY),
        ({"TERM": "xterm-ghostty", "TERM_PROGRAM": "ghostty"}, Protocol.KITTY),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "ghostty"}, Protocol.KITTY),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app", "LC_TERMINAL": "iTerm2"}, Protocol.ITERM2),
        ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, Protocol.ITERM2),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, Protocol.ITERM2),
        ({"TERM": "wezterm"}, Protocol.ITERM2),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "vscode", "KITTY_WINDOW_ID": "1"}, None),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal", "LC_TERMINAL": "iTerm2"}, None),
        ({"TERM": "screen-256color", "LC_TERMINAL": "iTerm2"}, None),
        ({"TERM": "tmux-256color", "KITTY_WINDOW_ID": "1"}, None),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux-0/default,1,0"}, None),
        ({"TERM": "xterm-kitty", "STY": "1.pts"}, None),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, None),
        ({"TERM": "dumb"}, None),
        ({}, None),
    ],
)
def test_a_terminal_is_known_by_its_environment(environment, protocol):
    detected = detect_protocol(environment)

    assert detected.protocol is protocol
    assert detected.reason
