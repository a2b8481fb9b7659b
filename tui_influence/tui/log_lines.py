"""Events as lines of a log: time, level and sentence. Reads files; draws nothing."""

from collections.abc import Iterator
from dataclasses import dataclass

from tui_influence.render.run_words import Level, event_level, event_sentence, event_time
from tui_influence.store.events import EventTail
from tui_influence.store.paths import Paths

BATCH = 2000
"""Lines in one message: a long log appears at once and fills up behind the first screen."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One event."""

    time: str
    level: Level
    text: str


class LogTail:
    """Reads what has happened to a run since the last time, also in its tasks on a cluster."""

    def __init__(self, paths: Paths) -> None:
        self._events = EventTail(paths)

    def read(self) -> Iterator[list[LogLine]]:
        """Yield new lines in batches; nothing if there are none.

        Raises:
            ResultsError: a file cannot be read.
        """
        batch: list[LogLine] = []
        for event in self._events.read():
            batch.append(LogLine(event_time(event), event_level(event), event_sentence(event)))
            if len(batch) == BATCH:
                yield batch
                batch = []
        if batch:
            yield batch
