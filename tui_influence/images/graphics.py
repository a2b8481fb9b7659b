"""An image by the terminal's own graphics: the kitty protocol, or iTerm2's inline images.

Which of them a terminal has is told from its environment alone. Asking it would take its answer from the keyboard's
stream, and term-image, whose classes for both ask for the size of a cell, shrinks an image to half blocks' resolution
where it may not ask; the two escape sequences are written here instead.

https://sw.kovidgoyal.net/kitty/graphics-protocol/ and https://iterm2.com/documentation-images.html
"""

import io
from base64 import standard_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from tui_influence.images.pictures import rows_for

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CELL = 20
"""Pixels of a cell's width on a dense screen: small images are enlarged to about this, or a terminal blurs them."""
_CHUNK = 4096
"""Characters that kitty takes at a time."""


class Protocol(StrEnum):
    """How a terminal is sent an image."""

    KITTY = "kitty"
    ITERM2 = "iterm2"


@dataclass(frozen=True)
class Detected:
    """What was found out about a terminal.

    Attributes:
        protocol: what it understands; None if that is not known of any.
        reason: what tells so, in a few words.
    """

    protocol: Protocol | None
    reason: str


def detect(environment: Mapping[str, str]) -> Detected:
    """Tell from its environment which protocol a terminal understands.

    `TERM` counts first: a terminal sets it itself, while other variables may come from the program that started it.
    """
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if environment.get("TMUX") or environment.get("STY") or term.startswith(("tmux", "screen")):
        return Detected(None, "tmux and screen do not pass images on")
    if term in ("xterm-kitty", "xterm-ghostty"):
        return Detected(Protocol.KITTY, f"TERM is {term}")
    if term == "wezterm":
        return Detected(Protocol.ITERM2, f"TERM is {term}")
    if program in ("iTerm.app", "WezTerm"):
        return Detected(Protocol.ITERM2, f"TERM_PROGRAM is {program}")
    if program == "ghostty":
        return Detected(Protocol.KITTY, f"TERM_PROGRAM is {program}")
    if not program and environment.get("KITTY_WINDOW_ID"):
        return Detected(Protocol.KITTY, "KITTY_WINDOW_ID is set")
    if not program and environment.get("LC_TERMINAL") == "iTerm2":  # what iTerm2 hands on over SSH
        return Detected(Protocol.ITERM2, "LC_TERMINAL is iTerm2")
    return Detected(None, "nothing says that this terminal is kitty, Ghostty, iTerm2 or WezTerm")


def escape_sequence(pixels: "NDArray[np.uint8]", columns: int, protocol: Protocol) -> str:
    """Return what shows an image at the cursor; the cursor ends at the right of its last row.

    Args:
        pixels: (h, w, C) uint8; C is 1 (grey) or 3 (RGB).
        columns: width on the screen, in cells; the height is `rows_for` it.
        protocol: the terminal's.
    """
    rows = rows_for(pixels.shape, columns)
    content = _png(pixels, columns)
    return "".join(_kitty(content, columns, rows)) if protocol is Protocol.KITTY else _iterm2(content, columns, rows)


def _png(pixels: "NDArray[np.uint8]", columns: int) -> bytes:
    from PIL import Image

    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    times = max(1, -(-columns * _CELL // image.width))
    image = image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _kitty(content: bytes, columns: int, rows: int) -> Iterator[str]:
    encoded = standard_b64encode(content).decode()
    keys = f"a=T,f=100,q=2,c={columns},r={rows},"  # q=2: the terminal answers nothing
    for start in range(0, len(encoded), _CHUNK):
        more = int(start + _CHUNK < len(encoded))
        yield f"\x1b_G{keys}m={more};{encoded[start : start + _CHUNK]}\x1b\\"
        keys = ""


def _iterm2(content: bytes, columns: int, rows: int) -> str:
    keys = f"inline=1;size={len(content)};width={columns};height={rows};preserveAspectRatio=1"
    return f"\x1b]1337;File={keys}:{standard_b64encode(content).decode()}\x07"
