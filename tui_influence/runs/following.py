"""The events of a run as they come, also from tasks on a cluster whose planner has not taken them in yet."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tui_influence.store.events import read_events
from tui_influence.store.paths import Paths


class Follower:
    """Reads on from where it stopped; each event once, in the order of their times as far as they are known."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._offset = 0
        self._offsets: dict[str, int] = {}
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
        """Yield what tasks said into files of their own; nothing but names is looked at of those that say no more."""
        with suppress(FileNotFoundError), os.scandir(self._paths.cluster) as rounds:
            for one in [entry for entry in rounds if entry.is_dir(follow_symlinks=False)]:
                with suppress(FileNotFoundError), os.scandir(one.path) as files:
                    for file in [entry for entry in files if entry.name.endswith(".jsonl")]:
                        yield from self._of_task(file)

    def _of_task(self, file: "os.DirEntry[str]") -> Iterator[dict[str, Any]]:
        known = self._offsets.get(file.path, 0)
        with suppress(FileNotFoundError):  # taken in a moment ago
            if file.stat(follow_symlinks=False).st_size > known:
                for event, after in read_events(Path(file.path), known):
                    self._offsets[file.path] = after
                    yield event


def _key(event: dict[str, Any]) -> tuple[Any, ...]:
    return (event["time"], event["event"], event.get("task"), event.get("role"), event.get("index"))
