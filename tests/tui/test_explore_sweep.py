import json

import numpy as np
import pytest

from tests.tui.runs import exploring, fail, make_run, say, screen_text, spoil, until, words
from tests.unit.store.conftest import make_record
from tests.unit.store.digested import write_with_digest
from tui_influence.roles import Role
from tui_influence.runs.control import StopLevel, stop_request
from tui_influence.runs.heartbeat import State
from tui_influence.store.growth import MeasuredReliability, Outcome, write_decision, write_forecast
from tui_influence.store.records import write_record

STATES = [state for state in State if state is not State.QUEUED]


@pytest.mark.parametrize(("state", "ascii"), [*((state, False) for state in STATES), (State.LOST, True)])
async def test_each_state_is_named_in_a_word_and_a_sign_of_its_own(tmp_path, state, ascii):
    make_run(tmp_path / "run", state=state)
    async with exploring(tmp_path / "run", ascii=ascii, coloured=False) as (app, pilot):
        await until(pilot, lambda: state.value.upper() in screen_text(app))
        text = screen_text(app)
        assert f" {app.state.style.state_sign(state)} {state.value.upper()} " in text
        assert "40 of 60 models" in text
        assert text.isascii() or not ascii
        if state is State.FAILED:
            assert "the disk is full" in text
        if state is State.LOST:
            assert "died unexpectedly" in text


async def test_a_run_that_was_never_started_says_so(tmp_path):
    make_run(tmp_path / "run", models=0, state=None)
    async with exploring(tmp_path / "run") as (app, pilot):
        await until(pilot, lambda: "QUEUED" in screen_text(app))
        assert "never started" in screen_text(app)


async def test_a_pruning_is_watched_like_any_run(tmp_path):
    paths = make_run(tmp_path / "run", models=0, planned=0, state=State.RUNNING)
    spoil(paths, arms=60)
    mask = np.ones(30, dtype=bool)
    for index in range(7):
        write_record(paths, make_record(index, Role.ARM, mask=mask))
    async with exploring(tmp_path / "run", (100, 30)) as (app, pilot):
        await until(pilot, lambda: "7 of 60 retrainings of a pruning" in screen_text(app))
        await pilot.press("2")
        await until(pilot, lambda: "a pruning has no ranking of its own" in words(app))


async def test_a_running_sweep_shows_its_pace_its_workers_and_its_failures(tmp_path):
    paths = make_run(tmp_path / "run", state=State.RUNNING)
    fail(paths, 50, "CUDA out of memory\x1b[2J")
    async with exploring(tmp_path / "run", (100, 30)) as (app, pilot):
        await pilot.press("2", "m", "1")  # by difference; ridge tells more
        await until(pilot, lambda: "NOISE" in screen_text(app))
        text = screen_text(app)
    for part in ("1,200 models an hour", "1 min 00 s  (50 s to 1 min 10 s)", "cpu  estimate 41  20 done",
                 "cpu  idle", "source 91.0%, digits 50.0%", "1 model given up",
                 "estimate 50: CUDA out of memory\\x1b[2J"):  # fmt: skip
        assert part in text


async def test_it_follows_a_run(tmp_path):
    paths = make_run(tmp_path / "run", state=State.RUNNING)
    async with exploring(tmp_path / "run") as (app, pilot):
        await until(pilot, lambda: "RUNNING" in screen_text(app))
        say(paths, State.STOPPED)
        await until(pilot, lambda: "STOPPED" in screen_text(app))


@pytest.mark.parametrize("answer", ["n", "escape", "enter"])
async def test_stopping_asks_first_and_anything_but_yes_leaves_the_run_alone(tmp_path, answer):
    paths = make_run(tmp_path / "run", state=State.RUNNING)
    async with exploring(tmp_path / "run") as (app, pilot):
        await until(pilot, lambda: "RUNNING" in screen_text(app))
        await pilot.press("S")
        await until(pilot, lambda: "Stop the sweep?" in screen_text(app))
        text = screen_text(app)
        assert "Run: small, 40 of 60 models done" in text
        assert "1 model in training will be finished first" in text
        assert "Command: tinfl stop" in text
        await pilot.press(answer)
        await until(pilot, lambda: "Stop the sweep?" not in screen_text(app))
    assert stop_request(paths) is StopLevel.NO


async def test_stopping_stops_and_a_second_time_at_once(tmp_path):
    paths = make_run(tmp_path / "run", state=State.RUNNING)
    async with exploring(tmp_path / "run") as (app, pilot):
        await until(pilot, lambda: "RUNNING" in screen_text(app))
        await pilot.press("S", "y")
        await until(pilot, lambda: stop_request(paths) is StopLevel.AFTER_CURRENT_MODELS)
        await pilot.press("S")
        await until(pilot, lambda: "Stop at once?" in screen_text(app))
        assert "given up" in screen_text(app)
        await pilot.press("y")
        await until(pilot, lambda: stop_request(paths) is StopLevel.AT_ONCE)


async def test_resuming_says_what_it_costs_and_asks_the_core(tmp_path, monkeypatch):
    make_run(tmp_path / "run", state=State.LOST)
    started = []
    resumed = "tui_influence.tui.retrainings.request_to_resume"
    monkeypatch.setattr(resumed, lambda root, retry_failed: (root, retry_failed))
    monkeypatch.setattr("tui_influence.tui.retrainings.start", lambda request, observer: started.append(request))
    async with exploring(tmp_path / "run") as (app, pilot):
        await until(pilot, lambda: "LOST" in screen_text(app))
        await pilot.press("R")
        await until(pilot, lambda: "Resume the sweep?" in screen_text(app))
        assert "20 models to train on this machine, about 1 min 00 s" in screen_text(app)
        assert "Command: tinfl resume" in screen_text(app)
        await pilot.press("y")
        await until(pilot, lambda: started == [(tmp_path / "run", False)] and not app.state.preparing)


async def test_a_run_done_with_failures_says_so_and_is_resumed_to_retry_them(tmp_path, monkeypatch):
    paths = make_run(tmp_path / "run", models=8, planned=10, state=None)
    for index in (8, 9):
        fail(paths, index, "training: out of memory")
    say(paths, State.DONE_WITH_FAILURES, done=8, failed=2, total=10)
    started = []
    resumed = "tui_influence.tui.retrainings.request_to_resume"
    monkeypatch.setattr(resumed, lambda root, retry_failed: (root, retry_failed))
    monkeypatch.setattr("tui_influence.tui.retrainings.start", lambda request, observer: started.append(request))
    async with exploring(tmp_path / "run") as (app, pilot):
        await until(pilot, lambda: "DONE WITH FAILURES" in screen_text(app))
        await pilot.press("R")
        await until(pilot, lambda: "Resume the sweep?" in screen_text(app))
        assert "2 models that failed to train on this machine" in screen_text(app)
        assert "--retry-failed" in words(app)
        await pilot.press("y")
        await until(pilot, lambda: started == [(tmp_path / "run", True)])


async def test_a_refusal_to_resume_is_shown_in_its_own_words(tmp_path):
    paths = make_run(tmp_path / "run", state=State.STOPPED)
    found = json.loads(paths.run.read_text())
    spoil(paths, config=found["config"] | {"model": {"arch": "evil:run"}})
    async with exploring(tmp_path / "run") as (app, pilot):
        await until(pilot, lambda: "STOPPED" in screen_text(app))
        await pilot.press("R", "y")
        await until(pilot, lambda: app._notifications)
        assert not app.state.preparing


@pytest.mark.parametrize(("state", "key"), [(State.RUNNING, "S"), (State.STOPPED, "R")])
async def test_read_only_changes_nothing(tmp_path, state, key):
    paths = make_run(tmp_path / "run", state=state)
    before = {path: path.stat().st_mtime_ns for path in paths.root.rglob("*")}
    async with exploring(tmp_path / "run", readonly=True) as (app, pilot):
        await until(pilot, lambda: state.value.upper() in screen_text(app))
        await pilot.press(key, "y")
        await pilot.pause(0.1)
        assert len(app.screen_stack) == 1
        assert not {"S Stop", "R Resume"} & set(screen_text(app).splitlines()[-1].split("  "))
    assert {path: path.stat().st_mtime_ns for path in paths.root.rglob("*")} == before


@pytest.mark.parametrize("size", [(40, 12), (140, 40), (20, 5), (1, 1)])
async def test_any_size_shows_what_fits(tmp_path, size):
    state = State.LOST if size == (40, 12) else State.RUNNING
    make_run(tmp_path / "run", state=state)
    async with exploring(tmp_path / "run", size) as (app, pilot):
        await pilot.press("2", "5", "3", "4", "1")
        await pilot.pause()
        if size[0] >= 40:
            await until(pilot, lambda: state.value.upper() in screen_text(app))
            assert "40 of 60 models" in screen_text(app)


async def test_reliability_is_shown_with_its_forecast(tmp_path):
    make_run(tmp_path / "run", models=60, groups=12, planned=200, state=State.RUNNING)
    async with exploring(tmp_path / "run", (140, 40)) as (app, pilot):
        await until(pilot, lambda: "0.9 takes about" in screen_text(app) or "0.9 is reached" in screen_text(app))
        text = screen_text(app)
        assert "●" in text
        assert "mean 29.5%" in text


async def test_the_sweep_calls_a_ranking_of_noise_as_rank_does_at_every_width(tmp_path):
    make_run(tmp_path / "run")
    async with exploring(tmp_path / "run", (120, 35)) as (app, pilot):
        await pilot.press("2", "m", "1")  # by difference; ridge tells more
        await until(pilot, lambda: "Reliability of the ranking  NOISE: " in screen_text(app))
        await pilot.press("2")
        await until(pilot, lambda: "NOISE, not a result" in screen_text(app))


async def test_models_that_are_held_out_have_a_line_of_their_own_where_both_do_not_fit(tmp_path):
    paths = make_run(tmp_path / "run", models=40, planned=256)
    spoil(paths, heldout=32)
    async with exploring(tmp_path / "run", (120, 35)) as (app, pilot):
        await until(pilot, lambda: "0 of 32 held out" in screen_text(app))
        lines = screen_text(app).splitlines()
        line = next(line for line in lines if "0 of 32 held out" in line)
        start = next(line for line in lines if "40 of 256 to estimate from," in line)
        assert line.index("0 of 32") in (start.index("40 of 256"), start.find("0 of 32"))


async def test_a_sweep_with_a_goal_shows_why_it_grew_and_that_its_limit_is_too_low(tmp_path):
    paths = make_run(tmp_path / "run", models=40, planned=60, state=State.RUNNING)
    decision = MeasuredReliability(40, "digits", 0.9, 0.61, 300, 150, 800, outcome=Outcome.GROWN, further=20)
    write_decision(paths, decision)
    values = json.loads(paths.run.read_text())
    values["config"]["design"] |= {"until": 0.9, "max_models": 100}
    write_with_digest(paths.run, values)
    async with exploring(tmp_path / "run", (140, 40)) as (app, pilot):
        await until(pilot, lambda: "40 models, goal 0.9: 20 more" in screen_text(app))
        words = " ".join(screen_text(app).split())
        assert "0.9 takes about 300 models in all (150 to 800)" in words
        assert "until = 0.9 will hardly be" in words


async def test_the_models_that_a_ranking_takes_are_said_once(tmp_path):
    paths = make_run(tmp_path / "run", models=40, groups=12, planned=200, state=State.RUNNING)
    write_forecast(paths, MeasuredReliability(40, "digits", 0.9, 0.61, 300, 150, 800))
    async with exploring(tmp_path / "run", (100, 50)) as (app, pilot):
        await until(pilot, lambda: "●" in screen_text(app))
        words = " ".join(screen_text(app).split())
        assert words.count("0.9 takes") == 1
        assert "0.9 takes about 300 models in all (150 to 800) (from 40" in words
        await pilot.press("2", "c", "down", "enter", "1")
        await until(pilot, lambda: "Reliability of the ranking on" in screen_text(app) and "●" in screen_text(app))
        below_chart = screen_text(app).partition("Reliability of the ranking on")[2]
        assert "0.9 takes" in below_chart or "0.9 is" in below_chart, "of one class, the summary says nothing"


async def test_a_sweep_that_has_just_begun_shows_how_many_models_an_order_takes(tmp_path):
    make_run(tmp_path / "run", models=2, planned=60, state=State.RUNNING)
    async with exploring(tmp_path / "run", (140, 40)) as (app, pilot):
        await until(pilot, lambda: "models for a usable order" in " ".join(screen_text(app).split()))
