"""An image by the terminal's own graphics: the app steps aside, and `tinfl show` does it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from tui_influence.analysis.question import Question

if TYPE_CHECKING:
    from textual.app import App


def has_graphics() -> bool:
    """Whether this terminal is known to draw images of its own, and what writes them is installed."""
    from tui_influence.images.graphics import detect_protocol, library_problem

    return detect_protocol(os.environ).protocol is not None and not library_problem()


def show_large(app: "App[str]", root: Path, question: Question, *, dark: bool) -> None:
    """Show a test example until a key is pressed, then take the screen back."""
    theme = "dark" if dark else "light"
    words = question.arguments(root, "show")
    command = [sys.executable, "-m", "tui_influence", words[0], "--wait", f"--theme={theme}", *words[1:]]
    try:
        with app.suspend():
            subprocess.run(command, check=False)  # what goes wrong it says itself, and waits for a key
    except SuspendNotSupported:
        app.notify("This terminal cannot be left for a moment.", severity="warning", markup=False)
