"""`tinfl score`: rankings of every kind on a run with held-out models and prunings, and what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from tests.integration.command_line import refused, run
from tests.tui.prunings import make_pruning, make_verification
from tests.tui.runs import make_run
from tests.unit.store.conftest import make_record
from tui_influence.pruning.options import PruningRequest
from tui_influence.roles import Role
from tui_influence.store.paths import Paths
from tui_influence.store.records import as_margins, write_record
from tui_influence.store.run_info import read_run_info, write_run_info

HELDOUT, GROUPS = 12, 30
NAMES = [f"class {k:02d}" for k in range(GROUPS)]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory) -> Paths:
    """A run with held-out models, two prunings for its first target, and a counterfactual. Tests must not change it."""
    paths = make_run(tmp_path_factory.mktemp("score") / "run", targets=("digits", "opposite"))
    other = PruningRequest(drop_counts=(3,), seeds=2, baselines=())
    prunings = make_pruning(paths), make_pruning(paths, "other", request=other), make_verification(paths, 1)
    for pruning in prunings:
        info = read_run_info(pruning.root)
        write_run_info(pruning, replace(info, targets=info.targets[:1]))
    write_run_info(paths, replace(read_run_info(paths.root), heldout=HELDOUT))
    for index in range(HELDOUT):
        rng = np.random.default_rng(1000 + index)
        mask = rng.random(GROUPS) < 0.5
        for target in range(2):
            margins = as_margins(mask @ np.linspace(1, -1, GROUPS) + 0.3 * rng.normal() + np.arange(12) / 100)
            write_record(paths, make_record(index, Role.HELDOUT, target=target, mask=mask, margins=margins))
    return paths


def scored(sweep: Paths, file, *options):
    answer = run("score", file, sweep.root, "--json", *options)
    assert answer.code == 0, answer
    return json.loads(answer.out)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "ranking.csv"


@pytest.mark.parametrize("options", [(), ("--class", "y", "--estimator", "ridge"), ("--output-kind", "probability")])
def test_the_run_s_own_ranking_has_its_own_lds_and_agrees_with_itself(sweep, file, options):
    run("rank", sweep.root, "--csv", file, *options)
    own = json.loads(run("rank", sweep.root, "--json", *options).out)
    score = scored(sweep, file, *options)
    assert score["ranking"] == own | {"rows": []}
    assert score["lds"] == own["lds"]
    assert score["lds"]["n"] == score["n_heldout"] == HELDOUT
    assert score["rank_correlation"] == pytest.approx(1)
    assert (score["n_compared"], score["n_groups"], score["n_unknown"]) == (GROUPS, GROUPS, 0)


def test_numbers_are_those_of_another_computation(sweep, file):
    influence = np.random.default_rng(5).normal(size=GROUPS).tolist()
    file.write_text("class,influence\n" + "".join(f"{name},{x!r}\n" for name, x in zip(NAMES, influence, strict=True)))
    score = scored(sweep, file, "--split", "all")
    masks, outputs = [], []
    for index in range(HELDOUT):
        rng = np.random.default_rng(1000 + index)
        mask = rng.random(GROUPS) < 0.5
        masks.append(mask)
        outputs.append(as_margins(mask @ np.linspace(1, -1, GROUPS) + 0.3 * rng.normal() + np.arange(12) / 100).mean())
    assert score["lds"]["value"] == pytest.approx(spearmanr(np.array(masks) @ np.array(influence), outputs).statistic)
    rows = json.loads(run("rank", sweep.root, "--split", "all", "--json").out)["rows"]
    of_run = {row["group"]: row["influence"] for row in rows}
    expected = spearmanr(influence, [of_run[name] for name in NAMES]).statistic
    assert score["rank_correlation"] == pytest.approx(expected)


def test_an_order_has_no_lds_and_the_reverse_disagrees(sweep, file):
    file.write_text("".join(f"{name}\n" for name in NAMES))
    forward = scored(sweep, file)["rank_correlation"]
    file.write_text("".join(f"{name}\n" for name in reversed(NAMES)))
    score = scored(sweep, file)
    assert (score["has_influences"], score["lds"]) == (False, None)
    assert score["rank_correlation"] == pytest.approx(-forward)
    assert forward > 0.5
    assert [arm["n_shared"] for arm in score["arms"]] == [0, 0, 0]


def test_shared_classes_are_counted_and_gains_are_those_of_the_pruning(sweep, file):
    rows = json.loads(run("rank", sweep.root, "--json").out)["rows"]
    order = [row["group"] for row in rows]
    order[-3], order[0] = order[0], order[-3]
    file.write_text("class\n" + "".join(f"{name}\n" for name in order))
    score = scored(sweep, file)
    assert [(arm["pruning"], arm["n_dropped"], arm["n_shared"]) for arm in score["arms"]] == [
        ("main", 3, 2),
        ("main", 6, 5),
        ("other", 3, 2),
    ]
    assert score["arms"][1]["n_shared_by_chance"] == pytest.approx(36 / 30)
    report = json.loads(run("prune", sweep.root, "--json").out)["results"]
    lowest = next(arm for arm in report if arm["arm"] == "lowest 6")
    on_target = lowest["targets"]["digits"]
    for quantity in ("accuracy", "margin"):
        assert score["arms"][1][quantity]["gain"] == on_target[quantity]["gain"]
        assert score["arms"][1][quantity]["gain_over_random"] == on_target[quantity]["gain_over"]["random"]
        assert score["arms"][1][quantity]["mean"] == on_target[quantity]["mean"]
    assert score["arms"][1]["n_models"] == lowest["n_models"]


def test_prunings_on_other_targets_are_left_out(sweep, file):
    run("rank", sweep.root, "--target", "opposite", "--csv", file)
    score = scored(sweep, file, "--target", "opposite")
    assert score["arms"] == []
    assert score["n_other_prunings"] == 2
    text = run("score", file, sweep.root, "--target", "opposite").out
    assert "no pruning of this target (2 prunings on other targets)" in " ".join(text.split())


def test_a_damaged_pruning_is_left_out_with_a_warning(sweep, file):
    run("rank", sweep.root, "--csv", file)
    arms = Paths(sweep.prunings / "other").arms
    content = arms.read_text()
    try:
        arms.write_text(content[:-20])
        answer = run("score", file, sweep.root, "--json")
    finally:
        arms.write_text(content)
    assert answer.code == 0
    assert "warning: pruning other is left out: " in answer.err
    assert {arm["pruning"] for arm in json.loads(answer.out)["arms"]} == {"main"}


def test_a_run_without_held_out_models_says_so(tmp_path, file):
    paths = make_run(tmp_path / "run")
    run("rank", paths.root, "--csv", file)
    score = scored(paths, file)
    assert (score["lds"], score["n_heldout"]) == (None, 0)
    text = " ".join(run("score", file, paths.root).out.split())
    assert "LDS none: it takes held-out models of 4 masks; the run has 0 models" in text
    assert "no pruning of this target; `tinfl prune` makes one" in text


def test_equal_influences_have_no_score(sweep, file):
    file.write_text("class,influence\n" + "".join(f"{name},0\n" for name in NAMES))
    score = scored(sweep, file)
    assert score["lds"] is None
    assert score["rank_correlation"] is None
    text = " ".join(run("score", file, sweep.root).out.split())
    assert "LDS none: the influences do not vary; the run's ranking has" in text
    assert "rank correlation unknown: " in text


@pytest.mark.parametrize("width", [40, 80])
def test_a_pruned_run_is_shown_as_a_table(sweep, file, monkeypatch, width):
    """Whose lines are whole in a narrow terminal, too."""
    monkeypatch.setenv("COLUMNS", str(width))
    run("rank", sweep.root, "--csv", file)
    lines = run("score", file, sweep.root).out.splitlines()
    assert lines[0].startswith("Score of ")
    for quantity, digits in (("accuracy", 1), ("margin", 3)):
        arms = scored(sweep, file)["arms"]
        factor = 100 if quantity == "accuracy" else 1
        gain, over = (factor * arms[1][quantity][key]["value"] for key in ("gain", "gain_over_random"))
        row = [line for line in lines if line.split()[:4] == ["main", "6", "of", "6"]][quantity == "margin"]
        assert row.split()[4] == "1.2"
        assert [cell for cell in row.split() if f"{gain:+.{digits}f}" == cell]
        assert [cell for cell in row.split() if f"{over:+.{digits}f}" == cell]
        assert row.endswith("]")
    assert run("score", file, sweep.root, "--ascii").out.isascii()


def test_wrong_input_is_refused_in_one_line(sweep, file, tmp_path):
    file.write_text("class 00\nclas 1\n" + "".join(f"{name}\n" for name in NAMES[2:]))
    said = refused("score", file, sweep.root, code=2, reason='line 2: the source has no class "clas 1"')
    assert len(said.splitlines()) == 1
    file.write_text("x\x1b[2J\ny\x9b\n")
    said = refused("score", file, sweep.root, code=2, reason="(2 problems in all)")
    assert len(said.splitlines()) == 3
    assert "\x9b" not in said
    refused("score", tmp_path / "none.csv", sweep.root, code=2, reason="does not exist")
    run("rank", sweep.root, "--csv", file)
    refused("score", file, tmp_path, code=3, reason="no run")
    refused("score", file, sweep.root, "--target", "digit", code=2, reason='no target "digit"')
    refused("score", file, sweep.root, "--class", "w", code=2, reason='no class "w"')
    refused("score", file, sweep.root, "--estimator", "informed", code=2, reason="needs prior networks")
    refused("score", file, sweep.prunings / "main", code=3, reason="a pruning has no ranking of its own")


def test_a_home_directory_is_expanded(sweep, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    run("rank", sweep.root, "--csv", tmp_path / "r.csv")
    assert scored(sweep, "~/r.csv")["n_groups"] == GROUPS
