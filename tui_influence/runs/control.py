"""Asking a run to stop: by a file, from any process or machine that sees its directory, or by a signal."""

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
    """How urgently a run is asked to stop."""

    NO = 0
    AFTER_CURRENT_MODELS = 1
    AT_ONCE = 2


def stop_request(paths: Paths) -> StopLevel:
    """Return what the run was asked."""
    if not paths.stop.exists():
        return StopLevel.NO
    try:
        return StopLevel(read_json(paths.stop, limit=1024)["level"])
    except (ResultsError, KeyError, TypeError, ValueError):
        return StopLevel.AFTER_CURRENT_MODELS


def request_stop(paths: Paths, *, at_once: bool = False) -> StopLevel:
    """Ask a run to stop: the first time after the models in hand, the second time at once.

    Tasks on a cluster see the request too, sooner or later; its engine is told besides, so that none begins in vain.

    Returns:
        how urgently it is asked now.

    Raises:
        TinflError: it cannot be asked.
    """
    refuse_links_in_path(paths.stop)
    asked = stop_request(paths)
    level = StopLevel.AT_ONCE if at_once or asked is not StopLevel.NO else StopLevel.AFTER_CURRENT_MODELS
    write_json(paths.stop, {"level": int(level)}, durable=False)
    if jobs := read_jobs(paths):
        cancel_jobs(jobs, at_once=level is StopLevel.AT_ONCE)
        record_stopped(paths)
    return level


def record_stopped(paths: Paths) -> None:
    """Write down that a run on a cluster has stopped as asked: its planner, who would, was taken back.

    Nothing is done while anything of it runs, or where its last word is written already. Who only looks at a run does
    not call this.

    Raises:
        ResultsError: the directory refuses.
    """
    if _stopped_unsaid(paths) is None:
        return
    refuse_links_in_path(paths.root)
    with suppress(AlreadyRunningError), Ownership(paths):  # whoever has the lock starts it again: that word stands
        last = _stopped_unsaid(paths)
        if last is not None:
            log = EventLog(paths.events)
            log.write(State.STOPPED.value)
            log.close()
            write_heartbeat(paths, last, durable=True)


def _stopped_unsaid(paths: Paths) -> Heartbeat | None:
    """Return the last word of a run that has stopped without one."""
    written, (state, seen, _) = read_heartbeat(paths), observe(paths)
    return seen if state is State.STOPPED and written is not None and written.state in ACTIVE else None


def clear_stop(paths: Paths) -> None:
    """Forget an old request, when a run starts."""
    paths.stop.unlink(missing_ok=True)


_ASKED_BY = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


class StopSignals:
    """How often this process was asked to end."""

    def __init__(self) -> None:
        self._count = 0
        self._announced: set[int] = set()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take in one signal.

        A hang-up, which shell and kernel both send, counts once, and so does the warning of a batch system that time
        is nearly up, which is repeated.
        """
        if number in (signal.SIGHUP, signal.SIGUSR1):
            if number in self._announced:
                return
            self._announced.add(number)
        self._count += 1

    @property
    def level(self) -> StopLevel:
        """What that asks of the run."""
        return StopLevel(min(self._count, int(StopLevel.AT_ONCE)))


@contextmanager
def stop_signals() -> Iterator[StopSignals]:
    """Take interrupts, terminations, hang-ups and warnings (SIGUSR1) as requests to stop while the context lasts."""
    asked = StopSignals()
    before = {number: signal.signal(number, asked) for number in _ASKED_BY}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
