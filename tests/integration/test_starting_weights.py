"""Weights that source training starts from, by the commands: reported before anything is written, part of the run."""

import io
import json
import subprocess
import sys
from contextlib import redirect_stdout

import numpy as np
import pytest
import safetensors.numpy

from tests.e2e.program import write_config
from tests.integration.command_line import refused, run
from tui_influence.config.identity import with_absolute_paths
from tui_influence.config.loader import config_to_json, load_config
from tui_influence.errors import ConfigError, ResultsError
from tui_influence.pruning import planning
from tui_influence.runs import cost, network_check
from tui_influence.runs.datasets import open_datasets, reopen_datasets
from tui_influence.runs.prepare import prepare
from tui_influence.runs.resume import request_to_resume
from tui_influence.runs.worker import _start
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import read_run_info

MODEL = 'arch = "small-cnn"\n'


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def checked_here(monkeypatch):
    """Networks are checked in this process, which has loaded torch."""

    def run_here(command, *, input, **_options):  # as `subprocess.run` names it
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(input)))
        with redirect_stdout(io.StringIO()) as answer:
            code = network_check.main()
        return subprocess.CompletedProcess(command, code, answer.getvalue().encode(), b"")

    monkeypatch.setattr(network_check.subprocess, "run", run_here)


def write_weights(name, **tensors):
    """Write the body of the config's network, or other tensors."""
    widths = ((1, 8), (8, 16), (16, 16))
    body = {}
    for index, (inputs, outputs) in enumerate(widths):
        body[f"blocks.{index}.conv.weight"] = np.full((outputs, inputs, 3, 3), 0.1, np.float32)
        for part in ("weight", "bias", "running_mean", "running_var"):
            body[f"blocks.{index}.norm.{part}"] = np.ones(outputs, np.float32)
    safetensors.numpy.save_file(tensors or body, name)


def config_with(directory, weights, arch="small-cnn"):
    return write_config(directory, models=4, swap={MODEL: f'arch = "{arch}"\nweights = "{weights}"\n'})


def prepared(directory, weights):
    """Prepare the run of a config with weights; return its paths."""
    config = with_absolute_paths(load_config(config_with(directory, weights)), directory)
    paths = Paths(directory / "results")
    prepare(config, paths, lambda *_: None, trusted=True)
    return paths


@pytest.mark.parametrize("command", [("check", "--no-time"), ("sweep", "--dry-run"), ("sweep",)])
def test_weights_that_do_not_fit_are_refused_before_anything_is_written(here, checked_here, command):
    write_weights("w.safetensors", x=np.zeros(1))
    error = refused(*command, config_with(here, "w.safetensors"), code=2, reason="do not fit the network")
    assert "\n  missing: blocks.0.conv.weight, " in error
    assert "\n  unexpected: x\n" in error
    assert not (here / "results").exists()


def test_weights_that_do_not_fit_are_named_where_training_is_timed(here, monkeypatch, capsys):
    write_weights("w.safetensors", x=np.zeros(1))
    config = config_to_json(load_config(config_with(here, "w.safetensors")))
    monkeypatch.setattr(sys, "argv", ["cost", "cpu", "1", "10", "1"])
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(config)))
    cost.main()
    timing = json.loads(capsys.readouterr().out)
    assert "do not fit the network" in timing["reason"]
    assert timing["details"][1] == "unexpected: x"
    assert timing["exit_code"] == 2


def test_a_file_that_is_not_there_is_shown_in_the_config(here):
    error = refused(
        "check", "--no-time", config_with(here, "w.pt"), code=2, reason="model.weights does not exist: w.pt"
    )
    assert "sweep.toml:2" in error


def test_weights_that_fit_are_accepted(here, checked_here):
    write_weights("w.safetensors")
    said = run("check", "--no-time", config_with(here, "w.safetensors"))
    assert said.code == 0, said.err


def test_a_changed_file_is_another_run(here):
    write_weights("w.safetensors")
    paths = prepared(here, "w.safetensors")
    info = read_run_info(paths.root)
    assert len(info.weights) == 64
    (here / "w.safetensors").rename("moved.safetensors")
    assert prepared(here, "moved.safetensors").root == paths.root
    write_weights("moved.safetensors", x=np.zeros(1))
    with pytest.raises(ConfigError, match=r"changed since this run was started: the weights that it starts from$"):
        prepared(here, "moved.safetensors")
    config = with_absolute_paths(load_config(config_with(here, "moved.safetensors")), here)
    with pytest.raises(ConfigError, match="or the weights that it starts from, changed"):
        reopen_datasets(config, info)
    (here / "moved.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"model\.weights cannot be read: No such file"):
        reopen_datasets(config, info)


def test_a_pruning_needs_the_weights_of_its_sweep(here):
    write_weights("w.safetensors")
    info = read_run_info(prepared(here, "w.safetensors").root)
    config = with_absolute_paths(load_config(here / "sweep.toml"), here)
    assert planning.open_sweep_data(config, info).channels == 1
    write_weights("w.safetensors", x=np.zeros(1))
    with pytest.raises(ConfigError, match=r"changed since the sweep .the weights that it starts from"):
        planning.open_sweep_data(config, info)
    other = config.model_copy(update={"model": config.model.model_copy(update={"weights": None})})
    assert planning.open_sweep_data(other, info).channels == 1


def test_a_run_without_weights_has_none_in_its_fingerprints(here):
    config = load_config(write_config(here))
    assert open_datasets(config).fingerprints(config).keys() == {"source", "groups", "digits/train", "digits/test"}


def test_a_pickle_is_not_read_because_a_results_directory_names_it(here):
    (here / "w.pt").write_bytes(b"no pickle at all")
    paths = prepared(here, "w.pt")
    with pytest.raises(ResultsError, match=r"are a pickle \(/.*w.pt\), which is not read because a results directory"):
        request_to_resume(paths.root)
    with pytest.raises(ConfigError, match=r"the weights /.*w\.pt are a pickle: start the run from its own config"):
        _start(paths.root, "cpu", 1, allow_code=False)
    with pytest.raises(ConfigError, match=r"not a file of torch\.save"):
        _start(paths.root, "cpu", 1, allow_code=True)


def test_weights_without_code_are_read_by_a_resumed_run(here):
    write_weights("w.safetensors")
    paths = prepared(here, "w.safetensors")
    assert request_to_resume(paths.root).config.model.weights == str(here / "w.safetensors")
    trainer = _start(paths.root, "cpu", 1, allow_code=False)[1]
    assert float(trainer._fresh(1)[0].blocks[0].conv.weight.detach().mean()) == pytest.approx(0.1)
