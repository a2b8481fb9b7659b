"""The palette (ctrl+p): every action of the table that is possible now, by name."""

from collections.abc import Iterator
from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider

from tui_influence.tui.actions import Action, actions_of
from tui_influence.tui.keymap import keys_of
from tui_influence.tui.screens.base import ModeScreen

_HIDDEN = ("app.back", "app.palette", "app.explain")
"""Actions that say nothing here: those of keys alone."""


class ActionCommands(Provider):
    """Offers the actions of the mode on the screen, and those of the app."""

    async def discover(self) -> Hits:
        """Offer all of them."""
        for action in self._possible():
            yield DiscoveryHit(self._title(action), partial(self._run, action), help=action.tooltip)

    async def search(self, query: str) -> Hits:
        """Offer those that fit what was typed."""
        matcher = self.matcher(query)
        for action in self._possible():
            score = max(matcher.match(self._title(action)), matcher.match(action.tooltip) / 2)
            if score > 0:
                title = matcher.highlight(self._title(action))
                yield Hit(score, title, partial(self._run, action), help=action.tooltip)

    def _possible(self) -> Iterator[Action]:
        screen = self.screen
        for action in actions_of(getattr(screen, "scope", "")):
            if action.id not in _HIDDEN and (
                action.scope == "app" or not isinstance(screen, ModeScreen) or screen.is_possible(action.name)
            ):
                yield action

    def _title(self, action: Action) -> str:
        return f"{action.label} ({keys_of(self.app).first(action.id)})"

    async def _run(self, action: Action) -> None:
        owner = "app" if action.scope == "app" else "screen"
        await self.app.run_action(f"{owner}.{action.name}")
