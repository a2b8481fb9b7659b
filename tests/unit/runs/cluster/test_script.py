"""What the batch scripts do before the program begins."""

import subprocess
from pathlib import Path

from tests.e2e.program import write_config
from tui_influence.config.loader import load_config
from tui_influence.runs.cluster.slurm_submit import BatchScripts


def run(tmp_path: Path, setup: str) -> tuple[int, str]:
    """Run a script whose program is another; return its exit code and what it said."""
    swap = {"workers_per_device = 2": f'executor = "slurm"\n[compute.slurm]\nsetup = {setup}'}
    config = load_config(write_config(tmp_path, models=4, swap=swap))
    (tmp_path / "cluster").mkdir(exist_ok=True)
    *lines, program = BatchScripts(config, tmp_path, "service", "digest").planner(0).splitlines()
    assert program.startswith("exec ")
    done = subprocess.run(["bash", "-c", "\n".join([*lines, "echo began with $A"])], check=False)
    return done.returncode, (tmp_path / "cluster" / "planner.log").read_text()


def test_a_line_of_setup_that_fails_ends_the_task_and_is_named(tmp_path):
    code, said = run(tmp_path, """["export A='x y'  # a comment", "no-such-program --of 'mine'", "export A=z"]""")
    assert code == 127
    assert said.splitlines()[-1] == ("failed in [compute.slurm] setup: no-such-program --of 'mine' (exit code 127)")


def test_setup_that_works_leaves_what_it_set(tmp_path):
    assert run(tmp_path, """["export A='x y'  # a comment", "[ '$A' = no ] || true"]""") == (0, "began with x y\n")
