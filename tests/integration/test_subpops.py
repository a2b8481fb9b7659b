"""`tinfl subpops`: what it prints, writes and refuses."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from tests.integration.command_line import refused, run
from tests.unit.analysis.sweeps import read_sweep, write_sweep
from tests.unit.analysis.test_subpopulations import EFFECTS, EXAMPLES, HIDDEN, LABELS
from tests.unit.store.digested import write_with_digest
from tui_influence.analysis.probe_types import DrivenExample
from tui_influence.export.subpopulations import image_names, list_file_names

EVERYTHING = ("--split", "all")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_sweep(tmp_path_factory.mktemp("planted") / "run", EFFECTS, LABELS, models=400).root


def test_an_overview_names_the_parts_of_every_class_and_the_command_that_shows_one(root):
    said = run("subpops", root, *EVERYTHING)
    assert said.code == 0
    assert "class 0" in said.out
    assert "class 1" in said.out
    assert {"g0", "g1", "g2"} <= set(said.out.split())
    assert f"next: tinfl subpops '--class=class 0' --split=all -- {root}" in said.err


def test_a_line_of_a_table_is_cut_and_never_broken_where_the_terminal_is_narrow(root, monkeypatch):
    monkeypatch.setenv("COLUMNS", "34")
    for options in ((), ("--ascii",)):
        lines = run("subpops", root, *EVERYTHING, *options).out.splitlines()
        rows = [line for line in lines if line.startswith("class 0 ")]
        assert [len(line) in (33, 34) for line in rows] == [True]  # a blank before the ellipsis is dropped
        assert rows[0].endswith("..." if options else "…")
        assert lines[lines.index(rows[0]) + 1].startswith("class 1 ")


def test_the_parts_of_a_class_are_shown_with_their_pictures(root):
    said = run("subpops", root, *EVERYTHING, "--class", "class 0", "--ascii")
    assert said.code == 0
    assert "assigned to 3 source classes" in " ".join(said.out.split())
    assert said.out.isascii()
    found = json.loads(run("subpops", root, *EVERYTHING, "--class", "class 0", "--json").out)
    (mixed,) = found["classes"]
    assert {part["group"] for part in mixed["subpopulations"]} == {"g0", "g1", "g2"}
    assert mixed["n_assigned"] == sum(part["n_examples"] for part in mixed["subpopulations"])


def test_what_a_source_class_drives_is_written_as_csv_json_and_a_list_of_images(root, tmp_path):
    asked = ("subpops", root, *EVERYTHING, "--source", "g1")
    assert run(*asked, "--csv", tmp_path / "driven.csv", "--export", tmp_path / "driven.txt").code == 0
    with (tmp_path / "driven.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert json.loads((tmp_path / "driven.meta.json").read_text())["target"] == "things"
    told = [row for row in rows if row["group"]]
    assert {row["group"] for row in told} == {"g1"}
    assert len(rows) == EXAMPLES
    assert all(float(row["q"]) < 0.05 for row in told)
    assert (tmp_path / "driven.txt").read_text().splitlines() == [row["name"] for row in told]
    found = json.loads(run(*asked, "--json", "--top", 3).out)
    assert found["n_significant"] == len(told)
    assert [example["example"] for example in found["examples"]] == [int(row["example"]) for row in rows[:3]]
    planted = np.flatnonzero((LABELS == 0) & (HIDDEN == 1))
    assert {int(row["example"]) for row in told} >= set(planted)


def test_the_parts_of_a_class_are_written_as_lists_into_a_folder_that_held_nothing(root, tmp_path):
    asked = ("subpops", root, *EVERYTHING, "--class", "class 0")
    assert run(*asked, "--export", tmp_path / "lists").code == 0
    (found,) = json.loads(run(*asked, "--json").out)["classes"]
    expected = {
        f"{part['group']}.txt": [example["name"] for example in part["examples"]] for part in found["subpopulations"]
    }
    assert {file.name: file.read_text().splitlines() for file in (tmp_path / "lists").iterdir()} == expected
    refused(*asked, "--export", tmp_path / "lists", code=2, reason="exists")


def test_no_name_of_a_source_class_leads_out_of_the_folder_or_takes_the_place_of_another():
    names = list_file_names(["../a", "A", "a", "..", "b/c\n\x1b", "x" * 300])
    assert names == ["a.txt", "A-2.txt", "a-3.txt", "group.txt", "b_c.txt", "x" * 60 + ".txt"]


def test_a_name_that_fits_no_line_is_left_out_of_a_list_and_what_was_written_is_said_safely(tmp_path):
    paths = write_sweep(tmp_path / "run", EFFECTS, LABELS, models=60)
    reading = read_sweep(paths)
    examples = [DrivenExample(number, 0, 0, 1.0, 1.0, 0.1, 0.8, 1.2, 0.0) for number in range(2)]
    names = ("two\nlines", "one\x1b", *reading.examples.names[2:])
    odd = replace(reading, examples=replace(reading.examples, names=names))
    assert image_names(odd, examples) == (["one\x1b"], 1)
    said = run("subpops", paths.root, "--source", "g1", "--export", tmp_path / "a\x1b[31m.txt")
    assert said.code == 0
    assert "a\\x1b[31m.txt" in said.err
    assert "\x1b" not in said.err


def test_all_examples_of_the_classes_are_in_their_csv_and_those_not_told_name_no_source(root):
    said = run("subpops", root, *EVERYTHING, "--csv", "-")
    rows = list(csv.DictReader(line for line in said.out.splitlines() if not line.startswith("#")))
    assert len(rows) == EXAMPLES
    assert all((row["group"] == "") == (float(row["q"]) >= 0.05) for row in rows)


def test_a_run_without_pictures_says_so_and_shows_the_rest(root, tmp_path):
    copy = write_sweep(tmp_path / "bare", EFFECTS, LABELS, models=60)
    (copy.target(0) / "thumbnails.npy").unlink()
    said = run("subpops", copy.root, "--source", "g1")
    assert said.code == 0
    assert "no image" in said.err
    assert "example" in said.out


def test_names_cannot_do_anything_to_the_terminal_or_to_a_spreadsheet(tmp_path):
    paths = write_sweep(tmp_path / "run", EFFECTS, LABELS, models=40)
    info = json.loads(paths.run.read_text())
    info["source"]["groups"][0] = "=1\x1b[2J\n"
    write_with_digest(paths.run, info)
    for options in ((), ("--source", "=1\x1b[2J\n"), ("--class", "class 0")):
        said = run("subpops", paths.root, *options)
        assert said.code == 0
        assert "\x1b" not in said.out + said.err
    assert ",=1" not in run("subpops", paths.root, "--csv", "-").out


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--source", "g9"), 'no class "g9"'),
        (("--class", "clas 0"), 'did you mean "class 0"'),
        (("--export", "list.txt"), "--export needs --source"),
        (("--source", "g1", "--export", "-"), "written to files"),
        (("--top", "0"), "--top"),
    ],
)
def test_what_does_not_fit_the_run_is_refused(root, options, reason):
    if options[0] == "--top":
        assert run("subpops", root, *options).code == 2
        return
    refused("subpops", root, *options, code=2, reason=reason)


def test_a_run_with_too_few_models_says_how_many_it_takes(tmp_path):
    paths = write_sweep(tmp_path / "run", EFFECTS, LABELS, models=4)
    refused("subpops", paths.root, code=3, reason="4 models recorded: single test examples take at least 10")
