"""A session with scripted workers and a scripted clock."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.unit.store.conftest import make_record
from tui_influence.designs import Row
from tui_influence.runs.control import StopLevel
from tui_influence.runs.protocol import Begun, Done, Failed, FailureKind, Ready
from tui_influence.runs.worker_pool import WorkerExit
from tui_influence.store.events import read_events
from tui_influence.store.paths import Paths
from tui_influence.store.records import write_record

MODELS = 12


HANGS = object()


@dataclass(eq=False)
class ScriptedWorker:
    number: int
    device: str
    row: Row | None = None
    models: int = 0
    is_ready: bool = False
    has_begun: bool = False
    is_ending: bool = False
    is_dismissed: bool = False
    released: bool = False
    has_reported: bool = False
    reason: str = ""
    silence: float = 0.0
    elapsed: float = 0.0
    pid: int = 1

    @property
    def seconds(self):
        return self.elapsed if self.row else None

    def assign(self, row):
        self.row, self.has_begun, self.elapsed = row, False, 0.0

    def unassign(self):
        row, self.row = self.row, None
        self.has_begun, self.elapsed = False, 0.0
        return row

    def add_time(self, seconds):
        self.silence += seconds
        self.elapsed += seconds

    def end_after_row(self):
        self.released = self.is_ending = True


class Clock:
    """A clock that goes on only while the session waits."""

    now = 1000.0

    def monotonic(self):
        return self.now


@dataclass
class ScriptedPool:
    """`script` gives a worker's report: with no row, when it starts; with one, when it has trained it.

    It may return a list, and `HANGS` for no report and no sign of life.
    """

    paths: Paths
    script: Callable[[ScriptedWorker], object]
    clock: Clock = field(default_factory=Clock)
    workers: list[ScriptedWorker] = field(default_factory=list)
    started: int = 0
    deaf: tuple[int, ...] = ()
    """Numbers of workers that never begin what they are assigned."""

    def __iter__(self):
        return iter(self.workers)

    def __len__(self):
        return len(self.workers)

    @property
    def is_idle(self):
        return not any(worker.row for worker in self.workers)

    def start(self, number, device):
        self.started += 1
        assert self.started < 100, "workers are started without end"
        self.workers.append(ScriptedWorker(number, device))
        return self.workers[-1]

    def poll(self, timeout) -> Iterator[tuple[ScriptedWorker, object]]:
        self.clock.now += timeout
        for worker in list(self.workers):
            report = self._report(worker)
            if report is HANGS:
                continue
            worker.silence, worker.has_reported = 0.0, worker.has_reported or report is not None
            if isinstance(report, WorkerExit):
                self.workers.remove(worker)
            if report is not None:
                yield worker, report

    def kill(self, worker):
        self.workers.remove(worker)
        return WorkerExit("killed by its supervisor", "")

    def _report(self, worker):
        if worker.is_ending and (worker.released or worker.row is None):
            return WorkerExit("exit code 0", "")
        if worker.row and not worker.has_begun:
            return self.script(worker) if worker.number in self.deaf else Begun(worker.row.role, worker.row.index)
        if not worker.is_ready or worker.row:
            report = self.script(worker)
            if isinstance(report, Done):
                write_record(self.paths, make_record(worker.row.index, worker.row.role))
            return report
        return None


@dataclass
class QuietHost:
    stop_after: int | None = None
    checks: int = 0
    further: list[list[Row]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def stop_level(self):
        self.checks += 1
        return StopLevel.AFTER_CURRENT_MODELS if self.stop_after and self.checks > self.stop_after else StopLevel.NO

    def beat(self, *, force=False): ...

    def under_way(self): ...

    def compact(self): ...

    def warn(self, text):
        self.warnings.append(text)

    def plan_extension(self):
        return self.further.pop() if self.further else []


def done(worker):
    return Done(worker.row.role, worker.row.index, 1.0, [{"target_accuracy": 0.5}])


def good(worker):
    return done(worker) if worker.row else Ready("cpu fp32 1 thread")


def done_in(worker, seconds):
    return Done(worker.row.role, worker.row.index, seconds, []) if worker.row else Ready("cpu fp32 1 thread")


def fail_with(kind, reason="out of memory"):
    return lambda worker: Failed(worker.row.role, worker.row.index, kind, reason)


OUT_OF_MEMORY = fail_with(FailureKind.MEMORY)


def names(paths):
    return [event["event"] for event, _ in read_events(paths.events)]
