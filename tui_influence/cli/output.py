"""Everything on stdout: data for people and for programs, and nothing else."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_influence.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from tui_influence.cli.options import ColorChoice


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


def one_on_stdout(csv: Path | None, json: bool) -> None:
    """Refuse to write a CSV file and a JSON document to stdout, where no program could read either.

    Args:
        csv: where the CSV file goes, "-" for stdout; None for nowhere.
        json: whether there is to be a JSON document.

    Raises:
        ConfigError: both are asked for.
    """
    if json and csv is not None and str(csv) == "-":
        raise ConfigError("--csv - and --json both write to stdout: ask for one of them, or give --csv a file")


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
