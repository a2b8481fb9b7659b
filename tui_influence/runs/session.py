"""One session of training: a plan's remaining rows handed to workers until they are done, or must stop.

It decides what to do when a worker is ready, done, out of memory or dead. What a run looks like from outside
(heartbeat, state on the disk) is the supervisor's.
"""

import time
from typing import Protocol

from tui_influence.config.schema import ComputeSection
from tui_influence.designs import Row
from tui_influence.errors import ExitCode, RunFailedError, TinflError
from tui_influence.runs.control import Stop
from tui_influence.runs.crew import Crew, Ended
from tui_influence.runs.devices import most_workers
from tui_influence.runs.heartbeat import State
from tui_influence.runs.progress import Progress
from tui_influence.runs.protocol import Done, Failed, Fatal, Kind, Ready, Report
from tui_influence.runs.tuning import Tuner
from tui_influence.runs.work import Work
from tui_influence.runs.worker_process import WorkerProcess
from tui_influence.store.events import EventLog
from tui_influence.store.matrix import WORTH_COMPACTING

TICK = 0.25
"""Seconds between looks at stop requests."""
FALSE_STARTS = 3
"""Workers in a row that may end before they are ready; then something is wrong with all of them."""


class Host(Protocol):
    """What a session asks of the supervisor it runs in."""

    def asked_to_stop(self) -> Stop:
        """Say how urgently the run is asked to stop."""

    def beat(self, *, force: bool = False) -> None:
        """Say how it goes, if it is time."""

    def under_way(self) -> None:
        """Say that the first worker is ready."""

    def compact(self) -> None:
        """Write a new generation of the compacted matrix."""

    def more(self) -> list[Row]:
        """Return rows that follow from what is recorded now; none if the plan is complete."""


class Session:
    """Keeps a crew busy.

    Attributes:
        state: of the run, as far as this session decides it.
        failure: why it cannot go on, if so.
        crew: the workers.
        progress: what is known of the models so far.
        work: what is left.
    """

    def __init__(
        self,
        work: Work,
        crew: Crew,
        devices: list[str],
        compute: ComputeSection,
        events: EventLog,
        host: Host,
    ) -> None:
        self.state = State.PREPARING
        self.failure: TinflError | None = None
        self.work, self.crew, self.progress = work, crew, Progress(workers=0)
        self._devices, self._compute = devices, compute
        self._events, self._host = events, host
        self._tuners: dict[str, Tuner] = {}
        self._false_starts = 0
        self._given_up: list[Row] = []

    def run(self) -> None:
        """Keep the workers busy until the work is done, or must stop."""
        work, compute = self.work, self._compute
        self._is_more_to_do()  # a plan that was done may have grown
        devices = self._devices[: len(work)]
        self._tuners = {device: Tuner(most) for device in set(devices) if (most := most_workers(device, compute)) > 1}
        for number, device in enumerate(devices):
            self._start_worker(number, device)
        compacted = work.done
        while self.failure is None:
            level = self._host.asked_to_stop()
            if level is not Stop.NO and self.state is not State.STOPPING:
                self.state = State.STOPPING
                self._events.write("stopping")
                self._host.beat(force=True)
            if level is Stop.NO:
                self._hand_out()
            if level is Stop.AT_ONCE or (self.crew.is_idle and (level is not Stop.NO or not self._is_more_to_do())):
                break
            for worker, said in self.crew.hear(TICK):
                self._take_in(worker, said)
            if not len(self.crew) and len(work) and level is Stop.NO and self.failure is None:
                self._start_worker(0, devices[0])
            if work.done - compacted >= max(WORTH_COMPACTING, compacted // 2):
                compacted = work.done
                self._host.compact()
            self._host.beat()
        self.state = State.STOPPED if len(work) or not self.crew.is_idle else State.DONE

    def _is_more_to_do(self) -> bool:
        """Whether rows are left, those included that follow once all others are recorded."""
        if not len(self.work):
            self.work.add(self._host.more())
        return len(self.work) > 0

    def _start_worker(self, number: int, device: str) -> None:
        worker = self.crew.start(number, device)
        self.progress.workers = len(self.crew)
        self._events.write("worker-started", worker=number, device=device, pid=worker.pid)

    def _hand_out(self) -> None:
        for worker in self.crew:
            if worker.ready and worker.row is None and not worker.dismissed:
                row = self.work.take()
                if row is None:
                    return
                worker.assign(row)

    def _take_in(self, worker: WorkerProcess, said: Report | Ended) -> None:
        match said:
            case Ready():
                self._on_ready(worker, said)
            case Done():
                self._on_done(worker, said)
            case Failed():
                self._on_failed(worker, said.kind, said.reason)
            case Fatal():
                if worker.ready or not self._dismiss(worker, said.reason):
                    self.failure = RunFailedError(said.reason)
                    self.failure.exit_code = ExitCode(said.exit_code)
            case Ended():
                self._on_ended(worker, said)

    def _on_ready(self, worker: WorkerProcess, report: Ready) -> None:
        worker.ready, self._false_starts = True, 0
        self._events.write("worker-ready", worker=worker.worker, numerics=report.numerics)
        if tuner := self._tuners.get(worker.device):
            tuner.on_ready()
        if self.state is State.PREPARING:
            self.state = State.RUNNING
            self._host.beat(force=True)
            self._host.under_way()

    def _on_done(self, worker: WorkerProcess, report: Done) -> None:
        assert worker.row is not None
        self.work.finish(worker.row)
        self.progress.add(report)
        worker.row = None
        worker.models += 1
        self._events.write(
            "model",
            role=report.role.value,
            index=report.index,
            worker=worker.worker,
            seconds=round(report.seconds, 4),
            metrics=report.metrics,
        )
        tuner = self._tuners.get(worker.device)
        if tuner and tuner.on_model(time.monotonic()) and len(self.work) and self.state is State.RUNNING:
            self._start_worker(1 + max(other.worker for other in self.crew), worker.device)

    def _dismiss(self, worker: WorkerProcess, reason: str) -> bool:
        """Do without a worker for which its device has no memory, if it was an attempt at one more; False if not."""
        tuner = self._tuners.get(worker.device)
        others = [other for other in self.crew if other.device == worker.device and not other.dismissed]
        if not tuner or others == [worker] or not tuner.on_memory():
            return False
        worker.dismissed = True
        worker.release()
        self._events.write("worker-dismissed", worker=worker.worker, reason=reason)
        return True

    def _on_failed(self, worker: WorkerProcess, kind: Kind, reason: str) -> None:
        assert worker.row is not None
        row, worker.row = worker.row, None
        if kind is Kind.MEMORY and self._dismiss(worker, reason):
            self.work.put_back(row)
            return
        again = self.work.fail(row, kind, reason)
        self._events.write(
            "retry" if again else "failed", role=row.role.value, index=row.index, worker=worker.worker, reason=reason
        )
        if again:
            return
        self._given_up.append(row)
        hopeless = min(max(3, 2 * self.progress.workers), self.work.total)
        if not self.progress.seconds.count and len(self._given_up) >= hopeless:
            self.work.take_back(self._given_up)  # the fault is not theirs: once it is mended, they are to be trained
            self.failure = RunFailedError(f"the first {len(self._given_up)} models all failed; the last: {reason}")

    def _on_ended(self, worker: WorkerProcess, ended: Ended) -> None:
        """Try the model that a dead worker had in hand again, and start another worker in its place."""
        self._events.write("worker-ended", worker=worker.worker, how=ended.how, last=ended.words)
        self.progress.workers = len(self.crew)
        if self.failure is not None or worker.dismissed:
            return
        if worker.row is not None:
            self._on_failed(worker, Kind.ERROR, f"its worker ended: {ended.how}")
        self._false_starts += not worker.ready
        if self._false_starts >= FALSE_STARTS:
            self.failure = RunFailedError(
                f"workers end before they are ready ({ended.how}): {ended.words or 'no message'}"
            )
        elif len(self.work) and self._host.asked_to_stop() is Stop.NO:
            self._start_worker(worker.worker, worker.device)
