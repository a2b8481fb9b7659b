"""Every mistake in pruning gets one line and an exit code, and nothing is begun."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from tests.integration.command_line import refused, run
from tests.tui.runs import add_models, make_run, say
from tests.unit.store.digested import write_with_digest
from tui_influence.roles import Role
from tui_influence.runs.heartbeat import State
from tui_influence.store.examples import Examples, write_examples
from tui_influence.store.paths import Paths
from tui_influence.store.pruning_plan import read_arms
from tui_influence.store.run_info import read_run_info, write_run_info


@pytest.fixture
def sweep(finished, tmp_path):
    root = tmp_path / "results"
    shutil.copytree(finished, root)
    yield root
    assert not (root / "prune").exists()


@pytest.mark.parametrize("k", ["35", "36", "6,400", "0"])
def test_more_classes_than_can_be_dropped(sweep, k):
    refused("prune", sweep, "--drop-counts", k, code=2, reason="1 to 34 can be dropped")


def test_a_dry_run_for_slurm_shows_the_submission_and_times_nothing(sweep, monkeypatch):
    info = read_run_info(sweep)
    compute = info.config["compute"] | {"executor": "slurm"}
    write_run_info(Paths(sweep), replace(info, config=info.config | {"compute": compute}))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    said = run("prune", sweep, "--drop-counts", "2", "--dry-run")
    assert said.code == 0, said
    assert f"# sbatch --parsable {sweep / 'prune' / 'main' / 'cluster' / 'planner.sh'}" in said.out
    assert "timing" not in said.err
    assert "not timed: this machine does not train" in said.err
    assert json.loads(run("prune", sweep, "--drop-counts", "2", "--dry-run", "--json").out)


@pytest.mark.parametrize(
    "option", ["--steps=0", "--steps=-1", "--steps=1.5", "--same=images", "--resolution=7", "--resolution=1025"]
)
def test_a_recipe_out_of_range(sweep, option):
    said = run("prune", sweep, option)
    assert said.code == 2
    assert f"Invalid value for '{option.partition('=')[0]}'" in said.err


def test_epochs_and_steps_exclude_each_other(sweep):
    reason = "--epochs and --steps both say how long an arm is trained: give one of them"
    refused("prune", sweep, "--epochs", 2, "--steps", 9, code=2, reason=reason)


def test_a_sweep_of_steps_has_no_epochs_to_compare_arms_at(sweep):
    info = read_run_info(sweep)
    write_run_info(Paths(sweep), replace(info, config=info.config | {"train": {"steps": 30}}))
    reason = "--same epochs: every arm would train for 30 steps, whatever it keeps; add --epochs COUNT"
    refused("prune", sweep, "--same", "epochs", code=2, reason=reason)


@pytest.mark.parametrize("k", ["x", "", "1,,2", "-3", "1.5", "9" * 30])
def test_a_k_that_is_no_number(sweep, k):
    refused("prune", sweep, f"--drop-counts={k}", code=2, reason="must be numbers of classes")


def test_unknown_classes_in_a_list(sweep, tmp_path):
    (tmp_path / "one.txt").write_text("A\nb\n")
    refused("prune", sweep, "--drop", tmp_path / "one.txt", code=2, reason='no class "b"')
    (tmp_path / "two.txt").write_text("A\nQQ\nWW\x1b[2J\n")
    said = refused("prune", sweep, "--keep", tmp_path / "two.txt", code=2, reason="names 2 classes")
    assert 'did you mean "Q"' in said


def test_lists_that_leave_too_little_or_cannot_be_read(sweep, tmp_path):
    (tmp_path / "one.txt").write_text("A\n")
    refused("prune", sweep, "--keep", tmp_path / "one.txt", code=2, reason="at least 2 must stay")
    refused("prune", sweep, "--keep", tmp_path / "none.txt", code=2, reason="does not exist")
    refused("prune", sweep, "--drop", tmp_path, code=2, reason="cannot read")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    refused("prune", sweep, "--drop", tmp_path / "bytes.txt", code=2, reason="not UTF-8")


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "", ".hidden", "a" * 101])
def test_a_name_that_is_no_name(sweep, name):
    refused("prune", sweep, f"--name={name}", code=2, reason="must be letters, digits")


def test_targets_that_are_not_there_or_weigh_nothing(sweep):
    refused("prune", sweep, "--target", "digit", code=2, reason='no target "digit"')
    refused("prune", sweep, "--target", "digits=0", code=2, reason="is not a weight")
    refused("prune", sweep, "--target", "digits=nan", code=2, reason="is not a weight")
    refused("prune", sweep, "--target", "digits", "--target", "digits=2", code=2, reason="given twice")


def test_a_network_that_does_not_exist(sweep):
    refused("prune", sweep, "--arch", "no such net", code=2, reason="model.arch")
    refused("prune", sweep, "--arch", "foo", code=2, reason='there is no network "foo"')


def test_a_report_of_nothing(sweep):
    refused("prune", sweep, "--report", code=3, reason='no pruning "main"')
    refused("prune", sweep, "--json", code=3, reason='no pruning "main"')


def test_a_directory_that_is_no_run(tmp_path):
    refused("prune", tmp_path / "nothing", code=3, reason="no such results directory")


def test_a_sweep_without_a_model(tmp_path):
    make_run(tmp_path / "run", models=0)
    refused("prune", tmp_path / "run", code=3, reason="no model has been recorded yet")


def test_a_sweep_of_one_model_cannot_rank(tmp_path):
    make_run(tmp_path / "run", models=1)
    refused("prune", tmp_path / "run", code=3, reason="1 model recorded: too few to rank by")


@pytest.mark.parametrize(("half", "chosen"), [("evaluate", True), ("estimate", False)])
def test_a_target_whose_examples_are_all_in_one_half(tmp_path, half, chosen):
    paths = make_run(tmp_path / "run")
    info = read_run_info(paths.root)
    labels = np.arange(12) % 3
    digests = write_examples(
        paths, 0, Examples(labels, np.full(12, chosen), ("x",) * 12), np.zeros((12, 8, 8, 1), np.uint8)
    )
    write_run_info(paths, replace(info, targets=[replace(info.targets[0], digests=digests)]))
    refused("prune", paths.root, code=3, reason=f"no test examples in its {half} half")


def test_data_that_changed_since_the_sweep(sweep):
    found = json.loads((sweep / "run.json").read_text())
    found["source"]["fingerprint"] = "0" * 32
    write_with_digest(sweep / "run.json", found)
    refused("prune", sweep, code=2, reason="changed since the sweep (the source)")


def test_data_that_moved_since_the_sweep(sweep):
    found = json.loads((sweep / "run.json").read_text())
    source = found["config"]["source"]
    kept = {key: source[key] for key in ("on_bad_image", "groups", "per_class")}
    found["config"]["source"] = kept | {"kind": "folder", "path": str(sweep / "gone")}
    write_with_digest(sweep / "run.json", found)
    refused("prune", sweep, code=2, reason=str(sweep / "gone"))


def test_a_network_of_the_sweeps_own_code_is_not_run_unasked(sweep):
    found = json.loads((sweep / "run.json").read_text())
    found["config"]["model"]["arch"] = "evil:Net"
    write_with_digest(sweep / "run.json", found)
    refused("prune", sweep, code=2, reason="allow it with --arch evil:Net")


def test_a_device_that_is_not_here(sweep):
    refused("prune", sweep, "--devices", "cuda:99", code=5, reason="cuda:99")


def test_a_sweep_under_way_is_used_as_far_as_it_is(finished, tmp_path):
    root = tmp_path / "results"
    shutil.copytree(finished, root)
    paths = Paths(root)
    for index in range(8, 10):
        paths.record(Role.ESTIMATE, index, 0).unlink()
    shutil.rmtree(root / "matrix")
    say(paths, State.RUNNING, done=8, total=12)
    said = run("prune", root, "--drop-counts", 6, "--seeds", 1, "--baselines", "none", "--foreground")
    assert said.code == 0, said
    assert "ranked by 8 of 10 models (the sweep is running)" in said.err
    assert json.loads((root / "prune" / "main" / "arms.json").read_text())["ranking"]["models"] == 8


def test_a_pruning_is_not_pruned(finished, tmp_path):
    root = tmp_path / "results"
    shutil.copytree(finished, root)
    run("prune", root, "--drop-counts", 6, "--seeds", 1, "--baselines", "none", "--foreground")
    refused("prune", root / "prune" / "main", code=2, reason=f"tinfl prune {root} --name main")


def test_a_plan_that_never_began_is_planned_anew(finished, tmp_path):
    root = tmp_path / "results"
    shutil.copytree(finished, root)
    own = Paths(root / "prune" / "main")
    run("prune", root, "--drop-counts", 6, "--seeds", 1, "--baselines", "none", "--foreground")
    own.run.unlink()
    shutil.rmtree(own.records_root)
    assert run("prune", root, "--drop-counts", 3, "--seeds", 1, "--baselines", "none", "--foreground").code == 0
    assert [arm.label for arm in read_arms(own).arms] == ["keep everything", "lowest 3", "random 3", "highest 3"]


def test_a_mix_of_targets_is_ranked_by_their_weighted_mean(tmp_path):
    from tui_influence.pruning.options import PruningRequest
    from tui_influence.pruning.planning import rank_for_pruning

    paths = make_run(tmp_path / "run", targets=("digits", "opposite"), models=60)
    info = read_run_info(paths.root)

    def lowest(**weights):
        pruning = rank_for_pruning(
            paths, info, PruningRequest(weights=weights, estimator="difference", output="margin"), [1]
        )
        return pruning.ranking.ascending()[0]

    assert lowest(digits=1.0) > 20
    assert lowest(opposite=1.0) < 10
    assert lowest(digits=3.0, opposite=1.0) > 20
    assert lowest(digits=1.0, opposite=3.0) < 10


def test_models_that_lack_a_target_do_not_count_for_a_mix(tmp_path):
    from tui_influence.pruning.options import PruningRequest
    from tui_influence.pruning.planning import rank_for_pruning

    paths = make_run(tmp_path / "run", targets=("digits", "opposite"), models=20)
    info = read_run_info(paths.root)
    add_models(paths, info, range(20, 24))
    for index in (3, 22):
        paths.record(Role.ESTIMATE, index, 1).unlink()
    pruning = rank_for_pruning(
        paths,
        info,
        PruningRequest(weights={"digits": 1.0, "opposite": 1.0}, estimator="difference", output="margin"),
        [1],
    )
    assert pruning.ranking.models == 22
