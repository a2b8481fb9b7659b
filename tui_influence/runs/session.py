"""One session of training: a plan's remaining rows handed to workers until they are done, or must stop.

It decides what follows when a worker is ready, done, out of memory, hung or dead, and when a device is to blame. What a
run looks like from outside (heartbeat, state on the disk) is the supervisor's.

Which workers there should be is one table, `_vacant_since` and `crew` together: a number that is in neither belongs to
no worker any more. Each turn of the loop starts those that are missing, so every failure path ends in the same place.
"""

import time
from collections import Counter
from typing import Protocol

from tui_influence.config.schema import ComputeSection
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
from tui_influence.text import (
    format_duration,
    pluralize,
)

TICK = 0.25
"""Seconds between looks at stop requests."""
START_LIMIT = 900.0
"""Seconds that a worker may take to get ready: a cold file system serves torch slowly."""
START_SILENCE = 5 * SILENCE_LIMIT
"""Seconds without a sign of life after which one that has given some, and is not ready yet, is taken to be hung."""
END_LIMIT = 30.0
"""Seconds that a worker without a model in hand may take to end."""
MIN_DEADLINE = 60.0
"""Seconds that any model may take, however quick the others are: a machine can be busy."""
LATE = 1800.0
"""Seconds after which a model is worth a warning that has no deadline, as none is finished yet."""


class Host(Protocol):
    """What a session needs from the supervisor it runs in."""

    def stop_level(self) -> StopLevel:
        """Return how urgently the run is to stop."""

    def beat(self, *, force: bool = False) -> None:
        """Publish how the run goes, if it is time."""

    def under_way(self) -> None:
        """Publish that the first worker is ready."""

    def warn(self, text: str) -> None:
        """Publish what the user should look into."""

    def compact(self) -> None:
        """Write a new generation of the compacted matrix."""

    def plan_extension(self) -> list[Row]:
        """Return rows that follow from what is recorded now; none if the plan is complete."""


class Session:
    """Keeps a crew busy.

    Attributes:
        state: of the run, as far as this session decides it.
        failure: why it cannot go on, if so.
        pool: the workers.
        statistics: statistics of the models so far.
        queue: what is left.
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
    ) -> None:
        """Prepare to train.

        Args:
            queue: rows to train.
            pool: without workers yet.
            devices: of each worker to begin with.
            compute: limits of the config.
            events: where what happens is written.
            host: the supervisor.
            has_succeeded: whether models of this run have been finished before, of other work than this.
        """
        self.state = State.PREPARING
        self.failure: TinflError | None = None
        self.queue, self.pool, self.statistics = queue, pool, ModelStatistics(workers=0)
        self._devices, self._compute = devices, compute
        self._events, self._host = events, host
        self._tuners: dict[str, WorkerTuner] = {}
        self._breakers: dict[str, Breaker] = {}
        self._vacant_since: dict[tuple[int, str], float] = {}
        self._not_before: dict[int, float] = {}
        self._false_starts: Counter[int] = Counter()
        self._has_succeeded, self._run_has_succeeded = False, has_succeeded or queue.done > 0
        self._early_ends: Counter[str] = Counter()
        self._last_end = self._last_reason = ""

    def run(self) -> None:
        """Keep the workers busy until the work is done, or must stop."""
        queue, compute = self.queue, self._compute
        self._is_more_to_do()  # a plan that was done may have grown
        devices = self._devices[: len(queue)]
        self._tuners = {
            device: WorkerTuner(most) for device in set(devices) if (most := max_workers(device, compute)) > 1
        }
        self._breakers = {
            device: Breaker(max(3, 2 * devices.count(device)), self._run_has_succeeded) for device in devices
        }
        now = time.monotonic()
        self._vacant_since = dict.fromkeys(enumerate(devices), now)
        compacted = queue.done
        while self.failure is None:
            level = self._host.stop_level()
            if level is not StopLevel.NO and self.state is not State.STOPPING:
                self.state = State.STOPPING
                self._events.write("stopping")
                self._host.beat(force=True)
            if level is StopLevel.NO:
                self._fill_vacancies()
                self._hand_out()
            if level is StopLevel.AT_ONCE or (
                self.pool.is_idle and (level is not StopLevel.NO or not self._is_more_to_do())
            ):
                break
            for worker, report in self.pool.poll(TICK):
                self._take_in(worker, report)
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
            self._fail(
                f"all {pluralize(queue.total, 'model')} failed; the last: {self._last_reason}", ExitCode.RUN_FAILED
            )
        else:
            self.state = State.DONE_WITH_FAILURES if queue.failed else State.DONE

    def pauses(self) -> str:
        """Return which devices rest or are on trial, for how long and why; empty if none is."""
        now = time.monotonic()
        return "; ".join(
            f"{device} {f'rests for {rest:.0f} s' if (rest := breaker.rest(now)) else 'is tried with one model'} after "
            f"{pluralize(breaker.failures, 'failure')} in a row ({breaker.reason})"
            for device, breaker in self._breakers.items()
            if breaker.is_on_trial
        )

    def warnings(self) -> list[str]:
        """Return what a user should look into, besides what the models themselves show."""
        early = [f"{pluralize(count, 'worker')} on {device} ended early" for device, count in self._early_ends.items()]
        warnings = [f"{'; '.join(early)}; the last: {self._last_end}"] if early else []
        late = max((worker.seconds or 0.0 for worker in self.pool if self._deadline(worker) is None), default=0.0)
        if late > LATE and self._compute.model_deadline:
            warnings.append(
                f"a first model has taken {format_duration(late)} so far; there is no deadline until one is finished"
            )
        return warnings

    def eta(self) -> tuple[float, float, float] | None:
        """Estimate the seconds until the work is done; see `Progress.eta`."""
        in_hand = [worker.seconds for worker in self.pool if worker.seconds is not None]
        estimate = self.statistics.eta(self.queue.total - self.queue.done - self.queue.failed, in_hand)
        rests = [breaker.rest(time.monotonic()) for breaker in self._breakers.values()]
        rest = min(rests, default=0.0)  # while any device trains, the models of the others wait for nobody
        return None if estimate is None else (estimate[0] + rest, estimate[1] + rest, estimate[2] + rest)

    # --- workers ------------------------------------------------------------------------------------------------------

    def _is_more_to_do(self) -> bool:
        """Whether rows are left, those included that follow once all others are recorded."""
        if not len(self.queue):
            self.queue.add(self._host.plan_extension())
        return len(self.queue) > 0

    def _fill_vacancies(self) -> None:
        """Start the workers that should be there and are not, but for those of devices that rest."""
        now = time.monotonic()
        if not len(self.queue):
            return
        for (number, device), since in list(self._vacant_since.items()):
            breaker = self._breakers[device]
            if breaker.rest(now) or (breaker.is_on_trial and any(worker.device == device for worker in self.pool)):
                continue
            if now < self._not_before.get(number, now) and self._has_others(number, device):
                continue
            del self._vacant_since[number, device]
            worker = self.pool.start(number, device)
            self.statistics.lost += (now - since) * (self.state is State.RUNNING)
            self._events.write("worker-started", worker=number, device=device, pid=worker.pid)
        self._count_workers()

    def _count_workers(self) -> None:
        now = time.monotonic()
        devices = [device for _, device in self._vacant_since]
        devices += [w.device for w in self.pool if not (w.ending or (w.ready and w.silence > WORKER_OVERDUE))]
        self.statistics.workers = sum(1 for device in devices if not self._breakers[device].rest(now))

    def _hand_out(self) -> None:
        now = time.monotonic()
        for worker in self.pool:
            if not worker.ready or worker.ending or worker.row is not None:
                continue
            breaker = self._breakers[worker.device]
            if breaker.rest(now) or (breaker.is_on_trial and self._is_busy(worker.device)):
                continue
            row = self.queue.next_row()
            if row is None:
                return
            worker.assign(row)

    def _has_others(self, number: int, device: str) -> bool:
        """Whether a device has other workers than that of a number, which train or get ready."""
        return any(w.device == device and w.worker != number and not w.ending for w in self.pool)

    def _ready_workers(self, device: str) -> int:
        return sum(worker.device == device and worker.ready and not worker.ending for worker in self.pool)

    def _is_busy(self, device: str) -> bool:
        return any(worker.row for worker in self.pool if worker.device == device)

    def _vacate(self, worker: WorkerProcess) -> None:
        """Let another worker take the number of one that has ended, unless it was done without."""
        if not worker.dismissed and worker.device in self._breakers:
            self._vacant_since[worker.worker, worker.device] = time.monotonic()

    # --- reports ------------------------------------------------------------------------------------------------------

    def _take_in(self, worker: WorkerProcess, report: Report | WorkerExit) -> None:
        match report:
            case Ready():
                self._on_ready(worker, report)
            case Begun():
                worker.begun = True
                self._false_starts.pop(worker.worker, None)
                self._not_before.pop(worker.worker, None)
                if worker.device in self._breakers:
                    self._breakers[worker.device].on_begun()
            case Done():
                self._on_done(worker, report)
            case Failed():
                worker.ending = worker.ending or report.ends_worker
                self._on_failed(worker, report.kind, report.reason)
            case Fatal():
                self._on_fatal(worker, report)
            case WorkerExit():
                self._on_ended(worker, report)

    def _on_ready(self, worker: WorkerProcess, report: Ready) -> None:
        worker.ready = True
        self.statistics.lost += worker.spent * (self.state is State.RUNNING)
        self._events.write("worker-ready", worker=worker.worker, numerics=report.numerics)
        if tuner := self._tuners.get(worker.device):
            tuner.on_ready()
        if self.state is State.PREPARING:
            self.state = State.RUNNING
            self._host.beat(force=True)
            self._host.under_way()

    def _on_done(self, worker: WorkerProcess, report: Done) -> None:
        row = worker.free()
        if row is None:  # it was taken to be hung a moment ago; its record counts all the same
            return
        self.queue.finish(row)
        self.statistics.add(report)
        self.statistics.remember(worker.device, report.seconds, int(row.mask.sum()))
        self._has_succeeded = True
        worker.models += 1
        if worker.device in self._breakers:
            self._breakers[worker.device].on_success()
        self._events.write(
            "model",
            role=report.role.value,
            index=report.index,
            worker=worker.worker,
            seconds=round(report.seconds, 4),
            metrics=report.metrics,
        )
        tuner = self._tuners.get(worker.device)
        if tuner is None or worker.ending or self.state is not State.RUNNING:
            return
        change = tuner.on_model(time.monotonic(), self._ready_workers(worker.device))
        if change is Change.ADD and len(self.queue):
            numbers = [other.worker for other in self.pool] + [number for number, _ in self._vacant_since]
            self._vacant_since[1 + max(numbers), worker.device] = time.monotonic()
        elif change is Change.TAKE_BACK:
            self._dismiss(worker, "one worker fewer is faster here")

    def _dismiss(self, worker: WorkerProcess, reason: str) -> None:
        """Do without a worker, after the model it may have in hand."""
        worker.dismissed = True
        worker.release()
        self._events.write("worker-dismissed", worker=worker.worker, device=worker.device, reason=reason)

    def _is_spare(self, worker: WorkerProcess) -> bool:
        """Whether a worker without memory was an attempt at one more on its device, which can do without it."""
        tuner = self._tuners.get(worker.device)
        return bool(tuner and self._has_others(worker.worker, worker.device) and tuner.on_memory())

    def _on_false_start_beside_others(self, worker: WorkerProcess, reason: str) -> None:
        """Note that a worker did not begin a model where others can: it is tried again later, or done without.

        What it lacks may be what the others use, such as memory.
        """
        self._false_starts[worker.worker] += 1
        if self._false_starts[worker.worker] >= MAX_FALSE_STARTS:
            self._dismiss(worker, reason)
            self._host.warn(f"{worker.device} is used by one worker fewer: {reason}")
        else:
            self._not_before[worker.worker] = time.monotonic() + PAUSES[self._false_starts[worker.worker] - 1]

    def _on_failed(self, worker: WorkerProcess, kind: FailureKind, reason: str) -> None:
        self.statistics.lost += worker.seconds or 0.0
        row = worker.free()
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
            worker=worker.worker,
            reason=reason,
        )
        breaker = self._breakers.get(worker.device)
        # Where only models are left that have failed before, there is nothing to be protected from the device.
        if breaker is not None and breaker.on_failure(row, kind, reason) and self.queue.has_fresh_rows:
            self._blame(worker.device, breaker, f"{pluralize(breaker.failures, 'model')} failed in a row, the last")

    def _on_fatal(self, worker: WorkerProcess, report: Fatal) -> None:
        """Take in that a worker ends because something other than a model is wrong."""
        code, worker.ending, worker.reason = ExitCode(report.exit_code), True, report.reason
        if (row := worker.free()) is not None:
            self.queue.requeue(row)
        breaker = self._breakers.get(worker.device)
        if breaker is None:  # the device is done without already
            return
        if code is ExitCode.DEVICE:
            self._do_without(worker.device, report.reason, code)
        elif code is ExitCode.RUN_FAILED and not worker.ready:  # no room for the data, say
            if self._is_spare(worker):
                self._dismiss(worker, report.reason)
            elif self._has_others(worker.worker, worker.device):
                self._on_false_start_beside_others(worker, report.reason)
            else:
                breaker.reason = report.reason
                self._blame(worker.device, breaker, "a worker cannot start", code)
        else:
            self._fail(report.reason, code)

    def _on_ended(self, worker: WorkerProcess, ended: WorkerExit) -> None:
        """Try the model that a dead worker had in hand again, and let another worker take its number."""
        self._events.write("worker-ended", worker=worker.worker, how=ended.cause, last=ended.last_log_line)
        is_stopping = self._host.stop_level() is not StopLevel.NO
        if not worker.dismissed and not is_stopping:
            self._early_ends[worker.device] += 1
            self._last_end = worker.reason or ended.cause
        if self.failure is None:
            self._follow_end(worker, ended, is_stopping=is_stopping)
        self._vacate(worker)

    def _follow_end(self, worker: WorkerProcess, ended: WorkerExit, *, is_stopping: bool) -> None:
        """Charge the end of a worker to the model it had begun, to its device, or to itself."""
        was_expected = worker.ending
        if worker.row is not None and worker.begun:
            self._on_failed(worker, FailureKind.ERROR, f"its worker ended: {ended.cause}")
            return
        if (row := worker.free()) is not None:
            self.queue.requeue(row)  # it was never begun
        breaker = self._breakers.get(worker.device)
        if was_expected or breaker is None or is_stopping:
            return
        reason = f"{ended.cause}: {ended.last_log_line or 'no message'}"
        if self._has_others(worker.worker, worker.device):
            self._on_false_start_beside_others(worker, reason)
        elif breaker.on_false_start(reason):
            self._blame(worker.device, breaker, "workers end before they begin a model")

    def _end_hung_workers(self, passed: float) -> None:
        """Kill workers that give no sign of life, or whose model is not done long after others were.

        Args:
            passed: seconds since the last call.
        """
        for worker in list(self.pool):
            worker.let_pass(passed)
            deadline = self._deadline(worker) if worker.spent > MIN_DEADLINE else None
            reason = _why_hung(worker, deadline)
            if not reason:
                continue
            self._events.write("worker-hung", worker=worker.worker, device=worker.device, reason=reason)
            worker.reason = reason
            ended = self.pool.kill(worker)
            if worker.row is not None and worker.begun:
                self._on_failed(worker, FailureKind.HUNG, reason)
                worker.ending = True  # its end is expected, and counts no further
            self._on_ended(worker, ended)

    def _deadline(self, worker: WorkerProcess) -> float | None:
        """Return the seconds that a worker's model may take; None if that is not known, or it has none in hand."""
        if worker.row is None:
            return None
        usual = self.statistics.usual_seconds(worker.device, int(worker.row.mask.sum()))
        factor = self._compute.model_deadline
        return max(MIN_DEADLINE, factor * usual) if usual and factor else None

    # --- devices ------------------------------------------------------------------------------------------------------

    def _blame(self, device: str, breaker: Breaker, what: str, code: ExitCode = ExitCode.RUN_FAILED) -> None:
        """Hold a device responsible for failures: let it rest, or do without it. Its models are excused."""
        for row, _ in breaker.streak:
            self.queue.retry_failed(row)
        reason = f"{what}: {breaker.reason}"
        others = [other for other in self._breakers if other != device]
        nothing_works = not self._has_succeeded and all(self._breakers[other].is_on_trial for other in others)
        if breaker.is_exhausted or nothing_works:
            if nothing_works:
                self._fail(reason, code)
            else:
                self._do_without(device, reason, code)
            return
        seconds = breaker.pause(time.monotonic())
        self._events.write("device-paused", device=device, seconds=seconds, reason=reason)
        self._count_workers()

    def _do_without(self, device: str, reason: str, code: ExitCode) -> None:
        """Use a device no more; fail if it was the last."""
        del self._breakers[device]
        for slot in [slot for slot in self._vacant_since if slot[1] == device]:
            del self._vacant_since[slot]
        for worker in self.pool:
            if worker.device == device and not worker.dismissed:
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


def _why_hung(worker: WorkerProcess, deadline: float | None) -> str:
    """Return why a worker is taken to be hung; empty if it is not.

    Args:
        worker: with the times that have passed for it.
        deadline: seconds that a model may take; None if that is not known.
    """
    if worker.ending and worker.row is None:
        return f"it has not ended after {worker.spent:.0f} s" if worker.spent > END_LIMIT else ""
    if not worker.ready:
        if worker.has_reported and worker.silence > START_SILENCE:
            return f"no sign of life for {worker.silence:.0f} s while it gets ready"
        return f"it is not ready after {worker.spent:.0f} s" if worker.spent > START_LIMIT else ""
    if worker.silence > SILENCE_LIMIT:
        return f"no sign of life for {worker.silence:.0f} s"
    if worker.row is not None and deadline is not None and worker.spent > deadline:
        return f"its model is not done after {worker.spent:.0f} s; the deadline is {deadline:.0f} s"
    return ""
