"""The table of commands, and the exit code of an error that reaches the top.

Nothing of a command is imported until it is needed, so that help, shell completion and every single command start at
once: its options when it is called or its help is shown, its function when it runs.
"""

from collections.abc import Callable
from functools import cache
from inspect import signature
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NamedTuple, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from tui_influence import __version__
from tui_influence.cli import diagnostics, output
from tui_influence.errors import ConfigError, ExitCode, TinflError
from tui_influence.store.files import to_results_error


class Command(NamedTuple):
    """A row of the table of commands.

    Attributes:
        name: of the command.
        options: module below `tui_influence.cli.options` with `NameOptions`, the dataclass of its arguments and
            options, whose docstring is the command's help.
        panel: heading of `tinfl --help` under which the command is listed.
        help: one line of at most 50 characters.
        function: "module:name" below `tui_influence.cli.commands`, which takes the options; by default "NAME:NAME".
    """

    name: str
    options: str
    panel: str
    help: str
    function: str = ""

    def load_options(self) -> type:
        """Return the dataclass of its arguments and options."""
        options: type = resolve_name(f"tui_influence.cli.options.{self.options}:{self.name.capitalize()}Options")
        return options

    def load_function(self) -> Callable[[Any], None]:
        """Return the function that takes the options."""
        function: Callable[[Any], None] = resolve_name(
            f"tui_influence.cli.commands.{self.function or f'{self.name}:{self.name}'}"
        )
        return function


COMMANDS = {
    command.name: command
    for command in (
        Command("demo", "starting", "Start", "Run an experiment that needs no data or config"),
        Command("init", "starting", "Start", "Write a commented config to start from"),
        Command("check", "starting", "Start", "Validate a config and estimate the cost of a sweep"),
        Command("sweep", "starting", "Start", "Train the models of a config, in the background"),
        Command("status", "watching", "Watch", "Show the progress of a run"),
        Command("list", "watching", "Watch", "List the runs of a folder", "runs:list_folder"),
        Command("note", "watching", "Watch", "Show or change the note of a run", "runs:note"),
        Command("logs", "watching", "Watch", "Show the events of a run, or the log of a worker"),
        Command("explore", "watching", "Watch", "Watch a run and browse its results"),
        Command("stop", "watching", "Watch", "Stop a run; finished models are kept"),
        Command("resume", "watching", "Watch", "Continue a run that stopped or failed", "sweep:resume"),
        Command("verify", "watching", "Watch", "Check a results directory for damage"),
        Command("rank", "questions", "Ask", "Rank source classes by their influence on a target"),
        Command("score", "questions", "Ask", "Score a ranking from a file on the models of a run"),
        Command("show", "questions", "Ask", "Show a test example or a source class in detail"),
        Command("subpops", "questions", "Ask", "Find the subpopulations of target classes"),
        Command("failures", "questions", "Ask", "Find failures and the classes behind them"),
        Command("leaks", "questions", "Ask", "Find leaked and duplicated test images"),
        Command("prune", "pruning", "Improve", "Retrain without harmful classes; report the gain"),
        Command("import", "starting", "Set up", "Import results of another program", "import_:import_results"),
        Command("keys", "watching", "Set up", "List the keys of the terminal app"),
        Command("doctor", "starting", "Set up", "Diagnose this machine and terminal"),
    )
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
    single, command = typer.Typer(**_STYLE, add_completion=False), COMMANDS[name]
    single.command(name, help=command.load_options().__doc__)(_callback(command))
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
    options = command.load_options()

    def run_command(**values: Any) -> None:
        try:
            if "results" in values and values["results"] is None:
                values["results"] = _newest_results()
            command.load_function()(options(**values))
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

    run_command.__signature__ = signature(options)  # type: ignore[attr-defined]
    run_command.__annotations__ = get_type_hints(options, include_extras=True)
    return run_command


def _newest_results() -> Path:
    """Return the run that changed last, in this folder or in `results` below it, and name it on stderr.

    Raises:
        ConfigError: there is none.
    """
    from tui_influence.runs.run_list import newest_run  # here, because most commands are given a run

    root = newest_run(Path())
    if root is None:
        raise ConfigError("name a results directory: there is none in this folder, nor in `results` below it")
    diagnostics.info(f"using {root}, the run that changed last")
    return root


def _print_version(requested: bool) -> None:
    if requested:
        output.write_line(f"tinfl {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Show the version."),
) -> None:
    pass
