"""A real terminal (tmux) around the real program: keys go in, the screen comes out."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.requirements import require

PATIENCE = 60.0
_OWN = ("TMUX", "NO_COLOR", "COLORTERM", "COLUMNS", "LINES")
"""What the terminal itself says about itself; whoever runs the tests may be in another."""


class Terminal:
    """A tmux server of its own with one window."""

    def __init__(self, socket: Path, width: int = 80, height: int = 24) -> None:
        require("tmux")  # a screen is only right in a real terminal
        self._socket = str(socket)
        size = ["-x", str(width), "-y", str(height)]
        environment = {name: value for name, value in os.environ.items() if name not in _OWN}
        environment |= {"TERM": "xterm-256color", "PS1": "$ ", "ENV": "", "LC_ALL": "C.UTF-8"}
        command = ["tmux", "-u", "-S", self._socket, "-f", os.devnull, "new-session", "-d", *size, "/bin/sh"]
        subprocess.run(command, env=environment, check=True)
        self.tmux("set-option", "-g", "window-size", "manual")

    def tmux(self, *arguments: object) -> str:
        command = ["tmux", "-S", self._socket, *map(str, arguments)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def start(self, *arguments: object, **environment: str) -> None:
        """Run the program in the window's shell."""
        words = shlex.join([sys.executable, "-m", "tui_influence", *map(str, arguments)])
        settings = "".join(f"{name}={shlex.quote(value)} " for name, value in environment.items())
        self.tmux("send-keys", f"{settings}{words}; echo ended $?", "Enter")

    def keys(self, *keys: str) -> None:
        """Press keys."""
        self.tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        """Type text as it is."""
        self.tmux("send-keys", "-l", text)

    def resize(self, width: int, height: int) -> None:
        """Give the window another size."""
        self.tmux("resize-window", "-x", width, "-y", height)

    def screen(self, *, escapes: bool = False) -> str:
        """Return what is on the screen."""
        return self.tmux("capture-pane", "-p", *(["-e"] if escapes else []))

    def record(self, path: Path) -> None:
        """Write every byte that the program sends from now on to a file."""
        self.tmux("pipe-pane", f"exec cat > {shlex.quote(str(path))}")

    def wait(self, condition: Callable[[str], object]) -> str:
        """Wait for a screen; return it."""
        deadline = time.monotonic() + PATIENCE
        while not condition(text := self.screen()):
            assert time.monotonic() < deadline, f"still:\n{text}"
            time.sleep(0.1)
        return text

    def close(self) -> None:
        """End the terminal, as closing its window does."""
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], check=False, capture_output=True)
