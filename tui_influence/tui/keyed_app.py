"""An app whose keys are those of the table of actions, as its user has changed them, and which explains them."""

from typing import Any

from textual.app import App
from textual.binding import Binding
from textual.screen import Screen
from textual.widgets import Input

from tui_influence.tui.actions import WHILE_TYPING, names_of
from tui_influence.tui.help import explain
from tui_influence.tui.keymap import Keys, shown_key
from tui_influence.tui.screens.dialogs import HelpScreen

_ACTIONS = names_of("app")
_EXPLAINING = ("help", "explain")


class KeyedApp(App[str]):
    """Shows and explains the keys of the app."""

    def __init__(self, keys: Keys | None = None, **options: Any) -> None:
        """Take the keys over; `options` are Textual's."""
        super().__init__(**options)
        self.keys = keys or Keys()
        self.set_keymap(self.keys.changed)

    def get_key_display(self, binding: Binding) -> str:
        """Return a key as the footer shows it: as help and palette do."""
        return shown_key(binding.key)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key does this now: not under a dialog, nor, but for some, while a field has the keys."""
        if action not in _ACTIONS or not self.screen_stack:
            return True
        screen = self.screen
        if isinstance(screen.focused, Input) and action not in WHILE_TYPING:
            return False
        if action in _EXPLAINING:
            return bool(_scope(screen))
        return len(self.screen_stack) == 1

    def action_help(self) -> None:
        """Explain what has the focus, and the keys of the screen."""
        self.push_screen(HelpScreen(explain(self.screen, _scope(self.screen), self.keys)))

    def action_explain(self) -> None:
        """Do so while a field has the keys, too."""
        self.action_help()


def _scope(screen: Screen[Any]) -> str:
    """Return the scope of a screen's actions; empty if the table has none."""
    return str(getattr(screen, "scope", ""))
