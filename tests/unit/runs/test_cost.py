"""What a sweep will cost: what is said when timing fails, and what it will leave on the disk."""

import subprocess
import sys
import time
from dataclasses import replace

import pytest

from tests.e2e.program import CONFIG
from tui_influence.config.loader import parse_config
from tui_influence.errors import ExitCode, RunFailedError
from tui_influence.runs import cost as module
from tui_influence.runs.cost import Cost, estimate_cost
from tui_influence.runs.datasets import open_datasets
from tui_influence.runs.prepare import prepare
from tui_influence.store.paths import Paths

FAILURE = {"reason": "no room", "details": ["in the attic"], "exit_code": 5}
FAILS = f"import json, sys; sys.stdin.read(); print(json.dumps({FAILURE}))"
DIES = "import sys; sys.exit('no such library')"
HANGS = "import sys, time; sys.stdin.read(); time.sleep(300)"
OWN = """\
from torch import nn
def net(classes, channels, resolution):
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * resolution**2, classes))
"""


def config(tmp_path, *swaps):
    text = CONFIG.format(output=tmp_path / "results", models=4, epochs=1)
    for old, new in swaps:
        text = text.replace(old, new)
    return parse_config(text, "tiny.toml")


@pytest.fixture
def started(monkeypatch):
    """Devices are programs here; the children that were started."""
    children = []

    def start(_config, _data, code):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        child = subprocess.Popen([sys.executable, "-c", code], **pipes)
        children.append(child)
        if code == DIES:
            child.wait()
        return child

    monkeypatch.setattr(module, "_start", start)
    yield children
    for child in children:
        child.kill()


def test_when_one_fails_the_others_are_not_left_running(tmp_path, started):
    began = time.monotonic()
    with pytest.raises(RunFailedError, match=r"^no room$") as caught:
        estimate_cost(config(tmp_path), None, [FAILS, HANGS, HANGS])
    assert (caught.value.exit_code, caught.value.details) == (ExitCode(5), ("in the attic",))
    assert [child.returncode for child in started] == [0, -9, -9]
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("padding", [0, 1 << 20], ids=["fits the pipe", "does not"])
def test_a_child_that_dies_at_once_has_the_last_word(tmp_path, started, monkeypatch, padding):
    monkeypatch.setattr(module, "config_to_json", lambda _config: {"padding": " " * padding})
    with pytest.raises(RunFailedError, match=r"^a timed training ended early: no such library$"):
        estimate_cost(config(tmp_path), None, [DIES, HANGS])
    assert [child.returncode for child in started] == [1, -9]


def test_the_disk_that_is_foretold_counts_the_thumbnails(tmp_path):
    tiny = config(tmp_path)
    data = open_datasets(tiny)
    paths = Paths(tmp_path / "results")
    prepare(tiny, paths, lambda *_: None)
    thumbnail_bytes = sum(path.stat().st_size for path in paths.root.rglob("thumbnails.npy"))
    groups, models, tests = 36, 6, 100
    records = models * (2 * (4 * tests + groups) + module._RECORD_BYTES)
    assert module._disk(tiny, data) - records == pytest.approx(thumbnail_bytes, rel=0.01)


@pytest.fixture
def timed(monkeypatch):
    """Trainers whose models take 2 s and 0.01 s for each step, by a clock of their own, and stream the source."""
    now = [0.0]

    class Trainer:
        numerics, streamed, streamed_bytes = "none", [True, False, False], 77

        def __init__(self, config, data, device, threads, streamed=None):
            self.is_timed = streamed == Trainer.streamed
            self.seconds = 2 + 0.01 * config.train.source_steps(len(data.source))

        def run(self, mask, seed):
            assert self.is_timed, "as the whole data are held"
            now[0] += self.seconds

    monkeypatch.setattr("tui_influence.runs.worker.trainer_for", Trainer)
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])


@pytest.mark.parametrize(
    ("length", "steps", "prior_steps"),
    [("epochs = 40", 40 * 216 // 64, 20 * 432 // 64), ("steps = 200", 200, 100), ("steps = 3", 3, 2)],
)
def test_the_time_of_a_model_is_that_of_its_steps_and_of_a_prior_network_that_of_half(
    tmp_path, timed, length, steps, prior_steps
):
    tiny = config(tmp_path, ("epochs = 1", length))
    open_datasets(tiny)
    timing = module._time_model(tiny, "cpu", 1, (10, 1))
    assert timing["steps"] == steps
    assert timing["streamed_bytes"] == 77
    assert timing["seconds"] == pytest.approx(2 + 0.01 * steps)
    expected = 2 + 0.01 * (prior_steps if steps > 5 else steps)  # too few steps are not told from none
    assert timing["prior_seconds"] == pytest.approx(expected)


def test_a_sweep_takes_as_long_as_its_models_and_prior_networks():
    cost = Cost(3.0, 100, workers=2, models=12, disk=0, numerics=[], seconds_per_prior=1.0, prior=2)
    assert cost.seconds == cost.seconds_at_most == (10 * 3 + 2 * 1) / 2
    assert replace(cost, models_at_most=20).seconds_at_most == (18 * 3 + 2 * 1) / 2


def test_a_network_of_ones_own_is_found_in_the_current_directory(tmp_path, monkeypatch):
    (tmp_path / "my_own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    user_config = config(tmp_path, ('arch = "small-cnn"', 'arch = "my_own:net"'))
    cost = estimate_cost(user_config, open_datasets(user_config), ["cpu"])
    assert cost.seconds_per_model > 0
    assert cost.models == 6
