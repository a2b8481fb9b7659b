"""Every screen at three sizes. After a wanted change: TINFL_REGENERATE=1 pytest tests/tui/test_golden_screens.py.

Then read the diff: `screens_as_text` says how.
"""

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.tui.probed import make_probed
from tests.tui.prunings import make_pruning
from tests.tui.runs import exploring, fail, make_run, ranked, say, until
from tests.tui.screens_as_text import screen_as_text
from tui_influence.runs.heartbeat import DeviceState, State, WorkerState
from tui_influence.runs.ownership import Owner
from tui_influence.store.files import write_json
from tui_influence.store.paths import Paths
from tui_influence.tui.widgets.image_grid import ImageGrid

GOLDEN = Path(__file__).parent / "golden"
REGENERATE = os.environ.get("TINFL_REGENERATE")
PATIENCE = 2.0 if REGENERATE else 10.0
"""Seconds that a screen, once it has what it shows, has to come to be that of its file."""
NOW = 1_767_225_600.0  # 2026-01-01 00:00 UTC
SIZES = ((80, 24), (100, 30), (140, 40))
GIB = 1 << 30
OWNER = Owner(4242, NOW - 3600, "workstation", "boot")
NAMES = ["otter", "pelican", "ox", "swift", "goose with a name that is too long for any column of the table", "七面鳥"]
EVENTS = (
    {"event": "prepared", "total": 60, "done": 0, "failed": 0},
    {"event": "worker-started", "worker": 0, "device": "cuda:0", "pid": 4243},
    *({"event": "model", "role": "estimate", "index": k, "worker": k % 2, "seconds": 1.5} for k in range(40)),
    {"event": "retry", "role": "estimate", "index": 40, "reason": "CUDA out of memory"},
    {"event": "failed", "role": "estimate", "index": 40, "reason": "CUDA out of memory"},
)
MODES = {"sweep": "1", "rank": "2", "class": "3", "prune": "4", "log": "5"}
PROBED = ("failures", "subpops", "class", "driver", "leaks")
"""Screens of the Probe mode, of a run of its own."""
PRUNED = {"running": 13, "done": 28}
"""Runs with a pruning, and how many of its retrainings are done."""
RUNS = {
    "empty": ["sweep", "prune"],
    "running": list(MODES),
    "silent": ["sweep"],
    "lost": ["sweep"],
    "failed": ["sweep"],
    "stopped": ["sweep", "prune"],
    "done": list(MODES),
}


@pytest.fixture(autouse=True)
def _one_machine_at_one_time(monkeypatch):
    """Whoever looks is on the machine of the run, at one moment, in one time zone."""
    monkeypatch.setattr("tui_influence.runs.overview.time", SimpleNamespace(time=lambda: NOW))
    monkeypatch.setattr("tui_influence.runs.ownership.socket", SimpleNamespace(gethostname=lambda: OWNER.host))
    monkeypatch.setattr("tui_influence.runs.ownership._boot_id", lambda: OWNER.boot)
    monkeypatch.setattr(
        "tui_influence.runs.ownership._start_time", lambda pid: OWNER.started if pid == OWNER.pid else None
    )
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def make(root: Path, kind: str) -> Paths:
    """A run in one of the states that are shown."""
    if kind == "empty":
        return make_run(root, models=0, state=None, name="birds")
    groups = [*NAMES, *(f"class {k:02d}" for k in range(24))]
    paths = make_run(root, models=60 if kind == "done" else 40, groups=groups, state=None, name="birds", noise=0.05)
    state = State.RUNNING if kind == "silent" else State(kind)
    workers = [WorkerState(k, f"cuda:{k}", 4243 + k, f"estimate {41 + k}", 20, 12.0, 0.98, 2 * GIB) for k in range(2)]
    devices = [
        DeviceState(f"cuda:{k}", "NVIDIA H100 80GB HBM3", 1.0 - k / 4, 41 * GIB, 80 * GIB, 64.0, 612.0)
        for k in range(2)
    ]
    active = {"workers": workers, "devices": devices} if state is State.RUNNING else {"workers": []}
    age = {"running": 1.0, "silent": 42.0}.get(kind, 600.0)
    say(paths, state, time=NOW - age, started=NOW - 3600, **active)
    write_json(paths.owner, vars(OWNER if state is not State.LOST else replace(OWNER, pid=4000)))
    if kind in PRUNED:
        seen = {**active, "time": NOW - age, "started": NOW - 3600}
        own = make_pruning(paths, trained=PRUNED[kind], state=state, **seen)
        write_json(own.owner, vars(OWNER))
    if kind in ("running", "failed"):
        fail(paths, 40, "CUDA out of memory")
    lines = [json.dumps({"time": NOW - 100 + place, **event}) for place, event in enumerate(EVENTS)]
    paths.events.write_text("".join(f"{line}\n" for line in lines))
    return paths


async def go(app, pilot, mode: str) -> None:
    """Go to a mode, and wait for what it shows."""
    await pilot.press(MODES[mode])
    state = app.state
    if mode == "sweep":
        await until(pilot, lambda: state.reliability.value is not None or not state.overview.finished)
    elif mode == "log":
        await until(pilot, lambda: len(state.log) == len(EVENTS))
    elif mode == "rank":
        await ranked(app, pilot)
    elif mode == "prune":
        await until(pilot, lambda: state.pruning.arms.value or state.pruning.plan.value or not state.overview.finished)
    else:
        await until(pilot, lambda: state.group_detail.value is not None and not state.images._requested)
        for grid in app.screen.query(ImageGrid):
            await until(pilot, lambda grid=grid: not grid.display or not grid.missing())


async def check(app, pilot, path: Path) -> None:
    """Assert that the screen comes to be that of a golden file."""
    golden = path.read_text(encoding="utf-8") if path.exists() else ""
    deadline = time.monotonic() + PATIENCE
    while screen_as_text(app) != golden and time.monotonic() < deadline:
        await pilot.pause(0.05)
    found = screen_as_text(app)
    if REGENERATE and found != golden:
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(found, encoding="utf-8")
        golden = found
    assert found == golden


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("kind", RUNS)
async def test_screens_are_those_of_the_golden_files(tmp_path, kind, size):
    make(tmp_path / "run", kind)
    async with exploring(tmp_path / "run", size) as (app, pilot):
        for mode in RUNS[kind]:
            await go(app, pilot, mode)
            await check(app, pilot, GOLDEN / f"{kind}_{mode}_{size[0]}x{size[1]}.txt")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_two_rankings_and_the_help_are_those_of_the_golden_files(tmp_path, size):
    make(tmp_path / "run", "done")
    async with exploring(tmp_path / "run", size) as (app, pilot):
        await go(app, pilot, "rank")
        await pilot.press("v", "down", "enter")
        await until(pilot, lambda: app.state.comparison.value is not None)
        await check(app, pilot, GOLDEN / f"done_comparison_{size[0]}x{size[1]}.txt")
        await pilot.press("slash", "f1")
        await check(app, pilot, GOLDEN / f"done_help_{size[0]}x{size[1]}.txt")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_an_arm_and_its_target_classes_are_those_of_the_golden_files(tmp_path, size):
    make(tmp_path / "run", "done")
    async with exploring(tmp_path / "run", size) as (app, pilot):
        await go(app, pilot, "prune")
        await pilot.press("down", "o")
        await check(app, pilot, GOLDEN / f"done_arm_{size[0]}x{size[1]}.txt")
        await pilot.press("o", "enter")
        await check(app, pilot, GOLDEN / f"done_lost_{size[0]}x{size[1]}.txt")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_probes_are_those_of_the_golden_files(tmp_path, size):
    paths = make_probed(tmp_path / "run", single=True)
    say(paths, State.DONE, time=NOW - 600, started=NOW - 3600, done=120, total=120)
    write_json(paths.owner, vars(OWNER))
    keys = {"failures": "6", "subpops": "v", "class": "enter", "driver": "d enter", "leaks": "v"}
    async with exploring(tmp_path / "run", size) as (app, pilot):
        for name in PROBED:
            await pilot.press(*keys[name].split())
            await check(app, pilot, GOLDEN / f"probed_{name}_{size[0]}x{size[1]}.txt")


def test_no_golden_file_is_left_over():
    runs = {**RUNS, "done": [*RUNS["done"], "comparison", "help", "arm", "lost"], "probed": PROBED}
    names = {f"{kind}_{mode}_{w}x{h}.txt" for kind, modes in runs.items() for mode in modes for w, h in SIZES}
    assert {path.name for path in GOLDEN.iterdir()} == names


async def test_a_change_of_a_colour_alone_is_a_change(tmp_path):
    make(tmp_path / "run", "done")
    async with exploring(tmp_path / "run") as (app, pilot):
        await go(app, pilot, "log")
        text = screen_as_text(app)
        app.screen.query_one("#log-line").styles.color = "red"
        await until(pilot, lambda: screen_as_text(app) != text)
        assert screen_as_text(app).split("===")[0] == text.split("===")[0]
