"""On a machine that lacks programs, their tests are left out and named, unless every test is demanded."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import requirements
from tests.requirements import EVERYTHING, REQUIREMENTS, require

ROOT = Path(__file__).resolve().parents[2]
CI = (ROOT / ".ci/run").read_text()
NEEDS_PROGRAMS = ("tests/e2e/test_show.py", "tests/e2e/slurm")


def ordinary() -> dict[str, str]:
    """The environment of a session that nothing is demanded of."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_") and name != EVERYTHING}


@pytest.fixture
def machine_without_programs(tmp_path) -> dict[str, str]:
    """The environment of a machine on whose path there is nothing but Python."""
    (tmp_path / "python3").symlink_to(sys.executable)
    return ordinary() | {"PATH": str(tmp_path)}


def run_python(*arguments: object, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def run_tests(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_python("-m", "pytest", "-p", "no:cacheprovider", *arguments, *NEEDS_PROGRAMS, environment=environment)


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


WAYS_TO_SKIP = """
import pytest

@pytest.mark.skipif(True, reason="it rains")
def test_marked(): ...

def test_in_the_middle():
    pytest.skip("it rains")

def test_of_an_absent_module():
    pytest.importorskip("no_such_module")
"""


@pytest.mark.parametrize(
    ("processes", "demand", "code"),
    [("0", {}, 0), ("2", {EVERYTHING: "1"}, 1)],
    ids=["ordinary", "everything demanded"],
)
def test_a_test_that_is_left_out_in_another_way_is_named_and_fails_a_session_that_demands_every_test(
    tmp_path, processes, demand, code
):
    path = tmp_path / "test_ways.py"
    path.write_text(WAYS_TO_SKIP)
    options = ("-p", "tests.requirements", "-p", "no:cacheprovider", "-n", processes, f"--rootdir={tmp_path}")
    done = run_python("-m", "pytest", *options, path, environment=ordinary() | demand)

    assert done.returncode == code, done.stdout
    (line,) = re.findall(r"^tests left out: (.*)$", done.stdout, re.MULTILINE)
    assert line == "1: could not import 'no_such_module': No module named 'no_such_module'; 2: it rains"


HIDE = """
import importlib.util, sys
import pytest

find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "cosmic_ray" else find_spec(name, *rest)
sys.exit(pytest.main(sys.argv[1:]))
"""


REMEDY = "pip install -r benchmarks/mutants/requirements.txt"


@pytest.mark.parametrize(
    ("demand", "code", "words"),
    [
        ({}, pytest.ExitCode.NO_TESTS_COLLECTED, f"tests left out: 1 without cosmic-ray and coverage ({REMEDY})"),
        ({EVERYTHING: "1"}, pytest.ExitCode.INTERRUPTED, f"needs cosmic-ray and coverage: {REMEDY}"),
    ],
    ids=["ordinary", "everything demanded"],
)
def test_a_module_that_needs_what_the_machine_lacks_is_left_out_or_fails(demand, code, words):
    options = ("-p", "no:cacheprovider", "-n", "0", "tests/unit/test_mutants.py")
    done = run_python("-c", HIDE, *options, environment=ordinary() | demand)

    assert done.returncode == code, done.stdout
    assert words in done.stdout


REMEDIES = [known.remedy for known in REQUIREMENTS.values()]


def test_the_check_before_a_change_lands_installs_the_programs_that_tests_need():
    needed = {package for remedy in REMEDIES if remedy.startswith("apt-get ") for package in remedy.split()[2:]}
    assert {"tmux", "munge"} <= needed
    assert needed - {"make"} <= set(CI.split())


def test_the_check_before_a_change_lands_installs_the_packages_that_tests_need():
    require("make")
    targets = re.findall(r"^make (.+)$", CI, re.MULTILINE)
    dry_run = ["make", "--dry-run", "--always-make", *targets]
    commands = subprocess.run(dry_run, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    needed = {remedy.split()[-1] for remedy in REMEDIES if remedy.startswith("pip install -r ")}
    assert needed
    assert needed <= set(re.findall(r"pip install .*-r (\S+)", commands))


def test_a_directory_of_daemons_that_is_that_of_all_programs_is_not_searched(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    (tmp_path / "daemons/sbin").mkdir(parents=True)
    (tmp_path / "sbin").symlink_to("bin")
    directories = (str(tmp_path / "sbin"), str(tmp_path / "daemons/sbin"))
    monkeypatch.setattr(requirements, "_DAEMON_DIRECTORIES", directories)
    monkeypatch.setenv("PATH", "/somewhere")
    assert requirements.search_path() == f"/somewhere:{directories[1]}"
