"""The main job by its command line: sweep, status, logs, stop, resume, rank."""

import csv
import json
import os
import shutil
import signal

import numpy as np
import pytest

from tests.e2e.program import kill_everything, record_bytes, status, tinfl, wait_for, wait_until, write_config
from tui_influence.roles import Role
from tui_influence.store.paths import Paths


def test_a_sweep_returns_when_it_is_under_way_and_outlives_its_terminal(here, reference):
    message = tinfl("sweep", write_config(here)).stderr
    assert "running, 12 models to train on 2 workers" in message
    assert f"tinfl status {here / 'results'}" in message
    current = wait_for(here / "results", "done")
    assert current["done"] == {"estimate": 10, "heldout": 2}
    assert current["failed"] == {"estimate": 0, "heldout": 0}
    assert record_bytes(here / "results") == reference


def test_a_second_supervisor_is_refused(here):
    config = write_config(here, epochs=200)
    tinfl("sweep", config)
    for command in ("sweep", "resume"):
        refused = tinfl(command, config if command == "sweep" else here / "results", code=4)
        assert "another supervisor is running it (pid " in refused.stderr


def test_stop_finishes_the_models_in_hand_and_the_same_config_resumes(here, reference):
    config = write_config(here)
    tinfl("sweep", config)
    tinfl("stop", here / "results", "--wait")
    current = status(here / "results")
    assert current["state"] in ("stopped", "done")
    before = record_bytes(here / "results")
    tinfl("sweep", "--foreground", config)
    assert record_bytes(here / "results") == reference
    assert before.items() <= reference.items()


def test_stopping_twice_stops_at_once(here):
    tinfl("sweep", write_config(here, epochs=2000))
    assert "after the models in training" in tinfl("stop", here / "results").stderr
    assert status(here / "results")["state"] == "stopping"
    assert "at once" in tinfl("stop", here / "results").stderr
    assert wait_for(here / "results", "stopped")["done"] == {"estimate": 0, "heldout": 0}


def test_an_interrupted_foreground_sweep_stops_and_says_how_to_go_on(here):
    import subprocess
    import sys
    import time

    config = write_config(here, models=60, epochs=8)
    process = subprocess.Popen(
        [sys.executable, "-m", "tui_influence", "sweep", "--foreground", str(config)],
        stderr=subprocess.PIPE,
        text=True,
    )
    paths = Paths(here / "results")
    while not (paths.events.exists() and '"worker-ready"' in paths.events.read_text()):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, message = process.communicate(timeout=60)
    assert process.returncode == 130, message
    assert "tinfl resume" in message
    assert "Traceback" not in message
    assert status(here / "results")["state"] == "stopped"


def test_a_sweep_under_way_tells_what_its_workers_use_and_an_ended_one_does_not(here):
    tinfl("sweep", write_config(here, epochs=2000))
    wait_until(lambda: status(here / "results")["devices"][0]["utilisation"], "no utilisation")
    current = status(here / "results")
    (device,), workers = current["devices"], current["workers"]
    assert device["device"] == "cpu"
    assert 0 < device["memory_used"] < device["memory_total"]
    assert [worker["memory"] > 50 << 20 for worker in workers] == [True, True]
    assert all(worker["seconds"] > 0 for worker in workers if worker["row"])
    tinfl("stop", here / "results")
    tinfl("stop", here / "results")
    wait_for(here / "results", "stopped")
    assert json.loads(Paths(here / "results").heartbeat.read_text())["devices"] == []


def test_a_suspended_supervisor_is_doubted_and_believed_again(here):
    tinfl("sweep", write_config(here, epochs=2000))
    pid = json.loads(Paths(here / "results").owner.read_text())["pid"]
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: status(here / "results")["silent"], "not doubted")
    assert status(here / "results")["state"] == "running"
    os.kill(pid, signal.SIGCONT)
    wait_until(lambda: not status(here / "results")["silent"], "still doubted")


def test_a_lost_supervisor_is_noticed(here):
    tinfl("sweep", write_config(here, epochs=2000))
    os.kill(json.loads(Paths(here / "results").owner.read_text())["pid"], signal.SIGKILL)
    assert status(here / "results")["state"] == "lost"
    assert "lost" in tinfl("status", here / "results").stdout


def test_a_changed_config_is_refused_naming_what_changed(here, finished):
    config = write_config(here, epochs=3, output=finished)
    refused = tinfl("sweep", config, code=2)
    assert "train.epochs: 1 -> 3" in refused.stderr


def test_other_repeats_of_the_held_out_masks_are_refused(here, finished):
    config = write_config(here, output=finished, swap={"heldout = 2": "heldout = 4\nheldout_repeats = 1"})
    assert "design.heldout_repeats: 2 -> 1" in tinfl("sweep", config, code=2).stderr


def test_more_models_extend_a_run_and_fewer_are_refused(here, reference):
    tinfl("sweep", "--foreground", write_config(here, models=4))
    first = record_bytes(here / "results")
    refused = tinfl("sweep", write_config(here, models=3), code=2)
    assert "not shortened" in refused.stderr
    tinfl("sweep", "--foreground", write_config(here, models=10))
    after = record_bytes(here / "results")
    assert first.items() <= after.items()
    assert after == reference


def test_logs_tell_what_happened(finished):
    message = tinfl("logs", finished, "-n", 100).stdout
    assert message.count(" done in ") == 12
    assert message.rstrip().endswith("done")
    events = [json.loads(line) for line in tinfl("logs", finished, "--json", "-n", 3).stdout.splitlines()]
    assert len(events) == 3
    assert events[-1]["event"] == "done"
    tinfl("logs", finished, "--worker", 0)


def test_following_the_log_ends_with_the_run(here):
    tinfl("sweep", write_config(here))
    assert tinfl("logs", "-f", here / "results").stdout.rstrip().endswith("done")


def test_a_ranking_in_all_its_forms(finished, tmp_path):
    table = tinfl("rank", finished)
    assert "Traceback" not in table.stderr
    ranking = json.loads(tinfl("rank", finished, "--json").stdout)
    assert [*ranking][:11] == [
        "run", "target", "class", "estimator", "output", "design", "n_models", "reliability", "lds", "forecast", "rows"
    ]  # fmt: skip
    assert ranking["n_models"] == 10
    assert len(ranking["rows"]) == 36
    tinfl("rank", finished, "--csv", tmp_path / "rank.csv")
    rows = list(csv.DictReader((tmp_path / "rank.csv").read_text().splitlines()))
    assert json.loads((tmp_path / "rank.meta.json").read_text())["models"] == 10
    assert [row["group"] for row in rows] == [row["group"] for row in ranking["rows"]]
    assert tinfl("rank", finished, "--csv", "-", "--no-comments").stdout.splitlines()[0].startswith("rank,group")
    class_ranking = json.loads(
        tinfl("rank", finished, "--class", "7", "--estimator", "ridge", "--json", "--top", 3).stdout
    )
    assert class_ranking["class"] == "7"
    assert len(class_ranking["rows"]) == 3
    assert json.loads(tinfl("rank", finished, "--example", 5, "--output-kind", "probability", "--json").stdout)
    assert json.loads(tinfl("rank", finished, "--split", "all", "--output-kind", "correct", "--json").stdout)


@pytest.mark.parametrize("broken", ["nan", "crash"])
def test_a_model_that_keeps_failing_is_recorded_and_the_sweep_goes_on(here, broken):
    """The user's own network fails for one of its models: by a loss that is not finite, or by killing its process."""
    (here / "mynet.py").write_text(
        "import os, torch\n"
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, classes, channels, side):\n"
        "        super().__init__()\n"
        "        self.conv, self.head = nn.Conv2d(channels, 8, 3, 2), nn.Linear(8, classes)\n"
        "        self.bad = float(self.conv.weight.flatten()[0]) > 0.2\n"
        "        self.register_buffer('worse', torch.tensor(float('nan') if self.bad else 1.0))\n"
        "    def forward(self, x):\n"
        "        if os.environ.get('BROKEN') == 'crash' and torch.isnan(self.worse): os.kill(os.getpid(), 9)\n"
        "        x = self.conv(x).relu().mean((2, 3))\n"
        "        return self.head(x * self.worse if self.training else x)\n"
    )
    config = write_config(here, swap={'"small-cnn"': '"mynet:Net"', "width = 0.5\n": ""})
    ended = tinfl("sweep", "--foreground", config, cwd=here, code=1, BROKEN=broken)
    current = status(here / "results")
    failed = sum(current["failed"].values())
    assert f"error: {failed} of 12 models failed" in ended.stderr
    assert "the same `tinfl sweep` with --retry-failed" in ended.stderr
    assert current["state"] == "done with failures"
    listing = tinfl("status", here / "results").stdout
    assert "to try again: the same `tinfl sweep` with --retry-failed" in listing
    listed = listing.count("  failed  ")
    assert (f"and {failed - listed} more" in listing) == (failed > listed)
    assert 0 < failed < 12
    assert sum(current["done"].values()) == 12 - failed
    reason = current["failures"][0]["reason"]
    assert ("finite" in reason) if broken == "nan" else ("SIGKILL" in reason)
    refused = tinfl("resume", here / "results", cwd=here, code=3)
    assert "is code (mynet:Net)" in refused.stderr
    again = tinfl("sweep", config, cwd=here, code=1)
    assert "nothing left to train" in again.stderr
    tinfl("sweep", "--foreground", "--retry-failed", config, cwd=here, code=1, BROKEN=broken)
    assert sum(status(here / "results")["failed"].values()) == failed
    kill_everything(here / "results")


def test_a_run_whose_data_have_moved_goes_on_with_the_same_command(here):
    side, classes = 10, 4
    for name in ("train", "test"):
        labels = np.arange(40) % classes
        images = np.random.default_rng(0).integers(0, 256, (40, side, side), dtype=np.uint8)
        np.savez(here / f"{name}.npz", x=images, y=labels)
    source = f'kind = "npz"\npath = "{here}/train.npz"'
    target = f'[[target]]\nkind = "npz"\nname = "t"\ntrain = "{here}/train.npz"\ntest = "{here}/test.npz"'
    builtin = '[[target]]\nkind = "builtin"\ntrain_per_class = 5\ntest_per_class = 10'
    config = write_config(
        here, models=4, swap={'kind = "builtin"\nper_class = 12': source, builtin: target, "heldout = 2": "heldout = 0"}
    )
    tinfl("sweep", "--foreground", config)
    before = record_bytes(here / "results")
    (here / "train.npz").unlink()
    Paths(here / "results").record(Role.ESTIMATE, 2, 0).unlink()
    tinfl("sweep", "--foreground", config)
    assert record_bytes(here / "results") == before
    fresh = write_config(here, name="fresh.toml", output=here / "fresh", swap={builtin: target})
    assert f"{fresh}:12:9: target.train does not exist" in tinfl("sweep", fresh, code=2).stderr


def test_a_run_on_a_dataset_that_only_its_user_may_open_goes_on_from_the_cache(here):
    (here / "root").mkdir()
    source = (
        f'kind = "torchvision"\ndataset = "FakeData"\nroot = "{here}/root"\n'
        "arguments = { size = 40, image_size = [1, 10, 10], num_classes = 4 }"
    )
    config = write_config(
        here, models=4, swap={'kind = "builtin"\nper_class = 12': source, "heldout = 2": "heldout = 0"}
    )
    tinfl("sweep", "--foreground", config, TINFL_CACHE=str(here / "cache"))
    before = record_bytes(here / "results")
    Paths(here / "results").record(Role.ESTIMATE, 2, 0).unlink()
    tinfl("resume", "--foreground", here / "results", TINFL_CACHE=str(here / "cache"))
    assert record_bytes(here / "results") == before
    prune = ("prune", here / "results", "--foreground", "--drop-counts", "1", "--seeds", "1", "--baselines", "none")
    tinfl(*prune, TINFL_CACHE=str(here / "cache"))
    shutil.rmtree(here / "cache")
    Paths(here / "results").record(Role.ESTIMATE, 2, 0).unlink()
    refused = tinfl("resume", here / "results", TINFL_CACHE=str(here / "cache"), code=3)
    assert "start it again from your own config with `tinfl sweep`" in refused.stderr


def test_every_target_comes_from_the_same_source_model(here):
    second = '[[target]]\nkind = "npz"\nname = "again"\ntrain = "{0}/t.npz"\ntest = "{0}/t.npz"\n[design]'
    config = write_config(
        here,
        models=3,
        swap={
            "[design]": second.format(here) + "\n",
            "train_per_class = 5": 'train_per_class = 5\ntransfer = "full-network"',
        },
    )
    import numpy as np

    rng = np.random.default_rng(0)
    np.savez(here / "t.npz", x=rng.integers(0, 255, (20, 10, 10), dtype=np.uint8), y=np.arange(20) % 2)
    tinfl("sweep", "--foreground", config)
    paths = Paths(here / "results")
    for index in range(3):
        assert paths.record(Role.ESTIMATE, index, 0).exists()
        assert paths.record(Role.ESTIMATE, index, 1).exists()
    assert json.loads(tinfl("rank", here / "results", "--target", "again", "--json").stdout)["target"] == "again"
