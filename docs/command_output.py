"""What a command prints on a terminal with all colours, as lines that `terminal_svg.svg` can draw.

The command is really run, in a process of its own, without asking what this terminal can show. Only stdout is kept:
what comes on stderr names paths of the machine.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.ansi import AnsiDecoder
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from tui_influence.tui.theme import DARK, LIGHT

WIDTH = 100
"""Cells of the terminal: what the commands lay out for."""


def printed(command: str, run: Path, options: Sequence[str], *, dark: bool) -> list[list[Segment]]:
    """Run a command of `tinfl` on a run, and return the command as one types it and what it prints.

    Args:
        command: its name, such as "subpops".
        run: results directory; whatever lies above it is not shown.
        options: of the command, as one types them.
        dark: for a dark background.

    Raises:
        SystemExit: the command failed; with what it said.
    """
    looks = ["--color", "truecolor", "--theme", "dark" if dark else "light"]
    done = subprocess.run(
        [sys.executable, "-m", "tui_influence", command, str(run), *options, *looks],
        env=os.environ | {"COLUMNS": str(WIDTH), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"tinfl {command}: {done.stderr.strip()}")
    typed = shlex.join(["tinfl", command, f"results/{run.absolute().name}", *options])
    lines = [Text.assemble(("$ ", "dim"), typed), *AnsiDecoder().decode(done.stdout.removesuffix("\n"))]
    return [list(_filled(line, dark=dark)) for line in lines]


def _filled(line: Text, *, dark: bool) -> Iterator[Segment]:
    """Yield the segments of a line, with the theme's colours where the terminal would use its own."""
    theme = DARK if dark else LIGHT
    plain, dim = Style(color=theme.foreground, bgcolor=theme.background), Style(color=theme.variables["quiet"])
    for text, style, _ in line.render(Console()):
        own = style or Style()
        yield Segment(text, plain + (dim if own.dim else Style()) + own)
