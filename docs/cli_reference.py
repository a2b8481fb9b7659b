"""Writes the CLI reference from the help texts: `tinfl --help`, and that of each command.

python docs/cli_reference.py docs/cli.md
"""

import argparse
from pathlib import Path

from typer.testing import CliRunner

from tui_influence.cli.app import COMMANDS, app

WIDTH = 80
"""Columns of the help texts."""
_INTRODUCTION = """\
# CLI reference

The help texts of `tinfl` and its commands; `make cli-reference` writes this page. [The guide](guide.md) shows the
commands in use.
"""
_EXIT_CODES = """\
## Exit codes

| code | meaning |
| --- | --- |
| 0 | success |
| 1 | the run failed, or is done with failures |
| 2 | wrong option or config; nothing was started |
| 3 | results missing, damaged, not writable or from a newer version |
| 4 | the run is already running |
| 5 | a requested device is not available |
| 130 | interrupted |
"""


def reference() -> str:
    """Return the page."""
    sections = [_section("tinfl", help_text()), *(_section(f"tinfl {name}", help_text(name)) for name in COMMANDS)]
    return "\n".join([_INTRODUCTION, *sections, _EXIT_CODES])


def help_text(*command: str) -> str:
    """Return what `--help` of a command prints, or that of the program, on a terminal of a fixed width.

    Raises:
        SystemExit: there is no such command.
    """
    environment = {"COLUMNS": str(WIDTH), "TERMINAL_WIDTH": str(WIDTH), "NO_COLOR": "1"}
    result = CliRunner().invoke(app, [*command, "--help"], prog_name="tinfl", env=environment)
    if result.exit_code != 0:
        raise SystemExit(f"tinfl {' '.join(command)} --help: {result.output.strip()}")
    return "\n".join(line.rstrip() for line in result.stdout.strip().splitlines())


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n```text\n{text}\n```\n"


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description="Write the CLI reference.")
    parser.add_argument("page", type=Path, help="where to write it, such as docs/cli.md")
    parser.parse_args().page.write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
