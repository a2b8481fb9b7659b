"""Prior networks by the command line: trained first, ranked from, kept when a run is extended, used by a pruning."""

import json
import shutil

import numpy as np
import pytest

from tests.e2e.program import record_bytes, status, tinfl, write_config
from tui_influence.roles import ArmKind, Role
from tui_influence.store.paths import Paths
from tui_influence.store.plan import read_plan
from tui_influence.store.pruning_plan import read_arms
from tui_influence.store.records import read_record

PRIOR, MODELS = 3, 10


def config_with_prior(directory, prior=PRIOR, **options):
    return write_config(directory, swap={"prior = 0": f"prior = {prior}"}, **options)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A finished sweep with prior networks. Tests must not change it."""
    directory = tmp_path_factory.mktemp("prior")
    tinfl("sweep", "--foreground", config_with_prior(directory))
    return directory / "results"


def test_prior_networks_are_trained_first_on_every_group(sweep):
    rows = read_plan(Paths(sweep))
    assert [row.role for row in rows[:PRIOR]] == [Role.PRIOR] * PRIOR
    assert all(row.mask.all() for row in rows[:PRIOR])
    assert status(sweep)["done"] == {"estimate": MODELS, "heldout": 2, "prior": PRIOR}
    assert "3 prior networks" in tinfl("status", sweep).stdout
    record = read_record(Paths(sweep), Role.PRIOR, 1, 0)
    assert record.mapping is not None
    assert record.ablation is not None
    np.testing.assert_allclose(record.mapping.sum(axis=0), 1, rtol=1e-4)
    assert record.mapping.shape == record.ablation.shape
    assert read_record(Paths(sweep), Role.ESTIMATE, 0, 0).mapping is None
    tinfl("verify", sweep)


def test_a_ranking_starts_from_them_unless_another_is_requested(sweep):
    document = json.loads(tinfl("rank", sweep, "--json").stdout)
    assert document["estimator"] == "informed"
    assert document["n_prior"] == PRIOR
    assert 0 <= document["prior_share"] <= 1
    assert document["n_models"] == MODELS
    assert "3 prior networks" in tinfl("rank", sweep).stdout
    plain = json.loads(tinfl("rank", sweep, "--json", "--estimator", "difference").stdout)
    assert plain["estimator"] == "difference"
    assert plain["prior_share"] is None
    assert plain["n_prior"] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("rank", "--class", "3"),
        ("rank", "--example", "5"),
        ("rank", "--compare-class", "3"),
        ("rank", "--output-kind", "correct"),
        ("show", "--example", "5"),
        ("show", "--source", "3"),
        ("prune", "--dry-run", "--drop-counts", "6"),
    ],
)
def test_every_question_can_be_asked(sweep, arguments):
    command, *options = arguments
    text = tinfl(command, sweep, *options).stdout
    assert "informed" in text or "prior" in text or command == "prune"


@pytest.mark.parametrize("command", ["failures", "subpops"])
def test_probes_of_single_examples_are_by_difference_unless_another_is_requested(sweep, command):
    assert json.loads(tinfl(command, sweep, "--json").stdout)["estimator"] == "difference"
    assert json.loads(tinfl(command, sweep, "--json", "--estimator", "informed").stdout)["estimator"] == "informed"


def test_without_them_the_estimator_gives_its_reason(finished):
    assert "needs prior networks" in tinfl("rank", finished, "--estimator", "informed", code=2).stderr
    assert json.loads(tinfl("rank", finished, "--json").stdout)["estimator"] == "ridge"


def test_a_sweep_is_extended_by_prior_networks_and_keeps_its_records(sweep, tmp_path):
    root = tmp_path / "results"
    shutil.copytree(sweep, root)
    before = record_bytes(root)
    message = tinfl("sweep", "--foreground", config_with_prior(tmp_path, PRIOR + 1)).stderr
    assert "from 10 + 2 held-out models + 3 prior networks to 10 + 2 held-out models + 4 prior networks" in message
    after = record_bytes(root)
    assert after.items() > before.items()
    assert len(after) == len(before) + 1
    assert "not shortened" in tinfl("sweep", config_with_prior(tmp_path, 1), code=2).stderr


def test_a_damaged_prior_is_left_out_with_a_warning(sweep, tmp_path):
    root = tmp_path / "results"
    shutil.copytree(sweep, root)
    path = Paths(root).record(Role.PRIOR, 2, 0)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    answer = tinfl("rank", root, "--json")
    assert json.loads(answer.stdout)["n_prior"] == PRIOR - 1
    assert "damaged" in answer.stderr


def test_groups_of_single_images_have_none(tmp_path):
    config = config_with_prior(tmp_path)
    config.write_text(config.read_text().replace("per_class = 12", 'per_class = 1\ngroups = "example"'))
    assert json.loads(tinfl("check", config, "--json", "--no-time").stdout)["prior"] == 0


def test_they_are_the_single_models_of_a_pruning_whose_arms_are_planned_at_once(sweep, tmp_path):
    root = tmp_path / "results"
    shutil.copytree(sweep, root)
    options = ("--drop-counts", "12", "--seeds", 2, "--baselines", "label-mapping,feature-mapping", "--ci-width", 0)
    message = tinfl("prune", root, *options, "--foreground").stderr
    assert "then by label mapping" not in message
    pruning = read_arms(Paths(root / "prune" / "main"))
    estimate = np.load(Paths(root).target(0) / "estimate.npy")
    for kind, tensor in ((ArmKind.LABELS, "mapped"), (ArmKind.FEATURES, "nearest")):
        arm = next(arm for arm in pruning.arms if arm.kind is kind)
        assert [row.repeat for row in arm.rows] == [0, 1]
        for row in arm.rows:
            classes = getattr(read_record(Paths(root), Role.PRIOR, row.repeat, 0), tensor)
            count = np.bincount(classes[estimate], minlength=36)
            assert count[list(row.dropped)].max() <= np.delete(count, row.dropped).min()
    assert pruning.n_rows == 2 * 6  # all of them in the first stage
