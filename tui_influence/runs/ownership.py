"""Who runs a run: a lock held for the supervisor's life, and who that is, so that a recycled pid is not believed."""

import errno
import fcntl
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tui_influence.errors import AlreadyRunningError, ResultsError
from tui_influence.runs.jobs import read_jobs
from tui_influence.store.files import read_json, refusal, write_json
from tui_influence.store.paths import Paths
from tui_influence.store.results_directory import lock_mode
from tui_influence.text import printable

_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Owner:
    """A supervisor process, told apart from any other that ever had its pid.

    Attributes:
        pid: its process id.
        started: its start time, seconds since 1970.
        host: the machine.
        boot: the machine's boot id, empty where it has none.
    """

    pid: int
    started: float
    host: str
    boot: str

    @classmethod
    def this_process(cls) -> Self:
        """Return the calling process."""
        return cls(os.getpid(), _start_time(os.getpid()) or 0.0, socket.gethostname(), _boot_id())

    @property
    def is_local(self) -> bool:
        """Whether it was started on this machine."""
        return self.host == socket.gethostname()

    def is_alive(self) -> bool | None:
        """Whether the process still exists; None where that cannot be seen (another machine)."""
        if not self.is_local:
            return None
        if self.boot != _boot_id():
            return False
        started = _start_time(self.pid)
        return started is not None and abs(started - self.started) < 1.0


def read_owner(paths: Paths) -> Owner | None:
    """Return who last owned the run, or None if nobody did or the file says nothing sensible."""
    if not paths.owner.exists():
        return None
    try:
        found: Any = read_json(paths.owner, limit=1 << 16)
        return Owner(int(found["pid"]), float(found["started"]), str(found["host"]), str(found["boot"]))
    except (ResultsError, KeyError, TypeError, ValueError):
        return None


class Ownership:
    """The right to change a run, as a context: one supervisor at a time."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._descriptor = -1

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            AlreadyRunningError: another supervisor holds it.
            ResultsError: the directory refuses.
        """
        try:
            self._descriptor = os.open(self._paths.lock, _LOCK_FLAGS, lock_mode(self._paths.root))
        except OSError as error:
            raise refusal(error, "write", self._paths.lock) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._descriptor)
            raise already_running(self._paths) from error
        except OSError as error:
            # A file system without locks: the heartbeat, which the caller has looked at, has to do.
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL):
                os.close(self._descriptor)
                raise refusal(error, "lock", self._paths.lock) from error
        write_json(self._paths.owner, asdict(Owner.this_process()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Release the lock."""
        os.close(self._descriptor)


def already_running(paths: Paths) -> AlreadyRunningError:
    """Return the refusal that names who owns the run."""
    jobs = read_jobs(paths)
    if jobs is not None:
        numbers = ", ".join(printable(job, 20) for job in (*jobs.arrays, jobs.planner) if job)
        return AlreadyRunningError(f"{printable(str(paths.root))}: it is on the cluster (jobs {numbers})")
    owner = read_owner(paths)
    who = f" (pid {owner.pid} on {printable(owner.host)})" if owner else ""
    return AlreadyRunningError(f"{printable(str(paths.root))}: another supervisor is running it{who}")


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def _start_time(pid: int) -> float | None:
    import psutil  # here, because it costs `tinfl --help` a tenth of its time

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None
