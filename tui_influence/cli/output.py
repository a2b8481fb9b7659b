"""Everything on stdout, and in the files that a command writes: data for people and for programs."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_influence.cli import diagnostics
from tui_influence.errors import ConfigError
from tui_influence.export.csv import csv_text
from tui_influence.export.csv import write_csv as write_csv_files
from tui_influence.export.files import write_text_atomically
from tui_influence.export.result_table import ResultTable

if TYPE_CHECKING:
    from rich.console import Console

    from tui_influence.cli.options.shared import ColorChoice


def write(text: str) -> None:
    """Write text as it is."""
    sys.stdout.write(text)
    sys.stdout.flush()


def write_line(text: str = "") -> None:
    """Write a line."""
    write(text + "\n")


def write_json(value: Any) -> None:
    """Write one JSON document."""
    write_line(json.dumps(value, indent=2, allow_nan=False))


def write_file(path: Path, text: str) -> None:
    """Write a file, or stdout where the path is "-".

    Raises:
        ResultsError: it cannot be written.
    """
    if str(path) == "-":
        write(text)
        return
    write_text_atomically(path, text)
    diagnostics.info(f"wrote {path}")


def write_csv(path: Path, table: ResultTable, *, comments: bool) -> None:
    """Write a table as a CSV file with its facts beside it, or as CSV alone to stdout where the path is "-".

    Args:
        path: of the CSV file, or "-".
        table: it.
        comments: whether the CSV begins with the facts as comment lines.

    Raises:
        ResultsError: a file cannot be written.
    """
    if str(path) == "-":
        write(csv_text(table, comments=comments))
        return
    for file in write_csv_files(path, table, comments=comments):
        diagnostics.info(f"wrote {file}")


def require_one_stdout(files: Mapping[str, Path | None], *, json: bool) -> None:
    """Refuse to write two results to stdout, where no program could read either.

    Args:
        files: path of the file that each option writes, by its name: "-" for stdout, None for no file.
        json: whether a JSON document is written to stdout.

    Raises:
        ConfigError: two would be written to stdout.
    """
    options = [option for option, path in files.items() if str(path) == "-"]
    results = [*(f"{option} -" for option in options), *(["--json"] if json else [])]
    if len(results) > 1:
        raise ConfigError(
            f"{results[0]} and {results[1]} both write to stdout; use one of them, or give {options[0]} a file"
        )


def console(color: "ColorChoice" = "auto") -> "Console":
    """Return a console on stdout: plain if stdout is no terminal, or if NO_COLOR is set.

    Args:
        color: colours to use whatever stdout is; `auto` detects them.
    """
    from rich.console import Console  # loading rich takes longer than `tinfl status` does without it

    if color == "auto":
        return Console(highlight=False, soft_wrap=False)
    if color == "none":
        return Console(highlight=False, soft_wrap=False, no_color=True)
    return Console(highlight=False, soft_wrap=False, no_color=False, color_system=color)


def is_terminal() -> bool:
    """Return whether stdout is a terminal."""
    return sys.stdout.isatty()


def discard_further_output() -> None:
    """Discard what is written from now on: the reader of the pipe has gone (`| head`)."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
