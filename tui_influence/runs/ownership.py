"""Ownership of a run: a lock held for the supervisor's life, and an identification that survives recycled pids."""

import errno
import fcntl
import os
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tui_influence.errors import AlreadyRunningError, ResultsError
from tui_influence.runs.cluster.slurm_client import read_jobs
from tui_influence.store.files import read_json, to_results_error, write_json
from tui_influence.store.paths import Paths
from tui_influence.store.results_directory import lock_mode
from tui_influence.text import printable

_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_START_FIELD = 18
"""Of `starttime` in /proc/PID/stat, counted from the field after the state (proc(5): field 22)."""


@dataclass(frozen=True)
class Owner:
    """A supervisor process, distinguishable from any other process that ever had its pid.

    It does not depend on the wall clock: a clock that is set forward or back must not make a live run look lost.

    Attributes:
        pid: its process id.
        started: its start in clock ticks since the machine booted, or, where the system has no /proc, in seconds
            since 1970.
        host: the machine.
        boot: the machine's boot id, empty where it has none.
        directory: its results directory, absolute; empty if that is not known.
        inode: of that directory, with its device: a directory that is renamed or mounted elsewhere is the same.
    """

    pid: int
    started: float
    host: str
    boot: str
    directory: str = ""
    inode: str = ""

    @classmethod
    def this_process(cls, root: Path) -> Self:
        """Return the calling process as the owner of a results directory."""
        pid, directory = os.getpid(), root.resolve()
        return cls(pid, _start_time(pid) or 0.0, socket.gethostname(), _boot_id(), str(directory), _inode(directory))

    @property
    def is_local(self) -> bool:
        """Whether it was started on this machine."""
        return self.host == socket.gethostname()

    def is_alive(self) -> bool | None:
        """Whether the process still exists; None where that cannot be checked (another machine, another user's)."""
        if not self.is_local:
            return None
        if self.boot != _boot_id():
            return False
        try:
            return _start_time(self.pid) == self.started
        except PermissionError:
            return None

    def trains_elsewhere(self, root: Path) -> bool:
        """Whether its results are in another directory of this machine, so that `root` is a copy of its run."""
        if not self.is_local or not self.directory:
            return False
        directory = root.resolve()
        return str(directory) != self.directory and _inode(directory) != self.inode


def read_owner(paths: Paths) -> Owner | None:
    """Read the last owner of a run; None if there was none or the file is damaged."""
    if not paths.owner.exists():
        return None
    try:
        fields: Any = read_json(paths.owner, limit=1 << 16)
        return Owner(
            pid=_pid(fields["pid"]),
            started=float(fields["started"]),
            host=str(fields["host"]),
            boot=str(fields["boot"]),
            directory=str(fields.get("directory", "")),
            inode=str(fields.get("inode", "")),
        )
    except (ResultsError, AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return None


def _pid(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 1 << 31:
        raise ValueError("no process has this id")
    return value


class Ownership:
    """The right to change a run, as a context: one supervisor at a time."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._descriptor = -1

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            AlreadyRunningError: another supervisor holds it.
            ResultsError: the directory cannot be written.
        """
        try:
            self._descriptor = os.open(self._paths.lock, _LOCK_FLAGS, lock_mode(self._paths.root))
        except OSError as error:
            raise to_results_error(error, "write", self._paths.lock) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._descriptor)
            raise already_running(self._paths) from error
        except OSError as error:
            # A file system without locks: the heartbeat, which the caller has checked, must suffice.
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL):
                os.close(self._descriptor)
                raise to_results_error(error, "lock", self._paths.lock) from error
        write_json(self._paths.owner, asdict(Owner.this_process(self._paths.root)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Release the lock."""
        os.close(self._descriptor)


def already_running(paths: Paths) -> AlreadyRunningError:
    """Return the error that names the run's owner."""
    jobs = read_jobs(paths)
    if jobs is not None:
        numbers = ", ".join(printable(job, 20) for job in (*jobs.arrays, jobs.planner) if job)
        return AlreadyRunningError(f"{printable(str(paths.root))}: it is on the cluster (jobs {numbers})")
    owner = read_owner(paths)
    process = f" (pid {owner.pid} on {printable(owner.host)})" if owner else ""
    return AlreadyRunningError(f"{printable(str(paths.root))}: another supervisor is running it{process}")


def _inode(directory: Path) -> str:
    status = directory.stat()
    return f"{status.st_dev}:{status.st_ino}"


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def _start_time(pid: int) -> float | None:
    """Return when a process started, in the unit of `Owner.started`; None if there is no such process, or a zombie.

    Raises:
        PermissionError: there is one, but /proc hides those of other users (its mount option `hidepid`).
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        if not Path("/proc/self/stat").exists():
            return _start_time_without_proc(pid)
        with suppress(ProcessLookupError):
            os.kill(pid, 0)  # a PermissionError: it exists
        return None
    state, *fields = stat.rpartition(b")")[2].split()  # the name before it may hold anything
    return None if state in (b"Z", b"X") else float(fields[_START_FIELD])


def _start_time_without_proc(pid: int) -> float | None:
    import psutil  # here, because it costs `tinfl --help` a tenth of its time

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None
