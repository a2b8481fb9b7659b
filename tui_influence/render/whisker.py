"""An estimate with its interval, drawn in one line of text, around zero, on a scale that all lines share.

    ──●──│            below zero
       ──┼──●──       its interval contains zero
         │ ──●──▸     above zero, and reaching beyond the scale

The side of zero is the sign, exactly: a positive estimate is never drawn on or left of the zero line, and an
interval that excludes zero never touches it, however small the distance.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite, nan
from statistics import median

from tui_influence.render.style import UNICODE_WHISKER, WhiskerGlyphs

WIDE = 4.0
"""An interval this many times wider than the median one does not stretch the scale; it ends in an arrow."""


@dataclass(frozen=True)
class PointEstimate:
    """A number that may be chance; any of its numbers may be NaN.

    Attributes:
        value: the estimate.
        low: lower end of the 95% interval.
        high: upper end.
        se: standard error.
        is_significant: whether it is more than chance.
    """

    value: float
    low: float
    high: float
    se: float = nan
    is_significant: bool = False

    @property
    def width(self) -> float:
        """From end to end of the interval; NaN or infinite where an end is."""
        return self.high - self.low


NO_ESTIMATE = PointEstimate(nan, nan, nan)


@dataclass(frozen=True)
class Scale:
    """What the left and right edge of a whisker stand for: `low <= 0 <= high` and `low < high`."""

    low: float
    high: float

    def column(self, value: float, cells: int) -> int:
        """The cell of `value` in a line of `cells`, clipped to the line."""
        unit = 1.0 if isfinite(self.high - self.low) else 0.5  # the distance of two huge ends is no float
        share = (value * unit - self.low * unit) / (self.high * unit - self.low * unit)
        return round(min(max(share, 0.0), 1.0) * (cells - 1))

    def zero(self, cells: int) -> int:
        """The cell of zero, with at least one beside it on each side that the scale has."""
        first, last = int(self.low < 0), cells - 1 - int(self.high > 0)
        return min(max(self.column(0.0, cells), first), last)


def common_scale(estimates: Iterable[PointEstimate]) -> Scale:
    """The scale that holds zero, every estimate, and every interval but the extremely wide ones."""
    finite = [estimate for estimate in estimates if isfinite(estimate.value)]
    widths = [estimate.width for estimate in finite if isfinite(estimate.width)]
    limit = WIDE * median(widths) if widths else 0.0
    ends = [end for e in finite if isfinite(e.width) and e.width <= limit for end in (e.low, e.high)]
    points = [0.0, *(estimate.value for estimate in finite), *ends]
    low, high = min(points), max(points)
    return Scale(low, high) if low < high else Scale(-1.0, 1.0)


def draw(estimate: PointEstimate, scale: Scale, cells: int, glyphs: WhiskerGlyphs = UNICODE_WHISKER) -> str:
    """Return the whisker as exactly `cells` characters; only the zero line when the estimate is NaN."""
    zero = scale.zero(cells)
    line = [" "] * cells
    line[zero] = glyphs.zero
    if not isfinite(estimate.value):
        return "".join(line)

    def cell(value: float) -> int:
        column = scale.column(value, cells)
        if value > 0:
            return min(max(column, zero + 1), cells - 1)
        return max(min(column, zero - 1), 0) if value < 0 else zero

    # An unknown end is drawn at the estimate, an infinite one at the edge.
    low = estimate.low if estimate.low == estimate.low else estimate.value
    high = estimate.high if estimate.high == estimate.high else estimate.value
    first, last, dot = cell(low), cell(high), cell(estimate.value)
    for column in range(first, last + 1):
        line[column] = glyphs.cross if column == zero else glyphs.line
    if low < scale.low:
        line[0] = glyphs.beyond_left
    if high > scale.high:
        line[-1] = glyphs.beyond_right
    line[dot] = glyphs.dot
    return "".join(line)
