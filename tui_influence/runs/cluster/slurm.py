"""Runs on Slurm: `sbatch`, `squeue` and `scancel`, without any process that waits.

The planner is a job, and the tasks of a round are job arrays. The planner of the next round depends on all arrays of
this one (`afterany`), so Slurm itself carries a run from round to round. Nothing runs on the login node.

Plain sbatch and not submitit: that pickles functions into a directory of the run and unpickles them there, and nothing
from a results directory is unpickled here.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from tempfile import NamedTemporaryFile
from typing import Any

from tui_influence.config.loader import config_from_json, config_to_json
from tui_influence.config.schema import Config
from tui_influence.errors import AlreadyRunningError, ResultsError, RunFailedError, TinflError
from tui_influence.runs.cluster.planner import NextStep, Planner
from tui_influence.runs.cluster.rounds import Round, last_round
from tui_influence.runs.cluster.slurm_client import SubmittedJobs, read_jobs, run_slurm, write_jobs
from tui_influence.runs.cluster.slurm_submit import (
    BatchScripts,
    JobArray,
    array_options,
    overriding_variables,
    sbatch,
    submit_round,
    unfinished_jobs,
)
from tui_influence.runs.cluster.trusted_commands import check_trusted, record_trust
from tui_influence.runs.control import clear_stop
from tui_influence.runs.heartbeat import Heartbeat, State, read_heartbeat, write_heartbeat
from tui_influence.runs.ownership import Ownership
from tui_influence.runs.prepare import PlanExtender, extend_arms
from tui_influence.runs.supervisor import SERVICE, PlanForecaster, Request, no_forecast
from tui_influence.store.files import make_directory, read_json, write_atomically, write_json
from tui_influence.store.paths import Paths
from tui_influence.store.results_directory import make_results_directory
from tui_influence.text import printable

_WAITING = "waiting for Slurm"


def submit(request: Request) -> str:
    """Submit the planner of a run, and return: everything else happens on the cluster.

    Returns:
        its job number.

    Raises:
        TinflError: Slurm is not installed here, does not answer or refuses; the run is unchanged.
    """
    paths = Paths(request.root.absolute())
    if request.trusted:
        record_trust(request.config.compute)
    check_trusted(request.config.compute)
    fields = {
        "config": config_to_json(request.config),
        "allow_code": request.allow_code,
        "retry_failed": request.retry_failed,
        "trusted": request.trusted,
        "token": token_hex(8),
    }
    scripts = batch_scripts(request, _request_digest(fields))
    _test_submission(scripts)
    make_results_directory(paths.root)
    make_directory(paths.cluster)
    with Ownership(paths):
        old_jobs = unfinished_jobs(scripts.name)
        if old_jobs:
            raise AlreadyRunningError(
                f"{printable(str(paths.root))}: jobs of a run in this directory are on the cluster; to end them: "
                f"scancel {' '.join(sorted(old_jobs))}"
            )
        clear_stop(paths)
        if request.pruning is not None:
            extend_arms(paths, request.pruning)
        write_json(paths.request, fields | {"first": True})
        _write_waiting(paths)
        number = last_round(paths)
        job = _submit_planner(paths, scripts, number)
        write_jobs(paths, SubmittedJobs(scripts.name, time.time(), planner=job, round=number))
    return job


def batch_scripts(request: Request, digest: str) -> BatchScripts:
    """Return the scripts of a run, which hold the digest of its request."""
    return BatchScripts(request.config, request.root.absolute(), SERVICE, digest, request.allow_code)


def _request_digest(fields: dict[str, Any]) -> str:
    """Return a digest that differs for every request and for every change to one.

    It goes from the login node to each planner in the script that Slurm keeps, which no results directory can change.
    """
    keys = ("config", "allow_code", "retry_failed", "trusted", "token")
    content = {key: fields[key] for key in keys if key in fields}
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()


def describe_submission(request: Request) -> list[str]:
    """Return the exact scripts and commands of a submission, except what a round decides and the request's digest."""
    scripts, paths = batch_scripts(request, "REQUEST"), Paths(request.root.absolute())
    slurm = request.config.compute.slurm
    options = " ".join(array_options(0, 1, slurm.array_concurrency))
    pilot = "trains the first models" if slurm.planner_partition is None else "has the first models trained"
    return [
        f"# first: packs the data, {pilot}, divides the plan into tasks, submits them; again after each round",
        f"# sbatch --parsable {paths.cluster / 'planner.sh'}",
        *scripts.planner(0).splitlines(),
        "",
        "# then: the tasks of the round, in as many arrays as the site's limits require",
        f"# sbatch --parsable {options} {paths.cluster / 'tasks-0001.sh'}",
        *scripts.tasks(1).splitlines(),
    ]


def run_planner(
    root: Path, after: int, digest: str, extender: PlanExtender, forecaster: PlanForecaster = no_forecast
) -> int:
    """Run the planner, in a job of its own; the exit code says how it ended.

    A planner that comes late does nothing: if the run was requested anew, if its request was changed by hand, or if
    another planner has submitted the next round (Slurm may start the same job twice).

    Args:
        root: the results directory.
        after: number of the round whose reports it collects; 0 before the first.
        digest: of the request that its job belongs to.
        extender: returns an extended plan once all of the present one is done.
        forecaster: called once a round.
    """
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # a request to stop, which the stop file holds too
    paths = Paths(root)
    fields = read_json(paths.request)
    request, first = _request(paths, fields)
    jobs = read_jobs(paths)
    if _request_digest(fields) != digest:
        sys.stderr.write("the request of this run has changed since this job was submitted: it does nothing\n")
        return int(ResultsError.exit_code)
    planner, scripts = Planner(request, extender, digest=digest, forecaster=forecaster), batch_scripts(request, digest)
    try:
        if jobs is not None and _has_successor(paths, scripts, jobs, after):
            return 0
        submitted = jobs.tasks if jobs and jobs.round == last_round(paths) else 0
        following = planner.step(first=first, submitted=submitted)
        write_json(paths.request, fields | {"first": False})
        if following.round is not None and _is_pilot(request.config, following.round):
            _train_here(paths, request, following.round)
            following = planner.step(first=False)
        _submit_next(paths, scripts, following)
    except TinflError as error:
        planner.record_failure(error)
        sys.stderr.write(f"{error}\n")
        return int(error.exit_code)
    return 0


def _has_successor(paths: Paths, scripts: BatchScripts, jobs: SubmittedJobs, after: int) -> bool:
    """Whether this job was started before, so that this planner is superfluous; then another waits for its tasks.

    The earlier start may have been ended at any moment: before it recorded the tasks it had submitted, or the planner.
    """
    tasks = jobs.arrays
    if jobs.round <= after:
        try:
            tasks = tuple(unfinished_jobs(scripts.name, planner=False))  # all that this job waited for are over
        except RunFailedError as error:  # a busy controller is queried again when something is to be submitted
            sys.stderr.write(f"could not look for tasks that were not recorded: {error}\n")
            return False
        if not tasks:
            return False
    elif jobs.planner:
        return True
    others = unfinished_jobs(scripts.name, planner=True) - {os.environ.get("SLURM_JOB_ID", "")}
    planner = others.pop() if others else _submit_planner(paths, scripts, max(jobs.round, after), tasks)
    write_jobs(paths, replace(jobs, arrays=tasks, planner=planner))
    return True


def _submit_next(paths: Paths, scripts: BatchScripts, following: NextStep) -> None:
    """Submit a round: its arrays, as many as the site accepts, and the planner that follows them."""
    if following.round is None:
        return
    planned = following.round
    script = paths.cluster / f"tasks-{planned.number:04d}.sh"
    write_atomically(script, scripts.tasks(planned.number).encode())
    rate = planned.timing.models_per_hour if planned.timing else 0.0

    def submit_planner(arrays: Sequence[JobArray]) -> None:
        jobs = SubmittedJobs(
            scripts.name,
            time.time(),
            tuple(array.job for array in arrays),
            models_per_hour=rate,
            round=planned.number,
            tasks=sum(array.count for array in arrays),
        )
        write_jobs(paths, jobs)
        write_jobs(paths, replace(jobs, planner=_submit_planner(paths, scripts, planned.number, jobs.arrays)))

    max_running = scripts.config.compute.slurm.array_concurrency
    submit_round(scripts.name, script, len(planned.tasks), max_running, submit_planner)


def _submit_planner(paths: Paths, scripts: BatchScripts, number: int, after: Sequence[str] = ()) -> str:
    """Submit the planner that collects the reports of a round, to start once some jobs are over."""
    script = paths.cluster / "planner.sh"
    write_atomically(script, scripts.planner(number).encode())
    dependency = [f"--dependency=afterany:{':'.join(after)}"] if after else []
    this_job = os.environ.get("SLURM_JOB_ID", "")
    return sbatch(scripts.name, script, *dependency, planner=True, other_jobs=[this_job])


def _test_submission(scripts: BatchScripts) -> None:
    """Check that Slurm would accept the scripts, so that mistakes are reported before anything waits."""
    with NamedTemporaryFile("w", suffix=".sh") as script:
        for text in (scripts.tasks(1), scripts.planner(0)):
            script.seek(0)
            script.truncate()
            script.write(text)
            script.flush()
            run_slurm("sbatch", "--test-only", script.name, without=overriding_variables(text))


def _write_waiting(paths: Paths) -> None:
    before = read_heartbeat(paths) or Heartbeat(State.PREPARING, 0.0, time.time())
    waiting = replace(before, state=State.PREPARING, time=time.time(), stage=_WAITING, reason="")
    write_heartbeat(paths, waiting)


def _request(paths: Paths, fields: dict[str, Any]) -> tuple[Request, bool]:
    """Return the request, and whether the user has just made it."""
    try:
        config = config_from_json(fields["config"])
        request = Request(
            config,
            paths.root,
            bool(fields["allow_code"]),
            bool(fields["retry_failed"]),
            trusted=bool(fields.get("trusted", False)),
        )
        return request, bool(fields["first"])
    except (KeyError, TypeError) as error:
        raise ResultsError(f"{paths.request}: damaged") from error


def _is_pilot(config: Config, planned: Round) -> bool:
    """Whether a round is the small first one and the planner has a task's resources: then it trains it itself."""
    return planned.timing is None and config.compute.slurm.planner_partition is None


def _train_here(paths: Paths, request: Request, planned: Round) -> None:
    """Train the pilot in this job, which already has a node."""
    command = [
        sys.executable, "-P", "-m", "tui_influence.runs.cluster.task", str(paths.root), str(planned.number), "0",
        "--label", os.environ.get("SLURM_JOB_ID", "planner"), "--request", planned.request,
        *(["--allow-code"] if request.allow_code else []),
    ]  # fmt: skip
    subprocess.run(command, check=False, stdin=subprocess.DEVNULL)
