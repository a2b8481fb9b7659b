"""Messages of threads and screens to the app. Results of queries come as `state.Result`.

A message of a thread names the state or the run that it is about: another one may be open by the time it is handled.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message

from tui_influence.runs.overview import Overview

if TYPE_CHECKING:
    from tui_influence.tui.background import LogLine
    from tui_influence.tui.image_cache import ImageKey, ImageStrips
    from tui_influence.tui.state import RunHandle, RunState


@dataclass(eq=False)
class OverviewRead(Message):
    """A run was read: its overview, or the reason why there is none; both are empty where there is no such run."""

    run: "RunHandle"
    overview: Overview | None
    error: str = ""

    def can_replace(self, message: Message) -> bool:
        """Return whether only this message matters of the two."""
        return isinstance(message, OverviewRead) and message.run is self.run


@dataclass(eq=False)
class LogRead(Message):
    """Lines were added to the log."""

    state: "RunState"
    lines: "list[LogLine]"


@dataclass(eq=False)
class ImagesDrawn(Message):
    """Images were drawn, None where that failed; `errors` has a reason for each target (None: the source)."""

    state: "RunState"
    images: "dict[ImageKey, ImageStrips | None]"
    errors: "dict[int | None, str]"


@dataclass(eq=False)
class Preparing(Message):
    """A run that is being started has reached another step; `text` says which."""

    state: "RunState"
    root: Path
    text: str

    def can_replace(self, message: Message) -> bool:
        """Return whether only this message matters of the two."""
        return isinstance(message, Preparing) and (message.state, message.root) == (self.state, self.root)


@dataclass(eq=False)
class Started(Message):
    """A run was started in the background, or was not: then `error` says why."""

    state: "RunState"
    run: "RunHandle"
    error: str = ""


@dataclass(eq=False)
class WorkerError(Message):
    """A thread met an unexpected exception: a bug, to be shown as one."""

    error: Exception


class StateChanged(Message):
    """A screen has changed the state: it is to be shown, and queries may have to be answered."""


class LogNeeded(Message):
    """The log is on the screen, so it has to be read."""


@dataclass(eq=False)
class ImagesNeeded(Message):
    """Images are to be drawn."""

    keys: "list[ImageKey]"
