"""`tinfl rank --compare-target`: two questions to one run."""

import csv
import json

import numpy as np
import pytest

from tests.integration.command_line import refused, run
from tests.tui.runs import make_run
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import _are_constant_within


@pytest.fixture
def root(tmp_path):
    make_run(tmp_path / "run", targets=("digits", "letters"), models=120, planned=120, noise=0.1)
    return tmp_path / "run"


def ranked(*arguments: object) -> dict:
    said = run("rank", *arguments, "--json")
    assert said.code == 0, said.err
    return json.loads(said.out)


@pytest.mark.parametrize(
    ("second", "alone"),
    [
        (["--compare-target", "letters"], ["--target", "letters"]),
        (["--compare-target", "letters", "--compare-class", "y"], ["--target", "letters", "--class", "y"]),
        (["--compare-class", "y"], ["--class", "y"]),
        (["--class", "x", "--compare-target", "digits"], []),
        (["--example", "3", "--compare-class", "x"], ["--class", "x"]),
        (["--target", "letters", "--compare-class", "z"], ["--target", "letters", "--class", "z"]),
    ],
)
def test_the_second_side_is_the_ranking_that_its_own_question_gives(root, second, alone):
    compared = ranked(root, "--estimator", "ridge", *second)
    second = ranked(root, "--estimator", "ridge", *alone)
    wanted = {row.pop("group"): row for row in second["rows"]}
    assert {row["group"]: row["second"] for row in compared["rows"]} == wanted
    assert compared["second"]["reliability"] == second["reliability"]
    assert compared["estimator"] == "ridge"


def test_what_helps_one_and_hurts_the_other_comes_first(root):
    found = ranked(root, "--compare-target", "letters")  # whose margins are those of digits turned round
    assert found["correlation"] < -0.9
    shown = [row["effect"] for row in found["rows"]]
    opposed = [word for word in shown if "but" in word]
    assert opposed
    assert shown[: len(opposed)] == opposed
    for row in found["rows"][: len(opposed)]:
        assert (row["first"]["influence"] > 0) == row["effect"].startswith("helps")


@pytest.mark.parametrize("options", [[], ["--comments"]])
def test_the_csv_file_is_that_of_stdout_with_the_facts_beside_it(root, tmp_path, options):
    question = ("rank", root, "--compare-target", "letters", *options)
    out = run(*question, "--csv", "-").out
    assert run(*question, "--csv", tmp_path / "both.csv").code == 0
    assert (tmp_path / "both.csv").read_text() == out
    facts = json.loads((tmp_path / "both.meta.json").read_text())
    assert (facts["first target"], facts["second target"], facts["first models"]) == ("digits", "letters", 120)
    comments = [line for line in out.splitlines() if line.startswith("#")]
    assert comments == ([f"# {key}: {value}" for key, value in facts.items()] if options else [])


def test_a_csv_on_stdout_has_so_many_rows_as_requested_and_leaves_no_file(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plain = run("rank", root, "--compare-target", "letters", "--csv", "-", "--top", 3).out
    assert [path.name for path in tmp_path.iterdir() if path.name != "run"] == []
    assert [row["difference_rank"] for row in csv.DictReader(plain.splitlines())] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["--compare-target", "digits"], 2, "both sides of the comparison are the same"),
        (["--class", "x", "--compare-class", "x"], 2, "both sides of the comparison are the same"),
        (["--compare-target", "leters"], 2, "it has digits, letters"),
        (["--compare-class", "q"], 2, 'has no class "q"'),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_line(root, arguments, code, reason):
    refused("rank", root, *arguments, code=code, reason=reason)


@pytest.mark.parametrize(
    ("question", "second", "options"),
    [
        (Question("a", "-1", None, "all"), ("b", None), "--target=a --class=-1 --compare-target=b --split=all"),
        (Question("a"), ("a", "it's"), """--target=a --compare-target=a '--compare-class=it'"'"'s'"""),
        (Question(), (None, "y"), "--compare-class=y"),
    ],
)
def test_a_comparison_can_be_said_as_a_command(question, second, options):
    assert question.command("run", comparison=question.compared_with(*second)) == f"tinfl rank {options} -- run"


def test_a_csv_and_a_document_are_not_both_written_to_stdout(root, tmp_path):
    refused("rank", root, "--csv", "-", "--json", code=2, reason="both write to stdout")
    said = run("rank", root, "--csv", tmp_path / "rank.csv", "--json")
    assert json.loads(said.out)["rows"]
    assert (tmp_path / "rank.csv").exists()


@pytest.mark.parametrize(("whole", "expected"), [(True, True), (False, False)])
def test_masks_over_whole_clusters_are_recognised(whole, expected):
    labels = np.array([2, 0, 1, 0, 2, 1])
    masks = np.random.default_rng(0).random((20, 3))[:, labels] < 0.5
    if not whole:
        masks[7, 4] = not masks[7, 4]
    assert _are_constant_within(masks, labels) is expected
