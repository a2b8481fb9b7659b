"""A wheel that is built from the source distribution works in an environment of its own, away from the sources."""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.requirements import require

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "tui_influence"


def finished(*command: object, cwd: Path, **environment: str) -> str:
    """Run a command to its end, without the sources on Python's path; return what it printed."""
    outer = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=outer | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of the source distribution of this tree, built with nothing but what is installed."""
    require("hatchling and uv")
    directory = tmp_path_factory.mktemp("distributions")
    finished(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", directory, cwd=ROOT)
    (sdist,) = directory.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(directory, filter="data")
    (unpacked,) = directory.glob("*/pyproject.toml")
    finished(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", directory, cwd=unpacked.parent)
    (built,) = directory.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory) -> Path:
    """A virtual environment with the wheel, which sees this one's dependencies and not this tree."""
    directory = tmp_path_factory.mktemp("environment")
    venv.create(directory, with_pip=False)
    python = directory / "bin/python"
    uv = (sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-deps", "--python", python)
    finished(*uv, wheel, cwd=directory)
    (packages,) = directory.glob("lib/*/site-packages")
    dependencies = [path for path in sys.path if Path(path).name == "site-packages"]
    assert dependencies
    (packages / "dependencies.pth").write_text("\n".join(dependencies))
    return directory


def test_the_wheel_has_every_file_of_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
        licences = {Path(name).name for name in archive.namelist() if ".dist-info/licenses/" in name}
    tree = {
        str(path.relative_to(ROOT))
        for path in (ROOT / PACKAGE).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert inside == tree
    assert {"digits.npz", "NOTICE.md", "app.tcss"} <= {Path(name).name for name in inside}
    assert "LICENSE" in licences


def test_the_wheel_runs_the_demo_anywhere(environment, tmp_path):
    at = finished(environment / "bin/python", "-c", f"import {PACKAGE}; print({PACKAGE}.__file__)", cwd=tmp_path)
    assert Path(at.strip()).is_relative_to(environment)

    printed = finished(
        environment / "bin/tinfl", "demo", "results", "--models", 2, "--no-prune",
        cwd=tmp_path, TINFL_CACHE=str(tmp_path / "cache"),
    )  # fmt: skip

    assert "Most helpful printed characters for each handwritten digit:" in printed
    assert (tmp_path / "results/run.json").exists()
    ranked = finished(environment / "bin/tinfl", "rank", "results", "--json", cwd=tmp_path)
    assert '"n_models": 2' in ranked
