"""The command lines that do what the app does."""

import shlex
from pathlib import Path


def command(name: str, root: Path) -> str:
    """Return a command on a run, ready to be pasted into a shell."""
    return shlex.join(["tinfl", name, "--", str(root)] if str(root).startswith("-") else ["tinfl", name, str(root)])
