"""One training session: the remaining rows of a plan, handed to workers until they are done or must stop.

A session decides what follows when a worker is ready, done, out of memory, hung or dead, and when a device is
responsible. How the run looks from outside (heartbeat, state on disk) is up to its host, the supervisor.

The worker numbers in use are those in `pool` and in `_vacant_since` together; any other number is abandoned. Each turn
of the loop starts the missing workers, so every failure is handled in the same place.
"""

import time
from collections import Counter
from typing import Protocol

from tui_influence.config.compute import ComputeSection
from tui_influence.designs import Row
from tui_influence.errors import DeviceError, ExitCode, RunFailedError, TinflError
from tui_influence.runs.autotune import Change, WorkerTuner
from tui_influence.runs.breaker import MAX_FALSE_STARTS, PAUSES, Breaker
from tui_influence.runs.control import StopLevel
from tui_influence.runs.devices import max_workers
from tui_influence.runs.heartbeat import WORKER_OVERDUE, State
from tui_influence.runs.progress import ModelStatistics
from tui_influence.runs.protocol import SILENCE_LIMIT, Begun, Done, Failed, FailureKind, Fatal, Ready, Report
from tui_influence.runs.row_queue import RowQueue
from tui_influence.runs.worker_pool import WorkerExit, WorkerPool, WorkerProcess
from tui_influence.store.events import EventLog
from tui_influence.store.matrix import MIN_RECORDS_TO_COMPACT
from tui_influence.text import format_duration, pluralize

TICK = 0.25
"""Seconds between checks for a stop request."""
START_LIMIT = 900.0
"""Seconds that a worker may take to get ready: loading torch from a cold file system is slow."""
START_SILENCE = 5 * SILENCE_LIMIT
"""Seconds without a sign of life after which a worker that has given some, but is not ready, counts as hung."""
END_LIMIT = 30.0
"""Seconds that a worker without a row may take to exit."""
MIN_DEADLINE = 60.0
"""Seconds that any model may take, however quick the others are: a machine can be busy."""
LATE = 1800.0
"""Seconds after which a model without a deadline (none has finished yet) is worth a warning."""


class Host(Protocol):
    """The interface between a session and the process that it runs in."""

    def stop_level(self) -> StopLevel:
        """Return how urgently the run is to stop."""

    def beat(self, *, force: bool = False) -> None:
        """Publish the run's progress, if it is time."""

    def under_way(self) -> None:
        """Publish that the first worker is ready."""

    def warn(self, text: str) -> None:
        """Publish a warning for the user."""

    def compact(self) -> None:
        """Write a new generation of the compacted matrix."""

    def plan_extension(self) -> list[Row]:
        """Return rows that follow from the present records; none if the plan is complete."""


class Session:
    """Keeps the workers of a pool busy.

    Attributes:
        state: of the run, as far as this session decides it.
        failure: why it cannot continue, if so.
        pool: the workers.
        statistics: of the models so far.
        queue: the rows left to train.
    """

    def __init__(
        self,
        queue: RowQueue,
        pool: WorkerPool,
        devices: list[str],
        compute: ComputeSection,
        events: EventLog,
        host: Host,
        *,
        has_succeeded: bool = False,
        planned: int = 0,
    ) -> None:
        """Prepare to train.

        Args:
            queue: rows to train.
            pool: without workers yet.
            devices: the device of each worker to start with.
            compute: limits of the config.
            events: the run's event log.
            host: the supervisor.
            has_succeeded: whether models of this run, other than those in the queue, have been finished before.
            planned: models of the whole run, if more rows will follow from the records of those in the queue.
        """
        self.state = State.PREPARING
        self.failure: TinflError | None = None
        self.queue, self.pool, self.statistics = queue, pool, ModelStatistics(workers=0)
        self._devices, self._compute, self._planned, self._n_opened = devices, compute, planned, 0
        self._events, self._host = events, host
        self._tuners: dict[str, WorkerTuner] = {}
        self._breakers: dict[str, Breaker] = {}
        self._vacant_since: dict[tuple[int, str], float] = {}
        self._earliest_start: dict[int, float] = {}
        self._false_starts: Counter[int] = Counter()
        self._has_succeeded, self._run_has_succeeded = False, has_succeeded or queue.done > 0
        self._early_exits: Counter[str] = Counter()
        self._last_exit = self._last_reason = ""

    def run(self) -> None:
        """Keep the workers busy until the queue is done, or must stop."""
        queue = self.queue
        self._has_rows_left()  # a finished plan may have been extended
        self._open_workers()
        now = time.monotonic()
        compacted = queue.done
        while self.failure is None:
            level = self._host.stop_level()
            if level is not StopLevel.NO and self.state is not State.STOPPING:
                self.state = State.STOPPING
                self._events.write("stopping")
                self._host.beat(force=True)
            if level is StopLevel.NO:
                self._start_missing_workers()
                self._assign_rows()
            if level is StopLevel.AT_ONCE:
                break
            if self.pool.is_idle and (level is not StopLevel.NO or not self._has_rows_left()):
                break
            for worker, report in self.pool.poll(TICK):
                self._handle_report(worker, report)
            now, before = time.monotonic(), now
            self._end_hung_workers(now - before)
            if queue.done - compacted >= max(MIN_RECORDS_TO_COMPACT, compacted // 2):
                compacted = queue.done
                self._host.compact()
            self._host.beat()
        if len(queue) or not self.pool.is_idle:
            self.state = State.STOPPED
        elif queue.failed and not queue.done:
            queue.retry_all_failed()
            reason = f"all {pluralize(queue.total, 'model')} failed; the last: {self._last_reason}"
            self._fail(reason, ExitCode.RUN_FAILED)
        else:
            self.state = State.DONE_WITH_FAILURES if queue.failed else State.DONE

    @property
    def total(self) -> int:
        """Models of the run, those included that no row is planned for yet."""
        return max(self.queue.total, self._planned)

    def pauses(self) -> str:
        """Describe the devices that are paused or on trial, for how long and why; empty if there are none."""
        now = time.monotonic()
        pauses = []
        for device, breaker in self._breakers.items():
            if breaker.is_on_trial:
                seconds = breaker.remaining_pause(now)
                state = f"pauses for {seconds:.0f} s" if seconds else "is tried with one model"
                failures = pluralize(breaker.failures, "failure")
                pauses.append(f"{device} {state} after {failures} in a row ({breaker.reason})")
        return "; ".join(pauses)

    def warnings(self) -> list[str]:
        """Return warnings about workers and devices."""
        early = [f"{pluralize(count, 'worker')} on {device} ended early" for device, count in self._early_exits.items()]
        warnings = [f"{'; '.join(early)}; the last: {self._last_exit}"] if early else []
        late = max((worker.seconds or 0.0 for worker in self.pool if self._deadline(worker) is None), default=0.0)
        if late > LATE and self._compute.model_deadline:
            warnings.append(
                f"the first model has taken {format_duration(late)} so far; without a finished model it has no deadline"
            )
        return warnings

    def eta(self) -> tuple[float, float, float] | None:
        """Estimate the seconds until the queue is done; see `ModelStatistics.eta`."""
        in_training = [worker.seconds for worker in self.pool if worker.seconds is not None]
        estimate = self.statistics.eta(self.total - self.queue.done - self.queue.failed, in_training)
        rests = [breaker.remaining_pause(time.monotonic()) for breaker in self._breakers.values()]
        rest = min(rests, default=0.0)  # while any device trains, it also trains the models of paused ones
        return None if estimate is None else (estimate[0] + rest, estimate[1] + rest, estimate[2] + rest)

    # --- workers ------------------------------------------------------------------------------------------------------

    def _has_rows_left(self) -> bool:
        """Whether rows are left, including those by which a finished plan is extended."""
        if not len(self.queue):
            self.queue.add(self._host.plan_extension())
            self._open_workers()
        return len(self.queue) > 0

    def _open_workers(self) -> None:
        """Make numbers vacant for as many workers as rows are left, on devices that are not given up."""
        count = max(self._n_opened, min(len(self.queue), len(self._devices)))
        opened, now = self._devices[self._n_opened : count], time.monotonic()
        for device in dict.fromkeys(opened):
            if device not in self._devices[: self._n_opened]:
                threshold = max(3, 2 * self._devices[:count].count(device))
                self._breakers[device] = Breaker(threshold, self._run_has_succeeded)
                if (limit := max_workers(device, self._compute)) > 1:
                    self._tuners[device] = WorkerTuner(limit)
        self._n_opened = count
        for device in opened:
            if device in self._breakers:
                self._vacant_since[self._free_number(), device] = now

    def _free_number(self) -> int:
        """Return a number that no worker has."""
        return 1 + max(
            [*(worker.number for worker in self.pool), *(number for number, _ in self._vacant_since)], default=-1
        )

    def _start_missing_workers(self) -> None:
        """Start a worker for each vacant number, except on devices that are paused."""
        now = time.monotonic()
        if not len(self.queue):
            return
        for (number, device), since in list(self._vacant_since.items()):
            breaker = self._breakers[device]
            if breaker.remaining_pause(now) or (
                breaker.is_on_trial and any(worker.device == device for worker in self.pool)
            ):
                continue
            if now < self._earliest_start.get(number, now) and self._has_others(number, device):
                continue
            del self._vacant_since[number, device]
            worker = self.pool.start(number, device)
            self.statistics.lost += (now - since) * (self.state is State.RUNNING)
            self._events.write("worker-started", worker=number, device=device, pid=worker.pid)
        self._count_workers()

    def _count_workers(self) -> None:
        now = time.monotonic()
        devices = [device for _, device in self._vacant_since]
        devices += [w.device for w in self.pool if not (w.is_ending or (w.is_ready and w.silence > WORKER_OVERDUE))]
        self.statistics.workers = sum(1 for device in devices if not self._breakers[device].remaining_pause(now))

    def _assign_rows(self) -> None:
        now = time.monotonic()
        for worker in self.pool:
            if not worker.is_ready or worker.is_ending or worker.row is not None:
                continue
            breaker = self._breakers[worker.device]
            if breaker.remaining_pause(now) or (breaker.is_on_trial and self._is_busy(worker.device)):
                continue
            row = self.queue.next_row()
            if row is None:
                return
            worker.assign(row)

    def _has_others(self, number: int, device: str) -> bool:
        """Whether a device has workers, besides that of a number, which train or get ready."""
        return any(w.device == device and w.number != number and not w.is_ending for w in self.pool)

    def _ready_workers(self, device: str) -> int:
        return sum(worker.device == device and worker.is_ready and not worker.is_ending for worker in self.pool)

    def _is_busy(self, device: str) -> bool:
        return any(worker.row for worker in self.pool if worker.device == device)

    def _vacate(self, worker: WorkerProcess) -> None:
        """Make the number of a worker that has ended vacant, unless it was dismissed."""
        if not worker.is_dismissed and worker.device in self._breakers:
            self._vacant_since[worker.number, worker.device] = time.monotonic()

    # --- reports ------------------------------------------------------------------------------------------------------

    def _handle_report(self, worker: WorkerProcess, report: Report | WorkerExit) -> None:
        match report:
            case Ready():
                self._on_ready(worker, report)
            case Begun():
                worker.has_begun = True
                self._false_starts.pop(worker.number, None)
                self._earliest_start.pop(worker.number, None)
                if worker.device in self._breakers:
                    self._breakers[worker.device].on_begun()
            case Done():
                self._on_done(worker, report)
            case Failed():
                worker.is_ending = worker.is_ending or report.ends_worker
                self._on_failed(worker, report.kind, report.reason)
            case Fatal():
                self._on_fatal(worker, report)
            case WorkerExit():
                self._on_exit(worker, report)

    def _on_ready(self, worker: WorkerProcess, report: Ready) -> None:
        worker.is_ready = True
        self.statistics.lost += worker.elapsed * (self.state is State.RUNNING)
        optional = {"streamed_bytes": report.streamed_bytes, "unrecorded": report.unrecorded}
        facts = {key: value for key, value in optional.items() if value}
        self._events.write("worker-ready", worker=worker.number, numerics=report.numerics, **facts)
        if tuner := self._tuners.get(worker.device):
            tuner.on_ready()
        if self.state is State.PREPARING:
            self.state = State.RUNNING
            self._host.beat(force=True)
            self._host.under_way()

    def _on_done(self, worker: WorkerProcess, report: Done) -> None:
        row = worker.unassign()
        if row is None:  # the worker counted as hung a moment ago; its record is valid all the same
            return
        self.queue.finish(row)
        self.statistics.add(report)
        self.statistics.add_time(worker.device, report.seconds, int(row.mask.sum()))
        self._has_succeeded = True
        worker.models += 1
        if worker.device in self._breakers:
            self._breakers[worker.device].on_success()
        self._events.write(
            "model",
            role=report.role.value,
            index=report.index,
            worker=worker.number,
            seconds=round(report.seconds, 4),
            metrics=report.metrics,
        )
        tuner = self._tuners.get(worker.device)
        if tuner is None or worker.is_ending or self.state is not State.RUNNING:
            return
        change = tuner.on_model(time.monotonic(), self._ready_workers(worker.device))
        if change is Change.ADD and len(self.queue):
            self._vacant_since[self._free_number(), worker.device] = time.monotonic()
        elif change is Change.TAKE_BACK:
            self._dismiss(worker, "the device is faster with one worker fewer")

    def _dismiss(self, worker: WorkerProcess, reason: str) -> None:
        """End a worker after the model it may be training, and leave its number unused."""
        worker.is_dismissed = True
        worker.end_after_row()
        self._events.write("worker-dismissed", worker=worker.number, device=worker.device, reason=reason)

    def _is_spare(self, worker: WorkerProcess) -> bool:
        """Whether a worker that ran out of memory was an additional one, which its device can do without."""
        tuner = self._tuners.get(worker.device)
        return bool(tuner and self._has_others(worker.number, worker.device) and tuner.on_memory())

    def _on_false_start_beside_others(self, worker: WorkerProcess, reason: str) -> None:
        """Delay or dismiss a worker that ended before it began a model, while others train on its device.

        What it lacks may be what the others use, such as memory.
        """
        self._false_starts[worker.number] += 1
        if self._false_starts[worker.number] >= MAX_FALSE_STARTS:
            self._dismiss(worker, reason)
            self._host.warn(f"{worker.device} is used by one worker fewer: {reason}")
        else:
            self._earliest_start[worker.number] = time.monotonic() + PAUSES[self._false_starts[worker.number] - 1]

    def _on_failed(self, worker: WorkerProcess, kind: FailureKind, reason: str) -> None:
        self.statistics.lost += worker.seconds or 0.0
        row = worker.unassign()
        if row is None:
            return
        if kind is FailureKind.MEMORY and self._is_spare(worker):
            self._dismiss(worker, reason)
            self.queue.requeue(row)
            return
        self._last_reason = worker.reason = reason
        is_tried_again = self.queue.fail(row, kind, reason)
        self._events.write(
            "retry" if is_tried_again else "failed",
            role=row.role.value,
            index=row.index,
            worker=worker.number,
            reason=reason,
        )
        breaker = self._breakers.get(worker.device)
        # If only rows are left that have failed before, none needs to be protected from the device.
        if breaker is not None and breaker.on_failure(row, kind, reason) and self.queue.has_fresh_rows:
            reason = f"{pluralize(breaker.failures, 'model')} failed in a row, the last"
            self._on_device_failure(worker.device, breaker, reason)

    def _on_fatal(self, worker: WorkerProcess, report: Fatal) -> None:
        """Handle a worker that exits for a reason other than a model."""
        code, worker.is_ending, worker.reason = ExitCode(report.exit_code), True, report.reason
        if (row := worker.unassign()) is not None:
            self.queue.requeue(row)
        breaker = self._breakers.get(worker.device)
        if breaker is None:  # the device is dismissed already
            return
        if code is ExitCode.DEVICE:
            self._dismiss_device(worker.device, report.reason, code)
        elif code is ExitCode.RUN_FAILED and not worker.is_ready:  # such as no memory for the data
            if self._is_spare(worker):
                self._dismiss(worker, report.reason)
            elif self._has_others(worker.number, worker.device):
                self._on_false_start_beside_others(worker, report.reason)
            else:
                breaker.reason = report.reason
                self._on_device_failure(worker.device, breaker, "a worker cannot start", code)
        else:
            self._fail(report.reason, code)

    def _on_exit(self, worker: WorkerProcess, end: WorkerExit) -> None:
        """Train the row of a dead worker again, and make its number vacant."""
        self._events.write("worker-ended", worker=worker.number, how=end.cause, last=end.last_log_line)
        is_stopping = self._host.stop_level() is not StopLevel.NO
        if not worker.is_dismissed and not is_stopping:
            self._early_exits[worker.device] += 1
            self._last_exit = worker.reason or end.cause
        if self.failure is None:
            self._attribute_exit(worker, end, is_stopping=is_stopping)
        self._vacate(worker)

    def _attribute_exit(self, worker: WorkerProcess, end: WorkerExit, *, is_stopping: bool) -> None:
        """Attribute the end of a worker to the model it had begun, to its device, or to itself."""
        was_expected = worker.is_ending
        if worker.row is not None and worker.has_begun:
            self._on_failed(worker, FailureKind.ERROR, f"its worker ended: {end.cause}")
            return
        if (row := worker.unassign()) is not None:
            self.queue.requeue(row)  # it was never begun
        breaker = self._breakers.get(worker.device)
        if was_expected or breaker is None or is_stopping:
            return
        reason = f"{end.cause}: {end.last_log_line or 'no message'}"
        if self._has_others(worker.number, worker.device):
            self._on_false_start_beside_others(worker, reason)
        elif breaker.on_false_start(reason):
            self._on_device_failure(worker.device, breaker, "workers end before they begin a model")

    def _end_hung_workers(self, seconds: float) -> None:
        """Kill workers that give no sign of life, or whose model takes much longer than others did.

        Args:
            seconds: since the last call.
        """
        for worker in list(self.pool):
            worker.add_time(seconds)
            deadline = self._deadline(worker) if worker.elapsed > MIN_DEADLINE else None
            reason = _hang_reason(worker, deadline)
            if not reason:
                continue
            self._events.write("worker-hung", worker=worker.number, device=worker.device, reason=reason)
            worker.reason = reason
            end = self.pool.kill(worker)
            if worker.row is not None and worker.has_begun:
                self._on_failed(worker, FailureKind.HUNG, reason)
                worker.is_ending = True  # its end is expected, and has no further consequence
            self._on_exit(worker, end)

    def _deadline(self, worker: WorkerProcess) -> float | None:
        """Return the seconds that a worker's model may take; None if no estimate exists or the worker is idle."""
        if worker.row is None:
            return None
        usual = self.statistics.usual_seconds(worker.device, int(worker.row.mask.sum()))
        factor = self._compute.model_deadline
        return max(MIN_DEADLINE, factor * usual) if usual and factor else None

    # --- devices ------------------------------------------------------------------------------------------------------

    def _on_device_failure(
        self, device: str, breaker: Breaker, reason: str, code: ExitCode = ExitCode.RUN_FAILED
    ) -> None:
        """Pause or dismiss a device that is responsible for failures; its models may be tried again."""
        for row, _ in breaker.streak:
            self.queue.retry_failed(row)
        reason = f"{reason}: {breaker.reason}"
        others = [other for other in self._breakers if other != device]
        nothing_works = not self._has_succeeded and all(self._breakers[other].is_on_trial for other in others)
        if breaker.is_exhausted or nothing_works:
            if nothing_works:
                self._fail(reason, code)
            else:
                self._dismiss_device(device, reason, code)
            return
        seconds = breaker.pause(time.monotonic())
        self._events.write("device-paused", device=device, seconds=seconds, reason=reason)
        self._count_workers()

    def _dismiss_device(self, device: str, reason: str, code: ExitCode) -> None:
        """Stop using a device; fail if it was the last."""
        del self._breakers[device]
        for slot in [slot for slot in self._vacant_since if slot[1] == device]:
            del self._vacant_since[slot]
        for worker in self.pool:
            if worker.device == device and not worker.is_dismissed:
                self._dismiss(worker, reason)
        if not self._breakers:
            self._fail(reason, code)
            return
        self._events.write("device-dismissed", device=device, reason=reason)
        self._host.warn(f"{device} is not used any more: {reason}")
        self._count_workers()

    def _fail(self, reason: str, code: ExitCode) -> None:
        self.failure = DeviceError(reason) if code is ExitCode.DEVICE else RunFailedError(reason)
        self.failure.exit_code = code


def _hang_reason(worker: WorkerProcess, deadline: float | None) -> str:
    """Return why a worker counts as hung; empty if it does not.

    Args:
        worker: with its times counted up to now.
        deadline: seconds that its model may take; None if there is no estimate.
    """
    if worker.is_ending and worker.row is None:
        return f"it has not ended after {worker.elapsed:.0f} s" if worker.elapsed > END_LIMIT else ""
    if not worker.is_ready:
        if worker.has_reported and worker.silence > START_SILENCE:
            return f"no sign of life for {worker.silence:.0f} s while it gets ready"
        return f"it is not ready after {worker.elapsed:.0f} s" if worker.elapsed > START_LIMIT else ""
    if worker.silence > SILENCE_LIMIT:
        return f"no sign of life for {worker.silence:.0f} s"
    if worker.row is not None and deadline is not None and worker.elapsed > deadline:
        return f"its model is not done after {worker.elapsed:.0f} s; the deadline is {deadline:.0f} s"
    return ""
