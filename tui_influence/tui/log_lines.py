"""Events as lines of a log: time, level and sentence. Reads files; draws nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tui_influence.runs.words import Level, event_level, event_sentence, event_time
from tui_influence.store.events import read_events

BATCH = 2000
"""Lines in one message: a long log appears at once and fills up behind the first screen."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One event."""

    time: str
    level: Level
    text: str


class LogTail:
    """Reads what was added to `events.jsonl` since the last time."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0

    def read(self) -> Iterator[list[LogLine]]:
        """Yield new lines in batches; nothing if there are none.

        Raises:
            ResultsError: the file cannot be read.
        """
        batch: list[LogLine] = []
        for event, after in read_events(self._path, self._offset):
            self._offset = after
            batch.append(LogLine(event_time(event), event_level(event), event_sentence(event)))
            if len(batch) == BATCH:
                yield batch
                batch = []
        if batch:
            yield batch
