"""The place of a mode that is not there yet."""

from textual.app import ComposeResult
from textual.containers import Middle
from textual.widgets import Static

from tui_influence.tui.actions import bindings
from tui_influence.tui.screens.mode import ModeScreen


class PruneScreen(ModeScreen):
    """What leaving classes out gains."""

    mode = "prune"
    BINDINGS = bindings("prune")

    def body(self) -> ComposeResult:
        """Say what is to come."""
        with Middle(classes="calm"):
            yield Static(
                "Leaving classes out, and what that gains on held-out images.\nThis mode is not here yet.\n\n"
                "Until then: tinfl prune RESULTS",
                markup=False,
            )
