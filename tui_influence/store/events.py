"""Events of a run: `events.jsonl`, a JSON object a line, which the supervisor alone appends to.

`EventTail` reads them as they come, also those of tasks on a cluster, which are in files of their own until the planner
appends them.
"""

import json
import os
import stat
import time
from collections.abc import Iterable, Iterator
from io import FileIO
from pathlib import Path
from typing import Any

from tui_influence.errors import ResultsError
from tui_influence.store.files import DiskFullError, is_gone, open_file, to_results_error
from tui_influence.store.json_values import array, finite, number, numbers, parse, table, text
from tui_influence.store.paths import Paths
from tui_influence.text import printable

_MAX_LINE_BYTES = 1 << 20
_MAX_DAMAGE_BYTES = 64 << 20
_MAX_TIME = 253402300800.0  # the year 10000, where calendars end


class EventLog:
    """Appends events, each in a single write."""

    def __init__(self, path: Path, **common_fields: Any) -> None:
        """Open the file at its end.

        Args:
            path: of the file.
            common_fields: fields that every event gets.

        Raises:
            ResultsError: it cannot be written.
        """
        self._path, self._common_fields = path, common_fields
        try:
            self._file = _open_at_end(path)
            if self._file.tell() and not _ends_with_newline(path):
                self._file.write(b"\n")  # ends a line that a crash cut short
        except OSError as error:
            raise to_results_error(error, "write", path) from error

    def write(self, event: str, **fields: Any) -> None:
        """Append one event with the time (seconds since 1970).

        Raises:
            DiskFullError: no space left; earlier events are intact.
        """
        line = _line({"time": round(time.time(), 3), "event": event, **self._common_fields, **fields})
        start = self._file.tell()
        try:
            written = self._file.write(line)
        except OSError as error:
            raise to_results_error(error, "write", self._path) from error
        if written != len(line):
            os.ftruncate(self._file.fileno(), start)
            raise DiskFullError(f"cannot write {printable(str(self._path))}: no space left on the disk")

    def append(self, events: Iterable[dict[str, Any]]) -> None:
        """Append events that tasks wrote, with their times.

        Raises:
            ResultsError: the file cannot be written.
        """
        lines = b"".join(_line(event) for event in events)
        start = self._file.tell()
        try:
            while lines:
                lines = lines[self._file.write(lines) :]
        except OSError as error:
            os.ftruncate(self._file.fileno(), start)
            raise to_results_error(error, "write", self._path) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_events(path: Path, start: int = 0) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield each complete event from a byte offset on, with the offset after it; skip lines that are not events.

    A last line without a line end is read by a later call.

    Raises:
        ResultsError: the file cannot be read, or is no regular file.
    """
    for line, end in _lines(path, start):
        event = _event(line)
        if event is not None:
            yield event, end


def count_damaged_lines(path: Path) -> int:
    """Return how many complete lines hold no event.

    Raises:
        ResultsError: the file cannot be read, or is no regular file.
    """
    return sum(_event(line) is None for line, _ in _lines(path, 0))


def _lines(path: Path, start: int) -> Iterator[tuple[bytes, int]]:
    """Yield each complete line, empty if it is longer than any event, with the offset after it.

    Reading stops after megabytes of damage: the stated length of a file may be wrong.
    """
    try:
        with open_file(path) as file:
            file.seek(start)
            while line := file.readline(_MAX_LINE_BYTES):
                start += len(line)
                line_start = start - len(line)
                while line and not line.endswith(b"\n") and start - line_start < _MAX_DAMAGE_BYTES:
                    line = file.readline(_MAX_LINE_BYTES)  # longer than any event, or not complete yet
                    start += len(line)
                if not line:
                    return
                yield line if start - line_start == len(line) else b"", start
                if not line.endswith(b"\n"):
                    return
    except OSError as error:
        if not is_gone(error):
            raise to_results_error(error, "read", path) from error


def _open_at_end(path: Path) -> FileIO:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    file = FileIO(os.open(path, flags, 0o666), "ab")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise ResultsError(f"{printable(str(path))}: not a regular file")
    return file


def _line(event: dict[str, Any]) -> bytes:
    return json.dumps(finite(event), allow_nan=False).encode() + b"\n"


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event = table(parse(line))
        text(event["event"])
        number(event["time"], 0, _MAX_TIME)
        for metrics in array(event.get("metrics", [])):
            numbers(metrics)
    except (ValueError, TypeError, KeyError):
        return None
    return event


def _ends_with_newline(path: Path) -> bool:
    with open_file(path) as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


class EventTail:
    """Reads new events at each call; each once, in the order of their times as far as possible."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._offset = 0
        self._offsets: dict[Path, int] = {}
        self._task_keys: set[tuple[Any, ...]] = set()

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield the events since the last call."""
        for event, after in read_events(self._paths.events, self._offset):
            self._offset = after
            if self._task_keys and _key(event) in self._task_keys:
                self._task_keys.discard(_key(event))
                continue
            yield event
        new_events = sorted(self._task_events(), key=lambda event: float(event["time"]))
        self._task_keys.update(_key(event) for event in new_events)
        yield from new_events

    def _task_events(self) -> Iterator[dict[str, Any]]:
        """Yield new events from the files of tasks; only files that have grown are opened."""
        for file in list(self._paths.cluster.glob("round-*/*/*.jsonl")):
            offset = self._offsets.get(file, 0)
            try:
                has_grown = file.stat().st_size > offset
            except OSError as error:
                if not is_gone(error):  # appended by the planner a moment ago
                    raise to_results_error(error, "read", file) from error
                continue
            if has_grown:
                for event, after in read_events(file, offset):
                    self._offsets[file] = after
                    yield event


def _key(event: dict[str, Any]) -> tuple[Any, ...]:
    return (event["time"], event["event"], event.get("task"), event.get("role"), event.get("index"))
