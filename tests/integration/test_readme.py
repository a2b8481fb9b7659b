"""Every command in the README works, in its order."""

import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.e2e.program import kill_everything, tinfl, wait_for, write_config
from tests.e2e.terminal import Terminal
from tests.requirements import require
from tui_influence.config.loader import load_config
from tui_influence.images.graphics import LIBRARY_REMEDY

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = [
    line.split(" #")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    for line in block.splitlines()
    if line.split(" #")[0].strip()
]


def test_the_readme_begins_with_its_two_commands():
    assert COMMANDS[:2] == ["make demo", "make test"]
    assert all(command.startswith(("make ", "tinfl ")) for command in COMMANDS)


def test_the_config_for_a_cluster_is_one(tmp_path):
    (section,) = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    config = write_config(tmp_path)
    config.write_text(config.read_text().partition("[compute]")[0] + section)
    assert load_config(config).compute.slurm.planner_partition == "cpu"


def test_nobody_is_sent_to_a_package_index_for_this_package():
    files = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "tui_influence").rglob("*.py")]
    assert [path for path in files if re.search(r"install .*tui.influence|tinfl\[", path.read_text())] == []


def test_the_readme_installs_what_the_project_has():
    text = (ROOT / "README.md").read_text()
    named = {extra for extras in re.findall(r"'\.\[([\w,-]+)\]'", text) for extra in extras.split(",")}
    assert {"figure", "ray"} <= named
    assert named <= tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"].keys()
    assert LIBRARY_REMEDY in text
    assert LIBRARY_REMEDY.rpartition(" ")[2] in (ROOT / "constraints.txt").read_text().splitlines()


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("make ")])
def test_make_knows_its_targets(command):
    require("make")
    done = subprocess.run([*shlex.split(command), "-n"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


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


def test_every_tinfl_command_of_the_readme_works(tmp_path):
    """In one directory, one after the other; only the config is swapped for one that trains in seconds."""
    require("tmux")
    try:
        for command in COMMANDS:
            program, *arguments = shlex.split(command)
            if program != "tinfl":
                continue
            if arguments[0] == "explore":
                look_at(tmp_path, *arguments)
                continue
            if arguments[0] in ("rank", "prune"):
                wait_for(tmp_path / "results/my-run", "done")
            tinfl(*arguments, cwd=tmp_path)
            if arguments[0] == "init":
                tinfl("check", "--no-time", "sweep.toml", cwd=tmp_path)
                tiny = write_config(tmp_path, output="results/my-run").read_text()
                (tmp_path / "sweep.toml").write_text(tiny.replace('name = "tiny"', 'name = "my-run"', 1))
        assert (tmp_path / "ranking.csv").read_text().startswith("# ")
    finally:
        kill_everything(tmp_path / "results/my-run/prune/main")
        kill_everything(tmp_path / "results/my-run")
