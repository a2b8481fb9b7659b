"""What tests need of the machine beside Python's packages: programs, privileges, a package that is an extra.

`require` leaves a test out where something is missing, and the last lines of a session name it and the command that
installs it. Where `TINFL_TEST_EVERYTHING` is set, as by `.ci/run`, such a test fails instead, and so does a session
that leaves out a test in any other way.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pytest

from tui_influence.images.graphics import LIBRARY_REMEDY, library_problem

EVERYTHING = "TINFL_TEST_EVERYTHING"
SLURM_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo")
_PATIENCE = 60.0
"""Seconds after which what does not answer, such as a network, is not there."""
_DAEMON_DIRECTORIES = ("/usr/sbin", "/sbin")
_CONSTRAINTS = Path(__file__).resolve().parents[1] / "constraints.txt"
_MOUNT = ("mount", "-t", "tmpfs", "tmpfs", tempfile.gettempdir())
"""Mounts something that only its own mount namespace sees."""


@dataclass(frozen=True)
class Requirement:
    """Something that a machine may lack.

    Attributes:
        is_met: whether this machine has it.
        remedy: the command that installs it, or what else is to be done.
    """

    is_met: Callable[[], bool]
    remedy: str


def search_path() -> str:
    """Return where programs are searched for: daemons lie in directories that only root has on its path.

    Where those are links to the directory of all programs, every user has that one on the path already.
    """
    daemons = [directory for directory in _DAEMON_DIRECTORIES if Path(directory).resolve().name == "sbin"]
    return os.pathsep.join([os.environ.get("PATH", ""), *daemons])


def has_programs(*names: str) -> bool:
    """Tell whether all of some programs are installed."""
    return all(shutil.which(name, path=search_path()) for name in names)


def _can_mount(*unshare: str) -> bool:
    return has_programs("unshare", "mount") and _succeeds("unshare", "--mount", *unshare, *_MOUNT)


def _has_modules(*names: str) -> bool:
    return all(importlib.util.find_spec(name) for name in names)


def _succeeds(*command: str, text: str = "") -> bool:
    environment = os.environ | {"PATH": search_path()}
    try:
        done = subprocess.run(
            command, input=text.encode(), env=environment, capture_output=True, check=False, timeout=_PATIENCE
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _is_pinned(name: str) -> bool:
    """Tell whether the version of a distribution is the one in the constraints."""
    return f"{name}=={version(name)}" in _CONSTRAINTS.read_text().splitlines()


def _has_holes() -> bool:
    """Tell whether the file system of temporary files leaves out what was never written."""
    with tempfile.TemporaryFile() as file:
        file.truncate(1 << 20)
        try:
            return os.lseek(file.fileno(), 0, os.SEEK_HOLE) == 0
        except (AttributeError, OSError):
            return False


REQUIREMENTS = {
    "make": Requirement(lambda: has_programs("make"), "apt-get install make"),
    "tmux": Requirement(lambda: has_programs("tmux"), "apt-get install tmux"),
    "Slurm": Requirement(lambda: has_programs(*SLURM_PROGRAMS), "apt-get install slurmctld slurmd slurm-client munge"),
    "root with mounts of its own": Requirement(
        lambda: os.geteuid() == 0 and has_programs("setpriv") and _can_mount(),
        "sudo make test, in no container that refuses `unshare --mount`",
    ),
    "user namespaces": Requirement(
        lambda: _can_mount("--map-root-user"), "sysctl -w kernel.unprivileged_userns_clone=1, or sudo make test"
    ),
    "hatchling and uv": Requirement(lambda: _has_modules("hatchling", "uv"), "pip install hatchling uv"),
    "the package index": Requirement(
        lambda: _succeeds(sys.executable, "-m", "uv", "pip", "compile", "-", text="packaging"),
        "pip install uv, with a network",
    ),
    "cosmic-ray and coverage": Requirement(
        lambda: _has_modules("cosmic_ray", "coverage"), "pip install -r benchmarks/mutants/requirements.txt"
    ),
    "the pinned matplotlib": Requirement(
        lambda: _is_pinned("matplotlib"), "pip install --constraint constraints.txt matplotlib"
    ),
    "timm": Requirement(lambda: _has_modules("timm"), "pip install --constraint constraints.txt timm"),
    "datasets": Requirement(
        lambda: _has_modules("datasets", "pyarrow"), "pip install --constraint constraints.txt datasets"
    ),
    "Linux's /proc": Requirement(lambda: Path("/proc/self/status").exists(), "run the tests on Linux"),
    "a file system with holes": Requirement(_has_holes, "TMPDIR=<a directory on ext4, XFS, btrfs or tmpfs> make test"),
    "term-image": Requirement(lambda: not library_problem(), LIBRARY_REMEDY),
}


@cache
def is_met(name: str) -> bool:
    """Tell whether this machine has a requirement."""
    return REQUIREMENTS[name].is_met()


def require(*names: str) -> None:
    """Leave the running test, or the module that is imported, out if the machine lacks one of some requirements.

    If every test must run, it fails.
    """
    for name in names:
        if not is_met(name):
            reason = f"needs {name}"
            if os.environ.get(EVERYTHING):
                pytest.fail(f"{reason}: {REQUIREMENTS[name].remedy}", pytrace=False)
            pytest.skip(reason, allow_module_level=True)


def _reasons(terminalreporter: pytest.TerminalReporter) -> list[str]:
    """Return why each test that was left out was."""
    skipped = terminalreporter.stats.get("skipped", ())
    return [report.longrepr[2].removeprefix("Skipped: ") for report in skipped]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line what was left out, and what installs it."""
    left_out = []
    for reason, count in sorted(Counter(_reasons(terminalreporter)).items()):
        name = reason.removeprefix("needs ")
        known = name != reason and name in REQUIREMENTS
        left_out.append(f"{count} without {name} ({REQUIREMENTS[name].remedy})" if known else f"{count}: {reason}")
    if left_out:
        terminalreporter.write_line(f"tests left out: {'; '.join(left_out)}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a session that must run every test and has left one out, however that came."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get(EVERYTHING) and reporter is not None and _reasons(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
