"""Slurm's commands, and the jobs of a run: what was submitted last (`cluster/jobs.json`) and what became of it.

Light, as `tinfl status` and the app use it: only commands that every Slurm has are called, none that needs accounting.
Jobs are looked up by their name, which is derived from the path of the results: so no job is lost between its
submission and the recording of its number.
"""

import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tui_influence.errors import ConfigError, DeviceError, ResultsError, RunFailedError, TinflError
from tui_influence.store.files import make_directory, read_bytes, read_json, write_json
from tui_influence.store.paths import Paths
from tui_influence.text import pluralize, printable

MAX_ANSWER_AGE = 5.0
"""Seconds for which an answer of `squeue` is used again: a controller serves a whole site."""
RESULTS_NOT_VISIBLE = 66
"""Exit code of a batch script on a node that does not see the results directory."""
_TIMEOUT = 30.0
_PLANNER_SUFFIX = "-plan"
_FINAL_STATES = (
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT", "REVOKED",
)  # fmt: skip


@dataclass(frozen=True)
class SubmittedJobs:
    """The jobs that were submitted last.

    Attributes:
        name: of the jobs of tasks; the planner's has a suffix.
        submitted: seconds since 1970.
        arrays: numbers of the jobs of tasks.
        planner: number of the job that plans the next round.
        models_per_hour: of one task; 0 while that is unknown.
        round: number of the tasks' round; 0 before the first.
        tasks: number of tasks of that round that were submitted, the first ones.
    """

    name: str
    submitted: float
    arrays: tuple[str, ...] = ()
    planner: str = ""
    models_per_hour: float = 0.0
    round: int = 0
    tasks: int = 0


@dataclass(frozen=True)
class SlurmTask:
    """A task, or the pending rest of an array, as Slurm lists it.

    Attributes:
        job: its number, such as "12_3" or "12_[4-99]".
        is_planner: whether it plans the next round.
        state: Slurm's word, such as "PENDING".
        node: where it runs; empty while it waits.
        reason: why it waits, in Slurm's words.
        count: number of tasks.
    """

    job: str
    is_planner: bool
    state: str
    node: str
    reason: str
    count: int

    @property
    def is_over(self) -> bool:
        """Whether it will not run again."""
        return self.state in _FINAL_STATES

    @property
    def is_running(self) -> bool:
        """Whether it has a node."""
        return not self.is_over and self.state != "PENDING" and bool(self.node)


def job_name(run: str, root: Path) -> str:
    """Return the name of a run's jobs on the cluster."""
    return f"tinfl-{run[:40]}-{hashlib.blake2b(str(root.absolute()).encode(), digest_size=5).hexdigest()}"


def planner_name(name: str) -> str:
    """Return the name of the planner's job."""
    return name + _PLANNER_SUFFIX


def write_jobs(paths: Paths, jobs: SubmittedJobs) -> None:
    """Record the submitted jobs."""
    make_directory(paths.cluster)
    fields = asdict(jobs)
    fields["blocks"] = fields.pop("tasks")
    write_json(paths.jobs, fields, durable=False)


def read_jobs(paths: Paths) -> SubmittedJobs | None:
    """Read the jobs that were submitted last; None for a run of this machine alone."""
    if not paths.jobs.exists():
        return None
    try:
        fields = read_json(paths.jobs, limit=1 << 20)
        if not re.fullmatch(r"tinfl-[\w.-]+", str(fields["name"])):  # `stop` would end somebody's other jobs
            return None
        return SubmittedJobs(
            name=str(fields["name"]),
            submitted=float(fields["submitted"]),
            arrays=tuple(str(job) for job in fields["arrays"]),
            planner=str(fields["planner"]),
            models_per_hour=float(fields["models_per_hour"]),
            round=int(fields.get("round", 0)),  # older versions wrote neither
            tasks=int(fields.get("blocks", 0)),
        )
    except (ResultsError, KeyError, TypeError, ValueError):
        return None


def run_slurm(program: str, *arguments: str, without: Collection[str] = ()) -> str:
    """Run one of Slurm's commands; return its output.

    Args:
        program: such as "squeue".
        arguments: of the command.
        without: environment variables to hide from it.

    Raises:
        DeviceError: the command is not installed here.
        ConfigError: Slurm refuses the arguments; the message quotes Slurm.
        RunFailedError: it does not answer, or cannot be run.
    """
    path = shutil.which(program)
    if path is None:
        raise DeviceError(
            f'no {program} on the PATH: executor = "slurm" needs a machine of the cluster, such as its login node'
        )
    try:
        process = subprocess.run(
            [path, *arguments], capture_output=True, text=True, timeout=_TIMEOUT, check=False, errors="replace",
            stdin=subprocess.DEVNULL,
            env={key: value for key, value in os.environ.items() if key not in without} | {"LC_ALL": "C"},
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise RunFailedError(f"{program} does not answer within {_TIMEOUT:.0f} s") from error
    except OSError as error:
        raise RunFailedError(f"{program} cannot be run: {error.strerror}") from error
    if process.returncode:
        lines = [line.strip() for line in process.stderr.splitlines() if line.strip()]
        quoted = printable(lines[0] if lines else f"{program} ended with exit code {process.returncode}", 300)
        unable = re.search("unable to contact|connect|timed? ?out|temporarily", quoted, re.IGNORECASE)
        raise RunFailedError(f"Slurm does not answer: {quoted}") if unable else ConfigError(f"Slurm refuses: {quoted}")
    return process.stdout


def cancel_jobs(jobs: SubmittedJobs, *, at_once: bool) -> None:
    """Cancel what waits, and let running tasks finish their current models, or, `at_once`, cancel them too.

    Raises:
        TinflError: see `run_slurm`.
    """
    numbers = sorted({task.job.partition("_")[0] for task in query_tasks(jobs, fresh=True) if not task.is_over})
    if not numbers:
        return
    if at_once:
        run_slurm("scancel", *numbers)
    else:
        run_slurm("scancel", "--state=PENDING", *numbers)
        with suppress(ConfigError):  # none of these has begun
            run_slurm("scancel", "--batch", "--signal=USR1", *numbers)
    _answers.clear()


def exit_code(job: str) -> int | None:
    """Return a job's exit code, for the minutes in which Slurm remembers it without accounting."""
    try:
        match = re.search(r"\bExitCode=(\d+)", run_slurm("scontrol", "show", "job", job)) if job else None
    except TinflError:
        return None
    return int(match[1]) if match else None


_STATE_TEXTS = {
    "CANCELLED": "cancelled",
    "TIMEOUT": "ended by the time limit (raise [compute.slurm] time_limit)",
    "OUT_OF_MEMORY": "out of memory (raise [compute.slurm] mem)",
    "NODE_FAIL": "lost with a node that failed",
}


def describe_ends(tasks: list[SlurmTask], code: int | None) -> str:
    """Describe how unsuccessful tasks ended, such as "the planner (job 12): failed on n1".

    Args:
        tasks: that are over, the planner first.
        code: the exit code of the planner, if that is known.
    """
    by_state: dict[tuple[bool, str], list[SlurmTask]] = {}
    for task in tasks:
        if task.is_over and task.state != "COMPLETED":
            by_state.setdefault((task.is_planner, task.state), []).append(task)
    texts = []
    for (is_planner, state), ended in by_state.items():
        nodes = list(dict.fromkeys(task.node for task in ended if task.node))
        where = " on " + ", ".join(nodes[:4]) + (", ..." if nodes[4:] else "") if nodes else " before it began"
        n_tasks = pluralize(sum(task.count for task in ended), "task")
        subject = f"the planner (job {ended[0].job})" if is_planner else n_tasks
        with_code = f" with exit code {code}" if is_planner and state == "FAILED" and code is not None else ""
        texts.append(f"{subject}: {_STATE_TEXTS.get(state, state.lower())}{where}{with_code}")
    return "; ".join(texts)


def node_warnings(paths: Paths) -> list[str]:
    """Return the warnings of tasks about their nodes."""
    try:
        files = sorted(path for path in paths.node_warnings.iterdir() if not path.name.startswith("."))
        return [printable(read_bytes(path, limit=1 << 16).decode(errors="replace"), 500) for path in files[:20]]
    except (OSError, ResultsError):
        return []


_answers: dict[SubmittedJobs, tuple[float, list[SlurmTask]]] = {}
"""The latest answer of `squeue` and its time on the monotonic clock."""


def query_tasks(jobs: SubmittedJobs, *, fresh: bool = False) -> list[SlurmTask]:
    """Return the tasks of a run that Slurm lists, including those that ended a short while ago.

    Args:
        jobs: submitted last; an answer about them may be a few seconds old.
        fresh: query again.

    Raises:
        TinflError: see `run_slurm`.
    """
    name = jobs.name
    answered, tasks = _answers.get(jobs, (-MAX_ANSWER_AGE, []))
    if not fresh and time.monotonic() - answered < MAX_ANSWER_AGE:
        return tasks
    names = f"--name={name},{planner_name(name)}"
    output = run_slurm("squeue", "--noheader", "--states=all", names, "--format=%i|%j|%T|%N|%r")
    tasks = [task for line in output.splitlines() if (task := _parse_task(line, name)) is not None]
    _answers.clear()
    _answers[jobs] = (time.monotonic(), tasks)
    return tasks


def _parse_task(line: str, name: str) -> SlurmTask | None:
    job, listed_name, state, node, reason = [*line.strip().split("|", 4), "", "", "", ""][:5]
    if listed_name not in (name, planner_name(name)):
        return None
    return SlurmTask(
        job=printable(job, 60),
        is_planner=listed_name == planner_name(name),
        state=printable(state, 20),
        node=printable(node, 40),
        reason="" if reason in ("None", "(null)") else printable(reason, 80),
        count=_count(job),
    )


def _count(job: str) -> int:
    """Return the number of tasks of a job number such as "12_[1-4,7:2%50]"."""
    match = re.search(r"\[([\d,:-]*)", job)
    if match is None:
        return 1
    count = 0
    for part in match[1].split(","):
        span, _, step = part.partition(":")
        first, _, last = span.partition("-")
        if first.isdecimal():
            count += 1 + (int(last or first) - int(first)) // max(1, int(step or 1))
    return max(1, count)
