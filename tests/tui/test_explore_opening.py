import json
import os
import re
import shutil

import pytest

from tests.tui.prunings import make_pruning, make_verification
from tests.tui.runs import exploring, make_run, ranked, say, screen_text, until, words
from tui_influence.errors import ResultsError
from tui_influence.runs.heartbeat import Heartbeat, State, write_heartbeat
from tui_influence.runs.run_list import is_run, list_runs
from tui_influence.store.files import make_directory
from tui_influence.store.paths import Paths
from tui_influence.tui.messages import Preparing


async def test_a_folder_of_runs_opens_a_list_and_escape_comes_back(tmp_path):
    make_run(tmp_path / "first", name="first")
    make_run(tmp_path / "second", name="second", state=State.STOPPED)
    make_directory(tmp_path / "no run")
    broken = make_run(tmp_path / "broken")
    broken.run.write_text("{")
    async with exploring(tmp_path) as (app, pilot):
        await until(pilot, lambda: "second" in screen_text(app))
        text = screen_text(app)
        assert "no run" not in text
        assert "cannot be opened" in text
        order = [line.split()[1] for line in text.splitlines() if " models" in line]
        assert sorted(order) == ["first", "second"]
        lines = [line for line in text.splitlines() if "models" in line or "cannot be opened" in line]
        for name, other in (("second", "first"), ("first", "second")):
            place = next(n for n, line in enumerate(lines) if name in line)
            await pilot.press("home", *["down"] * place, "enter")
            await until(pilot, lambda: app.state.overview is not None and app.current_mode == "sweep")
            await until(pilot, lambda name=name: name in screen_text(app).splitlines()[0])
            assert other not in screen_text(app).splitlines()[0]
            await pilot.press("2")
            await ranked(app, pilot)
            await pilot.press("escape")
            await until(pilot, lambda: "Runs in" in screen_text(app))
            await until(pilot, lambda: "cannot be opened" in screen_text(app))
        place = next(n for n, line in enumerate(lines) if "broken" in line)
        await pilot.press("home", *["down"] * place, "enter")
        await until(pilot, lambda: "damaged" in screen_text(app))
        assert app.current_mode == "picker"


def test_what_is_neither_a_run_nor_a_folder_of_runs_is_refused_in_a_line(tmp_path):
    for path, reason in (
        (tmp_path, "nor a folder of such"),
        (tmp_path / "none", "no such results directory"),
        (tmp_path / "file", "but a file"),
    ):
        (tmp_path / "file").write_text("x")
        assert not is_run(path)
        with pytest.raises(ResultsError, match=reason):
            list_runs(path)


async def test_a_run_that_is_being_prepared_is_shown_and_followed(tmp_path):
    paths = Paths(tmp_path / "run")
    make_directory(paths.root)
    say(paths, State.PREPARING, done=0, total=0, stage="packing the source")
    async with exploring(tmp_path / "run") as (app, pilot):
        await until(pilot, lambda: "PREPARING" in screen_text(app))
        assert "packing the source" in screen_text(app)
        assert "its plan is not written yet" in screen_text(app)
        await pilot.press("2", "t", "c", "s", "e", "1")
        make_run(tmp_path / "run", state=State.RUNNING)
        await until(pilot, lambda: "40 of 60 models" in screen_text(app))


@pytest.mark.parametrize("harm", ["run.json is gone", "run.json is damaged", "all is gone"])
async def test_a_run_that_is_damaged_while_it_is_looked_at_keeps_what_was_read(tmp_path, harm):
    paths = make_run(tmp_path / "run", state=State.RUNNING)
    async with exploring(tmp_path / "run") as (app, pilot):
        await until(pilot, lambda: "40 of 60 models" in screen_text(app))
        if harm == "run.json is gone":
            paths.heartbeat.unlink()  # first: with it and no run.json, a run is being prepared
            paths.run.unlink()
        elif harm == "run.json is damaged":
            paths.run.write_text("{")
        else:
            paths.heartbeat.unlink()
            shutil.rmtree(paths.root)
        await until(pilot, lambda: "cannot be read any more" in screen_text(app))
        assert "40 of 60 models" in screen_text(app)


async def test_records_that_are_damaged_or_half_copied_are_a_calm_line_in_rank(tmp_path):
    paths = make_run(tmp_path / "run")
    shutil.rmtree(paths.root / "targets")
    async with exploring(tmp_path / "run", (140, 40)) as (app, pilot):
        await pilot.press("2")
        await until(pilot, lambda: "half copied" in words(app))
        await pilot.press("slash", "s", "space", "e", "y", "c", "escape")
        await pilot.pause()


async def test_a_heartbeat_of_nonsense_is_shown_as_far_as_it_makes_sense(tmp_path):
    paths = make_run(tmp_path / "run", state=State.RUNNING)
    odd = json.loads(paths.heartbeat.read_text())
    odd |= {"eta": [1e30, -5.0, 1e30], "stage": "\x1b[2J" * 50}
    paths.heartbeat.write_text(json.dumps(odd))
    async with exploring(tmp_path / "run") as (app, pilot):
        await until(pilot, lambda: "RUNNING" in screen_text(app))
        assert "unknown" in screen_text(app)


async def test_of_a_heartbeat_that_cannot_be_true_nothing_is_believed(tmp_path):
    paths = make_run(tmp_path / "run", state=State.RUNNING)
    odd = json.loads(paths.heartbeat.read_text())
    paths.heartbeat.write_text(json.dumps(odd | {"models_per_hour": 1e300, "time": -1e300}))
    async with exploring(tmp_path / "run") as (app, pilot):
        await until(pilot, lambda: "40 of 60 models" in screen_text(app))
        assert "RUNNING" not in screen_text(app)
        assert "models an hour" not in screen_text(app)


async def test_dark_and_light_change_in_place(tmp_path):
    make_run(tmp_path / "run")
    async with exploring(tmp_path / "run") as (app, pilot):
        await pilot.press("2")
        await ranked(app, pilot)
        await pilot.press("ctrl+t")
        await pilot.pause()
        assert app.theme == "tinfl-light"
        assert not app.state.style.dark


async def test_leaving_a_sweep_that_runs_says_that_it_goes_on(tmp_path):
    make_run(tmp_path / "run", state=State.RUNNING)
    async with exploring(tmp_path / "run") as (app, pilot):
        await until(pilot, lambda: "RUNNING" in screen_text(app))
        await pilot.press("q")
    assert re.match(r"the sweep \(pid \d+\) goes on in the background; ", app.return_value)
    assert f"tinfl explore {tmp_path}/run" in app.return_value


async def test_leaving_names_a_pruning_and_a_counterfactual_that_are_trained(tmp_path):
    paths = make_run(tmp_path / "run")
    make_pruning(paths, trained=9, state=State.RUNNING)
    make_pruning(paths, "small", ks=(2,))
    make_verification(paths, 3, trained=2, state=State.RUNNING)
    async with exploring(tmp_path / "run") as (app, pilot):
        await pilot.press("q")
    pid = f"(pid {os.getpid()})"
    runs = f"the counterfactual example-3 {pid} and the pruning main {pid}"
    assert app.return_value == f"{runs} go on in the background; come back: tinfl explore {tmp_path}/run"


async def test_each_start_is_warned_of_before_the_app_is_left(tmp_path):
    make_run(tmp_path / "run")
    async with exploring(tmp_path / "run") as (app, pilot):
        for start in ("first", "second"):
            root = tmp_path / start
            app.state.preparing[root] = f"packing the {start}"
            await pilot.press("q")
            await until(pilot, lambda start=start: f"Still being started: packing the {start}" in words(app))
            app.post_message(Preparing(app.state, root, ""))
            await until(pilot, lambda: not app.state.preparing)
        assert app.return_value is None


async def test_a_heartbeat_alone_is_a_run(tmp_path):
    make_directory(tmp_path / "run")
    write_heartbeat(Paths(tmp_path / "run"), Heartbeat(State.FAILED, 1.0, 0.0, reason="no data"))
    async with exploring(tmp_path / "run") as (app, pilot):
        await until(pilot, lambda: "why: no data" in screen_text(app))
