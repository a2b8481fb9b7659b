"""The pinned dependencies can be installed on every Python that is supported, and each of them is pinned."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.requirements import require

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PYTHONS = re.findall(r"Programming Language :: Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
EXTRAS = sorted(PROJECT["optional-dependencies"])
BESIDE = {"term-image"}
"""What is installed without its dependencies, as `make test` does."""


def pins(text: str) -> dict[str, str]:
    """Return the versions that a file of requirements pins, by name."""
    return {
        re.sub("[-_.]+", "-", name).lower(): version
        for name, version in re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE)
    }


def resolve(python: str, *options: str) -> dict[str, str]:
    """Return what installs on a Python, from wheels alone."""
    platform = ("--python-version", python, "--python-platform", "x86_64-manylinux_2_28", "--only-binary", ":all:")
    uv = (sys.executable, "-m", "uv", "pip", "compile", "--python", sys.executable)
    command = [*uv, "--quiet", "--no-header", "--no-annotate", *platform]
    done = subprocess.run(
        [*command, *options, "pyproject.toml"],
        cwd=ROOT,
        env=os.environ | {"NO_COLOR": "1", "UV_HTTP_TIMEOUT": "120"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return pins(done.stdout)


@pytest.fixture(scope="module")
def constraints() -> dict[str, str]:
    return pins((ROOT / "constraints.txt").read_text())


@pytest.mark.parametrize("python", PYTHONS)
def test_all_that_is_installed_is_pinned_to_a_version_with_a_wheel(constraints, python):
    require("the package index")
    resolved = resolve(python, "--constraints", "constraints.txt", *(f"--extra={extra}" for extra in EXTRAS))
    assert resolved.keys() == constraints.keys() - BESIDE
    assert resolved.items() <= constraints.items()


def test_no_extra_brings_a_pillow_with_a_known_hole():
    require("the package index")
    resolved = resolve(PYTHONS[-1], *(f"--extra={extra}" for extra in EXTRAS))
    assert int(resolved["pillow"].partition(".")[0]) >= 13
    assert not resolved.keys() & BESIDE


def test_the_oldest_python_is_the_first_that_is_named():
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"
    assert len(PYTHONS) >= 4
