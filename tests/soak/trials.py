"""One command in a process of its own, and what it may not do, whatever it is given.

It may refuse, in lines that are safe to show. It may not show a traceback or a raw control character, hang, or take
more than 1 GB.
"""

import asyncio
import importlib
import io
import os
import resource
import signal
import tempfile
import time
import traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from tests.tui.runs import screen_text
from tui_influence.cli.app import app
from tui_influence.errors import TinflError
from tui_influence.text import printable
from tui_influence.tui.app import ExploreApp

LONGEST = 60.0
"""Seconds that no command may take on what is so small, whatever else the machine does."""
MOST_BYTES = 1 << 30
_IMPORTED = (
    "scipy.stats", "pydantic", "tui_influence.cli.commands.prune",
    "tui_influence.config.loader", "tui_influence.datasets", "tui_influence.export.json",
    "tui_influence.analysis.leakage",
    "tui_influence.pruning.results", "tui_influence.pruning.planning", "tui_influence.analysis.ranking",
)  # fmt: skip
_EXIT_CODES = {0, 1, 2, 3, 4, 5}


def prepare() -> None:
    """Import what the commands import, so that each forked one has it."""
    for module in _IMPORTED:
        importlib.import_module(module)


class Trial:
    """One command in a process of its own, forked from this one."""

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  (closed with this object)

    def problem(self) -> str:
        """Run the command; return what it did that it must not do, or nothing."""
        pid = os.fork()
        if pid == 0:
            self._be_the_command()
        began = time.monotonic()
        while time.monotonic() - began < LONGEST:
            ended, status, usage = os.wait4(pid, os.WNOHANG)
            if ended:
                break
            time.sleep(0.005)
        else:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return f"no end after {LONGEST:.0f} s"
        self._output.seek(0)
        text = self._output.read().decode(errors="replace")
        code = os.waitstatus_to_exitcode(status)
        if "Traceback" in text or "bug in tinfl" in text:
            return text[-3000:]
        if code not in _EXIT_CODES:
            return f"exit code {code}: {text[-1000:]}"
        raw = [line for line in text.split("\n") if line != printable(line)]
        if raw:
            return f"raw control characters: {raw[0][:300]!r}"
        if usage.ru_maxrss * 1024 > MOST_BYTES:
            return f"{usage.ru_maxrss / 1024:.0f} MB of memory"
        return ""

    def _be_the_command(self) -> None:
        """Run the command, and end this process with its exit code."""
        code = 70
        try:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(self._output.fileno(), 1)
            os.dup2(self._output.fileno(), 2)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            out = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), errors="replace")
            with redirect_stdout(out), redirect_stderr(out):
                code = _explore(self._words[1]) if self._words[0] == "explore" else _run(self._words)
                out.flush()
        except BaseException:  # noqa: BLE001  (whatever it is, it is shown, and fails the trial)
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(code)


def _run(words: list[str]) -> int:
    os.environ |= {"NO_COLOR": "1", "COLUMNS": "100"}
    try:
        app(words)
    except SystemExit as ended:
        return int(ended.code or 0) if not isinstance(ended.code, str) else 1
    return 0


_KEYS = ("1", "2", "3", "enter", "escape", "4", "5", "6", "2", "enter", "S", "n", "R", "n", "question_mark")


def _explore(root: str) -> int:
    """Open the app, visit every mode, and look at each."""

    async def visit() -> None:
        explorer = ExploreApp(Path(root))
        async with explorer.run_test(size=(100, 30), notifications=True) as pilot:
            for key in _KEYS:
                await pilot.press(key)
                await pilot.pause(0.05)
                print(screen_text(explorer))

    try:
        asyncio.run(visit())
    except TinflError as error:
        print(error)
        return int(error.exit_code)
    return 0
