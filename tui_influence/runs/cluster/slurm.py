"""Runs on Slurm: `sbatch`, `squeue` and `scancel`, and nobody who waits.

The planner is a job, and so is each block, as a task of a job array. The planner of the next round depends on all
arrays of this one (`afterany`), so Slurm itself carries a run from round to round. Nothing runs on the login node.

Plain sbatch and not submitit: that pickles functions into a directory of the run and unpickles them there, and nothing
from a results directory is unpickled here.
"""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import NamedTemporaryFile

from tui_influence.config.loader import config_from_json, config_to_json
from tui_influence.config.schema import Config
from tui_influence.errors import ResultsError, RunFailedError, TinflError
from tui_influence.runs.cluster.blocks import Round
from tui_influence.runs.cluster.planner import Next, Planner
from tui_influence.runs.cluster.script import Scripts
from tui_influence.runs.cluster.trust import check_trusted, trust
from tui_influence.runs.control import clear_stop
from tui_influence.runs.heartbeat import Heartbeat, State, read_heartbeat, write_heartbeat
from tui_influence.runs.jobs import Jobs, slurm, write_jobs
from tui_influence.runs.ownership import Ownership
from tui_influence.runs.prepare import extend_arms
from tui_influence.runs.supervisor import More, Request
from tui_influence.store.files import make_directory, read_json, refuse_links, write_atomically, write_json
from tui_influence.store.paths import Paths

SERVICE = "tui_influence.service"
"""The program of the planner: it knows more kinds of plans than this layer may."""
_SMALLEST_ARRAY_LIMIT = 1001
_WAITING = "waiting for Slurm"


def submit(request: Request) -> str:
    """Submit the planner of a run, and return: all else happens on the cluster.

    Returns:
        its job number.

    Raises:
        TinflError: Slurm is not here, does not answer or refuses; the run is as it was.
    """
    paths, scripts = Paths(request.root.absolute()), scripts_of(request)
    if request.own:
        trust(request.config.compute)
    check_trusted(request.config.compute)
    _try(scripts)
    make_directory(paths.cluster)
    refuse_links(paths.root)
    with Ownership(paths):
        clear_stop(paths)
        if request.pruning is not None:
            extend_arms(paths, request.pruning)
        write_json(
            paths.request,
            {
                "config": config_to_json(request.config),
                "allow_code": request.allow_code,
                "retry_failed": request.retry_failed,
                "first": True,
            },
        )
        _wait_for_slurm(paths)
        job = _submit_planner(paths, scripts)
        write_jobs(paths, Jobs(scripts.name, time.time(), planner=job))
    return job


def scripts_of(request: Request) -> Scripts:
    """Return the scripts of a run."""
    return Scripts(request.config, request.root.absolute(), SERVICE, request.allow_code)


def dry_run(request: Request) -> list[str]:
    """Return what would be submitted, to the letter, but for what only a round decides."""
    scripts, paths = scripts_of(request), Paths(request.root.absolute())
    return [
        "# first: packs the data, cuts the plan into blocks, submits them; again after each round",
        f"# sbatch --parsable {paths.cluster / 'planner.sh'}",
        *scripts.planner().splitlines(),
        "",
        "# then: a task a block",
        f"# sbatch --parsable {' '.join(_array_options(request.config, 0, 1))} {paths.cluster / 'tasks-0001.sh'}",
        *scripts.tasks(1).splitlines(),
    ]


def plan(root: Path, more: More) -> int:
    """Be the planner, in a job of its own; the exit code says how that went.

    Args:
        root: the results directory.
        more: says what a plan grows by.
    """
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # a request to stop, which the stop file says too
    paths = Paths(root)
    request, first = _read_request(paths)
    planner = Planner(request, more)
    try:
        following = planner.step(first=first)
        _no_longer_first(paths)
        if following.round is not None and _is_pilot(request.config, following.round):
            _train_here(paths, request, following.round)
            following = planner.step(first=False)
        _hand_out(paths, request, following)
    except TinflError as error:
        planner.failed(error)
        sys.stderr.write(f"{error}\n")
        return int(error.exit_code)
    return 0


def _hand_out(paths: Paths, request: Request, following: Next) -> None:
    """Submit a round: its arrays, as many as the site takes, and the planner that comes after them."""
    if following.round is None:
        return
    scripts, planned = scripts_of(request), following.round
    script = paths.cluster / f"tasks-{planned.number:04d}.sh"
    write_atomically(script, scripts.tasks(planned.number).encode())
    limit = max_array()
    arrays: list[str] = []
    for first in range(0, len(planned.blocks), limit):
        count = min(limit, len(planned.blocks) - first)
        try:
            said = slurm("sbatch", "--parsable", *_array_options(request.config, first, count), str(script))
        except TinflError:
            if not arrays:
                raise
            break  # a limit on jobs submitted: what is not handed out now is in the next round
        arrays.append(_number(said))
    pace = planned.pace.models_per_hour if planned.pace else 0.0
    jobs = Jobs(scripts.name, time.time(), tuple(arrays), models_per_hour=pace)
    write_jobs(paths, jobs)
    write_jobs(paths, replace(jobs, planner=_submit_planner(paths, scripts, arrays)))


def max_array() -> int:
    """Return how many tasks an array may have on this site."""
    try:
        match = re.search(r"MaxArraySize\s*=\s*(\d+)", slurm("scontrol", "show", "config"))
    except TinflError:
        match = None
    return max(1, (int(match[1]) if match else _SMALLEST_ARRAY_LIMIT) - 1)


def _array_options(config: Config, first: int, count: int) -> list[str]:
    together = config.compute.slurm.array_concurrency
    at_a_time = f"%{together}" if together else ""
    return [f"--array=0-{count - 1}{at_a_time}", f"--export=ALL,TINFL_FIRST={first}"]


def _submit_planner(paths: Paths, scripts: Scripts, after: list[str] | None = None) -> str:
    script = paths.cluster / "planner.sh"
    write_atomically(script, scripts.planner().encode())
    dependency = [f"--dependency=afterany:{':'.join(after)}"] if after else []
    return _number(slurm("sbatch", "--parsable", *dependency, str(script)))


def _number(said: str) -> str:
    number = said.strip().partition(";")[0]
    if not number.isdecimal():
        raise RunFailedError(f"sbatch answers with no job number: {said.strip()[:200]}")
    return number


def _try(scripts: Scripts) -> None:
    """Ask whether Slurm would take the tasks, so that what is wrong with them is said before anything waits."""
    with NamedTemporaryFile("w", suffix=".sh") as script:
        for text in (scripts.tasks(1), scripts.planner()):
            script.seek(0)
            script.truncate()
            script.write(text)
            script.flush()
            slurm("sbatch", "--test-only", script.name)


def _wait_for_slurm(paths: Paths) -> None:
    before = read_heartbeat(paths) or Heartbeat(State.PREPARING, 0.0, time.time())
    waiting = replace(before, state=State.PREPARING, time=time.time(), stage=_WAITING, reason="")
    write_heartbeat(paths, waiting)


def _read_request(paths: Paths) -> tuple[Request, bool]:
    found = read_json(paths.request)
    try:
        config = config_from_json(found["config"])
        request = Request(config, paths.root, bool(found["allow_code"]), bool(found["retry_failed"]))
        return request, bool(found["first"])
    except (KeyError, TypeError) as error:
        raise ResultsError(f"{paths.request}: damaged") from error


def _no_longer_first(paths: Paths) -> None:
    found = read_json(paths.request)
    write_json(paths.request, found | {"first": False})


def _is_pilot(config: Config, planned: Round) -> bool:
    """Whether a round is the small first one, and the planner has what a task has: then it trains that itself."""
    return planned.pace is None and config.compute.slurm.planner_partition is None


def _train_here(paths: Paths, request: Request, planned: Round) -> None:
    """Train the pilot in this job: it waited for its node already."""
    command = [
        sys.executable, "-P", "-m", "tui_influence.runs.cluster.block", str(paths.root), str(planned.number), "0",
        "--label", os.environ.get("SLURM_JOB_ID", "planner"), *(["--allow-code"] if request.allow_code else []),
    ]  # fmt: skip
    subprocess.run(command, check=False, stdin=subprocess.DEVNULL)
