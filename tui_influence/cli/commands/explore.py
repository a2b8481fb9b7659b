"""`tinfl explore`: the terminal app."""

import os
import select
import sys
import threading
from typing import Annotated

import typer

from tui_influence.cli import diagnostics
from tui_influence.cli.options import Ascii, Color, Results, Theme
from tui_influence.errors import ConfigError, ExitCode

_PATIENCE = 0.2
"""Seconds that leaving may wait for what is being worked out."""


def explore(
    results: Results,
    readonly: Annotated[bool, typer.Option("--readonly", help="Change nothing: no stop, no resume.")] = False,
    ascii_only: Ascii = False,
    color: Color = "auto",
    theme: Theme = "dark",
) -> None:
    """Watch a sweep and browse its ranking in the terminal; a folder of runs opens a list of them."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigError("`tinfl explore` needs a terminal; `tinfl status` and `tinfl rank` do not")
    coloured = color != "none" and not (color == "auto" and os.environ.get("NO_COLOR"))
    threading.Thread(target=_end_with_terminal, args=(sys.stdin.fileno(),), daemon=True).start()
    # Read when textual is imported, and by it alone.
    os.environ["TEXTUAL_COLOR_SYSTEM"] = color if color in ("truecolor", "256") else "auto"
    os.environ["TEXTUAL_ANIMATIONS"] = "none"
    os.environ["TEXTUAL_FPS"] = "120"  # what a key changes is drawn in two steps or three, at most so far apart
    for name in ("COLUMNS", "LINES"):  # exported by some shells and libraries; the terminal itself knows better
        os.environ.pop(name, None)
    if coloured:
        os.environ.pop("NO_COLOR", None)
    else:
        os.environ["NO_COLOR"] = "1"
    from tui_influence.tui import background

    background.disable_gc()
    from tui_influence.tui.app import ExploreApp
    from tui_influence.tui.keymap import user_keys
    from tui_influence.tui.run_list import is_run, list_runs

    keys, latest = user_keys(), None
    if is_run(results):
        from tui_influence.runs.overview import overview
        from tui_influence.store.paths import Paths

        latest = overview(Paths(results))  # says what is wrong, before the screen is taken
    else:
        list_runs(results)
    app = ExploreApp(
        results,
        overview=latest,
        readonly=readonly,
        ascii=ascii_only,
        dark=theme == "dark",
        coloured=coloured,
        keys=keys,
    )
    last = app.run()
    if last:
        diagnostics.say(last)
    if app.return_code:  # a bug: its traceback has been shown
        raise typer.Exit(app.return_code)
    if not app.has_ended(_PATIENCE):
        # An estimate is under way in a thread. It only reads, so nothing is lost; but Python, which cannot end a
        # thread inside compiled code, would abort instead of exit.
        sys.stdout.flush()
        os._exit(0)


def _end_with_terminal(descriptor: int) -> None:
    """Wait until the terminal has gone, and end.

    That is what SIGHUP is for, but a shell may not pass it on, and whoever started the app may have it ignored. Left
    alone with a terminal that is closed, Textual's threads would turn for ever.
    """
    terminal = select.poll()
    terminal.register(descriptor, 0)  # a hang-up is always told
    if any(event & select.POLLHUP for _, event in terminal.poll()):
        os._exit(ExitCode.INTERRUPTED)
