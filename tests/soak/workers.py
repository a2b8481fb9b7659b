"""Workers that fail by themselves: out of memory from then on, dead, stopped, hung, or with an error of the network's.

The user's own network misbehaves now and then, by chances that have nothing to do with the model: whatever it does, the
records are those of a network that behaves.
"""

import random
from collections import Counter
from functools import cache
from pathlib import Path

from tests.e2e.program import kill_everything, record_bytes, status, tinfl, write_config
from tui_influence.store.events import read_events
from tui_influence.store.paths import Paths

NETWORK = """\
import os, random, signal, time
from torch import nn

SPOILT = []
CHANCE = random.Random(os.urandom(8))

def misbehave():
    kind = CHANCE.choice(["memory", "error", "exit", "kill", "stop"])
    if kind == "memory":
        SPOILT.append(1)
    if kind == "error":
        raise ValueError("something of the network's own")
    if kind == "exit":
        os._exit(7)
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)

class Net(nn.Module):
    def __init__(self, classes, channels, side):
        super().__init__()
        self.conv, self.head = nn.Conv2d(channels, 8, 3, 2), nn.Linear(8, classes)
    def forward(self, x):
        if self.training and CHANCE.random() < float(os.environ.get("MISBEHAVES", "0")):
            misbehave()
        if SPOILT:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes")
        return self.head(self.conv(x).relu().mean((2, 3)))
"""
MODELS = 30


def attempt(directory: Path, rng: random.Random) -> Counter[str]:
    """Sweep with a network that misbehaves about once in eight models."""
    root = directory / "results"
    chance = rng.uniform(0.01, 0.05)  # a step; a model takes about four
    try:
        options = {"MISBEHAVES": str(chance), "TINFL_SILENCE_LIMIT": "3"}
        tinfl("sweep", "--foreground", _config(directory), cwd=directory, patience=600, **options)
        assert status(root)["state"] == "done"
        assert record_bytes(root) == _undisturbed(directory.parent / "undisturbed-workers"), "records differ"
        events = Counter(event["event"] for event, _ in read_events(Paths(root).events))
    finally:
        kill_everything(root)
    return Counter({"models": events["model"], "retries": events["retry"], "hung workers": events["worker-hung"]})


def _config(directory: Path) -> Path:
    (directory / "mynet.py").write_text(NETWORK)
    swap = {'"small-cnn"': '"mynet:Net"', "width = 0.5\n": "", "[compute]\n": "[compute]\nattempts = 50\n"}
    return write_config(directory, models=MODELS, swap=swap)


@cache
def _undisturbed(directory: Path) -> dict[str, bytes]:
    directory.mkdir(parents=True)
    tinfl("sweep", "--foreground", _config(directory), cwd=directory)
    return record_bytes(directory / "results")
