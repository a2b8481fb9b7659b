"""A sweep on a device, for `gpu_check`: by the command line, also while another process takes the device's memory."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

CONFIG = """\
[run]
name = "{name}"
output = "{output}"

[source]
kind = "builtin"
name = "glyphs"

[[target]]
name = "digits"
kind = "builtin"

[design]
models = {models}
heldout = 0
prior = 0

[model]
arch = "{arch}"
resolution = {resolution}

[train]
epochs = 1

[compute]
devices = ["{device}"]
"""
LEFT_BYTES = 64 << 20
"""Memory that the other process leaves: less than a worker takes to start."""
HELD_SECONDS = 15.0
SWEEP_SECONDS = 240.0


@dataclass(frozen=True)
class SweepResult:
    """What came of a sweep.

    Attributes:
        exit_code: of the command.
        models: number of recorded models.
        workers: most workers at a time.
        shortages: number of events that say that memory is short.
        prepare: seconds until the images were packed.
        start: seconds from the first worker's start until it was ready.
        train: mean seconds of a model.
        total: seconds of the command.
    """

    exit_code: int
    models: int
    workers: int
    shortages: int
    prepare: float
    start: float
    train: float
    total: float


def run_sweep(root: Path, name: str, device: str, models: int, *, holds_memory: bool = False) -> SweepResult:
    """Run a sweep of the embedded pair in a process of its own.

    Args:
        root: a directory for config, cache and results.
        name: of the sweep.
        device: that trains.
        models: to train.
        holds_memory: whether another process takes the device's memory for some seconds after the first model.
    """
    output, config = root / name, root / f"{name}.toml"
    arch, resolution = ("small-cnn", 14) if device == "cpu" else ("resnet9", 32)
    settings = {"name": name, "output": output, "models": models, "device": device}
    config.write_text(CONFIG.format(**settings, arch=arch, resolution=resolution))
    command = [sys.executable, "-m", "tui_influence", "sweep", "--foreground", str(config)]
    environment = os.environ | {"TINFL_CACHE": str(root / "cache")}
    started = time.time()
    sweep = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        if holds_memory:
            while sweep.poll() is None and not _of_kind(_events(output), "model"):
                time.sleep(0.1)
            _hold_memory(device)
        _, errors = sweep.communicate(timeout=SWEEP_SECONDS)
    except subprocess.TimeoutExpired:
        sweep.kill()
        _, errors = sweep.communicate()
    if sweep.returncode:
        print(errors[-1000:], file=sys.stderr)
    return _result(_events(output), sweep.returncode, started)


def _hold_memory(device: str) -> None:
    """Take nearly all free memory of a device in another process, for some seconds."""
    command = [sys.executable, "-m", "benchmarks.gpu_sweep", device]
    subprocess.run(command, check=False)


def _events(output: Path) -> list[dict[str, Any]]:
    path = output / "events.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def _of_kind(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["event"] == kind]


def _result(events: list[dict[str, Any]], exit_code: int, started: float) -> SweepResult:
    models = _of_kind(events, "model")
    kinds = ("prepared", "worker-started", "worker-ready")
    first = {kind: min((event["time"] for event in _of_kind(events, kind)), default=float("nan")) for kind in kinds}
    present: set[int] = set()
    most = 0
    for event in events:
        if event["event"] == "worker-started":
            present.add(event["worker"])
        elif event["event"] in ("worker-dismissed", "worker-ended"):
            present.discard(event["worker"])
        most = max(most, len(present))
    return SweepResult(
        exit_code=exit_code,
        models=len(models),
        workers=most,
        shortages=sum("memory" in str(event.get("reason", "")) for event in events),
        prepare=first["prepared"] - started,
        start=first["worker-ready"] - first["worker-started"],
        train=sum(event["seconds"] for event in models) / max(1, len(models)),
        total=time.time() - started,
    )


def main() -> None:
    """Hold the memory of the device that the command line names."""
    device = torch.device(sys.argv[1])
    free, _ = torch.cuda.mem_get_info(device)
    held = torch.empty(max(0, free - LEFT_BYTES), dtype=torch.uint8, device=device)
    time.sleep(HELD_SECONDS)
    del held


if __name__ == "__main__":
    main()
