"""Rows with an effect each as lines of a table: a name, columns, the effect, its interval as a whisker, columns.

A ranking's rows are groups, and `export.lines` writes them; these are whatever else has an interval. Digits and the
whiskers' scale are those of all rows together.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan

from rich.cells import cell_len
from rich.text import Text

from tui_influence.render.format import Column, choose_for_names, fit, plain, value_format
from tui_influence.render.interval_table import one_line
from tui_influence.render.style import Style
from tui_influence.render.whisker import Interval, common_scale, draw


@dataclass(frozen=True)
class Effect:
    """A number that may be chance.

    Attributes:
        value: of it; NaN where there is none.
        low: lower end of the 95% interval.
        high: upper end.
        told: it is more than chance.
        se: standard error, where digits are to be chosen by it.
    """

    value: float
    low: float
    high: float
    told: bool
    se: float = nan


NONE = Effect(nan, nan, nan, False)
"""Where there is no effect to speak of."""


def effect_text(effect: Effect, digits: str, style: Style) -> str:
    """Return an effect with its sign, and `*` where it is more than chance; nothing where there is none."""
    if not isfinite(effect.value):
        return ""
    return f"{style.before(effect.value)}{effect.value:{digits}}{'*' if effect.told else ' '}"


def interval_text(effect: Effect, digits: str) -> str:
    """Return both ends of the interval; nothing where they are unknown."""
    ends = (effect.low, effect.high)
    return f"[{effect.low:{digits}}, {effect.high:{digits}}]" if all(map(isfinite, ends)) else ""


def digits_of(effects: Sequence[Effect]) -> str:
    """Return the format of numbers that suits all."""
    return value_format([effect.value for effect in effects], [effect.se for effect in effects])


class IntervalLines:
    """Rows as lines of one width, with a header."""

    def __init__(
        self,
        noun: str,
        names: Sequence[str],
        effects: Sequence[Effect],
        before: Sequence[Column],
        after: Sequence[Column],
        width: int,
        style: Style,
        *,
        title: str = "influence ",
        digits: str | None = None,
        least: int = 20,
    ) -> None:
        """Fix columns, digits and scale.

        Args:
            noun: what stands above the names.
            names: one a row.
            effects: one a row.
            before: columns between name and effect; words stand on the left of theirs, and are not quiet.
            after: columns right of the whisker.
            width: of a line.
            style: colours and signs.
            title: what stands above the effects.
            digits: their format; what suits all by default.
            least: cells that names are given before columns that can be done without.
        """
        shown = {name: plain(name, style.ascii) for name in set(names)}
        self._noun, self._names, self._effects, self._style = noun, [shown[name] for name in names], effects, style
        digits = digits or digits_of(effects)
        self._numbers = Column(title, tuple(effect_text(effect, digits, style) for effect in effects))
        longest = max((cell_len(name) for name in (noun, *self._names)), default=0)
        self._layout = choose_for_names([*before, self._numbers, *after], longest, width, least)
        self._scale = common_scale(Interval(effect.value, effect.low, effect.high) for effect in effects)

    def header(self) -> Text:
        """Return the line above the rows."""
        cells = self._layout.whisker
        axis = Text(f"{' ' * self._scale.zero(cells)}0".ljust(cells) if cells else "")
        line = self._line(self._noun, [column.header for column in self._layout.kept], axis, "")
        line.stylize(self._style.quiet)
        return line

    def line(self, place: int) -> Text:
        """Return the line of the row at `place`."""
        effect, style = self._effects[place], self._style
        colour = style.effect(effect.value) if effect.told else style.quiet
        whisker = Text()
        if self._layout.whisker:
            interval = Interval(effect.value, effect.low, effect.high)
            whisker = Text(draw(interval, self._scale, self._layout.whisker, style.whisker), colour)
            whisker.highlight_regex(re.escape(style.whisker.zero), style.zero)
        return self._line(self._names[place], [c.cells[place] for c in self._layout.kept], whisker, colour)

    def _line(self, name: str, cells: Sequence[str], whisker: Text, colour: str) -> Text:
        style, layout = self._style, self._layout
        parts = [Text(fit(name, layout.name, ellipsis=style.ellipsis))]
        for column, cell in zip(layout.kept, cells, strict=True):
            text_style = colour if column is self._numbers else style.quiet if column.right else ""
            parts.append(Text(fit(cell, column.width, right=column.right), text_style))
            if column is self._numbers and layout.whisker:
                parts.append(whisker)
        return one_line(parts, layout.gap)
