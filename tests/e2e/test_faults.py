"""Whatever happens to a sweep, `resume` ends with the records of an undisturbed run, bit for bit."""

import os
import random
import signal

import pytest

from tests.e2e.program import record_bytes, status, tinfl, wait_for, wait_until, write_config
from tests.requirements import require
from tests.soak import kills
from tests.soak.disks import on_own_disk
from tests.soak.kills import MODELS, Torment
from tui_influence.store.paths import Paths


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, bytes]:
    """Every record of a run that nothing happened to."""
    return kills.undisturbed(tmp_path_factory.mktemp("undisturbed"))


def test_killed_processes_and_damaged_records_cost_nothing_that_was_finished(here, undisturbed):
    torment = Torment(write_config(here, models=MODELS), here / "results", random.Random(3))
    torment.run(blows=8)
    assert torment.counts.total() >= 8
    assert torment.counts["records damaged"] >= 1
    assert record_bytes(here / "results") == undisturbed
    assert len(list(Paths(here / "results").quarantine.iterdir())) == torment.counts["records damaged"]


@pytest.mark.parametrize(
    ("kind", "reason"), [("full", "no space left on the disk"), ("read-only", "read-only file system")]
)
def test_a_disk_that_refuses_ends_the_sweep_with_its_reason_and_loses_nothing(here, reference, kind, reason):
    require("user namespaces")
    output = on_own_disk(kind, write_config(here), here / "results")
    assert output.startswith("exit 3"), output
    assert reason in output
    if kind == "full":  # what is read-only cannot say that it failed
        assert "tiny: failed" in output
    assert record_bytes(here / "results") == reference


SPOILT = """\
import os, pathlib, torch
from torch import nn
SPOILT = []
class Net(nn.Module):
    def __init__(self, classes, channels, side):
        super().__init__()
        self.conv, self.head = nn.Conv2d(channels, 8, 3, 2), nn.Linear(8, classes)
        self.steps = 0
    def forward(self, x):
        mark = pathlib.Path(os.environ["SPOILT"])
        if self.training and not mark.exists():
            mark.write_text("one process ran out of memory")
            SPOILT.append(1)
        if SPOILT:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes")
        return self.head(self.conv(x).relu().mean((2, 3)))
"""


def test_a_worker_that_has_run_out_of_memory_costs_no_model(here):
    """Its process fails whatever it is given from then on: it is restarted, and no other model pays for it."""
    (here / "spoilt.py").write_text(SPOILT)
    config = write_config(here, models=20, swap={'"small-cnn"': '"spoilt:Net"', "width = 0.5\n": ""})
    tinfl("sweep", "--foreground", config, cwd=here, SPOILT=str(here / "mark"))
    current = status(here / "results")
    assert (current["state"], sum(current["done"].values()), sum(current["failed"].values())) == ("done", 22, 0)
    events = tinfl("logs", here / "results", "-n", "500").stdout
    assert events.count("will be tried again: training: out of memory") == 1


def test_a_stopped_worker_is_noticed_and_replaced(here, undisturbed):
    tinfl("sweep", write_config(here, models=MODELS), TINFL_SILENCE_LIMIT="4")
    paths = Paths(here / "results")
    wait_until(lambda: stop_busy_worker(paths.root), "no worker has a model in hand")
    current = wait_for(paths.root, "done")
    assert any("ended early; the last: no sign of life" in warning for warning in current["warnings"])
    assert "is hung and is killed: no sign of life" in tinfl("logs", paths.root, "-n", "500").stdout
    assert record_bytes(paths.root) == undisturbed


def stop_busy_worker(root) -> bool:
    """Suspend a worker that trains a model; it may end its last model while this looks for it."""
    for worker in status(root)["workers"]:
        if worker["row"]:
            try:
                os.kill(worker["pid"], signal.SIGSTOP)
            except ProcessLookupError:
                continue
            return True
    return False
