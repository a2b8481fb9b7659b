"""`tinfl failures`: what it prints, writes and refuses."""

import csv
import json

import pytest

from tests.integration.command_line import refused, run
from tests.unit.analysis.sweeps import write_sweep
from tests.unit.analysis.test_failures import EASE, EFFECTS, LABELS

EVERYTHING = ("--split", "all")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted") / "run"
    return write_sweep(folder, EFFECTS, LABELS, models=200, ease=EASE).root


def test_failures_are_shown_with_what_is_to_blame(root):
    said = run("failures", root, *EVERYTHING, "--ascii")
    assert said.code == 0
    assert said.out.isascii()
    text = " ".join(said.out.split())
    assert 'most of 200 models predict 2 of 60 examples of target "things" wrongly' in text
    assert "low margin" not in text
    assert "2 of 60 examples" in run("failures", root, *EVERYTHING, "--below", "5").out
    assert "more have a low margin" in " ".join(run("failures", root, *EVERYTHING, "--below", "5").out.split())
    assert text.index("example 6") < text.index("g5") < text.index("g2") < text.index("example 9") < text.index("g3")


def test_csv_and_json_say_the_same(root, tmp_path):
    found = json.loads(run("failures", root, *EVERYTHING, "--json").out)
    assert run("failures", root, *EVERYTHING, "--csv", tmp_path / "failures.csv").code == 0
    with (tmp_path / "failures.csv").open() as file:
        rows = list(csv.DictReader(file))
    facts = json.loads((tmp_path / "failures.meta.json").read_text())
    assert facts["models"] == 200
    lines = [
        (str(failure["example"]), one["group"], repr(one["influence"]))
        for failure in found["failures"]
        for one in failure["harmful_groups"]
    ]
    assert [(row["example"], row["group"], row["influence"]) for row in rows] == lines
    assert (found["n_wrong"], found["n_low_margin"], found["relative"]) == (2, 0, False)


def test_a_target_without_failures_is_no_error(root):
    said = run("failures", root, "--class", "class 1", *EVERYTHING)
    assert said.code == 0
    assert "0 of 20 examples" in said.out


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--example", "60"), "no example 60"),
        (("--example", "-1"), "no example -1"),
        (("--class", "nothing"), 'no class "nothing"'),
        (("--example", "3", "--class", "class 0"), "cannot be combined"),
    ],
)
def test_what_is_not_there_is_refused(root, options, reason):
    refused("failures", root, *options, code=2, reason=reason)


def test_a_run_with_too_few_models_says_how_many_it_takes(tmp_path):
    paths = write_sweep(tmp_path / "run", EFFECTS, LABELS, models=3)
    refused("failures", paths.root, code=3, reason="single test examples take at least 10")
