"""The events of a run as they come, also from tasks on a cluster whose planner has not taken them in yet."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tui_influence.store.events import read_events
from tui_influence.store.files import is_gone, refusal
from tui_influence.store.paths import Paths


class Follower:
    """Reads on from where it stopped; each event once, in the order of their times as far as they are known."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._offset = 0
        self._offsets: dict[Path, int] = {}
        self._early: set[tuple[Any, ...]] = set()

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield what has happened since the last call."""
        for event, after in read_events(self._paths.events, self._offset):
            self._offset = after
            if self._early and _key(event) in self._early:
                self._early.discard(_key(event))
                continue
            yield event
        fresh = sorted(self._of_tasks(), key=lambda event: float(event["time"]))
        self._early.update(_key(event) for event in fresh)
        yield from fresh

    def _of_tasks(self) -> Iterator[dict[str, Any]]:
        """Yield what tasks said into files of their own; only those that have grown are opened."""
        for file in list(self._paths.cluster.glob("round-*/*/*.jsonl")):
            known = self._offsets.get(file, 0)
            try:
                has_grown = file.stat().st_size > known
            except OSError as error:
                if not is_gone(error):  # taken in a moment ago
                    raise refusal(error, "read", file) from error
                continue
            if has_grown:
                for event, after in read_events(file, known):
                    self._offsets[file] = after
                    yield event


def _key(event: dict[str, Any]) -> tuple[Any, ...]:
    return (event["time"], event["event"], event.get("task"), event.get("role"), event.get("index"))
