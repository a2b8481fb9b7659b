"""The table of commands, and the exit code of an error that reaches the top.

Only the commands' options are imported here. A command's module is imported when the command runs, so that help and
shell completion answer at once.
"""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from inspect import signature
from typing import Any, NamedTuple, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from tui_influence import __version__
from tui_influence.cli import diagnostics, output
from tui_influence.cli.options.pruning import PruneOptions
from tui_influence.cli.options.questions import FailuresOptions, LeaksOptions, RankOptions, ShowOptions, SubpopsOptions
from tui_influence.cli.options.runs import (
    CheckOptions,
    DemoOptions,
    DoctorOptions,
    ExploreOptions,
    ImportOptions,
    InitOptions,
    KeysOptions,
    LogsOptions,
    ResumeOptions,
    StatusOptions,
    StopOptions,
    SweepOptions,
    VerifyOptions,
)
from tui_influence.errors import ExitCode, TinflError
from tui_influence.store.files import to_results_error


class Command(NamedTuple):
    """A row of the table of commands.

    Attributes:
        options: dataclass of its arguments and options; its docstring is the command's help.
        module: name below `tui_influence.cli.commands`.
        function: name in that module; it takes the options.
        panel: heading of `tinfl --help` under which the command is listed.
        help: one line of at most 50 characters.
    """

    options: type
    module: str
    function: str
    panel: str
    help: str


COMMANDS = {
    "demo": Command(DemoOptions, "demo", "demo", "Start", "Run an experiment that needs no data or config"),
    "init": Command(InitOptions, "init", "init", "Start", "Write a commented config to start from"),
    "check": Command(CheckOptions, "check", "check", "Start", "Validate a config and estimate the cost of a sweep"),
    "sweep": Command(SweepOptions, "sweep", "sweep", "Start", "Train the models of a config, in the background"),
    "status": Command(StatusOptions, "status", "status", "Watch", "Show the progress of a run"),
    "logs": Command(LogsOptions, "logs", "logs", "Watch", "Show the events of a run, or the log of a worker"),
    "explore": Command(ExploreOptions, "explore", "explore", "Watch", "Watch a run and browse its results"),
    "stop": Command(StopOptions, "stop", "stop", "Watch", "Stop a run; finished models are kept"),
    "resume": Command(ResumeOptions, "sweep", "resume", "Watch", "Continue a run that stopped or failed"),
    "verify": Command(VerifyOptions, "verify", "verify", "Watch", "Check a results directory for damage"),
    "rank": Command(RankOptions, "rank", "rank", "Ask", "Rank source classes by their influence on a target"),
    "show": Command(ShowOptions, "show", "show", "Ask", "Show a test example or a source class in detail"),
    "subpops": Command(SubpopsOptions, "subpops", "subpops", "Ask", "Find the subpopulations of target classes"),
    "failures": Command(FailuresOptions, "failures", "failures", "Ask", "Find failures and the classes behind them"),
    "leaks": Command(LeaksOptions, "leaks", "leaks", "Ask", "Find leaked and duplicated test images"),
    "prune": Command(PruneOptions, "prune", "prune", "Improve", "Retrain without harmful classes; report the gain"),
    "import": Command(ImportOptions, "import_", "import_results", "Set up", "Import results of another program"),
    "keys": Command(KeysOptions, "keys", "keys", "Set up", "List the keys of the terminal app"),
    "doctor": Command(DoctorOptions, "doctor", "doctor", "Set up", "Diagnose this machine and terminal"),
}


class LazyGroup(TyperGroup):
    """The commands of the table, each made when it is first needed; until then only its name and help are here."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name, help=command.help) for name, command in COMMANDS.items()}

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of a name; None if there is no such command."""
        return _load(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the table, a section for each panel, without loading a command."""
        width = max(map(len, COMMANDS))
        for panel in dict.fromkeys(command.panel for command in COMMANDS.values()):
            rows = [(name.ljust(width), command.help) for name, command in COMMANDS.items() if command.panel == panel]
            with formatter.section(panel):
                formatter.write_dl(rows)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Complete the name of a command or an option, without loading a command."""
        names = TyperGroup(name=self.name, commands=dict(self.commands), params=self.params)
        return names.shell_complete(typer.Context(names), incomplete)


@cache
def _load(name: str) -> Any:
    """Return a command, made of its options; its module is imported when it runs."""
    single = typer.Typer(**_STYLE, add_completion=False)
    single.command(name, help=COMMANDS[name].options.__doc__)(_callback(COMMANDS[name]))
    return get_command(single)


_STYLE: dict[str, Any] = {
    "rich_markup_mode": None,  # plain text: uncut when it is piped, and rich need not be loaded
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}

app = typer.Typer(
    name="tinfl",
    cls=LazyGroup,
    help="Find out which parts of a pretraining dataset help or hurt a downstream task.",
    no_args_is_help=True,
    **_STYLE,
)


def _callback(command: Command) -> Callable[..., None]:
    """Return a function with the command's options as parameters, which imports the command and runs it.

    Every error that the command may raise becomes lines on stderr and an exit code.
    """

    def run_command(**values: Any) -> None:
        try:
            module = import_module(f"tui_influence.cli.commands.{command.module}")
            getattr(module, command.function)(command.options(**values))
        except (typer.Exit, typer.Abort):
            raise
        except TinflError as error:
            raise typer.Exit(diagnostics.report(error)) from error
        except KeyboardInterrupt as error:
            diagnostics.info("interrupted")
            raise typer.Exit(ExitCode.INTERRUPTED) from error
        except BrokenPipeError as error:
            output.discard_further_output()
            raise typer.Exit(ExitCode.OK) from error
        except OSError as error:
            raise typer.Exit(diagnostics.report(to_results_error(error))) from error
        except Exception as error:
            raise typer.Exit(diagnostics.report_bug()) from error

    run_command.__signature__ = signature(command.options)  # type: ignore[attr-defined]
    run_command.__annotations__ = get_type_hints(command.options, include_extras=True)
    return run_command


def _print_version(requested: bool) -> None:
    if requested:
        output.write_line(f"tinfl {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Show the version."),
) -> None:
    pass
