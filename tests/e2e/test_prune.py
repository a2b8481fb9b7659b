"""A pruning by its command line: planned from a sweep, trained, stopped, resumed, extended, reported."""

import csv
import json
import shutil

import numpy as np
import pytest

from tests.e2e.program import kill_everything, record_bytes, status, tinfl, wait_for
from tests.integration.test_imports import loaded, running
from tui_influence.roles import ArmKind, Role
from tui_influence.store.paths import Paths
from tui_influence.store.pruning_plan import read_arms
from tui_influence.store.records import read_record

QUICK = ("--drop-counts", "6,12", "--seeds", 2, "--baselines", "none")
ROWS = 2 * (1 + 3 * 2)


@pytest.fixture
def sweep(finished, tmp_path):
    """A finished sweep of its own; what prunes it is ended afterwards."""
    root = tmp_path / "results"
    shutil.copytree(finished, root)
    yield root
    for name in ("main", "other"):
        kill_everything(root / "prune" / name)


@pytest.fixture(scope="module")
def pruned(finished, tmp_path_factory):
    """A sweep with a finished pruning. Tests must not change it."""
    root = tmp_path_factory.mktemp("pruned") / "results"
    shutil.copytree(finished, root)
    tinfl("prune", root, "--foreground", *QUICK)
    return root


@pytest.fixture(scope="module")
def pruned_records(pruned):
    return record_bytes(pruned / "prune" / "main")


def test_a_pruning_is_a_run_in_the_background(sweep, pruned_records):
    message = tinfl("prune", sweep, *QUICK).stderr
    assert f"running, {ROWS} models to train" in message
    assert f"tinfl stop {sweep / 'prune' / 'main'}" in message
    report = wait_for(sweep / "prune" / "main", "done")
    assert report["done"] == {"estimate": 0, "heldout": 0, "arm": ROWS}
    assert record_bytes(sweep / "prune" / "main") == pruned_records
    assert "retrainings of a pruning" in tinfl("status", sweep / "prune" / "main").stdout
    assert "arm 0 done" in tinfl("logs", sweep / "prune" / "main", "-n", 100).stdout


def test_the_sweep_is_left_as_it_was(pruned, reference):
    assert record_bytes(pruned) == reference
    assert status(pruned)["done"] == {"estimate": 10, "heldout": 2}
    assert json.loads(tinfl("rank", pruned, "--json").stdout)["n_models"] == 10


def test_a_finished_pruning_reports_what_it_gained(pruned, tmp_path):
    message = tinfl("prune", pruned).stdout
    assert "keep everything" in message
    assert "lowest 12" in message
    assert "evaluate half" in message
    report = json.loads(tinfl("prune", pruned, "--json").stdout)
    assert [arm["n_models"] for arm in report["results"]] == [2] * 7
    assert report["results"][0]["accuracy"]["gain"]["value"] == 0
    assert report["ranking"]["n_models"] == 10
    tinfl("prune", pruned, "--csv", tmp_path / "arms.csv")
    rows = list(csv.DictReader((tmp_path / "arms.csv").read_text().splitlines()))
    assert json.loads((tmp_path / "arms.meta.json").read_text())["identity"]
    assert [row["arm"] for row in rows] == [arm["arm"] for arm in report["results"]]
    assert "a pruning has no ranking of its own" in tinfl("rank", pruned / "prune" / "main", code=3).stderr


def test_a_report_needs_no_torch(pruned):
    modules = loaded(running("prune", pruned))
    assert "numpy" in modules
    assert not modules & {"torch", "torchvision", "textual", "pandas", "matplotlib"}


def test_the_removal_curve_is_a_figure_for_a_paper(pruned, tmp_path):
    for suffix, start in (("svg", b"<?xml"), ("pdf", b"%PDF"), ("png", b"\x89PNG")):
        done = tinfl("prune", pruned, "--figure", tmp_path / f"curve.{suffix}")
        assert (done.stdout, done.stderr) == ("", f"wrote {tmp_path}/curve.{suffix}\n")
        assert (tmp_path / f"curve.{suffix}").read_bytes().startswith(start)
    assert "no such file" in tinfl("prune", pruned, "--figure", tmp_path / "missing" / "curve.svg", code=3).stderr
    refused = tinfl("prune", pruned, "--figure", tmp_path / "curve.jpg", code=2).stderr
    assert refused == f"error: {tmp_path}/curve.jpg: a figure is .svg, .pdf or .png\n"


def test_a_figure_without_matplotlib_names_the_extra(pruned, tmp_path):
    (tmp_path / "matplotlib.py").write_text("raise ModuleNotFoundError('No module named matplotlib')")
    refused = tinfl("prune", pruned, "--figure", tmp_path / "curve.svg", code=2, PYTHONPATH=str(tmp_path)).stderr
    assert refused == "error: a figure needs matplotlib: pip install matplotlib\n"
    assert not (tmp_path / "curve.svg").exists()


def test_the_classes_that_stay_are_a_list_that_can_be_kept(pruned, tmp_path):
    tinfl("prune", pruned, "--export-classes", tmp_path / "kept.txt", "--drop-counts", 6)
    classes = (tmp_path / "kept.txt").read_text().splitlines()
    pruning = read_arms(Paths(pruned / "prune" / "main"))
    lowest = next(arm for arm in pruning.arms if arm.label == "lowest 6")
    assert classes == [name for index, name in enumerate(pruning.groups) if index not in lowest.rows[0].dropped]
    tinfl(
        "prune",
        pruned,
        "--export-classes",
        tmp_path / "kept.txt",
        "--drop-counts",
        6,
        "--export-config",
        tmp_path / "kept.toml",
    )
    report = json.loads(tinfl("check", "--no-time", tmp_path / "kept.toml", "--json").stdout)
    assert report["source"]["classes"] == 30
    assert report["source"]["images"] == 30 * 12
    tinfl("prune", pruned, "--export-config", tmp_path / "x.toml", code=2)
    plan = json.loads(
        tinfl("prune", pruned, "--name", "other", "--keep", tmp_path / "kept.txt", "--dry-run", "--json").stdout
    )
    assert [arm["arm"] for arm in plan["arms"]] == ["keep everything", "keep kept.txt", "random 6"]
    assert plan["seconds"] > 0
    assert not (pruned / "prune" / "other").exists()


def test_a_stopped_pruning_is_resumed_like_any_run(sweep, pruned_records):
    run_root = sweep / "prune" / "main"
    tinfl("prune", sweep, *QUICK)
    tinfl("stop", run_root, "--wait")
    before = record_bytes(run_root)
    assert f"tinfl resume {run_root}" in tinfl("prune", sweep).stderr or len(before) == ROWS
    message = tinfl("resume", run_root, "--foreground").stderr
    assert "next: tinfl prune" in message
    assert before.items() <= record_bytes(run_root).items()
    assert record_bytes(run_root) == pruned_records


def test_more_seeds_and_another_k_keep_every_record_bit_for_bit(pruned, pruned_records, tmp_path):
    root = tmp_path / "results"
    shutil.copytree(pruned, root)
    tinfl("prune", root, "--seeds", 3, "--drop-counts", "4", "--foreground")
    after = record_bytes(root / "prune" / "main")
    assert pruned_records.items() <= after.items()
    assert len(after) == 3 * 10
    report = json.loads(tinfl("prune", root, "--json").stdout)
    assert [arm["n_models"] for arm in report["results"]] == [3] * 10


def test_the_retrainings_may_differ_from_the_sweep_and_a_pruning_keeps_its_settings(sweep):
    run_root = sweep / "prune" / "other"
    options = ("--name", "other", "--transfer", "full-network", "--epochs", 2, "--baselines", "none")
    tinfl("prune", sweep, *options, "--drop-counts", 6, "--seeds", 1, "--foreground")
    config = json.loads((run_root / "run.json").read_text())["config"]
    assert config["target"][0]["transfer"] == "full-network"
    assert config["train"]["epochs"] == 2
    refused = tinfl("prune", sweep, "--name", "other", "--epochs", 3, code=2).stderr
    assert "train.epochs: 2 -> 3" in refused
    assert "choose another --name" in refused
    tinfl("prune", sweep, "--name", "other", "--seeds", 2, "--foreground")
    assert status(run_root)["done"]["arm"] == 2 * 4


def test_baselines_rank_by_the_models_that_keep_everything_and_follow_by_themselves(sweep, pruned, tmp_path):
    arguments = (*QUICK[:4], "--baselines", "label-mapping,feature-mapping")
    message = tinfl("prune", sweep, *arguments).stderr
    assert "then by label mapping and feature mapping" in message
    assert f"{ROWS + 8} retrainings at most" in message
    run_root = sweep / "prune" / "main"
    assert wait_for(run_root, "done")["done"]["arm"] == ROWS + 8
    paths = Paths(run_root)
    pruning = read_arms(paths)
    estimate = np.load(paths.target(0) / "estimate.npy")
    taken = {ArmKind.LABELS: "mapped", ArmKind.FEATURES: "nearest"}
    for arm in (arm for arm in pruning.arms if arm.kind in taken):
        for row in arm.rows:
            everything = next(other for other in pruning.arms[0].rows if other.repeat == row.repeat)
            classes = getattr(read_record(paths, Role.ARM, everything.index, 0), taken[arm.kind])
            count = np.bincount(classes[estimate], minlength=36)
            assert count[list(row.dropped)].max() <= np.delete(count, row.dropped).min()
    assert "label mapping 12" in tinfl("prune", sweep).stdout
    root = tmp_path / "later"
    shutil.copytree(pruned, root)
    tinfl("prune", root, *arguments, "--foreground")  # added to one that was finished without: the same records
    assert record_bytes(root / "prune" / "main") == record_bytes(run_root)


def test_an_arm_that_varies_too_much_is_retrained_until_it_is_known_as_asked(sweep):
    run_root = sweep / "prune" / "main"
    arguments = ("--drop-counts", 6, "--seeds", 2, "--ci-width", 0.5, "--max-seeds", 5, "--baselines", "none")
    tinfl("prune", sweep, *arguments, "--foreground")
    report = json.loads(tinfl("prune", sweep, "--json").stdout)
    models = {arm["arm"]: arm["n_models"] for arm in report["results"]}
    assert models == {"keep everything": 5, "lowest 6": 5, "random 6": 2, "highest 6": 2}
    before = record_bytes(run_root)
    assert "nothing left to train" in tinfl("prune", sweep, *arguments).stderr
    assert record_bytes(run_root) == before


def test_a_second_start_is_refused_while_it_runs(sweep):
    tinfl("prune", sweep, "--epochs", 400, "--drop-counts", 6)
    assert "another supervisor" in tinfl("prune", sweep, "--seeds", 9, code=4).stderr
    assert "retrainings" in tinfl("prune", sweep).stdout
    tinfl("stop", sweep / "prune" / "main", "--now", "--wait")


def test_a_pruning_is_not_swept_over(sweep):
    tinfl("prune", sweep, *QUICK, "--foreground")
    from tests.e2e.program import write_config

    refused = tinfl("sweep", write_config(sweep.parent, output=sweep / "prune" / "main"), code=2)
    assert "holds a pruning" in refused.stderr


def test_a_pruning_is_begun_in_the_app_and_outlives_it(sweep, terminal):
    terminal.start("explore", sweep)
    terminal.wait(lambda text: "12 of 12 models" in text)
    terminal.keys("4")
    terminal.wait(lambda text: "main: a new pruning" in text and "65 retrainings" in text)
    terminal.keys("d")
    terminal.wait(lambda text: "Drop how many classes?" in text and "3,6,12,18" in text)
    terminal.keys("C-u")
    terminal.wait(lambda text: "3,6,12,18" not in text)
    terminal.type("6")
    terminal.keys("Enter", "x")  # what is typed ahead changes nothing of what was given
    terminal.wait(lambda text: "6; lowest, random, highest" in text)
    terminal.keys("s")
    terminal.wait(lambda text: "How many retrainings?" in text)
    terminal.keys("Down", "Enter")
    terminal.wait(lambda text: "3 of each arm" in text and "How many" not in text)
    terminal.keys("b")
    terminal.wait(lambda text: "12 retrainings of 4 arms" in text and "baselines     none" in text)
    terminal.keys("T")
    terminal.wait(lambda text: "Retrain?" in text and "--drop-counts=6 --seeds=3 --baselines=none" in text)
    terminal.keys("y")
    terminal.wait(lambda text: "of 12 retrainings" in text and "lowest 6" in text)
    terminal.keys("q")
    terminal.wait(lambda text: "ended 0" in text)
    wait_for(sweep / "prune" / "main", "done")
    assert [len(arm.rows) for arm in read_arms(Paths(sweep / "prune" / "main")).arms] == [3] * 4
