"""Batch scripts of a run, and their submission to Slurm.

The scripts are plain text, stored with the results, the same that `--dry-run` shows. A script redirects its output to a
file of the results directory by itself: a node that does not see that directory then reports so by an exit code of its
own, instead of being failed by Slurm for an output file. Its last line becomes the program (`exec`), so signals that
Slurm sends to the batch script reach it.

A round is submitted as job arrays and the planner that follows them. Sites limit submissions in more ways than can be
queried (MaxArraySize, max_array_tasks, MaxSubmitJobs of a user, an account or a quality of service, MaxJobCount). What
Slurm refuses is tried again in halves; tasks that are not submitted are in the next round.
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

from tui_influence.config.compute import SlurmSection
from tui_influence.config.schema import Config
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

_DEFAULT_ARRAY_SIZE = 1001
"""MaxArraySize of Slurm where the site does not set it."""
_ALWAYS_HIDDEN = ("ARRAY_INX", "EXPORT", "JOB_NAME", "NO_REQUEUE", "OUTPUT", "SIGNAL", "WAIT")
_HIDDEN_BY_OPTION = {
    "--partition": ("PARTITION",),
    "--account": ("ACCOUNT",),
    "--time": ("TIMELIMIT",),
    "--gres": ("GRES",),
    "--mem": ("MEM_PER_NODE", "MEM_PER_CPU", "MEM_PER_GPU"),
    "--cpus-per-task": ("CPUS_PER_TASK",),
}
_NOT_VISIBLE_DELAY = 5
"""Seconds before a node that does not see the results exits, so that it does not drain the queue of tasks."""
_EXPORTED = ("TINFL_CACHE", "TINFL_CONFIG", "TINFL_COMPACT_AFTER", "PYTHONPATH", "VIRTUAL_ENV")


@dataclass(frozen=True)
class JobArray:
    """A job array that Slurm has accepted.

    Attributes:
        job: its number.
        count: number of its tasks.
        max_running: how many of them may run at a time; 0 for all.
    """

    job: str
    count: int
    max_running: int = 0


@dataclass(frozen=True)
class BatchScripts:
    """The scripts of a run, and the name of its jobs."""

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
        """Return the script of a round's tasks: an array, whose index plus `$TINFL_FIRST` is the task's number."""
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
        """Return the script of the planner that collects the reports of a round, by number; 0 before the first."""
        paths, slurm = Paths(self.root.absolute()), self.config.compute.slurm
        program = [sys.executable, "-P", "-m", self.service, "--plan", str(paths.root), str(after), self.digest]
        has_partition = slurm.planner_partition is not None
        options = [f"--job-name={planner_name(self.name)}", *_resources(slurm, planner=has_partition)]
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
        exports = [f"export {key}={shlex.quote(os.environ[key])}" for key in _EXPORTED if key in os.environ]
        failure = f"{{ sleep {_NOT_VISIBLE_DELAY}; exit {RESULTS_NOT_VISIBLE}; }}"
        visible = f"[ -d {root} ] || {failure}  # this node does not see the results"
        return "\n".join(["#!/bin/bash", *lines, visible, *exports, *body]) + "\n"


def _checked(setup: list[str]) -> list[str]:
    """Return the user's lines, each followed by a check that ends the task with a message if that line failed."""
    lines = []
    for line in setup:
        message = shlex.quote(f"failed in [compute.slurm] setup: {line}")
        lines += [line, f'code=$?; [ $code = 0 ] || {{ echo {message} "(exit code $code)" >&2; exit $code; }}']
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
    lines = [f"{name}={value}" for name, value in options.items() if value is not None]
    if slurm.gpus_per_task and not planner:
        lines.append(f"--gres=gpu:{slurm.gpus_per_task}")
    return ["--ntasks=1", *lines]


def overriding_variables(script: str) -> list[str]:
    """Return the environment variables that would take precedence over a script."""
    variables = [
        variable for option, names in _HIDDEN_BY_OPTION.items() if f"#SBATCH {option}=" in script for variable in names
    ]
    return [f"SBATCH_{variable}" for variable in (*_ALWAYS_HIDDEN, *variables)]


def sbatch(name: str, script: Path, *options: str, planner: bool = False, other_jobs: Collection[str] = ()) -> str:
    """Submit a job; return its number.

    Variables such as SBATCH_PARTITION would take precedence over the script: they apply only to what it leaves open.
    Where sbatch does not answer, Slurm may have accepted the job all the same: it is looked up by its name.

    Args:
        name: of the run's jobs.
        script: the batch script.
        options: besides those in the script.
        planner: it is the run's planner.
        other_jobs: numbers of jobs of the same kind that are not the submitted one.

    Raises:
        TinflError: see `slurm_client.run_slurm`.
    """
    try:
        hidden = overriding_variables(script.read_text())
        answer = run_slurm("sbatch", "--parsable", *options, str(script), without=hidden)
    except RunFailedError:
        accepted = _accepted_job(name, other_jobs, planner=planner)
        if accepted is None:
            raise
        return accepted
    number = answer.strip().partition(";")[0]
    if not number.isdecimal():
        raise RunFailedError(f"sbatch did not return a job number: {answer.strip()[:200]}")
    return number


def unfinished_jobs(name: str, *, planner: bool | None = None) -> set[str]:
    """Return the numbers of the jobs of a run that are not over: its tasks', its planner's, or both.

    Raises:
        TinflError: see `slurm_client.run_slurm`.
    """
    tasks = query_tasks(SubmittedJobs(name, 0.0), fresh=True)
    return {task.job.partition("_")[0] for task in tasks if not task.is_over and planner in (None, task.is_planner)}


def _accepted_job(name: str, other_jobs: Collection[str], *, planner: bool) -> str | None:
    """Return the job that is not among the others; None if there is none, or Slurm does not answer."""
    try:
        jobs = unfinished_jobs(name, planner=planner) - set(other_jobs)
    except TinflError:
        return None
    return max(jobs, key=int) if jobs else None


def submit_round(
    name: str, script: Path, tasks: int, max_running: int | None, submit_planner: Callable[[Sequence[JobArray]], None]
) -> None:
    """Submit the tasks of a round, as many as Slurm accepts, and the planner that follows them.

    Args:
        name: of the jobs.
        script: of the tasks.
        tasks: number of tasks of the round.
        max_running: tasks that may run at a time, over all arrays; None for no limit.
        submit_planner: submits the planner that follows the arrays.

    Raises:
        TinflError: not even one task, with the planner after it, is accepted.
    """
    max_size = max_array_size()
    round_jobs: list[str] = []
    while True:
        arrays = _submit_arrays(name, script, tasks, max_running, max_size, round_jobs)
        submitted = sum(array.count for array in arrays)
        try:
            submit_planner(arrays)
            return
        except TinflError as error:  # without a planner to collect their reports, tasks would train for a failed run
            sys.stderr.write(f"no planner after {submitted} tasks: {error}\n")
            with suppress(TinflError):  # reports of tasks that run all the same are collected in the next round
                run_slurm("scancel", *(array.job for array in arrays))
            tasks = submitted // 2
            if not tasks or not isinstance(error, ConfigError):
                raise


def max_array_size() -> int:
    """Return how many tasks an array may have on this site."""
    try:
        settings = run_slurm("scontrol", "show", "config")
    except TinflError:
        settings = ""
    size = re.search(r"MaxArraySize\s*=\s*(\d+)", settings)
    tasks = re.search(r"max_array_tasks=(\d+)", settings)
    limits = [(int(size[1]) if size else _DEFAULT_ARRAY_SIZE) - 1, *([int(tasks[1])] if tasks else [])]
    return max(1, min(limits))


def array_options(first: int, count: int, max_running: int | None) -> list[str]:
    """Return the options of an array of `count` tasks from number `first` on, with at most `max_running` at a time."""
    throttle = f"%{max_running}" if max_running else ""
    return [f"--array=0-{count - 1}{throttle}", f"--export=ALL,TINFL_FIRST={first}"]


def _submit_arrays(
    name: str, script: Path, tasks: int, max_running: int | None, max_size: int, round_jobs: list[str]
) -> list[JobArray]:
    """Submit as many tasks as Slurm accepts; the arrays are appended to `round_jobs`, those of this round so far."""
    arrays: list[JobArray] = []
    first, left = 0, max_running
    while first < tasks and left != 0:
        count = min(max_size, tasks - first)
        share = None if left is None else ceil(left * count / (tasks - first))
        try:
            job = sbatch(name, script, *array_options(first, count, share), other_jobs=round_jobs)
        except TinflError as error:
            sys.stderr.write(f"not accepted: an array of {count} tasks: {error}\n")
            if arrays:
                if left:
                    _raise_throttle(arrays[-1], left)
                break
            if count == 1 or not isinstance(error, ConfigError):
                raise
            max_size = count // 2
            continue
        round_jobs.append(job)
        arrays.append(JobArray(job, count, share or 0))
        first += count
        left = None if left is None or share is None else left - share
    return arrays


def _raise_throttle(array: JobArray, more: int) -> None:
    """Let `more` tasks of an array run in addition, which no other array can use."""
    with suppress(TinflError):  # fewer running tasks than allowed are slow, not wrong
        run_slurm("scontrol", "update", f"JobId={array.job}", f"ArrayTaskThrottle={array.max_running + more}")
