"""The command line: one module for each command.

`output` writes to stdout, `diagnostics` to stderr; it also chooses exit codes.
"""

import io
import sys


def main() -> None:
    """Run the command line (the `tinfl` script)."""
    from tui_influence.cli.app import app  # here, because it is a module of this package

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a bar chart on a terminal of Latin-1 is no reason to fail
    app()
