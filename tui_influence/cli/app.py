"""The commands, and what becomes of an error that reaches the top."""

from collections.abc import Callable
from functools import wraps

import typer

from tui_influence import __version__
from tui_influence.cli import diagnostics, output
from tui_influence.cli.commands.check import check
from tui_influence.cli.commands.control import resume, stop
from tui_influence.cli.commands.demo import demo
from tui_influence.cli.commands.doctor import doctor
from tui_influence.cli.commands.explore import explore
from tui_influence.cli.commands.failures import failures
from tui_influence.cli.commands.import_ import import_results
from tui_influence.cli.commands.init import init
from tui_influence.cli.commands.keys import keys
from tui_influence.cli.commands.leaks import leaks
from tui_influence.cli.commands.logs import logs
from tui_influence.cli.commands.prune import prune
from tui_influence.cli.commands.rank import rank
from tui_influence.cli.commands.show import show
from tui_influence.cli.commands.status import status
from tui_influence.cli.commands.subpops import subpops
from tui_influence.cli.commands.sweep import sweep
from tui_influence.cli.commands.verify import verify
from tui_influence.errors import ExitCode, TinflError
from tui_influence.store.files import to_results_error

app = typer.Typer(
    name="tinfl",
    help="Find out which parts of a pretraining dataset help or hurt a downstream task.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command with every error it may raise turned into lines on stderr and an exit code."""

    @wraps(command)
    def run_command(*arguments: object, **options: object) -> None:
        try:
            command(*arguments, **options)
        except (typer.Exit, typer.Abort):
            raise
        except TinflError as error:
            raise typer.Exit(diagnostics.report(error)) from error
        except KeyboardInterrupt as error:
            diagnostics.say("interrupted")
            raise typer.Exit(ExitCode.INTERRUPTED) from error
        except BrokenPipeError as error:
            output.give_up_on_closed_pipe()
            raise typer.Exit(ExitCode.OK) from error
        except OSError as error:
            raise typer.Exit(diagnostics.report(to_results_error(error))) from error
        except Exception as error:
            raise typer.Exit(diagnostics.report_bug()) from error

    return run_command


for _command in (
    demo,
    init,
    check,
    sweep,
    status,
    logs,
    stop,
    resume,
    verify,
    rank,
    prune,
    show,
    subpops,
    failures,
    leaks,
    explore,
    keys,
    doctor,
):
    app.command()(_guarded(_command))
app.command("import")(_guarded(import_results))


def _version(wanted: bool) -> None:
    if wanted:
        output.line(f"tinfl {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    pass
