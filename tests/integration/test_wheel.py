"""A wheel that is built from the source distribution works in an environment of its own, away from the sources.

The environment has what the wheel declares and nothing else, but for torch, torchvision and what torch itself needs,
which are gigabytes and are those of the tests. Where the package index does not answer, it has all that the tests have.
"""

import ast
import os
import re
import subprocess
import sys
import venv
import zipfile
from email.parser import HeaderParser
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.requirements import is_met, require

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "tui_influence"
LINKED = {"torch", "torchvision"}
BESIDE = {"term-image"}
"""What is installed beside the wheel, because it allows no Pillow that is safe."""
PARTS = {"pydantic-core": "pydantic"}
"""Distributions that come with another, which needs exactly one version of them."""


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
    finished("tar", "-xzf", sdist, cwd=directory)  # tarfile has no safe way before Python 3.11.4
    (unpacked,) = directory.glob("*/pyproject.toml")
    finished(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", directory, cwd=unpacked.parent)
    (built,) = directory.glob("*.whl")
    return built


def normal(name: str) -> str:
    """Return the name of a distribution as the index spells it."""
    return re.sub("[-_.]+", "-", name).lower()


def needs_of_torch() -> set[str]:
    """The distributions that torch needs here, without those that the wheel's own modules may need."""
    names, pending = set(), ["torch"]
    while pending:
        name = pending.pop()
        if name not in names:
            names.add(name)
            needs = [Requirement(line) for line in distribution(name).requires or ()]
            pending += [normal(need.name) for need in needs if not need.marker or need.marker.evaluate({"extra": ""})]
    return names


def link(name: str, directory: Path) -> None:
    """Make what a distribution has installed importable from a directory."""
    installed = distribution(name)
    for top in {file.parts[0] for file in installed.files or ()} - {"..", "__pycache__"}:
        source, link = Path(str(installed.locate_file(top))), directory / top
        if source.exists() and not link.exists():  # several may share a namespace, such as that of CUDA's libraries
            link.symlink_to(source)


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory) -> Path:
    """A virtual environment with the wheel and what it declares, which does not see this tree."""
    directory = tmp_path_factory.mktemp("environment")
    venv.create(directory, with_pip=False)
    python = directory / "bin/python"
    uv = (sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python)
    (packages,) = directory.glob("lib/*/site-packages")
    if is_met("the package index"):
        (directory / "excludes.txt").write_text("\n".join(LINKED))
        constraints = ("--constraints", ROOT / "constraints.txt", "--excludes", directory / "excludes.txt")
        finished(*uv, *constraints, "--only-binary", ":all:", wheel, cwd=directory)
        linked = directory / "linked"
        linked.mkdir()
        for name in LINKED | needs_of_torch():
            link(name, linked)
        dependencies = [str(linked)]
    else:
        finished(*uv, "--offline", "--no-deps", wheel, cwd=directory)
        dependencies = [path for path in sys.path if Path(path).name == "site-packages"]
    assert dependencies
    (packages / "dependencies.pth").write_text("\n".join(dependencies))
    return directory


def imported_distributions() -> set[str]:
    """The distributions that the modules of the package import, at their top or when they are needed."""
    names = set()
    for path in (ROOT / PACKAGE).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(str(node.module).partition(".")[0])
    distributions_of = packages_distributions()
    names -= {*sys.stdlib_module_names, PACKAGE}
    return {PARTS.get(name, name) for module in names for name in map(normal, distributions_of.get(module, [module]))}


def test_the_wheel_declares_all_that_its_modules_import_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = HeaderParser().parsestr(archive.read(metadata).decode()).get_all("Requires-Dist")
    declared = [Requirement(line) for line in lines]
    always = {normal(need.name) for need in declared if not need.marker}
    sometimes = {normal(need.name) for need in declared if need.marker and "extra" in str(need.marker)}
    imported = imported_distributions()
    assert imported - sometimes - BESIDE == always
    assert {"torch", "pillow", "nvidia-ml-py"} <= always


IMPORT_ALL = f"""
import importlib, pkgutil, {PACKAGE}

for module in pkgutil.walk_packages({PACKAGE}.__path__, "{PACKAGE}."):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            print(error.name)
"""


def test_with_what_the_wheel_declares_each_module_is_imported(environment, tmp_path):
    """But for those that need what is installed beside it."""
    require("the package index")
    missing = finished(environment / "bin/python", "-c", IMPORT_ALL, cwd=tmp_path).split()
    assert set(missing) == {"term_image"}


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
