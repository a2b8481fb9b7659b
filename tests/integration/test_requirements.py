"""On a machine that lacks programs, their tests are left out and named, unless every test is demanded."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.requirements import EVERYTHING

ROOT = Path(__file__).resolve().parents[2]
NEEDS_PROGRAMS = ("tests/e2e/test_show.py", "tests/e2e/slurm")


@pytest.fixture
def machine_without_programs(tmp_path) -> dict[str, str]:
    """The environment of a machine on whose path there is nothing but Python."""
    (tmp_path / "python3").symlink_to(sys.executable)
    outer = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_") and name != EVERYTHING}
    return outer | {"PATH": str(tmp_path)}


def run_tests(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, *NEEDS_PROGRAMS]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("processes", ["0", "2"])
def test_what_the_machine_lacks_is_left_out_and_one_line_says_what_installs_it(machine_without_programs, processes):
    done = run_tests(machine_without_programs, "-n", processes)

    assert done.returncode == 0, done.stdout
    (line,) = re.findall(r"^tests left out: .*$", done.stdout, re.MULTILINE)
    assert re.search(r"\d+ without tmux \(apt-get install tmux\)", line)
    assert re.search(r"\d+ without Slurm \(apt-get install slurmctld slurmd slurm-client munge\)", line)
    skipped = re.search(r"(\d+) skipped", done.stdout)
    assert skipped
    assert sum(map(int, re.findall(r"(\d+) without", line))) == int(skipped[1])


def test_what_the_machine_lacks_fails_where_every_test_is_demanded(machine_without_programs):
    done = run_tests(machine_without_programs | {EVERYTHING: "1"}, "-n", "0")

    assert done.returncode == 1, done.stdout
    assert "needs tmux: apt-get install tmux" in done.stdout
    assert " skipped" not in done.stdout
    assert "tests left out" not in done.stdout
