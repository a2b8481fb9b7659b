"""Copied text: it goes to tmux's buffer, else to the terminal's clipboard by OSC 52, and always to a file.

Over SSH no single way works everywhere, and OSC 52 never says whether it did: the file is the one that is certain.
"""

import os
import subprocess
from pathlib import Path

from tui_influence.errors import ResultsError
from tui_influence.export.files import write_text_atomically
from tui_influence.store.files import make_directory

_TIMEOUT = 2.0


def copied_file() -> Path:
    """Return the file that holds what was copied last."""
    from platformdirs import user_state_path

    return user_state_path("tinfl") / "copied.txt"


def copy_text(text: str) -> tuple[bool, str]:
    """Put text into tmux's buffer, if this is tmux, and into the file.

    Returns:
        whether tmux has it, and where else it is or why it is not.
    """
    path = copied_file()
    try:
        make_directory(path.parent)
        write_text_atomically(path, text)
        location = str(path)
    except ResultsError as error:
        location = str(error)
    return _to_tmux(text), location


def _to_tmux(text: str) -> bool:
    if not os.environ.get("TMUX"):
        return False
    try:
        done = subprocess.run(
            ["tmux", "load-buffer", "-"], input=text.encode(), capture_output=True, timeout=_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
