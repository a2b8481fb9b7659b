"""A run on a cluster in the app: its tasks in the Sweep mode, what they say in the Log mode."""

import time
from dataclasses import replace

import pytest

from tests.tui.runs import exploring, make_run, say, screen_text, until
from tui_influence.runs.cluster import slurm_client as module
from tui_influence.runs.cluster.slurm_client import SubmittedJobs, write_jobs
from tui_influence.runs.heartbeat import State
from tui_influence.store.events import EventLog
from tui_influence.store.run_info import read_run_info, write_run_info

NAME = "tinfl-a-0123456789"
TASKS = [
    f"12_0|{NAME}|RUNNING|n1|None",
    f"12_3|{NAME}|COMPLETING|n2|None",
    f"12_1|{NAME}|COMPLETED|n1|None",
    f"12_[4-99%50]|{NAME}|PENDING||Priority",
    f"13|{NAME}-plan|PENDING||Dependency",
]


@pytest.fixture
def on_cluster(tmp_path, monkeypatch):
    """A run whose engine says that of its tasks; without any, there is no engine here."""
    monkeypatch.setattr(module, "_answers", {})

    def make(tasks: list[str]):
        (tmp_path / "bin").mkdir()
        if tasks:
            (tmp_path / "bin" / "squeue").write_text("#!/bin/sh\ncat <<'E'\n" + "\n".join(tasks) + "\nE\n")
            (tmp_path / "bin" / "squeue").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin" if tasks else str(tmp_path / "bin"))
        paths = make_run(tmp_path / "run", models=4)
        say(paths, State.RUNNING, time=time.time() - 1000, workers=[], models_per_hour=0.0)
        paths.owner.unlink()
        write_jobs(paths, SubmittedJobs(NAME, time.time() - 1000, ("12",), "13", 100.0))
        return paths

    return make


def left_side(app) -> list[str]:
    room = 68 if app.size.width == 140 else app.size.width - 3
    return [line[:room].strip() for line in screen_text(app).splitlines()]


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
async def test_tasks_stand_where_the_devices_of_a_local_run_do(on_cluster, tmp_path, size):
    on_cluster(TASKS)
    async with exploring(tmp_path / "run", size) as (app, pilot):
        await until(pilot, lambda: "RUNNING" in screen_text(app))
        lines = left_side(app)
        assert "▶ RUNNING   on the cluster" in lines
        at = lines.index("tasks       2 tasks on n1, n2")
        assert lines[at + 1 : at + 4] == [
            "running     12_0  n1",
            "completing  12_3  n2",
            "pending     12_[4-99%50]  96 tasks: Priority",
        ]
        assert lines[at + 4].startswith("pending     13            planner of the next round: after the t")
        assert "rate        200 models an hour" in lines
        await pilot.press("S")
        await until(pilot, lambda: "Cost: running tasks finish their current models first." in screen_text(app))


async def test_a_large_crowd_of_tasks_is_counted_and_a_small_screen_cuts(on_cluster, tmp_path):
    many = [f"{10**7}_{i}|{NAME}|RUNNING|gpu{i % 40:03d}|None" for i in range(1000)]
    arrays = [f"{10**7 + i}_[0-99]|{NAME}|PENDING||QOSMaxJobsPerUserLimit" for i in range(1, 7)]
    on_cluster(many + arrays)
    async with exploring(tmp_path / "run", (100, 40)) as (app, pilot):
        await until(pilot, lambda: "RUNNING" in screen_text(app))
        lines = left_side(app)
        assert "tasks       1,000 tasks on gpu000 (25), gpu001 (25), gpu002 (25) and 37 more nodes" in lines
        assert "and 993 more" in lines
        assert "and 200 more wait" in lines
        await pilot.resize_terminal(40, 14)
        await until(pilot, lambda: "tasks       1,000 tasks on gpu000…" in screen_text(app))


async def test_where_the_cluster_cannot_be_asked_what_was_known_is_doubted(on_cluster, tmp_path):
    on_cluster([])
    async with exploring(tmp_path / "run", (100, 30)) as (app, pilot):
        await until(pilot, lambda: "RUNNING?" in screen_text(app))
        assert "why: the cluster cannot be asked about its jobs from here" in screen_text(app)
        assert "no squeue on the PATH" in screen_text(app)


async def test_going_on_says_that_the_cluster_trains(tmp_path):
    paths = make_run(tmp_path / "run", state=State.STOPPED)
    info = read_run_info(paths.root)
    write_run_info(paths, replace(info, config=info.config | {"compute": {"executor": "slurm"}}))
    async with exploring(tmp_path / "run") as (app, pilot):
        await until(pilot, lambda: "STOPPED" in screen_text(app))
        await pilot.press("R")
        await until(pilot, lambda: "20 models to train on Slurm" in screen_text(app))


async def test_the_app_times_nothing_where_the_cluster_trains(tmp_path, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    paths = make_run(tmp_path / "run")
    info = read_run_info(paths.root)
    write_run_info(paths, replace(info, config=info.config | {"compute": {"executor": "slurm"}}))
    async with exploring(tmp_path / "run") as (app, pilot):
        await pilot.press("4")
        await until(pilot, lambda: app.state.pruning.plan.answered is not None)
        await pilot.press("t")
        await until(pilot, lambda: any("this machine does not train" in one.message for one in app._notifications))


async def test_the_log_follows_the_tasks_and_shows_nothing_twice(on_cluster, tmp_path):
    paths = on_cluster(TASKS)
    planner = EventLog(paths.events)
    planner.write("round", number=1, tasks=1, rows=9)
    file = paths.task_events(1, 0)
    file.parent.mkdir(parents=True)
    task = EventLog(file, task="12_0")
    async with exploring(tmp_path / "run") as (app, pilot):
        await pilot.press("5")
        await until(pilot, lambda: len(app.state.log) == 1)
        task.write("model", role="estimate", index=7, worker=0, seconds=1.5)
        await until(pilot, lambda: "estimate 7 done" in screen_text(app))
        task.close()
        planner._file.write(file.read_bytes())  # the planner takes it in
        file.unlink()
        planner.write("done")
        await until(pilot, lambda: len(app.state.log) > 2)
        assert screen_text(app).count("estimate 7 done") == 1
        assert len(app.state.log) == 3
    planner.close()
