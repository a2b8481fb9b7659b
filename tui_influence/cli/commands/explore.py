"""`tinfl explore`: the terminal app."""

import os
import select
import sys
import threading

import typer

from tui_influence.cli import diagnostics
from tui_influence.cli.options.watching import ExploreOptions
from tui_influence.errors import ConfigError, ExitCode
from tui_influence.runs.overview import overview
from tui_influence.runs.run_list import is_run, list_runs
from tui_influence.store.paths import Paths
from tui_influence.tui.background import disable_gc

_EXIT_TIMEOUT = 0.2
"""Seconds to wait at the end for computations in threads."""


def explore(options: ExploreOptions) -> None:
    """Run the app on a run, or on a folder of runs."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigError("`tinfl explore` needs a terminal; `tinfl status` and `tinfl rank` do not")
    threading.Thread(target=_exit_with_terminal, args=(sys.stdin.fileno(),), daemon=True).start()
    is_coloured = options.color != "none" and not (options.color == "auto" and os.environ.get("NO_COLOR"))
    _set_environment(options.color, is_coloured=is_coloured)

    disable_gc()  # it would find nothing, so the first screen appears sooner
    # Imported here, because textual reads the environment when it is imported.
    from tui_influence.tui.app import ExploreApp
    from tui_influence.tui.keymap import user_keys

    keys, run = user_keys(), None
    if is_run(options.results):
        run = overview(Paths(options.results))  # raises an error, if there is one, before the app takes the screen
    else:
        list_runs(options.results)
    app = ExploreApp(
        options.results,
        overview=run,
        readonly=options.readonly,
        ascii=options.ascii_only,
        dark=options.theme == "dark",
        coloured=is_coloured,
        keys=keys,
    )
    message = app.run()
    if message:
        diagnostics.info(message)
    if app.return_code:  # a bug: its traceback has been shown
        raise typer.Exit(app.return_code)
    if not app.has_ended(_EXIT_TIMEOUT):
        # An estimate is being computed in a thread. It only reads, so nothing is lost; but Python, which cannot end a
        # thread inside compiled code, would abort instead of exit.
        sys.stdout.flush()
        os._exit(0)


def _set_environment(color: str, *, is_coloured: bool) -> None:
    """Set the variables that textual reads when it is imported."""
    os.environ["TEXTUAL_COLOR_SYSTEM"] = color if color in ("truecolor", "256") else "auto"
    os.environ["TEXTUAL_ANIMATIONS"] = "none"
    os.environ["TEXTUAL_FPS"] = "120"  # a key press is drawn in two or three steps, at most so far apart
    for name in ("COLUMNS", "LINES"):  # exported by some shells and libraries; the terminal itself knows better
        os.environ.pop(name, None)
    if is_coloured:
        os.environ.pop("NO_COLOR", None)
    else:
        os.environ["NO_COLOR"] = "1"


def _exit_with_terminal(descriptor: int) -> None:
    """Wait until the terminal has gone, and exit.

    That is the purpose of SIGHUP, but a shell may not pass it on, and the parent process may have it ignored. Left
    alone with a closed terminal, Textual's threads would spin for ever.
    """
    terminal = select.poll()
    terminal.register(descriptor, 0)  # a hang-up is always reported
    if any(event & select.POLLHUP for _, event in terminal.poll()):
        os._exit(ExitCode.INTERRUPTED)
