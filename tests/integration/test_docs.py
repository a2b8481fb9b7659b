"""The documentation is true: its code runs and gives the numbers of the package, and its links lead somewhere."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from tests.integration.command_line import run
from tests.unit.golden_files import REGENERATE
from tui_influence.roles import Role
from tui_influence.store.examples import read_examples
from tui_influence.store.matrix import load_outputs
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import read_run_info

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])

ROOT_PAGES = ("index.md", "contributing.md", "changelog.md")
"""What `docs/site_pages.py` adds to the site."""


def code_blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def results(complete, tmp_path_factory):
    """A finished sweep where the page says it is."""
    directory = tmp_path_factory.mktemp("reader")
    shutil.copytree(complete, directory / "results/my-run", symlinks=True)
    return directory


def read_without_the_package(directory: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a Python that does not see the package."""
    script = directory / "reader.py"
    script.write_text(f"import sys\nsys.modules['tui_influence'] = None\n{code}")
    command = [sys.executable, str(script)]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=60)


def test_a_results_directory_is_read_with_numpy_and_safetensors_alone(results):
    reading, checking = code_blocks(ROOT / "docs/results-directory.md", "python")
    imported = set(re.findall(r"^(?:import|from) (\w+)", reading + checking, re.MULTILINE))
    assert imported - sys.stdlib_module_names == {"numpy", "safetensors"}
    done = read_without_the_package(results, reading + checking)
    assert done.returncode == 0, done.stderr
    *lines, accuracy = done.stdout.splitlines()

    rows = json.loads(run("rank", results / "results/my-run", "--estimator", "difference", "--json").out)["rows"]
    ranked = [[f"{row['influence']:+.4f}", row["group"]] for row in rows]
    printed = [line.split("  ") for line in lines]
    assert [value for value, _ in printed] == [value for value, _ in ranked]
    assert sorted(printed) == sorted(ranked)  # equal influences may come in either order
    paths = Paths(results / "results/my-run")
    info = read_run_info(paths.root)
    outputs, examples = load_outputs(paths, info, Role.ESTIMATE, 0), read_examples(paths, info, 0)
    correct = np.asarray(outputs.predicted) == examples.labels
    assert accuracy == f"accuracy {correct[:, ~examples.estimate].mean():.1%} over {len(outputs)} models"


def test_the_digests_notice_a_changed_record(results, tmp_path):
    directory = shutil.copytree(results, tmp_path / "copy", symlinks=True)
    record = directory / "results/my-run/records/estimate/0000/0000003.t0.safetensors"
    content = bytearray(record.read_bytes())
    content[-1] ^= 1
    record.write_bytes(content)
    done = read_without_the_package(directory, "".join(code_blocks(ROOT / "docs/results-directory.md", "python")))
    assert done.returncode == 1
    assert "AssertionError" in done.stderr
    assert "digest(as_bytes(header), *content)" in done.stderr


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if "://" not in link:
            path, _, heading = link.partition("#")
            linked = page.parent / path if path else page
            assert linked.exists(), link
            assert not heading or heading in headings(linked), link


def test_the_cli_reference_is_that_of_the_help_texts(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    text = import_module("cli_reference").reference()
    page = ROOT / "docs/cli.md"
    if os.environ.get(REGENERATE):
        page.write_text(text)
    assert text == page.read_text()
    lines = [line for block in code_blocks(page, "text") for line in block.splitlines()]
    assert max(map(len, lines)) <= 80


def test_the_site_has_every_page_and_no_other():
    pages = re.findall(r"^ +- .*?([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(pages) == sorted([*ROOT_PAGES, *(page.name for page in (ROOT / "docs").glob("*.md"))])


def test_the_source_distribution_has_the_papers():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    papers = [*ROOT.glob("*.md"), ROOT / "CITATION.cff", ROOT / "mkdocs.yml"]
    assert [paper.name for paper in papers if paper.name not in included] == []


def test_the_citation_is_of_this_version():
    text = (ROOT / "CITATION.cff").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"\nversion: {project['version']}\n" in text
    assert f"\nlicense: {project['license']['text']}\n" in text
    assert "2207.05739" in text
