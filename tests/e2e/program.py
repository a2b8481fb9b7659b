"""The real program in real processes, on a sweep so small that a model takes a fraction of a second."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tui_influence.roles import Role
from tui_influence.store.listing import list_records
from tui_influence.store.paths import Paths

PATIENCE = 120.0

CONFIG = """\
[run]
name = "tiny"
output = "{output}"

[source]
kind = "builtin"
per_class = 12

[[target]]
kind = "builtin"
train_per_class = 5
test_per_class = 10

[design]
kind = "fixed"
models = {models}
heldout = 2
prior = 0

[model]
arch = "small-cnn"
resolution = 10
width = 0.5

[train]
epochs = {epochs}
batch_size = 64

[compute]
devices = ["cpu"]
workers_per_device = 2
"""


def write_config(directory: Path, *, name: str = "sweep.toml", models: int = 10, epochs: int = 1, **replace) -> Path:
    """Write the tiny config; its results go to `directory / "results"`. `replace` swaps pieces of its text."""
    text = CONFIG.format(output=replace.pop("output", directory / "results"), models=models, epochs=epochs)
    for old, new in replace.pop("swap", {}).items():
        assert old in text, old
        text = text.replace(old, new)
    path = directory / name
    path.write_text(text)
    return path


def tinfl(
    *arguments: object, code: int | None = 0, cwd: Path | None = None, patience: float = PATIENCE, **environment: str
):
    """Run the program to its end; check its exit code, and that no traceback is shown."""
    done = subprocess.run(
        [sys.executable, "-m", "tui_influence", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=patience,
        cwd=cwd,
        env=os.environ | {"COLUMNS": "100", "TINFL_COMPACT_AFTER": "3", **environment},
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    if code is not None:
        assert done.returncode == code, f"exit {done.returncode}, not {code}\n{done.stdout}\n{done.stderr}"
    return done


def status(root: Path) -> dict:
    return json.loads(tinfl("status", root, "--json").stdout)


def wait_for(root: Path, *states: str, patience: float = PATIENCE) -> dict:
    """Wait until the run is in one of these states."""
    deadline = time.monotonic() + patience
    while True:
        current = status(root)
        if current["state"] in states:
            return current
        assert time.monotonic() < deadline, f"still {current}"
        time.sleep(0.1)


def wait_until(condition, what: str, patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def record_bytes(root: Path) -> dict[str, bytes]:
    """Return every record of a run, by path."""
    paths = Paths(root)
    return {
        f"{role.value}/{index}/{target}": paths.record(role, index, target).read_bytes()
        for role in Role
        for index, target in list_records(paths, role)
    }


def processes_of(root: Path) -> list[psutil.Process]:
    """Return the workers of a run, also those whose supervisor is gone."""
    return [process for process in psutil.process_iter(["cmdline"]) if str(root) in (process.info["cmdline"] or [])]


def kill_everything(root: Path) -> None:
    """End whatever a test left running."""
    owner = Paths(root).owner
    pids = [process.pid for process in processes_of(root)]
    if owner.exists():
        pids.append(json.loads(owner.read_text())["pid"])
    for pid in pids:
        try:
            if "tui_influence" in " ".join(psutil.Process(pid).cmdline()):
                os.kill(pid, signal.SIGKILL)
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue
