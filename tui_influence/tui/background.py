"""Threads of the app: one watches a run, one computes what takes a while, one job after the other.

They are daemons, so that leaving never waits for a file system or a long estimate; a supervisor that a thread has
started goes on by itself. They know no widget: they call functions that post a message.
"""

import gc
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tui_influence.errors import TinflError
from tui_influence.render.run_words import Level, event_level, event_sentence, event_time
from tui_influence.runs.overview import Overview, overview
from tui_influence.store.events import EventTail
from tui_influence.store.files import to_results_error
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


PAUSE = 1.0
"""Seconds between looks at a run that is being trained."""
IDLE_PAUSE = 2.0
"""Seconds between looks at whether anything has changed in one that is not."""


class Background:
    """One thread that does jobs one after the other; of a kind that waits already, the new one replaces the old."""

    def __init__(self, broken: Callable[[Exception], None]) -> None:
        """Wait for jobs; `broken` is told what nobody expected, and no job follows."""
        self._broken = broken
        self._jobs: dict[str, Callable[[], None]] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="tinfl-background", daemon=True)
        self._thread.start()

    def submit(self, kind: str, job: Callable[[], None]) -> None:
        """Do a job soon."""
        with self._changed:
            self._jobs[kind] = job
            self._changed.notify()

    def close(self) -> None:
        """Begin no other job."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def has_ended(self, patience: float) -> bool:
        """Whether the thread ends within so many seconds of `close`."""
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _work(self) -> None:
        known: set[str] = set()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._closed)
                if self._closed:
                    return
                kind = next(iter(self._jobs))
                job = self._jobs.pop(kind)
            try:
                job()
                if kind not in known:  # it has loaded what every later one of its kind needs
                    known.add(kind)
                    freeze_and_enable_gc()
            except Exception as error:  # noqa: BLE001 - it is raised again where it can be seen
                self._broken(error)
                return


class Watcher:
    """A thread that looks at a run about once a second while it is active, and hardly at all when it is not."""

    def __init__(
        self,
        root: Path,
        seen: Callable[[Overview], None],
        failed: Callable[[str], None],
        logged: Callable[[list[LogLine]], None],
        broken: Callable[[Exception], None],
        known: Overview | None = None,
    ) -> None:
        """Begin to look.

        Args:
            root: the results directory.
            seen: is told how the run stands, when that may have changed.
            failed: is told why it cannot be looked at.
            logged: is told of lines that were added to its log, once `read_log` was called.
            broken: is told what nobody expected; then it looks no more.
            known: how the run stood a moment ago, if that is known; then the first look is after a pause.
        """
        self._paths = Paths(root)
        self._seen, self._failed, self._logged, self._broken = seen, failed, logged, broken
        self._tail: LogTail | None = None
        self._info = (_changed(self._paths.run), known.info) if known and known.info else None
        self._signature: tuple[object, ...] = ()
        self._idle = False
        self._wake, self._closed = threading.Event(), threading.Event()
        thread = threading.Thread(target=self._watch, args=(known is None,), name="tinfl-watcher", daemon=True)
        thread.start()

    def look_now(self) -> None:
        """Look at once, whether or not anything seems to have changed."""
        self._idle = False
        self._wake.set()

    def read_log(self) -> None:
        """Read the log too, from now on."""
        if self._tail is None:
            self._tail = LogTail(self._paths)
            self._wake.set()

    def close(self) -> None:
        """Look no more."""
        self._closed.set()
        self._wake.set()

    def _watch(self, at_once: bool) -> None:
        if not at_once:
            self._wake.wait(PAUSE)
        while not self._closed.is_set():
            self._wake.clear()
            self._look()
            self._wake.wait(IDLE_PAUSE if self._idle else PAUSE)

    def _look(self) -> None:
        signature = self._stamp()
        try:
            if not (self._idle and signature == self._signature):
                found = overview(self._paths, self._known_info())
                if found.info is not None:
                    self._info = (_changed(self._paths.run), found.info)
                self._idle, self._signature = not found.is_active, signature
                self._seen(found)
            if self._tail is not None:
                for lines in self._tail.read():
                    self._logged(lines)
        except TinflError as error:
            self._idle, self._signature = True, signature
            self._failed(str(error))
        except OSError as error:
            self._idle, self._signature = True, signature
            self._failed(str(to_results_error(error)))
        except Exception as error:  # noqa: BLE001 - it is raised again where it can be seen
            self._broken(error)
            self._closed.set()

    def _known_info(self) -> RunInfo | None:
        return self._info[1] if self._info and self._info[0] == _changed(self._paths.run) else None

    def _stamp(self) -> tuple[object, ...]:
        """What changes when anything does."""
        paths = self._paths
        return tuple(_changed(path) for path in (paths.root, paths.run, paths.heartbeat, paths.owner, paths.events))


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
