"""Devices and workers in Sweep, and a supervisor that has fallen silent."""

import json
import time
from dataclasses import replace

import pytest

from tests.tui.runs import exploring, make_run, say, screen_text, until
from tui_influence.runs.heartbeat import ACTIVE, DeviceState, State, WorkerState
from tui_influence.runs.ownership import Owner
from tui_influence.store.files import write_json

GIB = 1 << 30
CPU = [DeviceState("cpu", "2 cores", 0.97, int(1.1 * GIB), int(23.4 * GIB))]
ON_CPU = [WorkerState(0, "cpu", 1, "estimate 41", 20, 3.2, 0.97, 700 << 20), WorkerState(1, "cpu", 2, "", 19)]
GPUS = [
    DeviceState("cuda:0", "NVIDIA H100 80GB HBM3", 1.0, int(41.2 * GIB), int(79.6 * GIB), 64.0, 612.4),
    DeviceState("cuda:1", "NVIDIA H100 80GB HBM3", 0.0, int(1.2 * GIB), int(79.6 * GIB), 31.0, 71.0),
]
ON_GPUS = [WorkerState(i, f"cuda:{i}", 1, f"estimate {41 + i}", 20 + i, 12.0 + 60 * i, 0.98, 2 * GIB) for i in (0, 1)]
SIZES = [(80, 24), (140, 40), (40, 12)]


def running(root, **changes):
    paths = make_run(root, models=4)
    say(paths, State.RUNNING, **changes)
    return paths


def lines_of(app, *labels: str) -> list[str]:
    """The left side of the lines that begin with these labels."""
    room = 68 if app.size.width == 140 else app.size.width - 3
    found = [line[:room].strip() for line in screen_text(app).splitlines()]
    return [line for line in found if line.startswith(labels)]


@pytest.mark.parametrize("size", SIZES)
async def test_the_cpu_is_shown_with_what_the_workers_take_of_it(tmp_path, size):
    running(tmp_path / "run", devices=CPU, workers=ON_CPU)
    async with exploring(tmp_path / "run", size) as (app, pilot):
        await until(pilot, lambda: "RUNNING" in screen_text(app))
        if size[0] == 40:
            assert lines_of(app, "cpu", "worker") == [
                "cpu          97%  1/23 GiB",
                "worker 0    estimate 41  for 3 s",
                "worker 1    idle",
            ]
        else:
            assert lines_of(app, "cpu", "worker") == [
                "cpu         ███████░  97%  1.1 of 23.4 GiB  2 cores",
                "worker 0    estimate 41  for 3 s  20 done  97% cpu  700 MiB",
                "worker 1    idle                  19 done",
            ]


@pytest.mark.parametrize("size", SIZES)
async def test_two_gpus_line_up(tmp_path, size):
    running(tmp_path / "run", devices=GPUS, workers=ON_GPUS)
    async with exploring(tmp_path / "run", size) as (app, pilot):
        await until(pilot, lambda: "RUNNING" in screen_text(app))
        shown = lines_of(app, "cuda:", "worker")
    if size[0] == 40:
        assert shown == [
            "cuda:0      100%  41/80 GiB  64 °C",
            "cuda:1        0%   1/80 GiB  31 °C",
            "worker 0    cuda:0  estimate 41",
            "worker 1    cuda:1  estimate 42",
        ]
        return
    name, memory = ("H100 80GB HBM3", "  2.0 GiB") if size[0] == 80 else ("H100…", "")
    assert shown == [
        f"cuda:0      ████████ 100%  41.2 of 79.6 GiB  64 °C  612 W  {name}",
        f"cuda:1      ░░░░░░░░   0%   1.2 of 79.6 GiB  31 °C   71 W  {name}",
        f"worker 0    cuda:0  estimate 41  for 12 s        20 done  98% cpu{memory}",
        f"worker 1    cuda:1  estimate 42  for 1 min 12 s  21 done  98% cpu{memory}",
    ]


async def test_ascii_alone_does_for_gauges_and_names(tmp_path):
    silent = {"time": time.time() - 30}
    running(tmp_path / "run", devices=[replace(GPUS[0], name="卡 \x1b[2J")], workers=ON_GPUS[:1], **silent)
    async with exploring(tmp_path / "run", ascii=True, coloured=False) as (app, pilot):
        await until(pilot, lambda: "RUNNING" in screen_text(app))
        assert "######## 100%  41.2 of 79.6 GiB  64 C  612 W  \\u5361" in screen_text(app)
        assert "// RUNNING? //" in screen_text(app)
        assert screen_text(app).isascii()


async def test_what_a_driver_does_not_tell_leaves_a_gap(tmp_path):
    running(tmp_path / "run", devices=[DeviceState("cuda:0"), replace(GPUS[1], utilisation=None)], workers=ON_GPUS)
    async with exploring(tmp_path / "run") as (app, pilot):
        await until(pilot, lambda: "RUNNING" in screen_text(app))
        assert lines_of(app, "cuda:") == [
            "cuda:0                  -",
            "cuda:1                  -  1.2 of 79.6 GiB  31 °C  71 W  H100 80GB HBM3",
        ]


async def test_a_large_crew_is_counted(tmp_path):
    devices = [replace(CPU[0], device=f"cpu {i}") for i in range(10)]
    workers = [WorkerState(i, "cpu", 1, "estimate 1" if i % 2 else "", 100) for i in range(64)]
    running(tmp_path / "run", devices=devices, workers=workers)
    async with exploring(tmp_path / "run", (80, 40)) as (app, pilot):
        await until(pilot, lambda: "RUNNING" in screen_text(app))
        assert "and 2 more devices" in screen_text(app)
        assert "and 57 more: 29 in training, 5,700 done" in screen_text(app)
        assert len(lines_of(app, "worker")) == 7


@pytest.mark.parametrize("state", [State.DONE, State.STOPPED, State.FAILED, State.LOST])
async def test_a_run_that_has_ended_shows_no_gauges(tmp_path, state):
    paths = make_run(tmp_path / "run", models=4)
    say(paths, state, devices=GPUS, workers=ON_GPUS)
    async with exploring(tmp_path / "run") as (app, pilot):
        await until(pilot, lambda: state.value.upper() in screen_text(app))
        assert not lines_of(app, "cuda:", "worker")


@pytest.mark.parametrize("state", ACTIVE)
@pytest.mark.parametrize("host", ["here", "node7"])
@pytest.mark.parametrize("size", SIZES)
async def test_a_silent_supervisor_is_doubted_at_a_glance(tmp_path, state, host, size):
    paths = make_run(tmp_path / "run", models=4)
    say(paths, state, time=time.time() - 23, devices=GPUS, workers=ON_GPUS)
    if host != "here":
        write_json(paths.owner, vars(replace(Owner.this_process(paths.root), host=host)))
    async with exploring(tmp_path / "run", size) as (app, pilot):
        await until(pilot, lambda: state.value.upper() in screen_text(app))
        text = screen_text(app)
        assert f"╱╱ {state.value.upper()}? ╱╱  silent for " in text
        assert text.splitlines()[0].rstrip(" 0123456789/").endswith(f"╱ {state.value}?")
        if size[0] > 40:
            reason = "its process lives but says nothing" if host == "here" else "nothing from node7; after 1 min 00 s"
            assert reason in text
        say(paths, state)
        await until(pilot, lambda: f" {app.state.style.state_sign(state)} {state.value.upper()} " in screen_text(app))
        assert "?" not in screen_text(app).splitlines()[0]


async def test_gauges_of_nonsense_are_a_calm_line(tmp_path):
    paths = running(tmp_path / "run", devices=GPUS, workers=ON_GPUS)
    odd = json.loads(paths.heartbeat.read_text())
    odd["devices"][0] |= {"device": "\x1b[2J" * 50, "name": "\u202e" * 500, "utilisation": 1e30, "memory_used": "x"}
    odd["devices"][1] |= {"memory_total": 0, "temperature": -5}
    odd["workers"][0] |= {"seconds": 1e30, "memory": -1}
    paths.heartbeat.write_text(json.dumps(odd))
    async with exploring(tmp_path / "run") as (app, pilot):
        await until(pilot, lambda: "RUNNING" in screen_text(app))
        assert lines_of(app, "\\x1b[2J\\x1…")
        assert "1.2 GiB" in lines_of(app, "cuda:1")[0]


async def test_the_list_of_runs_doubts_a_silent_supervisor_too(tmp_path):
    running(tmp_path / "quiet", time=time.time() - 30)
    running(tmp_path / "lively")
    async with exploring(tmp_path) as (app, pilot):
        await until(pilot, lambda: "lively" in screen_text(app) and "quiet" in screen_text(app))
        assert "╱ quiet" in screen_text(app)
        assert "running?" in next(line for line in screen_text(app).splitlines() if "quiet" in line)
        assert "▶ lively" in screen_text(app)
