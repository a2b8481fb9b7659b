"""Everything on stdout: data for people and for programs, and nothing else."""

import json
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from tui_influence.cli.parameters import ColorChoice


def write(text: str) -> None:
    """Write text as it is."""
    sys.stdout.write(text)
    sys.stdout.flush()


def line(text: str = "") -> None:
    """Write a line."""
    write(text + "\n")


def write_json(value: Any) -> None:
    """Write one JSON document."""
    line(json.dumps(value, indent=2, allow_nan=False))


def console(color: "ColorChoice" = "auto") -> "Console":
    """Return a console on stdout: plain where it is no terminal, or where NO_COLOR says so.

    Args:
        color: colours to use whatever stdout is; `auto` finds out.
    """
    from rich.console import Console

    if color == "auto":
        return Console(highlight=False, soft_wrap=False)
    if color == "none":
        return Console(highlight=False, soft_wrap=False, no_color=True)
    return Console(highlight=False, soft_wrap=False, no_color=False, color_system=color)


def is_terminal() -> bool:
    """Whether somebody watches stdout."""
    return sys.stdout.isatty()


def give_up_on_closed_pipe() -> None:
    """Stop writing to a reader that has gone (`| head`), without a word."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
