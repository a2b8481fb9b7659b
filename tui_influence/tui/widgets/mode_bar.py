"""The line at the top: the name of the run, the modes, and the state of the run."""

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text
from textual import events
from textual.message import Message
from textual.widget import Widget

from tui_influence.render.run_words import state_word
from tui_influence.tui.actions import BY_ID, MODES
from tui_influence.tui.keymap import keys_of
from tui_influence.tui.state import RunState

_MIN_NAME = 6
_MODE = "mode"
"""The key of a style's metadata for the mode that a click goes to."""


class ModeBar(Widget):
    """One line; the name makes room first, then the modes' words, never the state."""

    class Chosen(Message):
        """A mode was clicked at."""

        def __init__(self, mode: str) -> None:
            self.mode = mode
            super().__init__()

    def __init__(self, state: RunState, mode: str) -> None:
        super().__init__()
        self._state, self._mode = state, mode
        self._drawn = Text()

    def show_state(self) -> None:
        """Draw it again if it says something else."""
        if self._line() != self._drawn:
            self.refresh()

    def render(self) -> Text:
        """Draw it at the width there is."""
        self._drawn = self._line()
        return self._drawn

    def _line(self) -> Text:
        style = self._state.style
        right = self._run_state()
        modes = self._modes(words=True)
        room = self.size.width - cell_len(modes.plain) - cell_len(right.plain) - 4
        if room < _MIN_NAME:
            modes = self._modes(words=False)
            room = self.size.width - cell_len(modes.plain) - cell_len(right.plain) - 4
        overview = self._state.overview
        name = overview.info.name if overview and overview.info else self._state.root.name
        name = style.cut(name, max(room, 0)) if room > 0 else ""
        line = Text.assemble(" ", (name, "bold"), "  ", modes)
        line.append(" " * (self.size.width - cell_len(line.plain) - cell_len(right.plain) - 1))
        line.append_text(right)
        line.no_wrap = True
        return line

    def on_click(self, event: events.Click) -> None:
        """Go to the mode under the mouse."""
        mode = event.style.meta.get(_MODE)
        if mode is not None and mode != self._mode:
            self.post_message(self.Chosen(mode))

    def _modes(self, *, words: bool) -> Text:
        style, parts = self._state.style, []
        keys = keys_of(self.app)
        for mode in MODES:
            here = mode == self._mode
            key, word = keys.first(f"app.{mode}"), BY_ID[f"app.{mode}"].label
            text = f" {key} {word} " if words or here else f" {key} "
            text_style = Style.parse("bold reverse" if here else style.quiet)
            parts.append(Text(text, style=text_style + Style.from_meta({_MODE: mode})))
        return Text("").join(parts)

    def _run_state(self) -> Text:
        overview, style = self._state.overview, self._state.style
        if self._state.sweep.error:
            return Text("cannot be read", style=style.error)
        if overview is None:
            return Text("")
        state, silent = overview.state, overview.is_silent
        counts = f" {overview.finished}/{overview.total}" if overview.total and self.size.width >= 100 else ""
        word = f"{style.state_sign(state, silent=silent)} {state_word(state, silent=silent)}"
        return Text(f"{word}{counts}", style=f"bold {style.state(state, silent=silent)}")
