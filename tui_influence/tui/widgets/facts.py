"""A fact about a run, as the Sweep mode states it: a quiet label, then what there is to say."""

from rich.text import Text

from tui_influence.tui.theme import Look

LABEL = 12
"""Cells of a label."""
NARROW = 50
"""Cells from which on there is room for more than a compact status."""


def fact(label: str, text: Text | str, look: Look, style: str = "") -> Text:
    """Return a label and what stands beside it."""
    return Text.assemble((f"{label:<{LABEL}}", look.quiet), text if isinstance(text, Text) else (text, style))
