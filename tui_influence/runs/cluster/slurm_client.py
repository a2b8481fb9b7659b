"""What an engine was given last, and how it says that fares: `cluster/jobs.json`, and `squeue`.

Light, as `tinfl status` and the app ask it: only programs that every Slurm has are used, none that needs accounting.
Jobs are found by their name, which is made from where the results are: no job can be lost between its submission and
the writing down of its number.
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
"""Seconds for which an answer of the engine is good enough: a controller serves a whole site."""
RESULTS_NOT_VISIBLE = 66
"""The exit code of a batch script on a node that does not see the results directory."""
_TIMEOUT = 30.0
_PLANNER = "-plan"
_OVER = (
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT", "REVOKED",
)  # fmt: skip


@dataclass(frozen=True)
class SubmittedJobs:
    """What was submitted last.

    Attributes:
        name: of the jobs of tasks; the planner's has a suffix.
        submitted: seconds since 1970.
        arrays: numbers of the jobs of tasks.
        planner: number of the job that plans the next round.
        models_per_hour: of one task; 0 while that is unknown.
        round: that the tasks are of; before the first, 0.
        blocks: of that round that were handed out, from the first.
    """

    name: str
    submitted: float
    arrays: tuple[str, ...] = ()
    planner: str = ""
    models_per_hour: float = 0.0
    round: int = 0
    blocks: int = 0


@dataclass(frozen=True)
class SlurmTask:
    """A task, or the pending rest of an array, as Slurm sees it.

    Attributes:
        job: its number, such as "12_3" or "12_[4-99]".
        is_planner: whether it plans the next round.
        state: Slurm's word, such as "PENDING".
        node: where it runs; empty while it waits.
        reason: why it waits, in Slurm's words.
        count: how many tasks this is.
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
        return self.state in _OVER

    @property
    def is_running(self) -> bool:
        """Whether it has a node."""
        return not self.is_over and self.state != "PENDING" and bool(self.node)


def job_name(run: str, root: Path) -> str:
    """Return the name of a run's jobs on the cluster."""
    return f"tinfl-{run[:40]}-{hashlib.blake2b(str(root.absolute()).encode(), digest_size=5).hexdigest()}"


def planner_name(name: str) -> str:
    """Return the name of the planner's job."""
    return name + _PLANNER


def write_jobs(paths: Paths, jobs: SubmittedJobs) -> None:
    """Write down what was submitted."""
    make_directory(paths.cluster)
    write_json(paths.jobs, asdict(jobs), durable=False)


def read_jobs(paths: Paths) -> SubmittedJobs | None:
    """Return what was submitted last; None for a run of this machine alone."""
    if not paths.jobs.exists():
        return None
    try:
        found = read_json(paths.jobs, limit=1 << 20)
        if not re.fullmatch(r"tinfl-[\w.-]+", str(found["name"])):  # `stop` would end somebody's other jobs
            return None
        return SubmittedJobs(
            name=str(found["name"]),
            submitted=float(found["submitted"]),
            arrays=tuple(str(job) for job in found["arrays"]),
            planner=str(found["planner"]),
            models_per_hour=float(found["models_per_hour"]),
            round=int(found.get("round", 0)),  # older versions wrote neither
            blocks=int(found.get("blocks", 0)),
        )
    except (ResultsError, KeyError, TypeError, ValueError):
        return None


def run_slurm(program: str, *arguments: str, without: Collection[str] = ()) -> str:
    """Run one of Slurm's programs; return what it says.

    Args:
        program: such as "squeue".
        arguments: of it.
        without: variables of the environment that it is not to see.

    Raises:
        DeviceError: there is no such program here.
        ConfigError: Slurm refuses what it is asked; its own words.
        RunFailedError: it does not answer, or cannot.
    """
    found = shutil.which(program)
    if found is None:
        raise DeviceError(
            f'no {program} on the PATH: executor = "slurm" needs a machine of the cluster, such as its login node'
        )
    try:
        done = subprocess.run(
            [found, *arguments], capture_output=True, text=True, timeout=_TIMEOUT, check=False, errors="replace",
            stdin=subprocess.DEVNULL,
            env={key: value for key, value in os.environ.items() if key not in without} | {"LC_ALL": "C"},
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise RunFailedError(f"{program} does not answer within {_TIMEOUT:.0f} s") from error
    except OSError as error:
        raise RunFailedError(f"{program} cannot be run: {error.strerror}") from error
    if done.returncode:
        words = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        quoted = printable(words[0] if words else f"{program} ended with exit code {done.returncode}", 300)
        unable = re.search("unable to contact|connect|timed? ?out|temporarily", quoted, re.IGNORECASE)
        raise RunFailedError(f"Slurm does not answer: {quoted}") if unable else ConfigError(f"Slurm refuses: {quoted}")
    return done.stdout


def cancel_jobs(jobs: SubmittedJobs, *, at_once: bool) -> None:
    """Take back what waits, and let what runs finish its models in hand, or, `at_once`, end it.

    Raises:
        TinflError: see `slurm`.
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
    _seen.clear()


def exit_code(job: str) -> int | None:
    """Return how a job ended, for the minutes in which Slurm remembers it without accounting."""
    try:
        match = re.search(r"\bExitCode=(\d+)", run_slurm("scontrol", "show", "job", job)) if job else None
    except TinflError:
        return None
    return int(match[1]) if match else None


_WHY = {
    "CANCELLED": "cancelled",
    "TIMEOUT": "ended by the time limit (raise [compute.slurm] time_limit)",
    "OUT_OF_MEMORY": "out of memory (raise [compute.slurm] mem)",
    "NODE_FAIL": "lost with a node that failed",
}


def describe_ends(tasks: list[SlurmTask], code: int | None) -> str:
    """Return how tasks ended that did not end well, in Slurm's word, such as "the planner (job 12): failed on n1".

    Args:
        tasks: that are over, the planner first.
        code: the exit code of the planner, if that is known.
    """
    by_state: dict[tuple[bool, str], list[SlurmTask]] = {}
    for task in tasks:
        if task.is_over and task.state != "COMPLETED":
            by_state.setdefault((task.is_planner, task.state), []).append(task)
    said = []
    for (is_planner, state), ended in by_state.items():
        nodes = list(dict.fromkeys(task.node for task in ended if task.node))
        where = " on " + ", ".join(nodes[:4]) + (", ..." if nodes[4:] else "") if nodes else " before it began"
        who = (
            f"the planner (job {ended[0].job})" if is_planner else pluralize(sum(task.count for task in ended), "task")
        )
        with_code = f" with exit code {code}" if is_planner and state == "FAILED" and code is not None else ""
        said.append(f"{who}: {_WHY.get(state, state.lower())}{where}{with_code}")
    return "; ".join(said)


def node_warnings(paths: Paths) -> list[str]:
    """Return what tasks found odd about their nodes."""
    try:
        found = sorted(path for path in paths.node_warnings.iterdir() if not path.name.startswith("."))
        return [printable(read_bytes(path, limit=1 << 16).decode(errors="replace"), 500) for path in found[:20]]
    except (OSError, ResultsError):
        return []


_seen: dict[SubmittedJobs, tuple[float, list[SlurmTask]]] = {}


def query_tasks(jobs: SubmittedJobs, *, fresh: bool = False) -> list[SlurmTask]:
    """Return the tasks of a run that Slurm knows of, those that ended a short while ago included.

    Args:
        jobs: what was submitted last; an answer to that may be a few seconds old.
        fresh: ask again.

    Raises:
        TinflError: see `slurm`.
    """
    name = jobs.name
    asked, known = _seen.get(jobs, (-MAX_ANSWER_AGE, []))
    if not fresh and time.monotonic() - asked < MAX_ANSWER_AGE:
        return known
    names = f"--name={name},{planner_name(name)}"
    said = run_slurm("squeue", "--noheader", "--states=all", names, "--format=%i|%j|%T|%N|%r")
    tasks = [task for line in said.splitlines() if (task := _task(line, name)) is not None]
    _seen.clear()
    _seen[jobs] = (time.monotonic(), tasks)
    return tasks


def _task(line: str, name: str) -> SlurmTask | None:
    job, found, state, node, reason = [*line.strip().split("|", 4), "", "", "", ""][:5]
    if found not in (name, planner_name(name)):
        return None
    return SlurmTask(
        job=printable(job, 60),
        is_planner=found == planner_name(name),
        state=printable(state, 20),
        node=printable(node, 40),
        reason="" if reason in ("None", "(null)") else printable(reason, 80),
        count=_count(job),
    )


def _count(job: str) -> int:
    """Return how many tasks "12_[1-4,7:2%50]" are."""
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
