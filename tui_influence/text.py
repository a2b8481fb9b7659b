"""Text that is safe to show, and numbers in words. Names of classes, files and runs come from outside."""

import shlex
import unicodedata
from collections.abc import Sequence
from pathlib import Path

_FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # the wide ones start a formula in East Asian locales
_MAX_COMPARED = 60  # characters of a mistyped name
_UNSAFE_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def printable(text: str, limit: int | None = None) -> str:
    r"""Return `text` with every control, format and unassigned character shown as an escape.

    Terminal escapes, line breaks, bidirectional overrides and zero-width characters become `\x1b`-style text,
    so that a class name cannot move the cursor, change the title of the window or hide part of itself.

    Args:
        text: any text.
        limit: characters of the result; longer text is cut and ends in an ellipsis.
    """
    safe = "".join(char if unicodedata.category(char) not in _UNSAFE_CATEGORIES else _escape(char) for char in text)
    if limit is not None and len(safe) > limit:
        return safe[: limit - 1] + "…" if limit > 0 else ""
    return safe


def did_you_mean(name: str, names: Sequence[str]) -> str:
    """Return `; did you mean "…"?` for the name that is most similar to a mistyped one; "" if none is similar."""
    import difflib

    matches = difflib.get_close_matches(name[:_MAX_COMPARED], names, 1)
    return f'; did you mean "{printable(matches[0], _MAX_COMPARED)}"?' if matches else ""


def pluralize(count: int, noun: str, plural: str = "") -> str:
    """Return "1 class" or "2,000 classes".

    Args:
        count: number of things.
        noun: their name in the singular.
        plural: their name in the plural; by default the noun with an s.
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def quote_path(path: Path) -> str:
    """Return a path as one word of a shell command."""
    return shlex.quote(str(path))


def spreadsheet_safe(text: str) -> str:
    """Return `text` so that no spreadsheet runs it as a formula when a CSV is opened.

    A leading `=`, `+`, `-`, `@`, also a wide one, gets an apostrophe in front (OWASP, "CSV Injection"); control
    characters are escaped.
    """
    safe = printable(text)
    return "'" + safe if safe.lstrip().startswith(_FORMULA_STARTS) else safe


def _escape(char: str) -> str:
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


_MAX_SECONDS = 1e11
"""Seconds, some thousand years."""


def format_duration(seconds: float) -> str:
    """Return a time span in its two largest units, or "unknown" if it is out of range."""
    if not abs(seconds) < _MAX_SECONDS:
        return "unknown"
    whole = round(seconds)
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
