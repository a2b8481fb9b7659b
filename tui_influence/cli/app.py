"""The commands, and what becomes of an error that reaches the top."""

import sys

import click
import typer

from tui_influence import __version__
from tui_influence.cli import diagnostics, output
from tui_influence.cli.check import check
from tui_influence.cli.control import resume, stop
from tui_influence.cli.demo import demo
from tui_influence.cli.doctor import doctor
from tui_influence.cli.init import init
from tui_influence.cli.logs import logs
from tui_influence.cli.rank import rank
from tui_influence.cli.status import status
from tui_influence.cli.sweep import sweep
from tui_influence.errors import ExitCode, TinflError

app = typer.Typer(
    name="tinfl",
    help="Find out which parts of a pretraining dataset help or hurt a downstream task.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (demo, init, check, sweep, status, logs, stop, resume, rank, doctor):
    app.command()(command)


def _version(wanted: bool) -> None:
    if wanted:
        output.line(f"tinfl {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    pass


def run() -> None:
    """Run the command line and exit."""
    sys.exit(int(_run()))


def _run() -> int:
    try:
        code = app(standalone_mode=False)
    except TinflError as error:
        return diagnostics.report(error)
    except click.exceptions.NoArgsIsHelpError as error:
        diagnostics.say(error.format_message())
        return ExitCode.USAGE
    except click.ClickException as error:
        error.show(sys.stderr)
        return ExitCode.USAGE
    except (KeyboardInterrupt, click.Abort):
        diagnostics.say("interrupted")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        output.give_up_on_closed_pipe()
        return ExitCode.OK
    except Exception:  # noqa: BLE001  (the one place where a bug becomes an exit code)
        return diagnostics.report_bug()
    return code if isinstance(code, int) else ExitCode.OK
