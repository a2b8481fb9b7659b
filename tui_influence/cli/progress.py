"""Progress on stderr: one line that is rewritten on a terminal, a plain line now and then anywhere else."""

import shutil
import time
from types import TracebackType
from typing import Self

from tui_influence.cli import diagnostics
from tui_influence.runs.heartbeat import Heartbeat, State
from tui_influence.text import format_duration, printable

_PLAIN_INTERVAL = 10.0
"""Seconds between two plain lines."""


class ProgressLine:
    """Shows the progress of a supervisor or of a preparation; an `Observer` of supervisors."""

    def __init__(self) -> None:
        self._is_terminal = diagnostics.is_terminal()
        self._last_time = 0.0
        self._text = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.clear()

    def stage(self, what: str, done: int, total: int) -> None:
        """Show a stage of the preparation, and how far it is."""
        self._show(f"{printable(what, 80)}" + (f" {done} of {total}" if total else ""))

    def under_way(self, heartbeat: Heartbeat) -> None:
        """Remove the line: the preparation is over."""
        self.clear()

    def beat(self, heartbeat: Heartbeat) -> None:
        """Show how many models are done and how long the rest takes."""
        if heartbeat.state is State.PREPARING:
            self._show(heartbeat.stage)
            return
        is_running = heartbeat.state is State.RUNNING
        left = f", {format_duration(heartbeat.eta[0])} left" if heartbeat.eta and is_running else ""
        failed = f", {heartbeat.failed} failed" if heartbeat.failed else ""
        state = heartbeat.stage if is_running else heartbeat.state.value
        state = f" ({printable(state, 120)})" if state else ""
        source = f", source {heartbeat.source_accuracy:.1%}" if heartbeat.source_accuracy is not None else ""
        targets = "".join(f", target {accuracy:.1%}" for accuracy in heartbeat.target_accuracy)
        self._show(f"{heartbeat.done} of {heartbeat.total} models{state}{failed}{left}{source}{targets}")

    def clear(self) -> None:
        """Remove the line."""
        if self._is_terminal and self._text:
            diagnostics.replace_line("")
        self._text = ""

    def _show(self, text: str) -> None:
        now = time.monotonic()
        if text == self._text:
            return
        if self._is_terminal:
            width = shutil.get_terminal_size().columns
            diagnostics.replace_line(text[: width - 1])
        elif now - self._last_time >= _PLAIN_INTERVAL:
            diagnostics.info(text)
        else:
            return
        self._text, self._last_time = text, now
