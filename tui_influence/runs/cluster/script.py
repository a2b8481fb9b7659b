"""The batch scripts that Slurm is given: plain text, kept with the results, the same that `--dry-run` shows.

A script sends what it says to a file of the results directory by itself: a node that does not see that directory then
says so with an exit code of its own, instead of being failed by Slurm for an output file. Its last line becomes the
program (`exec`), so signals that Slurm sends to the batch script reach it.
"""

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from tui_influence.config.schema import Config, SlurmSection
from tui_influence.runs.jobs import UNSEEN, job_name, planner_name
from tui_influence.store.paths import RECORDS_PER_DIRECTORY, Paths

_SLOWLY = 5
"""Seconds that such a node takes to say so, lest it take task after task from those that see."""
_PASSED_ON = ("TINFL_CACHE", "TINFL_CONFIG", "TINFL_COMPACT_AFTER", "PYTHONPATH", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Scripts:
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
        program = [sys.executable, "-P", "-m", "tui_influence.runs.cluster.block", str(paths.root), str(number)]
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
        seen = f"[ -d {root} ] || {{ sleep {_SLOWLY}; exit {UNSEEN}; }}  # this node does not see the results"
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
