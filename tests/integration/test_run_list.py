"""`tinfl list` and `tinfl note`, and the run that a command uses where none is named."""

import json
import os

import pytest

from tests.integration.command_line import refused, run
from tests.tui.runs import make_run, say
from tui_influence.runs.heartbeat import State


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the runs "old" and "new" in its `results`."""
    for age, name in enumerate(("new", "old")):
        paths = make_run(tmp_path / "results" / name, name=name, targets=("digits", "letters")[: 1 + age])
        say(paths, State.DONE, target_accuracy=[0.75, 0.5][: 1 + age])
        os.utime(paths.heartbeat, (1e9 - 100 * age, 1e9 - 100 * age))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results"


def test_the_runs_of_a_folder_are_a_line_each_the_newest_first(folder):
    lines = run("list").out.splitlines()
    assert " ".join(lines[0].split()) == "results state target classes models reliability accuracy changed note"
    assert [line.split()[1] for line in lines[1:]] == ["new", "old"]
    assert "digits +1" in lines[2]
    assert lines[1].split()[2:10] == ["done", "digits", "30", "40", "of", "60", "-", "75.0%"]
    assert run("list", folder).out.splitlines()[1:] == lines[1:]


def test_the_list_as_json_has_every_target(folder):
    new, old = json.loads(run("list", "--json").out)
    assert (new["run"], new["state"], new["groups"], new["done"], new["total"]) == ("new", "done", 30, 40, 60)
    assert old["targets"] == ["digits", "letters"]
    assert old["accuracy"] == [0.75, 0.5]
    assert new["active_at"] == 1e9


def test_a_run_that_cannot_be_read_says_why_below_the_others(folder):
    (folder / "old" / "run.json").write_text("{")
    lines = run("list").out.splitlines()
    assert len(lines) == 3
    assert lines[2].startswith("old: ")
    assert "damaged" in lines[2]
    assert json.loads(run("list", "--json").out)[1]["state"] is None


def test_a_folder_without_runs_is_refused(tmp_path):
    refused("list", tmp_path, code=3, reason="neither a results directory")
    refused("list", tmp_path / "none", code=3, reason="no such results directory")


def test_a_note_is_kept_shown_and_removed(folder):
    assert run("note", "results/new", "lower\n lr", "--tag", "paper", "--tag", "paper").out == "lower lr  #paper\n"
    assert run("note", "results/new").out == "lower lr  #paper\n"
    assert run("list").out.splitlines()[1].endswith("  lower lr  #paper")
    assert json.loads(run("list", "--json").out)[0]["tags"] == ["paper"]
    assert json.loads(run("note", "results/new", "--untag", "paper", "--json").out) == {"note": "lower lr", "tags": []}
    assert run("verify", "results/new").code == run("verify", "results/old").code
    assert run("note", "results/new", "--clear").out == ""
    assert not (folder / "new" / "note.json").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--tag", "two words"), '"two words" is no tag'),
        (("--untag", "none"), 'no tag "none"'),
        (("x" * 2001,), "at most 2,000 characters"),
        (("\x1b[2J",), "a note is one line"),
        (tuple(word for tag in range(21) for word in ("--tag", f"t{tag}")), "at most 20 tags"),
    ],
)
def test_a_note_that_cannot_be_kept_is_refused(folder, arguments, reason):
    refused("note", "results/new", *arguments, code=2, reason=reason)
    assert not (folder / "new" / "note.json").exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"text": 1, "tags": []}', '{"text": "x", "tags": "y"}'])
def test_a_damaged_note_is_a_reason_and_no_traceback(folder, content):
    (folder / "new" / "note.json").write_text(content)
    refused("note", "results/new", code=3, reason="note.json: damaged")
    assert "new: results/new/note.json: damaged" in run("list").out


def test_foreign_notes_are_printed_without_their_control_characters(folder):
    (folder / "new" / "note.json").write_text(json.dumps({"text": "a\x1b[2Jb", "tags": ["t\x07"]}))
    assert "\x1b" not in run("list").out + run("note", "results/new").out


def test_the_newest_run_is_used_where_none_is_named(folder, tmp_path, monkeypatch):
    status = run("status")
    assert "new: done" in status.out
    assert status.err == "using results/new, the run that changed last\n"
    monkeypatch.chdir(folder / "old")
    assert "old: done" in run("status").out
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    refused("rank", code=2, reason="name a results directory")
