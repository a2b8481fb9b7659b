"""The command line in this process: the same code as the program, without starting Python each time."""

from typing import NamedTuple

from typer.testing import CliRunner

from tui_influence.cli.app import app


class Said(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str


def run(*arguments: object) -> Said:
    """Run a command."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Said(result.exit_code, result.stdout, result.stderr)


def refused(*arguments: object, code: int, reason: str) -> str:
    """Run a command that must be refused: the exit code, the reason on its first line, and no traceback."""
    said = run(*arguments)
    assert said.code == code, said
    assert "Traceback" not in said.err
    assert "bug in tinfl" not in said.err
    assert reason in said.err, said.err
    assert [line for line in said.err.splitlines() if line.startswith("error: ")], said.err
    assert said.out == ""
    assert not [char for char in said.err if ord(char) < 32 and char != "\n"]
    return said.err
