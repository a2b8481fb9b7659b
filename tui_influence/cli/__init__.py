"""The command line: one small module a command.

`output` owns stdout, `diagnostics` owns stderr and exit codes. A command imports what it needs when it runs, so
that `tinfl --help` and `tinfl status` answer at once.
"""


def main() -> None:
    """Run the command line (the `tinfl` script)."""
    import io
    import sys

    from tui_influence.cli.app import app

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a bar chart on a terminal of Latin-1 is no reason to fail
    app()
