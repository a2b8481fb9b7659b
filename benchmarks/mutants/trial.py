"""Mutants put to the test, in a copy of the repository: whether any test of their package fails."""

import ast
import compileall
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import chdir
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from py_compile import PycInvalidationMode
from unittest.mock import patch

import coverage
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_item import TestOutcome, WorkerOutcome

from benchmarks.mutants.plugin import CHOSEN, SECONDS, Choice
from benchmarks.mutants.sampling import Mutant

NOT_COPIED = (".git", ".venv", ".*_cache", "__pycache__", ".hypothesis", "results", "*.egg-info")
PYTEST = (sys.executable, "-m", "pytest", "-p", "benchmarks.mutants.plugin", "-p", "no:xdist", "-p", "no:cacheprovider")
OPTIONS = ("--hypothesis-profile=ci", "-m", "not gpu and not soak and not cluster")
"""Hypothesis tries the same examples each time and keeps none: a mutant's fate does not depend on the one before."""
SLOWEST = 3.0
"""Seconds of a processor: a slower test is not run on mutants. What it alone would notice counts as a survivor."""
PATIENCE, MIN_PATIENCE = 5, 120
"""A test run that takes this many times as long as it should, plus so many seconds, hangs."""


class Fate(StrEnum):
    """What became of a mutant."""

    NOTICED = "noticed"
    SURVIVED = "survived"
    UNREACHED = "survived: no quick test runs it"


@dataclass(frozen=True)
class Reach:
    """Which tests reach which lines.

    Attributes:
        tests: of each module and line, the tests that run it; "" among them if it runs on import.
        seconds: of a processor that each test takes.
    """

    tests: dict[str, dict[int, set[str]]]
    seconds: dict[str, float]

    def of(self, module: str, lines: range) -> list[str]:
        """Return the tests that reach any of some lines, the quickest first; all tests if import does."""
        at_lines = self.tests.get(module, {})
        names = set().union(*(at_lines.get(line, set()) for line in lines))
        reaching = set(self.seconds) if "" in names else names & set(self.seconds)
        return sorted(reaching, key=lambda name: (self.seconds[name], name))

    def slow(self) -> list[str]:
        """Return the tests that are too slow to be run often."""
        return sorted(name for name, seconds in self.seconds.items() if seconds > SLOWEST)


def copy_tree(root: Path, destination: Path) -> None:
    """Copy the repository without what is built or ignored, so that the checkout stays as it is."""
    shutil.copytree(root, destination, ignore=shutil.ignore_patterns(*NOT_COPIED))
    # compiled once, and told apart by what they say: a mutant may have its module's size and be written within a second
    compileall.compile_dir(destination / "tui_influence", quiet=2, invalidation_mode=PycInvalidationMode.CHECKED_HASH)


def measure_reach(tests: Sequence[str], copy: Path, scratch: Path) -> Reach:
    """Run a package's tests on unchanged code.

    Args:
        tests: files and directories of tests.
        copy: of the repository.
        scratch: an empty directory to write to.

    Raises:
        SystemExit: a test fails without any mutant.
    """
    data, seconds = scratch / "coverage", scratch / "seconds"
    command = (sys.executable, "-m", "coverage", "run", "--data-file", str(data), "--source", "tui_influence")
    environment = os.environ | _environment(copy) | {SECONDS: str(seconds)}
    run = subprocess.run(
        (*command, *PYTEST[1:], *OPTIONS, *tests), cwd=copy, env=environment, capture_output=True, text=True
    )
    if run.returncode:
        raise SystemExit(f"the tests fail without any mutant:\n{run.stdout[-5000:]}{run.stderr[-2000:]}")
    measured = coverage.CoverageData(str(data))
    measured.read()
    reached = {
        str(Path(file).relative_to(copy)): {
            line: set(contexts) for line, contexts in measured.contexts_by_lineno(file).items()
        }
        for file in measured.measured_files()
    }
    return Reach(reached, json.loads(seconds.read_text(encoding="utf-8")))


def fate_of(mutant: Mutant, reach: Reach, copy: Path, scratch: Path) -> Fate:
    """Apply a mutant to the copy, run the files of tests that reach it until one fails, and take it back.

    Tests of these files that do not reach it run too, last: what a fixture does is filed under the first of its tests.
    """
    reaching = reach.of(mutant.module, _statement(copy / mutant.module, mutant.line))
    files = list(dict.fromkeys(_file(name) for name in reaching if reach.seconds[name] <= SLOWEST))
    if not files:
        return Fate.UNREACHED
    choice, path = Choice(first=reaching, left_out=reach.slow()), scratch / "choice.json"
    path.write_text(json.dumps(choice), encoding="utf-8")
    due = sum(min(seconds, SLOWEST) for name, seconds in reach.seconds.items() if _file(name) in files)
    command = shlex.join((*PYTEST, *OPTIONS, "-x", *files))
    with chdir(copy), patch.dict(os.environ, _environment(copy) | {CHOSEN: str(path)}):
        result = mutate_and_test([mutant.spec], command, MIN_PATIENCE + PATIENCE * due)
    if result.worker_outcome is not WorkerOutcome.NORMAL:
        raise RuntimeError(f"{mutant.module}:{mutant.line} could not be tested: {result.output}")
    return Fate.SURVIVED if result.test_outcome is TestOutcome.SURVIVED else Fate.NOTICED


def _environment(copy: Path) -> dict[str, str]:
    """What makes `tui_influence` the copy's."""
    return {"PYTHONPATH": str(copy)}


def _file(test: str) -> str:
    return test.partition("::")[0]


def _statement(module: Path, line: int) -> range:
    """The lines of the innermost statement around a line; of one that holds others, those of its head."""
    statements = [
        node for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))) if isinstance(node, ast.stmt)
    ]
    spans = [range(node.lineno, _end(node)) for node in statements]
    return min((span for span in spans if line in span), key=len, default=range(line, line + 1))


def _end(node: ast.stmt) -> int:
    """The line after a statement's, or after its head's."""
    body = getattr(node, "body", [])
    return body[0].lineno if body else (node.end_lineno or node.lineno) + 1
