"""Handing a round to Slurm: as job arrays that the site takes, and the planner that comes after them.

Sites limit what may be submitted in more ways than can be asked for (MaxArraySize, max_array_tasks, MaxSubmitJobs of a
user, an account or a quality of service, MaxJobCount). What is refused is tried again by halves; what is not handed out
is in the next round.

The batch scripts that Slurm is given: plain text, kept with the results, the same that `--dry-run` shows.

A script sends what it says to a file of the results directory by itself: a node that does not see that directory then
says so with an exit code of its own, instead of being failed by Slurm for an output file. Its last line becomes the
program (`exec`), so signals that Slurm sends to the batch script reach it.
"""

import os
import re
import shlex
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from tui_influence.config.schema import Config, SlurmSection
from tui_influence.errors import ConfigError, RunFailedError, TinflError
from tui_influence.runs.cluster.slurm_client import (
    RESULTS_NOT_VISIBLE,
    SubmittedJobs,
    job_name,
    planner_name,
    query_tasks,
    run_slurm,
)
from tui_influence.store.paths import RECORDS_PER_DIRECTORY, Paths

_SMALLEST_ARRAY_LIMIT = 1001
_OURS = ("ARRAY_INX", "EXPORT", "JOB_NAME", "NO_REQUEUE", "OUTPUT", "SIGNAL", "WAIT")
_THEIRS = {
    "--partition": ("PARTITION",),
    "--account": ("ACCOUNT",),
    "--time": ("TIMELIMIT",),
    "--gres": ("GRES",),
    "--mem": ("MEM_PER_NODE", "MEM_PER_CPU", "MEM_PER_GPU"),
    "--cpus-per-task": ("CPUS_PER_TASK",),
}


@dataclass(frozen=True)
class JobArray:
    """A job array that Slurm has taken.

    Attributes:
        job: its number.
        count: of its tasks.
        max_running: how many of them may run at a time; 0 for all.
    """

    job: str
    count: int
    max_running: int = 0


def submit_round(
    name: str, script: Path, blocks: int, max_running: int | None, followed: Callable[[Sequence[JobArray]], None]
) -> None:
    """Submit the tasks of a round, as many as are taken, and the planner that follows them.

    Args:
        name: of the jobs.
        script: of the tasks.
        blocks: of the round, a task each.
        max_running: tasks that may run at a time, over all arrays; None for no limit.
        followed: submits the planner that follows them.

    Raises:
        TinflError: not even one task, with the planner after it, is taken.
    """
    most = max_array_size()
    known: list[str] = []
    while True:
        arrays = _submit_arrays(name, script, blocks, max_running, most, known)
        taken = sum(array.count for array in arrays)
        try:
            followed(arrays)
            return
        except TinflError as error:  # with nobody to take in what they say, tasks would train for a run that has failed
            sys.stderr.write(f"no planner after {taken} tasks: {error}\n")
            with suppress(TinflError):  # what goes on all the same is heard of in the next round
                run_slurm("scancel", *(array.job for array in arrays))
            blocks = taken // 2
            if not blocks or not isinstance(error, ConfigError):
                raise


def max_array_size() -> int:
    """Return how many tasks an array may have on this site."""
    try:
        said = run_slurm("scontrol", "show", "config")
    except TinflError:
        said = ""
    largest = re.search(r"MaxArraySize\s*=\s*(\d+)", said)
    tasks = re.search(r"max_array_tasks=(\d+)", said)
    limits = [(int(largest[1]) if largest else _SMALLEST_ARRAY_LIMIT) - 1, *([int(tasks[1])] if tasks else [])]
    return max(1, min(limits))


def array_options(first: int, count: int, max_running: int | None) -> list[str]:
    """Return the options of an array: of `count` tasks, the first of them block `first`, so many at a time."""
    at_a_time = f"%{max_running}" if max_running else ""
    return [f"--array=0-{count - 1}{at_a_time}", f"--export=ALL,TINFL_FIRST={first}"]


def sbatch(name: str, script: Path, *options: str, planner: bool = False, known: Collection[str] = ()) -> str:
    """Submit a job; return its number.

    Variables such as SBATCH_PARTITION would win over the script: they count only for what it leaves open. Where sbatch
    does not answer, Slurm may have taken the job all the same: it is looked for by its name.

    Args:
        name: of the run's jobs.
        script: says what it is.
        options: besides what is in it.
        planner: it is the run's planner.
        known: numbers of jobs of the same kind that are others.

    Raises:
        TinflError: see `runs.jobs.slurm`.
    """
    try:
        answer = run_slurm(
            "sbatch", "--parsable", *options, str(script), without=overriding_variables(script.read_text())
        )
    except RunFailedError:
        taken = _taken(name, known, planner=planner)
        if taken is None:
            raise
        return taken
    number = answer.strip().partition(";")[0]
    if not number.isdecimal():
        raise RunFailedError(f"sbatch answers with no job number: {answer.strip()[:200]}")
    return number


def overriding_variables(script: str) -> list[str]:
    """Return the variables of the environment that would win over a script."""
    given = [variable for option, several in _THEIRS.items() if f"#SBATCH {option}=" in script for variable in several]
    return [f"SBATCH_{variable}" for variable in (*_OURS, *given)]


def unfinished_jobs(name: str, *, planner: bool | None = None) -> set[str]:
    """Return the numbers of the jobs of a run that are not over: its tasks', its planner's, or both.

    Raises:
        TinflError: see `runs.jobs.slurm`.
    """
    tasks = query_tasks(SubmittedJobs(name, 0.0), fresh=True)
    return {task.job.partition("_")[0] for task in tasks if not task.is_over and planner in (None, task.is_planner)}


def _submit_arrays(
    name: str, script: Path, blocks: int, max_running: int | None, most: int, known: list[str]
) -> list[JobArray]:
    """Submit as many tasks as are taken; `known` are the arrays of this round so far, and grows."""
    arrays: list[JobArray] = []
    first, left = 0, max_running
    while first < blocks and left != 0:
        count = min(most, blocks - first)
        share = None if left is None else ceil(left * count / (blocks - first))
        try:
            job = sbatch(name, script, *array_options(first, count, share), known=known)
        except TinflError as error:
            sys.stderr.write(f"not taken: an array of {count} tasks: {error}\n")
            if arrays:
                if left:
                    _let_more(arrays[-1], left)
                break
            if count == 1 or not isinstance(error, ConfigError):
                raise
            most = count // 2
            continue
        known.append(job)
        arrays.append(JobArray(job, count, share or 0))
        first += count
        left = None if left is None or share is None else left - share
    return arrays


def _let_more(array: JobArray, more: int) -> None:
    """Let so many more tasks of an array run at a time, as nobody else will."""
    with suppress(TinflError):  # fewer than may be is slow, not wrong
        run_slurm("scontrol", "update", f"JobId={array.job}", f"ArrayTaskThrottle={array.max_running + more}")


def _taken(name: str, known: Collection[str], *, planner: bool) -> str | None:
    """Return a job that is not known yet; None if there is none, or nobody can say."""
    try:
        found = unfinished_jobs(name, planner=planner) - set(known)
    except TinflError:
        return None
    return max(found, key=int) if found else None


_SLOWLY = 5
"""Seconds that such a node takes to say so, lest it take task after task from those that see."""
_PASSED_ON = ("TINFL_CACHE", "TINFL_CONFIG", "TINFL_COMPACT_AFTER", "PYTHONPATH", "VIRTUAL_ENV")


@dataclass(frozen=True)
class BatchScripts:
    """The scripts of a run, and how they are submitted."""

    config: Config
    root: Path
    service: str
    digest: str
    allow_code: bool = False

    @property
    def name(self) -> str:
        """Of the jobs."""
        return job_name(self.config.run.name, self.root)

    def tasks(self, number: int) -> str:
        """Return the script of a round's tasks: an array, its index the block's less `$TINFL_FIRST`."""
        paths, slurm = Paths(self.root.absolute()), self.config.compute.slurm
        tasks = shlex.quote(str(paths.tasks(number)))
        program = [sys.executable, "-P", "-m", "tui_influence.runs.cluster.task", str(paths.root), str(number)]
        code = " --allow-code" if self.allow_code else ""
        options = [f"--job-name={self.name}", *_resources(slurm), f"--signal=B:USR1@{slurm.warn_seconds}"]
        label = '--label "${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}_${SLURM_ARRAY_TASK_ID:-0}"'
        # fmt: off
        return self._script(options, [
            "block=$((${TINFL_FIRST:-0} + ${SLURM_ARRAY_TASK_ID:-0}))",
            f"exec >> {tasks}/$(printf %03d $((block / {RECORDS_PER_DIRECTORY})))/$block.log 2>&1",
            *_checked(slurm.setup),
            f'exec {shlex.join(program)} "$block" {label} --request {self.digest}{code}',
        ])
        # fmt: on

    def planner(self, after: int) -> str:
        """Return the script of the planner that takes in a round, by number; 0 before there is one."""
        paths, slurm = Paths(self.root.absolute()), self.config.compute.slurm
        program = [sys.executable, "-P", "-m", self.service, "--plan", str(paths.root), str(after), self.digest]
        apart = slurm.planner_partition is not None
        options = [f"--job-name={planner_name(self.name)}", *_resources(slurm, planner=apart)]
        # fmt: off
        return self._script(options, [
            f"exec >> {shlex.quote(str(paths.cluster / 'planner.log'))} 2>&1",
            *_checked(slurm.setup),
            f"exec {shlex.join(program)}",
        ])
        # fmt: on

    def _script(self, options: list[str], body: list[str]) -> str:
        root = shlex.quote(str(self.root.absolute()))
        lines = [f"#SBATCH {option}" for option in [*options, "--output=/dev/null", "--requeue"]]
        lines += [f"#SBATCH {option}" for option in self.config.compute.slurm.sbatch]
        passed = [f"export {key}={shlex.quote(os.environ[key])}" for key in _PASSED_ON if key in os.environ]
        seen = (
            f"[ -d {root} ] || {{ sleep {_SLOWLY}; exit {RESULTS_NOT_VISIBLE}; }}  # this node does not see the results"
        )
        return "\n".join(["#!/bin/bash", *lines, seen, *passed, *body]) + "\n"


def _checked(setup: list[str]) -> list[str]:
    """Return the user's lines, each followed by what ends the task, with a word on it, if that line failed."""
    lines = []
    for line in setup:
        said = shlex.quote(f"failed in [compute.slurm] setup: {line}")
        lines += [line, f'code=$?; [ $code = 0 ] || {{ echo {said} "(exit code $code)" >&2; exit $code; }}']
    return lines


def _resources(slurm: SlurmSection, *, planner: bool = False) -> list[str]:
    partition = slurm.planner_partition if planner else slurm.partition
    options = {
        "--partition": partition,
        "--account": slurm.account,
        "--cpus-per-task": slurm.cpus_per_task,
        "--mem": slurm.mem,
        "--time": slurm.time_limit,
    }
    found = [f"{name}={value}" for name, value in options.items() if value is not None]
    if slurm.gpus_per_task and not planner:
        found.append(f"--gres=gpu:{slurm.gpus_per_task}")
    return ["--ntasks=1", *found]
