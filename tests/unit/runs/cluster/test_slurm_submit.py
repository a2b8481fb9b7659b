"""Batch scripts, and their submission to a Slurm with limits, whose commands are shell scripts."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.program import write_config
from tui_influence.config.loader import load_config
from tui_influence.errors import ConfigError, RunFailedError
from tui_influence.runs.cluster import slurm_client as module
from tui_influence.runs.cluster.slurm_submit import BatchScripts, max_array_size, sbatch, submit_round

NAME = "tinfl-a-0123456789"


@pytest.fixture
def site(tmp_path, programs):
    """A site with limits on the tasks of an array and on jobs; returns what was submitted and not cancelled."""
    (tmp_path / "jobs").mkdir()

    def make(*, tasks: int = 10**6, jobs: int = 10**6, says: str = "MaxArraySize = 11", breaks: str = ":"):
        programs(
            scontrol=f"echo '{says}'",
            scancel=f"cd {tmp_path}; for job; do mv jobs/$job jobs/cancelled-$job; done",
            squeue=f'cd {tmp_path}; for job in $(ls jobs); do echo "$job|{NAME}|RUNNING|n1|None"; done',
            sbatch=f"""cd {tmp_path}; env | grep ^SBATCH_ > environment
            [[ "$*" =~ --array=0-([0-9]+) ]] && count=$((BASH_REMATCH[1] + 1)) || count=1
            (( count > {tasks} )) && {{ echo "sbatch: error: Invalid job array specification" >&2; exit 1; }}
            (( $(ls jobs | grep -vc cancelled) >= {jobs} )) && {{ echo "sbatch: error: QOSMaxSubmitJob" >&2; exit 1; }}
            number=$((100 + $(ls jobs | wc -l))); echo "$*" > jobs/$number; {breaks}; echo $number""",
        )
        (tmp_path / "script.sh").write_text("#!/bin/bash\n#SBATCH --partition=main\n")
        return tmp_path / "script.sh"

    return make


def submit_tasks(script, blocks: int, together: int | None = None) -> tuple[list[str], list[str]]:
    """Hand out a round; return the options of its arrays, and the job numbers that its planner comes after."""
    submissions = []

    def submit_planner(arrays) -> None:
        numbers = [array.job for array in arrays]
        sbatch(NAME, script, f"--dependency=afterany:{':'.join(numbers)}", planner=True)
        submissions.append((arrays, numbers))

    submit_round(NAME, script, blocks, together, submit_planner)
    ((arrays, numbers),) = submissions
    texts = [(script.parent / "jobs" / number).read_text() for number in numbers]
    assert [array.count for array in arrays] == [int(re.search(r"=0-(\d+)", text)[1]) + 1 for text in texts]
    return [text.partition(" --export")[0].partition("--array=")[2] for text in texts], numbers


def test_a_round_is_split_at_the_limit_that_the_site_states(site):
    arrays, numbers = submit_tasks(site(), 25)
    assert arrays == ["0-9", "0-9", "0-4"]
    assert len(set(numbers)) == 3
    site(says="MaxArraySize = 1001\nSchedulerParameters = bf_continue,max_array_tasks=7")
    assert max_array_size() == 7


@pytest.mark.parametrize(("together", "limits"), [(50, [20, 20, 10]), (4, [2, 2]), (2, [1, 1]), (1, [1])])
def test_tasks_at_a_time_are_those_of_all_arrays_together(site, together, limits):
    """What would be more arrays than tasks at a time is left to the next round."""
    arrays, _ = submit_tasks(site(), 25, together)
    assert [int(array.partition("%")[2]) for array in arrays] == limits
    assert sum(limits) == together


def test_a_limit_that_is_not_stated_is_found_by_halves(site, capfd):
    arrays, _ = submit_tasks(site(tasks=3), 8)
    assert arrays == ["0-1", "0-1", "0-1", "0-1"]
    assert (
        "not accepted: an array of 8 tasks: Slurm refuses: sbatch: error: Invalid job array" in capfd.readouterr().err
    )


def test_where_jobs_are_limited_there_is_always_one_left_for_the_planner(site):
    script = site(jobs=3)
    arrays, numbers = submit_tasks(script, 25)
    assert (len(arrays), len(numbers)) in [(1, 1), (2, 2)]
    left = [path for path in (script.parent / "jobs").iterdir() if "cancelled" not in path.name]
    assert len(left) == len(numbers) + 1, "tasks with nobody to take in what they say"


def test_where_nothing_is_taken_nothing_is_left_behind(site):
    script = site(jobs=1)
    with pytest.raises(ConfigError, match="QOSMaxSubmitJob"):
        submit_tasks(script, 25)
    assert all("cancelled" in path.name for path in (script.parent / "jobs").iterdir())


def test_a_job_that_was_taken_without_an_answer_is_found_by_its_name(site):
    script = site(breaks="echo 'sbatch: error: Unable to contact slurm controller' >&2; exit 1")
    assert sbatch(NAME, script) == "100"
    with pytest.raises(RunFailedError, match="does not answer"):
        sbatch(NAME, script, other_jobs=["100", "101"])


def test_the_environment_does_not_win_over_the_config(site, tmp_path, monkeypatch):
    script = site()
    for name in ("PARTITION", "ARRAY_INX", "WAIT", "QOS"):
        monkeypatch.setenv(f"SBATCH_{name}", "1")
    sbatch(NAME, script)
    assert (tmp_path / "environment").read_text() == "SBATCH_QOS=1\n"
    assert module.os.environ["SBATCH_PARTITION"] == "1"


def run_script(tmp_path: Path, setup: str) -> tuple[int, str]:
    """Run a script whose program is another; return its exit code and what it said."""
    swap = {"workers_per_device = 2": f'executor = "slurm"\n[compute.slurm]\nsetup = {setup}'}
    config = load_config(write_config(tmp_path, models=4, swap=swap))
    (tmp_path / "cluster").mkdir(exist_ok=True)
    *lines, program = BatchScripts(config, tmp_path, "service", "digest").planner(0).splitlines()
    assert program.startswith("exec ")
    done = subprocess.run(["bash", "-c", "\n".join([*lines, "echo began with $A"])], check=False)
    return done.returncode, (tmp_path / "cluster" / "planner.log").read_text()


def test_a_line_of_setup_that_fails_ends_the_task_and_is_named(tmp_path):
    code, texts = run_script(
        tmp_path, """["export A='x y'  # a comment", "no-such-program --of 'mine'", "export A=z"]"""
    )
    assert code == 127
    assert texts.splitlines()[-1] == ("failed in [compute.slurm] setup: no-such-program --of 'mine' (exit code 127)")


def test_setup_that_works_leaves_what_it_set(tmp_path):
    assert run_script(tmp_path, """["export A='x y'  # a comment", "[ '$A' = no ] || true"]""") == (
        0,
        "began with x y\n",
    )
