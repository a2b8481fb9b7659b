"""A fact about a run, as the Sweep mode states it: a quiet label, then what there is to say."""

from rich.text import Text

from tui_influence.render.style import Style

LABEL = 12
"""Cells of a label."""
NARROW = 50
"""Cells from which on there is room for more than a compact status."""


def fact(label: str, text: Text | str, style: Style, text_style: str = "") -> Text:
    """Return a label and what stands beside it."""
    return Text.assemble((f"{label:<{LABEL}}", style.quiet), text if isinstance(text, Text) else (text, text_style))
