"""Detection of a terminal's graphics protocol: that of kitty, or iTerm2's inline images.

The protocol is inferred from the environment alone: the answer to a query of the terminal would be mixed with the
user's keys. Images are encoded by term-image (`escape_sequences`), which is an extra.

https://sw.kovidgoyal.net/kitty/graphics-protocol/ and https://iterm2.com/documentation-images.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.metadata import PackageNotFoundError, version

LIBRARY_REMEDY = "pip install requests && pip install --no-deps term-image==0.7.2"
"""Command that installs term-image beside a newer Pillow than its metadata allow."""
_LIBRARY_VERSION_PREFIX = "0.7."


class Protocol(StrEnum):
    """A protocol to send images to a terminal."""

    KITTY = "kitty"
    ITERM2 = "iterm2"


@dataclass(frozen=True)
class Detection:
    """The graphics protocol of a terminal.

    Attributes:
        protocol: protocol that it supports; None if it supports none, or cannot be identified.
        reason: basis of this conclusion, in a few words.
    """

    protocol: Protocol | None
    reason: str


def detect_protocol(environment: Mapping[str, str]) -> Detection:
    """Infer from the environment which protocol the terminal supports.

    `TERM` counts first: a terminal sets it itself, while other variables may come from the program that started it.
    """
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if environment.get("TMUX") or environment.get("STY") or term.startswith(("tmux", "screen")):
        return Detection(None, "tmux and screen do not pass images on")
    if term in ("xterm-kitty", "xterm-ghostty"):
        return Detection(Protocol.KITTY, f"TERM is {term}")
    if term == "wezterm":
        return Detection(Protocol.ITERM2, f"TERM is {term}")
    if program in ("iTerm.app", "WezTerm"):
        return Detection(Protocol.ITERM2, f"TERM_PROGRAM is {program}")
    if program == "ghostty":
        return Detection(Protocol.KITTY, f"TERM_PROGRAM is {program}")
    if not program and environment.get("KITTY_WINDOW_ID"):
        return Detection(Protocol.KITTY, "KITTY_WINDOW_ID is set")
    if not program and environment.get("LC_TERMINAL") == "iTerm2":  # iTerm2 passes it on over SSH
        return Detection(Protocol.ITERM2, "LC_TERMINAL is iTerm2")
    return Detection(None, "this terminal is not identified as kitty, Ghostty, iTerm2 or WezTerm")


@cache
def library_problem() -> str:
    """Return why term-image cannot be used, or "" if it can, without importing it."""
    try:
        installed = version("term-image")
        version("requests")
    except PackageNotFoundError as error:
        return f"{error.name} is not installed"
    if not installed.startswith(_LIBRARY_VERSION_PREFIX):
        return f"term-image is {installed}, not {_LIBRARY_VERSION_PREFIX}x"
    return ""
