"""A supervisor's workers: started, listened to, ended."""

import selectors
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tui_influence.runs.heartbeat import QUIET, WorkerState
from tui_influence.runs.protocol import Report
from tui_influence.runs.worker_process import WorkerProcess
from tui_influence.store.paths import Paths


@dataclass(frozen=True)
class Ended:
    """The end of a worker process.

    Attributes:
        how: in a few words, such as "killed by SIGKILL".
        words: the last line of its log.
    """

    how: str
    words: str


class Crew:
    """The workers of one supervisor."""

    def __init__(
        self, paths: Paths, threads: int, *, allow_code: bool, log: Callable[[int], Path] | None = None
    ) -> None:
        """Have no workers yet.

        Args:
            paths: of the run.
            threads: of a worker on the CPU.
            allow_code: whether workers may import the user's network.
            log: where a worker logs to; the run's own log of its number if None.
        """
        self._log = log or paths.worker_log
        self._paths, self._threads, self._allow_code = paths, threads, allow_code
        self._selector = selectors.DefaultSelector()
        self._workers: list[WorkerProcess] = []
        self._models: dict[int, int] = {}
        """Finished by the workers of each number that have ended."""

    def __iter__(self) -> Iterator[WorkerProcess]:
        return iter(self._workers)

    def __len__(self) -> int:
        return len(self._workers)

    @property
    def is_idle(self) -> bool:
        """Whether nobody has a row in hand."""
        return not any(worker.row for worker in self._workers)

    def start(self, number: int, device: str) -> WorkerProcess:
        """Start a worker.

        Raises:
            ResultsError: its log cannot be written.
        """
        worker = WorkerProcess(
            number, device, self._threads, self._paths, self._log(number), allow_code=self._allow_code
        )
        worker.models = self._models.get(number, 0)
        self._workers.append(worker)
        self._selector.register(worker, selectors.EVENT_READ)
        return worker

    def hear(self, timeout: float) -> Iterator[tuple[WorkerProcess, Report | Ended]]:
        """Yield the reports of workers within `timeout` seconds; one that has ended is no longer of the crew."""
        for key, _ in self._selector.select(timeout):
            worker = key.fileobj
            assert isinstance(worker, WorkerProcess)
            reports = worker.reports()
            if reports is not None:
                yield from ((worker, report) for report in reports)
                continue
            self._remove(worker)
            yield worker, Ended(worker.end(), worker.last_words())

    def end(self, *, at_once: bool) -> None:
        """End all workers: those with nothing in hand by letting go of them, the rest so only if not `at_once`."""
        for worker in self._workers:
            worker.kill() if at_once or not worker.ready else worker.release()
        for worker in self._workers:
            self._selector.unregister(worker)
            worker.end()
        self._workers.clear()

    def kill(self, worker: WorkerProcess) -> Ended:
        """End a worker now, whether or not it still reacts; return how it ended."""
        self._remove(worker)
        how = worker.end(0)
        return Ended("killed by its supervisor" if worker.is_gone() else how, worker.last_words())

    def _remove(self, worker: WorkerProcess) -> None:
        self._selector.unregister(worker)
        self._workers.remove(worker)
        self._models[worker.worker] = worker.models

    def states(self) -> list[WorkerState]:
        """Return what each worker is doing."""
        return [
            WorkerState(
                worker.worker,
                worker.device,
                worker.pid,
                f"{worker.row.role.value} {worker.row.index}" if worker.row else "",
                worker.models,
                worker.seconds,
                silence=worker.silence if worker.silence > QUIET else None,
            )
            for worker in sorted(self._workers, key=lambda worker: worker.worker)
        ]
