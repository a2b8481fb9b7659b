"""`events.jsonl`: what happened to a run, a JSON object a line, appended by the supervisor alone."""

import json
import os
import time
from collections.abc import Iterable, Iterator
from io import FileIO
from pathlib import Path
from typing import Any

from tui_influence.store.files import DiskFullError, is_gone, refusal

_LONGEST_LINE = 1 << 20
_LATEST = 253402300800.0  # the year 10000, where calendars end


class EventLog:
    """The writer: one line at a time, each in a single write, never torn by a crash in the middle of another."""

    def __init__(self, path: Path, **always: Any) -> None:
        """Open the file at its end.

        Args:
            path: of the file.
            always: fields that every event gets.

        Raises:
            ResultsError: it cannot be written.
        """
        self._path, self._always = path, always
        try:
            self._file: FileIO = path.open("ab", buffering=0)
            if self._file.tell() and not _ends_with_newline(path):
                self._file.write(b"\n")  # a line that a crash cut short stays alone on its line
        except OSError as error:
            raise refusal(error, "write", path) from error

    def write(self, event: str, **fields: Any) -> None:
        """Append one event with the time (seconds since 1970).

        Raises:
            DiskFullError: no space left; what was written before stands.
        """
        line = json.dumps({"time": round(time.time(), 3), "event": event, **self._always, **fields}).encode() + b"\n"
        start = self._file.tell()
        try:
            written = self._file.write(line)
        except OSError as error:
            raise refusal(error, "write", self._path) from error
        if written != len(line):
            os.ftruncate(self._file.fileno(), start)
            raise DiskFullError(f"cannot write {self._path}: no space left on the disk")

    def take_in(self, events: Iterable[dict[str, Any]]) -> None:
        """Append events that others wrote down, with the times they gave.

        Raises:
            ResultsError: the disk is full or refuses.
        """
        lines = b"".join(json.dumps(event).encode() + b"\n" for event in events)
        start = self._file.tell()
        try:
            while lines:
                lines = lines[self._file.write(lines) :]
        except OSError as error:
            os.ftruncate(self._file.fileno(), start)
            raise refusal(error, "write", self._path) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_events(path: Path, start: int = 0) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield each complete event from a byte offset on, with the offset after it; skip lines that are not events.

    A last line without its end is left for the next call.
    """
    try:
        with path.open("rb") as file:
            file.seek(start)
            while line := file.readline(_LONGEST_LINE):
                if not line.endswith(b"\n"):
                    return
                start += len(line)
                event = _parse(line)
                if event is not None:
                    yield event, start
    except OSError as error:
        if not is_gone(error):
            raise refusal(error, "read", path) from error


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    sound = (
        isinstance(event, dict)
        and isinstance(event.get("event"), str)
        and isinstance(event.get("time"), int | float)
        and 0 <= event["time"] < _LATEST
        and _are_metrics(event.get("metrics", []))
    )
    return event if sound else None


def _are_metrics(found: Any) -> bool:
    return isinstance(found, list) and all(
        isinstance(metrics, dict) and all(isinstance(value, int | float) for value in metrics.values())
        for metrics in found
    )


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
