"""Colours and signs: Okabe-Ito on dark and on light, none at all, and ASCII alone.

Nothing is said by colour alone, so every look says the same things. `Look` is what widgets draw with; the two Textual
themes give the stylesheet the same colours.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text
from textual.theme import Theme

from tui_influence.render.run_words import ASCII_MARKS, ASCII_SILENT_MARK, MARKS, SILENT_MARK, state_word
from tui_influence.runs.heartbeat import State

if TYPE_CHECKING:
    from tui_influence.render.interval_table import Pen

DARK = Theme(
    name="tinfl-dark",
    primary="#56B4E9",
    secondary="#8A94A0",
    accent="#56B4E9",
    warning="#F0E442",
    error="#FF7F50",
    success="#2FBF94",
    foreground="#D8DEE6",
    background="#101418",
    surface="#171C22",
    panel="#1F262E",
    dark=True,
    variables={"quiet": "#8A94A0", "footer-key-foreground": "#56B4E9", "cursor-back": "#24445A"},
)
LIGHT = Theme(
    name="tinfl-light",
    primary="#0072B2",
    secondary="#5B6670",
    accent="#0072B2",
    warning="#8A6D00",
    error="#B33C00",
    success="#00664B",
    foreground="#1C2329",
    background="#FFFFFF",
    surface="#F4F6F8",
    panel="#E6EAEE",
    dark=False,
    variables={"quiet": "#5B6670", "footer-key-foreground": "#0072B2", "cursor-back": "#CFE5F3"},
)

_STATES_DARK = {
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
_STATES_LIGHT = {
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
class Look:
    """How things are drawn now.

    Attributes:
        dark: on a dark background.
        coloured: whether there are colours.
        ascii: with ASCII characters only.
        few_colours: the terminal has 256 colours, which pictures are drawn in.
    """

    dark: bool = True
    coloured: bool = True
    ascii: bool = False
    few_colours: bool = False

    @property
    def quiet(self) -> str:
        """Style of what matters less."""
        return "" if not self.coloured else "#8A94A0" if self.dark else "#5B6670"

    @property
    def good(self) -> str:
        """Style of what helps."""
        return "" if not self.coloured else "#56B4E9" if self.dark else "#0072B2"

    @property
    def bad(self) -> str:
        """Style of what hurts."""
        return "" if not self.coloured else "#E69F00" if self.dark else "#B34A00"

    @property
    def warning(self) -> str:
        """Style of what should be looked into."""
        return "bold" if not self.coloured else "#F0E442" if self.dark else "#8A6D00"

    @property
    def error(self) -> str:
        """Style of what went wrong."""
        return "bold" if not self.coloured else "#FF7F50" if self.dark else "#B33C00"

    @property
    def cursor(self) -> str:
        """Style under the line that keys act on."""
        return "reverse" if not self.coloured else "on #24445A" if self.dark else "on #CFE5F3"

    @property
    def found(self) -> str:
        """Style of what a search found."""
        return "reverse" if not self.coloured else "black on #F0E442"

    def state(self, state: State, *, silent: bool = False) -> str:
        """Style of a state; `silent` when its supervisor should speak and does not."""
        if silent:
            return self.warning
        return "bold" if not self.coloured else (_STATES_DARK if self.dark else _STATES_LIGHT)[state]

    def banner(self, state: State, *, silent: bool = False) -> Text:
        """Return a state said loudly: a solid sign, or one between hatches when nobody vouches for the state."""
        word = state_word(state, silent=silent).upper()
        if silent:
            hatch = 2 * self.mark(state, silent=True)
            return Text(f"{hatch} {word} {hatch}", f"bold {self.warning}" if self.coloured else "bold")
        style = f"bold {'#101418' if self.dark else '#FFFFFF'} on {self.state(state)}"
        return Text(f" {self.mark(state)} {word} ", style if self.coloured else "bold reverse")

    def mark(self, state: State, *, silent: bool = False) -> str:
        """Return the sign of a state."""
        if silent:
            return self.sign(SILENT_MARK, ASCII_SILENT_MARK)
        return (ASCII_MARKS if self.ascii else MARKS)[state]

    def sign(self, unicode: str, ascii: str) -> str:
        """Return one of two spellings."""
        return ascii if self.ascii else unicode

    def pen(self, *, coloured: bool = True) -> "Pen":
        """Return what rankings are written with; noise is written without colour."""
        from tui_influence.render.interval_table import Pen  # here, because it loads numpy

        return Pen(self.ascii, coloured and self.coloured, self.good, self.bad, self.quiet, self.quiet)
