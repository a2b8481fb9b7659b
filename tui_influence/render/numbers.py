"""Numbers and their intervals as text: one notation for all results."""

from collections.abc import Iterable
from math import floor, isfinite, log10

_SCIENTIFIC = 1e5  # numbers from here on are written as 1.23e+05


def finite(value: float) -> float | None:
    """Return a plain float, or None for what no file format can hold: NaN and the infinities."""
    number = float(value)
    return number if isfinite(number) else None


def value_format(values: Iterable[float], errors: Iterable[float]) -> str:
    """Return the format of a column of influences: signed, two digits of the typical standard error.

    Args:
        values: the influences, NaN where unknown.
        errors: their standard errors, likewise.
    """
    sizes = sorted(abs(value) for value in values if isfinite(value) and value)
    positive = sorted(error for error in errors if isfinite(error) and error > 0)
    if not sizes:
        return "+.3f"
    typical = positive[len(positive) // 2] if positive else sizes[-1] / 10
    # No more digits than the largest value can stand: an error of zero says nothing.
    decimals = 1 - floor(log10(max(typical, sizes[-1] / 1e4)))
    if sizes[-1] >= _SCIENTIFIC or decimals > 5:
        return "+.2e"
    return f"+.{max(decimals, 0)}f"


def format_interval(low: float, high: float, digits: str) -> str:
    """Return "[-0.225, -0.059]" in a format of numbers, or nothing where an end is unknown."""
    return f"[{low:{digits}}, {high:{digits}}]" if isfinite(low) and isfinite(high) else ""


def with_interval(value: float, low: float, high: float, digits: str = "z.2f", *, unknown: str = "-") -> str:
    """Return "0.83 [0.76, 0.88]", the value alone where its interval is unknown, or `unknown` where the value is."""
    if not isfinite(value):
        return unknown
    return f"{value:{digits}} {format_interval(low, high, digits)}".rstrip()


def format_q(q: float, unknown: str) -> str:
    """Return a false discovery rate in the digits that matter, or `unknown`."""
    if not isfinite(q):
        return unknown
    return "<0.001" if q < 0.001 else f"{q:.3f}" if q < 0.1 else f"{q:.2f}"


def format_points(points: float) -> str:
    """Return "1 point" or "0.5 points"."""
    return f"{points:g} {'point' if points == 1 else 'points'}"
