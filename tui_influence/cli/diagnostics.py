"""Everything on stderr, and the exit code. Nothing here may write to stdout: that is data.

Errors are one line (and details below it, where one line cannot name everything); no traceback is ever shown for
something a user can mend.
"""

import os
import sys
import traceback

from tui_influence.errors import ExitCode, TinflError
from tui_influence.text import printable

_RED, _YELLOW, _DIM, _OFF = "\x1b[31m", "\x1b[33m", "\x1b[2m", "\x1b[0m"
_SHOWN_DETAILS = 50


def say(text: str = "") -> None:
    """Tell the user something; what cannot be shown safely of it is escaped, as in all that is told here."""
    _write(_safe(text))


def dim(text: str) -> None:
    """Tell the user something that is not important."""
    _write(_paint(_safe(text), _DIM))


def warn(text: str) -> None:
    """Tell the user something that should be looked into."""
    _write(f"{_paint('warning:', _YELLOW)} {_safe(text)}")


def report(error: TinflError) -> ExitCode:
    """Show what went wrong; return the exit code it means."""
    _write(f"{_paint('error:', _RED)} {printable(str(error))}")
    for line in error.details[:_SHOWN_DETAILS]:
        _write(f"  {_safe(line, indent='  ')}")
    if len(error.details) > _SHOWN_DETAILS:
        _write(f"  ... and {len(error.details) - _SHOWN_DETAILS} more")
    return error.exit_code


def report_bug() -> ExitCode:
    """Show an exception that nobody expected, whole, and say so."""
    _write(traceback.format_exc().rstrip())
    _write(f"{_paint('error:', _RED)} this is a bug in tinfl, not in what you did; please report the lines above")
    return ExitCode.RUN_FAILED


def is_terminal() -> bool:
    """Whether somebody watches stderr."""
    return sys.stderr is not None and sys.stderr.isatty()


def _paint(text: str, colour: str) -> str:
    plain = not is_terminal() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain else f"{colour}{text}{_OFF}"


def _safe(text: str, indent: str = "") -> str:
    return f"\n{indent}".join(printable(line) for line in text.split("\n"))


def rewrite(text: str) -> None:
    """Replace the terminal's current line by `text`; take it away when that is empty."""
    _emit("\r\x1b[K" + text)


def _write(text: str) -> None:
    _emit(text + "\n")


def _emit(text: str) -> None:
    """Write to stderr; a terminal that has gone is no reason to end a run."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):
        return
