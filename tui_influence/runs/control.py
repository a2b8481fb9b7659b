"""Stop requests: by a file, from any process or machine that sees the results directory, or by a signal."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from types import FrameType

from tui_influence.errors import AlreadyRunningError, ResultsError
from tui_influence.runs.cluster.slurm_client import cancel_jobs, read_jobs
from tui_influence.runs.heartbeat import ACTIVE, Heartbeat, State, observe, read_heartbeat, write_heartbeat
from tui_influence.runs.ownership import Ownership
from tui_influence.store.events import EventLog
from tui_influence.store.files import read_json, write_json
from tui_influence.store.paths import Paths
from tui_influence.store.results_directory import refuse_links_in_path


class StopLevel(IntEnum):
    """How urgently a run is to stop."""

    NO = 0
    AFTER_CURRENT_MODELS = 1
    AT_ONCE = 2


def stop_request(paths: Paths) -> StopLevel:
    """Read the stop file."""
    if not paths.stop.exists():
        return StopLevel.NO
    try:
        return StopLevel(read_json(paths.stop, limit=1024)["level"])
    except (ResultsError, KeyError, TypeError, ValueError):
        return StopLevel.AFTER_CURRENT_MODELS


def request_stop(paths: Paths, *, at_once: bool = False) -> StopLevel:
    """Request a run to stop: the first time after the models in training, the second time at once.

    Tasks on a cluster see the stop file too, sooner or later; their jobs are also cancelled, so that none starts in
    vain.

    Returns:
        how urgently it is to stop now.

    Raises:
        TinflError: the request could not be written or sent.
    """
    refuse_links_in_path(paths.stop)
    previous = stop_request(paths)
    level = StopLevel.AT_ONCE if at_once or previous is not StopLevel.NO else StopLevel.AFTER_CURRENT_MODELS
    write_json(paths.stop, {"level": int(level)}, durable=False)
    if jobs := read_jobs(paths):
        cancel_jobs(jobs, at_once=level is StopLevel.AT_ONCE)
        record_stopped(paths)
    return level


def record_stopped(paths: Paths) -> None:
    """Record that a run on a cluster has stopped on request; its planner, which would do it, was cancelled.

    This does nothing while any of its tasks run, or where the end is recorded already. Commands that only read a run
    do not call it.

    Raises:
        ResultsError: the directory cannot be written.
    """
    if _unrecorded_stop(paths) is None:
        return
    refuse_links_in_path(paths.root)
    with suppress(AlreadyRunningError), Ownership(paths):  # whoever holds the lock is about to start the run again
        last = _unrecorded_stop(paths)
        if last is not None:
            log = EventLog(paths.events)
            log.write(State.STOPPED.value)
            log.close()
            write_heartbeat(paths, last, durable=True)


def _unrecorded_stop(paths: Paths) -> Heartbeat | None:
    """Return the final heartbeat of a run that has stopped without writing it."""
    written, (state, current, _) = read_heartbeat(paths), observe(paths)
    return current if state is State.STOPPED and written is not None and written.state in ACTIVE else None


def clear_stop(paths: Paths) -> None:
    """Remove an old request, when a run starts."""
    paths.stop.unlink(missing_ok=True)


_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


class StopSignals:
    """A signal handler that counts requests to end this process."""

    def __init__(self) -> None:
        self._count = 0
        self._counted_once: set[int] = set()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Count one signal.

        A hang-up, which both shell and kernel send, counts once, and so does a batch system's repeated warning that
        time is nearly up.
        """
        if number in (signal.SIGHUP, signal.SIGUSR1):
            if number in self._counted_once:
                return
            self._counted_once.add(number)
        self._count += 1

    @property
    def level(self) -> StopLevel:
        """How urgently the run is to stop."""
        return StopLevel(min(self._count, int(StopLevel.AT_ONCE)))


@contextmanager
def stop_signals() -> Iterator[StopSignals]:
    """Count interrupts, terminations, hang-ups and warnings (SIGUSR1) as stop requests while the context lasts."""
    signals = StopSignals()
    before = {number: signal.signal(number, signals) for number in _STOP_SIGNALS}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
