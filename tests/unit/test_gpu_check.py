"""`make gpu-check` runs where there is torch and no network: all else that it needs is listed, and that is fetched."""

import json
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
IMPORTED = """
import json, sys
from importlib.metadata import packages_distributions
import benchmarks.gpu_check
import tui_influence.cli.commands.sweep, tui_influence.runs.supervisor, tui_influence.runs.worker
import pynvml
names = packages_distributions()
print(json.dumps(sorted({name for module in sys.modules for name in names.get(module.partition(".")[0], [])})))
"""


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def listed() -> set[str]:
    lines = (ROOT / "benchmarks" / "gpu_requirements.txt").read_text().splitlines()
    return {plain(line) for line in lines if line and not line.startswith("#")}


def with_what_they_need(names: set[str]) -> set[str]:
    """Packages and all that they require, extras apart."""
    pending, known = list(names), set()
    while pending:
        name = pending.pop()
        if name in known:
            continue
        known.add(name)
        try:
            needed = [Requirement(line) for line in requires(name) or []]
        except PackageNotFoundError:  # for another system
            continue
        pending += [plain(each.name) for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]
    return known


def test_what_gpu_check_imports_is_torch_s_or_listed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED], cwd=ROOT, capture_output=True, text=True, check=True
    )  # fmt: skip
    imported = {plain(name) for name in json.loads(done.stdout)} - {
        "tui-influence",
        "tqdm",
        "dill",
    }  # torch does without
    assert listed() & imported, "packages are told by name"
    assert imported <= with_what_they_need({"torch", "torchvision"}) | listed()


def test_what_is_listed_needs_nothing_that_is_not() -> None:
    assert with_what_they_need(listed()) == listed()
