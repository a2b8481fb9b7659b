"""`tinfl leaks` on a run over single images with copies planted among them."""

import csv
import io
import json
import shutil

import pytest

from benchmarks.planted import plant
from tests.e2e.program import tinfl
from tests.integration.command_line import refused, run
from tests.tui.runs import make_run
from tests.unit.store.digested import write_with_digest
from tui_influence.config.loader import config_from_json, load_config
from tui_influence.datasets import load_source
from tui_influence.runs.datasets import open_datasets
from tui_influence.store.run_info import read_run_info

MODELS, COPIES = 48, 12


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    where = tmp_path_factory.mktemp("planted")
    planted = plant(where, COPIES, fonts=6, test_per_class=20, models=MODELS, epochs=2)
    tinfl("sweep", "--foreground", planted.config)
    return where / "results", planted


def found(results, *options) -> dict:
    return json.loads(run("leaks", results, "--json", *options).out)


def test_planted_copies_are_found_by_their_pixels_with_their_test_images(made):
    results, planted = made
    copies = found(results, "--duplicates")["duplicates"]
    expected = {(planted.names[source], test): planted.kinds[source] for source, test in planted.copies.items()}
    hits = {(copy["source"], copy["example"]): copy["kind"] for copy in copies}
    assert hits.keys() <= expected.keys()
    assert {pair for pair, kind in expected.items() if kind != "cropped"} <= hits.keys()
    assert {kind for pair, kind in hits.items() if expected[pair] == "exact"} == {"identical"}


def test_pairs_come_with_intervals_and_with_what_is_known_of_copies(made):
    results, _ = made
    document = found(results, "--split", "all")
    assert document["groups"] == "image"
    assert document["n_models"] == MODELS
    assert document["config_hash"] == read_run_info(results).identity
    assert document["n_tested"] == len(read_run_info(results).source.groups) * 200
    rows = document["helped"] + document["hurt"]
    assert all(row["low"] <= row["influence"] <= row["high"] for row in rows)
    assert [row["influence"] > 0 for row in rows] == [True] * len(document["helped"]) + [False] * len(document["hurt"])
    copies = {(copy["source"], copy["example"]): copy["kind"] for copy in found(results, "--duplicates")["duplicates"]}
    told = {(row["source"], row["example"]): row["duplicate"] for row in rows}
    assert told.keys() & copies.keys()
    assert told == {pair: copies.get(pair, False) for pair in told}
    assert {row["source_class"] for row in rows} <= set("0123456789")


def test_a_csv_holds_the_same_pairs(made):
    results, _ = made
    document = found(results)
    text = run("leaks", results, "--csv", "-", "--comments").out
    rows = list(csv.DictReader(line for line in io.StringIO(text) if not line.startswith("#")))
    pairs = [(row["source"], row["example"], row["influence"]) for row in document["helped"] + document["hurt"]]
    assert [(row["source"], int(row["example"]), float(row["influence"])) for row in rows] == pairs
    said = {line for line in text.splitlines() if line.startswith("#")}
    assert {"# split: estimate", "# output: margin", f"# identity: {document['config_hash']}"} <= said
    copies = run("leaks", results, "--duplicates", "--csv", "-").out
    kinds = [row["kind"] for row in csv.DictReader(line for line in io.StringIO(copies) if not line.startswith("#"))]
    assert kinds == [copy["kind"] for copy in found(results, "--duplicates")["duplicates"]]


def test_the_screen_shows_pairs_side_by_side_and_ends_with_what_comes_next(made):
    results, _ = made
    said = run("leaks", results, "--top", 2)
    assert said.code == 0
    assert "likely leakage" in said.out
    assert "significant" in said.out
    assert set(said.out) & set("░▒▓█▀▄")
    assert "--export-remove" in said.err
    assert "\x1b" not in said.out
    assert run("leaks", results, "--top", 2, "--ascii").out.isascii()


def test_the_images_of_a_class_are_shown_from_both_ends(made):
    results, _ = made
    said = run("leaks", results, "--source", "7")
    assert said.code == 0
    assert "most helpful" in said.out
    assert "most harmful" in said.out
    assert "7/" in said.out
    images = found(results, "--source", "7")["images"]
    ranked = [row for row in json.loads(run("rank", results, "--json").out)["rows"] if row["group"].startswith("7/")]
    assert [(row["name"], row["influence"], row["q"]) for row in images] == [
        (row["group"], row["influence"], row["q"]) for row in ranked
    ]
    assert images
    refused("leaks", results, "--source", "A", code=2, reason="no single image of class")
    refused("leaks", results, "--source", "77", code=2, reason='no class "77"; did you mean "7"?')


def test_what_is_to_be_removed_is_left_out_by_the_config_that_is_written(made, tmp_path):
    results, planted = made
    listed, config = tmp_path / "remove.txt", tmp_path / "clean.toml"
    said = run("leaks", results, "--duplicates", "--export-remove", listed, "--export-config", config)
    assert said.code == 0
    names = listed.read_text().splitlines()
    assert {planted.names[source] for source, kind in planted.kinds.items() if kind == "exact"} <= set(names)
    before, after = (load_config(path) for path in (planted.config, config))
    whole, left = (load_source(section.source, seed=0, resolution=28, channels=1) for section in (before, after))
    assert set(left.names) == set(whole.names) - set(names)
    assert run("check", "--no-time", config).code == 0


def test_what_a_run_leaves_out_already_stays_left_out(made, tmp_path):
    results, planted = made
    copied = [name for place, name in enumerate(planted.names) if place in planted.copies]
    mine = next(name for name in planted.names if name.startswith("A/"))  # in no group
    excluded = tmp_path / "excluded.txt"
    excluded.write_text(f"# mine\n{mine}")
    again = tmp_path / "again"
    shutil.copytree(results, again)
    info = json.loads((again / "run.json").read_text())
    info["config"]["source"]["exclude"] = str(excluded)
    data = open_datasets(config_from_json(info["config"]))
    info["source"]["fingerprint"] = data.source.fingerprint
    write_with_digest(again / "run.json", info)
    for option in (("--export-remove", excluded), ("--export-remove", tmp_path / "a", "--export-config", excluded)):
        refused("leaks", again, "--duplicates", *option, code=2, reason="name the same file")
    assert excluded.read_text() == f"# mine\n{mine}"
    listed, config = tmp_path / "remove.txt", tmp_path / "clean.toml"
    assert run("leaks", again, "--duplicates", "--export-remove", listed, "--export-config", config).code == 0
    lines = listed.read_text().splitlines()
    assert lines[:2] == ["# mine", mine]
    assert set(lines[2:]) <= set(copied)
    assert len(lines) > 2
    assert load_config(config).source.exclude == str(listed)


def test_a_second_stage_sweeps_over_the_images_of_the_classes_that_are_named(finished, tmp_path):
    config = tmp_path / "images.toml"
    said = run("leaks", finished, "--init", config, "--source", "3", "--source", "8", "--models", 500)
    assert said.code == 0
    assert f"tinfl sweep {config}" in said.err
    made = load_config(config)
    assert (made.design.kind, made.design.models) == ("bernoulli", 500)
    lines = (tmp_path / "images.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * 12
    assert {line[0] for line in lines[1:]} == {"3", "8"}
    checked = json.loads(run("check", "--no-time", "--json", config).out)
    assert checked["source"]["ungrouped"] == 34 * 12


def test_a_second_stage_takes_the_classes_that_help_most(finished, tmp_path):
    first = [row["group"] for row in json.loads(run("rank", finished, "--json").out)["rows"][:2]]
    run("leaks", finished, "--init", tmp_path / "images.toml", "--top", 2)
    assert {line[0] for line in (tmp_path / "images.csv").read_text().splitlines()[1:]} == set(first)


def test_copies_are_looked_for_on_a_run_over_classes_too(finished):
    document = found(finished, "--duplicates")
    assert document["duplicates"] == []
    assert (document["n_source_images"], document["n_examples"]) == (36 * 12, 100)


def test_a_run_with_too_few_models_says_how_many_it_takes(finished):
    said = refused("leaks", finished, code=3, reason="too few to tell")
    assert "takes at least" in said


def test_what_is_asked_must_be_there_and_fit(made, tmp_path):
    results, _ = made
    refused("leaks", results, "--example", 200, code=2, reason="has 200, numbered 0 to 199")
    refused("leaks", results, "--class", "x", code=2, reason='no class "x"')
    refused("leaks", results, "--target", "x", code=2, reason='no target "x"')
    refused("leaks", results, "--models", 9, code=2, reason="--models needs --init")
    refused("leaks", results, "--export-config", tmp_path / "a.toml", code=2, reason="needs --export-remove")
    refused("leaks", results, "--init", tmp_path / "a.toml", code=2, reason="single images already")
    refused("leaks", results, "--source", "1", "--source", "2", code=2, reason="one class")
    refused("leaks", tmp_path / "none", code=3, reason="no such results directory")


def test_without_the_datasets_pairs_are_shown_all_the_same_and_copies_refused(tmp_path):
    names = [f"a/{place}" for place in range(20)]
    paths = make_run(tmp_path / "run", groups=names, models=60, planned=60)
    info = json.loads(paths.run.read_text())
    info["source"]["sizes"] = [1] * len(names)
    info["config"] = {
        "run": {"name": "small"},
        "source": {"kind": "npz", "path": str(tmp_path / "gone.npz"), "groups": "example"},
        "target": [{"kind": "npz", "name": "digits", "train": "a.npz", "test": "b.npz"}],
        "design": {"kind": "bernoulli", "alpha": 0.5, "models": 60},
    }
    write_with_digest(paths.run, info)
    said = run("leaks", paths.root)
    assert said.code == 0
    assert "did not search for duplicates" in said.err
    assert "gone.npz does not exist" in said.err
    refused("leaks", paths.root, "--duplicates", code=2, reason="gone.npz does not exist")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--csv", "-", "--json"), "both write to stdout"),
        (("--csv", "a", "--export-remove", "./a"), "name the same file"),
        (("--init", "a.toml", "--json"), "a config and nothing else"),
        (("--init", "a.csv"), "ends in .toml"),
        (("--init", "."), "ends in .toml"),
        (("--duplicates", "--class", "nope"), "not with --class"),
        (("--duplicates", "--split", "all"), "not with --class"),
        (("--duplicates", "--output-kind", "correct"), "not with --class"),
        (("--force",), "--force needs --init"),
        (("--source", "7"), "not single images; `tinfl leaks --init FILE --source CLASS`"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(finished, tmp_path, monkeypatch, options, reason):
    monkeypatch.chdir(tmp_path)
    refused("leaks", finished, *options, code=2, reason=reason)
    assert list(tmp_path.iterdir()) == []


def test_a_second_stage_replaces_no_file_that_is_there(finished, tmp_path):
    (tmp_path / "images.csv").write_text("mine")
    refused("leaks", finished, "--init", tmp_path / "images.toml", code=2, reason="already exists")
    assert (tmp_path / "images.csv").read_text() == "mine"
    assert run("leaks", finished, "--init", tmp_path / "images.toml", "--force").code == 0
    assert (tmp_path / "images.csv").read_text().startswith("path,group\n")
