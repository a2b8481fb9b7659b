"""What a terminal is sent is parsed as the terminal parses it, and must be the same image."""

import io
import re
from base64 import b64decode

import numpy as np
import pytest
from PIL import Image

from tui_influence.images.graphics import Protocol, detect, escape_sequence

SHAPES = [(28, 28, 1), (32, 32, 3), (1, 1, 3), (64, 64, 3), (900, 700, 3), (10, 30, 1)]


def noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def parse_kitty(written: str) -> tuple[dict[str, str], bytes]:
    """Read the commands of one image; every byte must belong to one of them."""
    commands = re.findall(r"\x1b_G([^;]*);([A-Za-z0-9+/=]*)\x1b\\", written)
    assert "".join(f"\x1b_G{keys};{payload}\x1b\\" for keys, payload in commands) == written
    keys = [dict(pair.split("=") for pair in text.split(",")) for text, _ in commands]
    assert [found["m"] for found in keys] == ["1"] * (len(keys) - 1) + ["0"]
    assert all(found.keys() == {"m"} for found in keys[1:])
    assert all(len(payload) <= 4096 for _, payload in commands)
    assert all(len(payload) % 4 == 0 for _, payload in commands)
    return keys[0], b64decode("".join(payload for _, payload in commands), validate=True)


def parse_iterm2(written: str) -> tuple[dict[str, str], bytes]:
    match = re.fullmatch(r"\x1b]1337;File=([^:]*):([A-Za-z0-9+/=]*)\x07", written)
    assert match
    return dict(pair.split("=") for pair in match[1].split(";")), b64decode(match[2], validate=True)


def decoded(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
        pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def assert_enlarged(shown: np.ndarray, pixels: np.ndarray) -> None:
    times = shown.shape[0] // pixels.shape[0]
    assert np.array_equal(shown, pixels.repeat(times, axis=0).repeat(times, axis=1))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_kitty_gets_the_pixels_and_the_cells_and_is_asked_for_no_answer(shape):
    pixels = noise(shape)

    keys, content = parse_kitty(escape_sequence(pixels, 30, Protocol.KITTY))

    rows = max(1, -(-30 * shape[0] // (2 * shape[1])))
    assert keys | {"m": ""} == {"a": "T", "f": "100", "q": "2", "c": "30", "r": str(rows), "m": ""}
    assert_enlarged(decoded(content), pixels)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_iterm2_gets_the_pixels_and_the_cells(shape):
    pixels = noise(shape)

    keys, content = parse_iterm2(escape_sequence(pixels, 30, Protocol.ITERM2))

    rows = max(1, -(-30 * shape[0] // (2 * shape[1])))
    assert keys == {
        "inline": "1",
        "size": str(len(content)),
        "width": "30",
        "height": str(rows),
        "preserveAspectRatio": "1",
    }
    assert_enlarged(decoded(content), pixels)


def test_a_small_image_is_sent_so_large_that_a_terminal_has_nothing_to_smooth():
    _, content = parse_kitty(escape_sequence(noise((14, 14, 1)), 32, Protocol.KITTY))

    assert decoded(content).shape[1] >= 32 * 16


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
    found = detect(environment)

    assert found.protocol is protocol
    assert found.reason
