"""Everything on stderr, and the exit code of an error. Nothing here writes to stdout: that is data.

An error is one line, with details below it if there are several. A mistake that a user can mend shows no traceback.
"""

import os
import sys
import traceback

from tui_influence.errors import ExitCode, TinflError
from tui_influence.text import printable

_RED, _YELLOW, _DIM, _OFF = "\x1b[31m", "\x1b[33m", "\x1b[2m", "\x1b[0m"
_MAX_DETAILS = 50


def info(text: str = "") -> None:
    """Write a message. Control characters in it are escaped, as in every message."""
    _write(_escape(text))


def note(text: str) -> None:
    """Write a message of little importance."""
    _write(_paint(_escape(text), _DIM))


def warn(text: str) -> None:
    """Write a warning."""
    _write(f"{_paint('warning:', _YELLOW)} {_escape(text)}")


def report(error: TinflError) -> ExitCode:
    """Write an error and its details; return its exit code."""
    _write(f"{_paint('error:', _RED)} {printable(str(error))}")
    for line in error.details[:_MAX_DETAILS]:
        _write(f"  {_escape(line, indent='  ')}")
    if len(error.details) > _MAX_DETAILS:
        _write(f"  ... and {len(error.details) - _MAX_DETAILS} more")
    return error.exit_code


def report_bug() -> ExitCode:
    """Write the traceback of an unexpected exception; return the exit code."""
    _write(traceback.format_exc().rstrip())
    _write(f"{_paint('error:', _RED)} this is a bug in tinfl, not a mistake of yours; please report the lines above")
    return ExitCode.RUN_FAILED


def is_terminal() -> bool:
    """Return whether stderr is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


def replace_line(text: str) -> None:
    """Replace the current line of the terminal by `text`; remove it if `text` is empty."""
    _emit("\r\x1b[K" + text)


def _paint(text: str, colour: str) -> str:
    plain = not is_terminal() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain else f"{colour}{text}{_OFF}"


def _escape(text: str, indent: str = "") -> str:
    return f"\n{indent}".join(printable(line) for line in text.split("\n"))


def _write(text: str) -> None:
    _emit(text + "\n")


def _emit(text: str) -> None:
    """Write to stderr; a terminal that has gone does not end a run."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):
        return
