"""Threads of the app: one watches a run, one computes what takes a while, one job after the other.

They are daemons, so that leaving never waits for a file system or a long estimate; a supervisor that a thread has
started goes on by itself. They know no widget: they call functions that post a message.
"""

import gc
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from tui_influence.errors import TinflError
from tui_influence.render.run_words import Level, event_level, event_sentence, event_time
from tui_influence.runs.overview import Overview
from tui_influence.runs.overview import overview as read_overview
from tui_influence.store.events import EventTail
from tui_influence.store.files import reason_in_line
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo

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


_is_gc_disabled = False


def disable_gc() -> None:
    """Disable garbage collection; to be called before the app is loaded.

    A quarter of a million objects stay for the app's whole life: modules, styles, widgets. To go through them takes a
    tenth of a second, in which no key is heard, and typing alone brings that about every few seconds. Only the command
    may call this: the process has to be the app's alone.
    """
    global _is_gc_disabled
    _is_gc_disabled = True
    gc.disable()


def freeze_and_enable_gc() -> None:
    """Enable garbage collection again, without the objects that exist now. From any thread; needs `disable_gc`."""
    if _is_gc_disabled:
        gc.freeze()
        gc.enable()


T = TypeVar("T")


def attempt(compute: Callable[[], T]) -> tuple[T | None, str]:
    """Return a value, or None and the reason where it is refused or a file cannot be used.

    This is the only place of the app that turns such an error into a reason; any other error is a bug.
    """
    try:
        return compute(), ""
    except (TinflError, OSError) as error:
        return None, reason_in_line(error)


PAUSE = 1.0
"""Seconds between readings of a run that is being trained."""
IDLE_PAUSE = 2.0
"""Seconds between checks whether anything has changed in a run that is not."""


class Background:
    """A thread that does jobs one after the other; a job replaces one of its kind that waits."""

    def __init__(self, on_error: Callable[[Exception], object]) -> None:
        """Wait for jobs; `on_error` receives unexpected exceptions, and the thread then ends."""
        self._on_error = on_error
        self._jobs: dict[str, Callable[[], object]] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="tinfl-background", daemon=True)
        self._thread.start()

    def submit(self, kind: str, job: Callable[[], object]) -> None:
        """Do a job soon."""
        with self._changed:
            self._jobs[kind] = job
            self._changed.notify()

    def close(self) -> None:
        """Start no other job."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def has_ended(self, patience: float) -> bool:
        """Return whether the thread ends within so many seconds of `close`."""
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _work(self) -> None:
        finished_kinds: set[str] = set()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._closed)
                if self._closed:
                    return
                kind = next(iter(self._jobs))
                job = self._jobs.pop(kind)
            try:
                job()
                if kind not in finished_kinds:  # it has loaded what every later one of its kind needs
                    finished_kinds.add(kind)
                    freeze_and_enable_gc()
            except Exception as error:  # noqa: BLE001 - it is raised again where it can be seen
                self._on_error(error)
                return


class Watcher:
    """A thread that reads a run about once a second while it is active, and hardly at all when it is not."""

    def __init__(
        self,
        root: Path,
        on_overview: Callable[[Overview], object],
        on_failure: Callable[[str], object],
        on_log: Callable[[list[LogLine]], object],
        on_error: Callable[[Exception], object],
        overview: Overview | None = None,
    ) -> None:
        """Start to watch.

        Args:
            root: the results directory.
            on_overview: receives the overview when it may have changed.
            on_failure: receives the reason why the run cannot be read.
            on_log: receives lines that were added to the log, once `read_log` was called.
            on_error: receives unexpected exceptions; the thread then ends.
            overview: of a moment ago, if there is one; then the first reading is after a pause.
        """
        self._paths = Paths(root)
        self._on_overview, self._on_failure, self._on_log, self._on_error = on_overview, on_failure, on_log, on_error
        self._tail: LogTail | None = None
        self._info = (_changed(self._paths.run), overview.info) if overview and overview.info else None
        self._signature: tuple[object, ...] = ()
        self._idle = False
        self._wake, self._closed = threading.Event(), threading.Event()
        thread = threading.Thread(target=self._watch, args=(overview is None,), name="tinfl-watcher", daemon=True)
        thread.start()

    def refresh(self) -> None:
        """Read at once, whether or not anything seems to have changed."""
        self._idle = False
        self._wake.set()

    def read_log(self) -> None:
        """Read the log too, from now on."""
        if self._tail is None:
            self._tail = LogTail(self._paths)
            self._wake.set()

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        self._wake.set()

    def _watch(self, at_once: bool) -> None:
        if not at_once:
            self._wake.wait(PAUSE)
        while not self._closed.is_set():
            self._wake.clear()
            try:
                signature = self._stamp()
                _, reason = attempt(partial(self._read, signature))
                if reason:
                    self._idle, self._signature = True, signature
                    self._on_failure(reason)
            except Exception as error:  # noqa: BLE001 - it is raised again where it can be seen
                self._on_error(error)
                return
            self._wake.wait(IDLE_PAUSE if self._idle else PAUSE)

    def _read(self, signature: tuple[object, ...]) -> None:
        """Read what may have changed since the last time."""
        if not (self._idle and signature == self._signature):
            latest = read_overview(self._paths, self._unchanged_info())
            if latest.info is not None:
                self._info = (_changed(self._paths.run), latest.info)
            self._idle, self._signature = not latest.is_active, signature
            self._on_overview(latest)
        if self._tail is not None:
            for lines in self._tail.read():
                self._on_log(lines)

    def _unchanged_info(self) -> RunInfo | None:
        return self._info[1] if self._info and self._info[0] == _changed(self._paths.run) else None

    def _stamp(self) -> tuple[object, ...]:
        """Return times that differ where anything has changed."""
        paths = self._paths
        return tuple(_changed(path) for path in (paths.root, paths.run, paths.heartbeat, paths.owner, paths.events))


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
