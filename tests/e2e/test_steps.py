"""A fixed number of steps by the command line: a sweep that is stopped and resumed, and arms at the same steps."""

import json
import shutil

import pytest

from tests.e2e.program import kill_everything, record_bytes, status, tinfl, wait_until, write_config
from tui_influence.roles import Role
from tui_influence.store.listing import list_records
from tui_influence.store.paths import Paths
from tui_influence.store.records import read_record

STEPS, MODELS = 7, 4


def config_of_steps(directory):
    swap = {"epochs = 1": f"steps = {STEPS}", "prior = 0": "prior = 2", "heldout = 2": "heldout = 1"}
    return write_config(directory, models=MODELS, swap=swap)


def source_steps(root, role):
    """The steps on the source of each recorded model."""
    paths = Paths(root)
    return [
        read_record(paths, role, index, target).metrics["source_steps"] for index, target in list_records(paths, role)
    ]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A finished sweep of a fixed number of steps. Tests must not change it."""
    directory = tmp_path_factory.mktemp("steps")
    tinfl("sweep", "--foreground", config_of_steps(directory))
    return directory / "results"


def test_every_model_takes_the_steps_of_the_config_and_a_prior_network_half(sweep):
    assert source_steps(sweep, Role.ESTIMATE) == [STEPS] * MODELS
    assert source_steps(sweep, Role.HELDOUT) == [STEPS]
    assert source_steps(sweep, Role.PRIOR) == [4] * 2
    assert status(sweep)["training"] == f"{STEPS} steps"
    assert f"design fixed alpha=0.5, {STEPS} steps" in tinfl("status", sweep).stdout


def test_a_sweep_that_is_stopped_in_the_middle_has_the_same_records(sweep, tmp_path):
    config, root = config_of_steps(tmp_path), tmp_path / "results"
    try:
        tinfl("sweep", config)
        wait_until(lambda: any(list_records(Paths(root), role) for role in Role), "no model is recorded")
        tinfl("stop", root, "--wait")
        tinfl("sweep", "--foreground", config)
        assert record_bytes(root) == record_bytes(sweep)
    finally:
        kill_everything(root)


def test_another_length_of_training_is_another_run(sweep, tmp_path):
    root = tmp_path / "results"
    shutil.copytree(sweep, root)
    config = write_config(tmp_path, swap={"prior = 0": "prior = 2"})
    message = tinfl("sweep", config, code=2).stderr
    assert "train.epochs: not set -> 1" in message
    assert f"train.steps: {STEPS} -> not set" in message


def test_arms_at_the_same_steps_take_those_of_keeping_everything(finished, tmp_path):
    root = tmp_path / "results"
    shutil.copytree(finished, root)
    arms = ("--drop-counts", "18", "--seeds", 1, "--baselines", "none", "--foreground")
    report = tinfl("prune", root, "--same", "steps", *arms).stdout.splitlines()
    everything = 36 * 12 // 64  # an epoch of all images
    assert source_steps(root / "prune" / "main", Role.ARM) == [everything] * 4
    assert report[1] == f"Each arm trains for the same number of steps, {everything}"
    document = json.loads(tinfl("prune", root, "--json").stdout)
    assert (document["same"], document["training"]) == ("steps", f"{everything} steps")
    assert document["order_agreement"] is None  # as many steps as keeping everything is the sweep's recipe
    refused = tinfl("prune", root, "--same", "epochs", "--seeds", 3, code=2).stderr
    assert "holds a pruning with other settings; choose another --name" in refused
