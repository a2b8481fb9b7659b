"""The style of text in a terminal: colours for a dark or a light background, signs, or ASCII characters only.

Both front ends build one `Style` from their options. Colours are those of Okabe and Ito, and no meaning rests on
colour alone: a sign or a word says the same.
"""

from dataclasses import dataclass, replace
from math import isfinite

from rich.text import Text

from tui_influence.render.format import cut, plain
from tui_influence.render.run_words import ASCII_SILENT_SIGN, ASCII_STATE_SIGNS, SILENT_SIGN, STATE_SIGNS, state_word
from tui_influence.runs.heartbeat import State

LABEL = 12
"""Cells of a fact's label."""
NARROW = 50
"""Cells from which on there is room for more than a compact summary."""

_DARK_STATES = {
    State.QUEUED: "#8A94A0",
    State.PREPARING: "#F0E442",
    State.RUNNING: "#2FBF94",
    State.STOPPING: "#E69F00",
    State.STOPPED: "#B9C2CC",
    State.DONE: "#56B4E9",
    State.DONE_WITH_FAILURES: "#FF7F50",
    State.FAILED: "#FF7F50",
    State.LOST: "#CC79A7",
}
_LIGHT_STATES = {
    State.QUEUED: "#5B6670",
    State.PREPARING: "#8A6D00",
    State.RUNNING: "#00664B",
    State.STOPPING: "#A65E00",
    State.STOPPED: "#3D4852",
    State.DONE: "#0072B2",
    State.DONE_WITH_FAILURES: "#B33C00",
    State.FAILED: "#B33C00",
    State.LOST: "#8F3F70",
}


@dataclass(frozen=True)
class WhiskerGlyphs:
    """The characters of a whisker, one cell each."""

    zero: str = "│"
    line: str = "─"
    cross: str = "┼"
    dot: str = "●"
    beyond_left: str = "◂"
    beyond_right: str = "▸"


UNICODE_WHISKER = WhiskerGlyphs()
ASCII_WHISKER = WhiskerGlyphs(zero="|", line="-", cross="+", dot="o", beyond_left="<", beyond_right=">")


@dataclass(frozen=True)
class Style:
    """Colours and signs.

    Attributes:
        ascii: write ASCII characters only.
        dark: the background is dark.
        coloured: use colours at all.
        few_colours: the terminal has 256 colours, which images are drawn in.
        effect_colours: colour effects by their sign; noise has no such colour.
        dims: the terminal dims secondary text, as on a background whose colour is not known; else it is grey.
    """

    ascii: bool = False
    dark: bool = True
    coloured: bool = True
    few_colours: bool = False
    effect_colours: bool = True
    dims: bool = False

    def _colour(self, dark: str, light: str, plain: str = "") -> str:
        return plain if not self.coloured else dark if self.dark else light

    @property
    def quiet(self) -> str:
        """Style of secondary text."""
        return "dim" if self.dims else self._colour("#8A94A0", "#5B6670")

    @property
    def zero(self) -> str:
        """Style of the zero line among whiskers."""
        return "not dim bright_black" if self.dims else self.quiet

    @property
    def good(self) -> str:
        """Style of what helps."""
        return self._colour("#56B4E9", "#0072B2")

    @property
    def bad(self) -> str:
        """Style of what hurts."""
        return self._colour("#E69F00", "#B34A00")

    @property
    def warning(self) -> str:
        """Style of a warning."""
        return self._colour("#F0E442", "#8A6D00", plain="bold")

    @property
    def error(self) -> str:
        """Style of an error."""
        return self._colour("#FF7F50", "#B33C00", plain="bold")

    @property
    def cursor(self) -> str:
        """Style of the line that keys act on."""
        return self._colour("on #24445A", "on #CFE5F3", plain="reverse")

    @property
    def match(self) -> str:
        """Style of text that matches a search."""
        return self._colour("black on #F0E442", "black on #F0E442", plain="reverse")

    @property
    def helps(self) -> str:
        """Sign of what helps."""
        return self.glyph("▲", "+")

    @property
    def hurts(self) -> str:
        """Sign of what hurts."""
        return self.glyph("▼", "-")

    @property
    def unknown(self) -> str:
        """Sign of an unknown number."""
        return self.glyph("–", "-")

    @property
    def ellipsis(self) -> str:
        """Sign at which text was cut."""
        return self.glyph("…", "...")

    @property
    def separator(self) -> str:
        """Separator of short facts on one line."""
        return self.glyph(" · ", " | ")

    @property
    def whisker(self) -> WhiskerGlyphs:
        """Characters of a whisker."""
        return ASCII_WHISKER if self.ascii else UNICODE_WHISKER

    def glyph(self, unicode: str, ascii: str) -> str:
        """Return one of two spellings."""
        return ascii if self.ascii else unicode

    def arrow(self, value: float) -> str:
        """Return the sign that stands instead of the sign of a number: ▲ or ▼, in ASCII + or -."""
        return self.helps if value > 0 else self.hurts

    def before(self, value: float) -> str:
        """Return the sign before a signed number, with a blank; a blank for zero, and in ASCII nothing."""
        if self.ascii:
            return ""
        return f"{self.helps if value > 0 else self.hurts if value < 0 else ' '} "

    def effect(self, value: float, *, significant: bool = True) -> str:
        """Return the style of an effect: by its sign where it is significant, else secondary."""
        if not significant or not self.effect_colours or not isfinite(value) or not value:
            return self.quiet
        return self.good if value > 0 else self.bad

    def muted(self, noise: bool) -> "Style":
        """Return the style of a result: without colours of effects where it is noise."""
        return replace(self, effect_colours=self.effect_colours and not noise)

    def fact(self, label: str, text: Text | str, style: str = "", *, label_cells: int = LABEL) -> Text:
        """Return a labelled fact: a quiet label, then the text."""
        return Text.assemble((f"{label:<{label_cells}}", self.quiet), text if isinstance(text, Text) else (text, style))

    def cut(self, text: str, cells: int) -> str:
        """Return text as it may be shown, in at most `cells` cells, with an ellipsis if that is not all of it."""
        return cut(plain(text, self.ascii), cells, self.ellipsis)

    def line(self, text: str, style: str = "") -> Text:
        """Return text as it may be shown."""
        return Text(plain(text, self.ascii), style=style)

    def clipped(self, line: Text, width: int) -> Text:
        """Return a line that is never broken: one of more than `width` cells ends in an ellipsis."""
        clipped = line.copy()
        if line.cell_len > width:
            clipped.truncate(max(width - len(self.ellipsis), 0), overflow="crop")
            clipped.append(self.ellipsis)
        clipped.no_wrap, clipped.overflow = True, "crop"
        return clipped

    def state(self, state: State, *, silent: bool = False) -> str:
        """Return the style of a state; `silent` if its supervisor has fallen silent."""
        if silent:
            return self.warning
        return self._colour(_DARK_STATES[state], _LIGHT_STATES[state], plain="bold")

    def state_sign(self, state: State, *, silent: bool = False) -> str:
        """Return the sign of a state."""
        if silent:
            return self.glyph(SILENT_SIGN, ASCII_SILENT_SIGN)
        return self.glyph(STATE_SIGNS[state], ASCII_STATE_SIGNS[state])

    def banner(self, state: State, *, silent: bool = False) -> Text:
        """Return a state as a banner: solid, or between hatches if its supervisor has fallen silent."""
        word = state_word(state, silent=silent).upper()
        if silent:
            hatch = 2 * self.state_sign(state, silent=True)
            return Text(f"{hatch} {word} {hatch}", f"bold {self.warning}" if self.coloured else "bold")
        style = f"bold {self._colour('#101418', '#FFFFFF')} on {self.state(state)}" if self.coloured else "bold reverse"
        return Text(f" {self.state_sign(state)} {word} ", style)
