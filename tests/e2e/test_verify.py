"""`tinfl failures --verify`: retrains by the pruning's path, in the background or here, and reads what it found."""

import json
import shutil

import pytest

from tests.e2e.program import kill_everything, record_bytes, tinfl, wait_for
from tests.tui.runs import exploring, until, words
from tui_influence.export.counterfactual import counterfactual_document
from tui_influence.tui.widgets.image_grid import ImageGrid

QUICK = ("--verify", "--example", 3, "--drop", 4, "--seeds", 2)
ROWS = 3 * 2


@pytest.fixture
def sweep(finished, tmp_path):
    root = tmp_path / "results"
    shutil.copytree(finished, root)
    yield root
    for run_root in (root / "prune").glob("*"):
        kill_everything(run_root)


def test_a_verification_runs_in_the_background_and_is_read_by_the_same_command(sweep, reference):
    output = tinfl("failures", sweep, *QUICK).stderr
    assert f"running, {ROWS} models to train" in output
    assert "tinfl failures --verify --example=3" in output
    run_root = sweep / "prune" / "example-3"
    wait_for(run_root, "done")
    assert record_bytes(sweep) == reference
    text = tinfl("failures", sweep, "--verify", "--example", 3).stdout
    assert "4 harmful" in text
    assert "vs nothing" in text
    assert "vs random" in text
    summary = json.loads(tinfl("failures", sweep, "--verify", "--example", 3, "--json").stdout)
    (failure,) = json.loads(tinfl("failures", sweep, "--example", 3, "--groups", 4, "--json").stdout)["failures"]
    assert summary["complete"]
    assert {arm["kind"]: arm["n_models"] for arm in summary["arms"]} == {"all": 2, "drop": 2, "random": 2}
    (drop,) = [arm for arm in summary["arms"] if arm["kind"] == "drop"]
    assert set(drop["dropped"]) == {group["group"] for group in failure["harmful_groups"]}
    before = record_bytes(run_root)
    tinfl("failures", sweep, "--verify", "--example", 3, "--drop", 4, "--seeds", 3, "--foreground")
    after = record_bytes(run_root)
    assert len(after) == len(before) + 3
    assert {path: after[path] for path in before} == before


async def test_the_app_verifies_an_image_to_the_end_by_the_same_path(sweep, monkeypatch):
    monkeypatch.setattr("tui_influence.pruning.counterfactual.DEFAULT_SEEDS", 2)
    async with exploring(sweep, (100, 40)) as (app, pilot):
        await pilot.press("3")
        await until(
            pilot, lambda: app.state.group_detail.value is not None and app.screen.query_one("#moved", ImageGrid).tiles
        )
        await pilot.press("enter")
        await until(pilot, lambda: app.state.counterfactual.run and app.state.example.value)
        await pilot.press("v")
        await until(pilot, lambda: "6 retrainings, 2 of each" in words(app))
        await pilot.press("y")
        result = app.state.counterfactual.result
        await until(pilot, lambda: result.value is not None and result.value.is_complete)
        await until(pilot, lambda: "DONE" in words(app) and "6 of 6 retrainings" in words(app))
        output = words(app)
    read = json.loads(tinfl("failures", sweep, "--verify", "--example", result.value.example, "--json").stdout)
    assert read == counterfactual_document(result.value)
    assert [f"{arm['n_correct']} of 2" in output for arm in read["arms"]] == [True] * 3


def test_only_what_lowers_the_margin_is_left_out(sweep):
    output = tinfl("failures", sweep, "--verify", "--example", 3, "--drop", 36, "--seeds", 2, "--dry-run")
    assert "lower the margin of example 3" in output.stderr
    assert "drop 36" not in output.stdout


def test_a_dry_run_trains_nothing(sweep):
    output = tinfl("failures", sweep, *QUICK, "--dry-run")
    assert f"{ROWS} retrainings" in output.stdout
    assert "example 3 of digits" in output.stdout
    assert "influence on its margin, by difference" in output.stdout
    document = json.loads(tinfl("failures", sweep, *QUICK, "--dry-run", "--json").stdout)
    assert [(len(arm["dropped"]), arm["n_dropped"]) for arm in document["arms"]] == [(0, 0), (4, 4), (0, 4)]
    assert not (sweep / "prune" / "example-3").exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--verify",), "--verify needs --example"),
        (("--example", 3, "--seeds", 4), "need --verify"),
        (("--verify", "--example", 3, "--groups", 2), "are for the list of failures"),
        (("--verify", "--example", 100000), "no example 100000"),
        (("--verify", "--example", 3, "--devices", "cuda:9", "--seeds", 2), "cuda"),
    ],
)
def test_what_cannot_be_verified_is_refused_before_anything_is_trained(sweep, options, reason):
    output = tinfl("failures", sweep, *options, code=None)
    assert output.returncode in (2, 5)
    assert reason in output.stderr
    assert not (sweep / "prune").exists() or not any((sweep / "prune").iterdir())
