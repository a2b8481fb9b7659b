"""The command line: one small module a command.

`output` owns stdout, `diagnostics` owns stderr and exit codes. A command imports what it needs when it runs, so
that `tinfl --help` and `tinfl status` answer at once.
"""


def main() -> None:
    """Run the command line (the `tinfl` script)."""
    from tui_influence.cli.app import app

    app()
