"""Every command in the README and the guides works, in its order."""

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.e2e.program import kill_everything, tinfl, wait_for, write_config
from tests.e2e.terminal import Terminal
from tests.integration.command_line import run
from tests.requirements import require
from tui_influence.config.loader import load_config
from tui_influence.images.graphics import LIBRARY_REMEDY

ROOT = Path(__file__).resolve().parents[2]
README, GUIDE, CLUSTER = (ROOT / name for name in ("README.md", "docs/guide.md", "docs/cluster.md"))
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
PAGES = (README, GUIDE, CLUSTER)
CLONE = "git clone <this repository's URL> tinfl && cd tinfl"
ACTIVATE = "source .venv/bin/activate"
PROCESSES = ("sweep", "stop", "resume", "prune")
"""Commands that start or signal a process: they run in one of their own."""


def commands(page: Path) -> list[str]:
    """Return the commands in a page's shell blocks, without their comments."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
    lines = (re.sub(r"(^|\s)# .*", "", line).strip() for block in blocks for line in block.splitlines())
    return [line for line in lines if line]


MAKE = sorted({line for page in (*PAGES, CONTRIBUTING) for line in commands(page) if line.startswith("make ")})


def test_the_readme_begins_with_its_picture_and_its_two_commands():
    assert "](docs/tour/rank.svg)" in "\n".join(README.read_text().splitlines()[:12])
    assert commands(README)[:4] == [CLONE, "make demo", "make test", ACTIVATE]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_command_is_left_out_of_the_tests(page):
    others = [line for line in commands(page) if not line.startswith(("make ", "tinfl "))]
    assert others == ([CLONE, ACTIVATE] if page == README else [])


def test_nobody_is_sent_to_a_package_index_for_this_package():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    files = [*pages, *(ROOT / "tui_influence").rglob("*.py")]
    assert [path for path in files if re.search(r"install .*tui.influence|tinfl\[", path.read_text())] == []


def test_the_pages_install_what_the_project_has():
    text = " ".join(word for page in PAGES for word in page.read_text().split())
    named = {extra for extras in re.findall(r"'\.\[([\w,-]+)\]'", text) for extra in extras.split(",")}
    assert {"figure", "ray"} <= named
    assert named <= tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"].keys()
    assert LIBRARY_REMEDY in text
    assert LIBRARY_REMEDY.rpartition(" ")[2] in (ROOT / "constraints.txt").read_text().splitlines()


@pytest.mark.parametrize("command", MAKE)
def test_make_knows_its_targets(command):
    require("make")
    done = subprocess.run([*shlex.split(command), "-n"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_tests_that_a_contributor_is_told_to_run_are_there():
    lines = [line for line in commands(CONTRIBUTING) if " -m pytest " in line]
    named = [argument for line in lines for argument in shlex.split(line) if argument.startswith("tests/")]
    assert len(lines) >= 3
    assert [path for path in named if not (ROOT / path).exists()] == []


def look_at(directory: Path, command: str, results: str) -> None:
    """Open the app in a real terminal, and leave it."""
    terminal = Terminal(directory / "socket")
    try:
        terminal.start(command, directory / results)
        terminal.wait(lambda text: "models" in text and "Rank" in text)
        terminal.keys("q")
        terminal.wait(lambda text: "ended 0" in text)
    finally:
        terminal.close()


def use_small_config(directory: Path) -> None:
    """Swap the config for one that trains in seconds, of the run that the pages speak of."""
    small = write_config(directory, output="results/my-run").read_text()
    (directory / "sweep.toml").write_text(small.replace('name = "tiny"', 'name = "my-run"', 1))


def run_commands(page: Path, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the commands of a page, one after the other."""
    require("tmux")
    monkeypatch.chdir(directory)
    try:
        for line in commands(page):
            if not line.startswith("tinfl "):
                continue
            command, *arguments = shlex.split(line)[1:]
            if command in ("rank", "prune"):
                wait_for(directory / arguments[0], "done")
            if command == "explore":
                look_at(directory, command, *arguments)
            elif command in PROCESSES:
                tinfl(command, *arguments, cwd=directory)
            else:
                result = run(command, *arguments)
                assert result.code == 0, f"{line}\n{result}"
            if command == "init":
                assert run("check", "--no-time", "sweep.toml").code == 0
                use_small_config(directory)
    finally:
        for results in (directory / "results").glob("*"):
            kill_everything(results / "prune/main")
            kill_everything(results)


def test_every_command_of_the_readme_works(complete, tmp_path, monkeypatch):
    """On runs that are finished already."""
    for name in ("demo", "my-run"):
        shutil.copytree(complete, tmp_path / "results" / name, symlinks=True)
    run_commands(README, tmp_path, monkeypatch)


def test_every_command_of_the_guide_works(tmp_path, monkeypatch):
    run_commands(GUIDE, tmp_path, monkeypatch)
    assert (tmp_path / "ranking.csv").read_text().startswith("rank,group,influence")
    assert json.loads((tmp_path / "ranking.meta.json").read_text())["target"]


def test_the_guide_of_clusters_works(tmp_path):
    """With the config that it shows; nothing is submitted."""
    (section,) = re.findall(r"```toml\n(.*?)```", CLUSTER.read_text(), re.DOTALL)
    use_small_config(tmp_path)
    config = tmp_path / "sweep.toml"
    config.write_text(config.read_text().partition("[compute]")[0] + section)
    assert load_config(config).compute.slurm.planner_partition == "cpu"
    (command,) = commands(CLUSTER)
    result = tinfl(*shlex.split(command)[1:], cwd=tmp_path)
    assert "#SBATCH --partition=gpu" in result.stdout
    assert "module load cuda" in result.stdout
