"""The places of modes that are not there yet: what they will be, and what does the same until then."""

from textual.app import ComposeResult
from textual.containers import Middle
from textual.widgets import Static

from tui_influence.tui.actions import bindings
from tui_influence.tui.screens.mode import ModeScreen


class ClassScreen(ModeScreen):
    """One source class and the images it moves."""

    mode = "class"
    BINDINGS = bindings("class")

    def body(self) -> ComposeResult:
        """Say what is to come."""
        with Middle(classes="calm"):
            yield Static(
                "One source class, and the target images it helps and hurts most.\n"
                "This mode is not here yet.\n\n"
                "Until then: tinfl rank RESULTS --example J says which classes move one image.",
                markup=False,
            )


class PruneScreen(ModeScreen):
    """What leaving classes out gains."""

    mode = "prune"
    BINDINGS = bindings("prune")

    def body(self) -> ComposeResult:
        """Say what is to come."""
        with Middle(classes="calm"):
            yield Static(
                "Leaving classes out, and what that gains on held-out images.\nThis mode is not here yet.",
                markup=False,
            )
