"""Shell completion of results directories and of names in a run: complete, harmless and quick."""

import json
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from tests.integration.test_imports import HEAVY, loaded
from tests.tui.runs import make_run
from tui_influence.cli import completion
from tui_influence.cli.app import app
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import read_run_info, write_run_info


def complete(*words: str, shell: str = "bash") -> list[str]:
    """Return what a shell is offered for the last word."""
    line = " ".join(("tinfl", *words))
    environment = {
        "_TINFL_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words)),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    result = CliRunner().invoke(app, [], env=environment, prog_name="tinfl")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return [line for line in result.stdout.splitlines() if line]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folder")
    (folder / "results").mkdir()
    make_run(folder / "results" / "first", targets=("digits", "letters"), models=8, planned=8)
    make_run(folder / "results" / "second", models=8, planned=8)
    (folder / "data" / "train").mkdir(parents=True)
    (folder / "notes.txt").write_text("")
    return folder


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)


def test_commands_and_options_are_completed(here):
    assert complete("sta") == ["status"]
    assert complete("rank", "--comp") == ["--compare-target", "--compare-class"]


def test_runs_are_found_in_a_folder_and_one_level_below(here):
    assert complete("rank", "") == ["results/first", "results/second"]
    assert complete("explore", "results/f") == ["results/first"]
    assert complete("status", "results/x") == []
    assert complete("score", "notes.txt", "") == ["results/first", "results/second"]


def test_without_runs_folders_are_offered(here):
    assert complete("rank", "da") == ["data/"]
    assert complete("rank", "nowhere/") == []


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("rank", "results/first", "--target", ""), ["digits", "letters"]),
        (("prune", "results/first", "--target", "l"), ["letters"]),
        (("rank", "results/first", "--class", ""), ["x", "y", "z"]),
        (("rank", "results/first", "--compare-target", "letters", "--compare-class", "y"), ["y"]),
        (("rank", "results/first", "--target", "none", "--class", ""), []),
        (("score", "notes.txt", "results/first", "--target", ""), ["digits", "letters"]),
        (("score", "notes.txt", "results/first", "--target", "letters", "--class", "y"), ["y"]),
        (("rank", "results/none", "--class", ""), []),
        (("rank", "--class", ""), []),
        (("rank", "notes.txt", "--target", ""), []),
    ],
)
def test_names_are_those_of_the_run(here, words, names):
    assert complete(*words) == names


@pytest.mark.parametrize("command", ["show", "subpops", "leaks"])
def test_source_classes_are_those_of_the_run(here, command):
    groups = json.loads(Paths(completion.Path("results/first")).run.read_text())["source"]["groups"]
    assert complete(command, "results/first", "--source", "", shell="fish") == groups
    last = groups[-1].replace(" ", "\\ ")
    assert complete(command, "results/first", "--source", last, shell="fish") == [groups[-1]]


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[1]", b"\xff\xfe", b'{"schema": 1}', b'{"targets": 3}', b"[" * 100_000]
)
def test_a_damaged_run_offers_nothing(tmp_path, monkeypatch, damage):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    Paths(tmp_path / "run").run.write_bytes(damage)
    assert complete("rank", "run", "--class", "") == []
    assert complete("rank", "r") == ["run"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_name_that_a_shell_would_interpret_is_not_offered(tmp_path, monkeypatch, shell):
    monkeypatch.chdir(tmp_path)
    evil = [
        "$(touch x)",
        "`id`",
        "a;b",
        "a'b",
        'a"b',
        "a\\b",
        "*",
        "a\x1b[2J",
        "a\nb",
        "a\u202eb",
        "-rf",
        "",
        "a|b",
        "~a",
    ]
    make_run(tmp_path / "run", models=2, planned=2)
    paths, info = Paths(tmp_path / "run"), read_run_info(tmp_path / "run")
    target = replace(info.targets[0], classes=[*evil, "good", "golden retriever"])
    write_run_info(paths, replace(info, targets=[target]))
    offered = complete("rank", "run", "--class", "", shell=shell)
    good = {"bash": "golden\\ retriever", "zsh": '"golden retriever"', "fish": "golden retriever"}[shell]
    assert good in offered[1]
    assert len(offered) == 2
    for name in ("$(touch x)", "results;x"):
        (tmp_path / name).mkdir()
    assert "touch" not in "".join(complete("rank", "", shell=shell))


def test_a_large_run_is_not_read(here, monkeypatch):
    monkeypatch.setattr(completion, "_MAX_RUN_INFO", 10)
    assert complete("rank", "results/first", "--class", "") == []


def test_a_large_folder_is_read_in_part(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(completion._MAX_ENTRIES + 500):
        (tmp_path / f"folder-{number}").mkdir()
    start = time.monotonic()
    assert len(complete("rank", "")) == completion._MAX_NAMES
    assert time.monotonic() - start < 5


def test_the_prunings_of_a_sweep_are_offered(here, folder):
    (Paths(folder / "results" / "first").prunings / "main").mkdir(parents=True, exist_ok=True)
    assert complete("prune", "results/first", "--name", "") == ["main"]
    assert complete("prune", "results/none", "--name", "") == []


def test_completion_loads_nothing_heavy(folder):
    code = (
        "import os, sys\n"
        "os.environ.update(_TINFL_COMPLETE='complete_bash', COMP_CWORD='4',"
        f" COMP_WORDS='tinfl rank {folder}/results/first --class ')\n"
        "sys.argv = ['tinfl']\n"
        "try:\n    from tui_influence.cli import main; main()\nexcept SystemExit: pass\nprint()"
    )
    assert not loaded(code) & {*HEAVY, "numpy", "scipy", "PIL"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_printed(shell):
    code = (
        "import sys; sys.argv = ['tinfl', '--show-completion']\n"
        "import typer.completion as typer_completion\n"
        f"typer_completion._get_shell_name = lambda: {shell!r}\n"
        "from tui_influence.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"complete_{shell}" in done.stdout
