"""A pseudo-terminal around the real program, for measuring: every byte that comes out has its time.

Nothing is drawn: text is looked for in what was written, without its escape sequences. That is enough to see that a
screen has come, costs next to nothing beside the program that is measured, and needs no terminal emulator.
"""

import os
import pty
import re
import select
import signal
import sys
import termios
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import psutil

_ESCAPES = re.compile(
    rb"""
    \x1b\[ [0-?]* [\ -/]* [@-~]            # styles, cursor, modes
    | \x1b\] [^\x07\x1b]* (?:\x07|\x1b\\)  # titles, clipboard
    | \x1b[PX^_] .*? \x1b\\               # other strings
    | \x1b .
    """,
    re.DOTALL | re.VERBOSE,
)
_CURSOR_MOVED = re.compile(rb"\x1b\[[0-9;]*[Hf]")
_OWN = ("TMUX", "NO_COLOR", "COLUMNS", "LINES", "PYTHONDONTWRITEBYTECODE")
"""What whoever measures may have set: users have another terminal, and compiled modules from the second start on."""
PATIENCE = 60.0


class Silent(Exception):  # noqa: N818 - it is what happened
    """What was waited for has not come."""


class Program:
    """The program in a terminal of its own, from its start to its end."""

    def __init__(self, arguments: Sequence[object], size: tuple[int, int] = (140, 40)) -> None:
        """Start it.

        Args:
            arguments: of `tinfl`.
            size: columns and lines of the terminal.
        """
        command = [sys.executable, "-m", "tui_influence", *map(str, arguments)]
        environment = {name: value for name, value in os.environ.items() if name not in _OWN}
        environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"}
        self.output = bytearray()
        self.last = self.started = time.perf_counter()
        pid, self._terminal = pty.fork()
        if pid == 0:
            signal.signal(signal.SIGHUP, signal.SIG_DFL)  # as a shell has it, whatever the one who measures has
            termios.tcsetwinsize(0, (size[1], size[0]))
            os.execve(sys.executable, command, environment)
        self.process = psutil.Process(pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End it, as closing the terminal's window does if it does not end by itself."""
        if kind is None:
            self.press("q")
            self._drain(2.0)
        else:
            sys.stderr.write(self.text()[-3000:] + "\n")
        os.close(self._terminal)
        try:
            self.process.wait(5)
        except psutil.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    @property
    def cpu(self) -> float:
        """Seconds of CPU that it has used, user and system."""
        used = self.process.cpu_times()
        return used.user + used.system

    @property
    def memory(self) -> tuple[int, int]:
        """Bytes that are resident now, and the most that ever were."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:  # noqa: PTH123
            match = dict(re.findall(r"(Vm\w+):\s+(\d+) kB", file.read()))
        return int(match["VmRSS"]) << 10, int(match["VmHWM"]) << 10

    def text(self, start: int = 0) -> str:
        """What it has written from a byte offset on, without escape sequences; a line where the cursor was moved."""
        written = _CURSOR_MOVED.sub(b"\n", bytes(self.output[start:]))
        return _ESCAPES.sub(b"", written).decode("utf-8", "replace")

    def press(self, keys: str) -> float:
        """Press keys; return when."""
        os.write(self._terminal, keys.encode())
        return time.perf_counter()

    def read(self, seconds: float) -> bool:
        """Take in what comes next, if anything does within so many seconds."""
        if not select.select([self._terminal], [], [], max(seconds, 0))[0]:
            return False
        try:
            self.output += os.read(self._terminal, 1 << 20)
        except OSError:  # it has ended
            raise Silent("the program has ended") from None
        self.last = time.perf_counter()
        return True

    def wait_for(self, *texts: str, start: int = 0) -> float:
        """Wait until all of some texts have been written from an offset on; return when the last bytes came."""
        deadline = time.perf_counter() + PATIENCE
        while not all(text in self.text(start) for text in texts):
            if not self.read(deadline - time.perf_counter()):
                raise Silent(f"no {texts} in {PATIENCE:g} s")
        return self.last

    def settle(self, quiet: float) -> float:
        """Wait until nothing has come for so many seconds; return when the last bytes came."""
        while self.read(quiet):
            pass
        return self.last

    def watch(self, seconds: float) -> int:
        """Take in what comes in so many seconds; return how many bytes that was."""
        start, deadline = len(self.output), time.perf_counter() + seconds
        while (left := deadline - time.perf_counter()) > 0:
            self.read(left)
        return len(self.output) - start

    def _drain(self, seconds: float) -> None:
        deadline = time.perf_counter() + seconds
        try:
            while (left := deadline - time.perf_counter()) > 0:
                self.read(left)
        except Silent:
            return
