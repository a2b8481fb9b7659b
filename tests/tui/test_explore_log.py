import json
import time

import pytest

from tests.tui.runs import exploring, log, make_run, screen_text, until
from tui_influence.render.run_words import Level
from tui_influence.tui.widgets.log_view import LogView


async def opened(app, pilot, lines: int) -> LogView:
    await pilot.press("5")
    await until(pilot, lambda: len(app.state.log) == lines)
    return app.screen.query_one(LogView)


async def test_it_follows_what_is_added(tmp_path):
    paths = make_run(tmp_path / "run", models=2)
    log(paths, 50)
    async with exploring(tmp_path / "run") as (app, pilot):
        await opened(app, pilot, 50)
        await until(pilot, lambda: "estimate 49 done" in screen_text(app))
        log(paths, 3)
        await until(pilot, lambda: screen_text(app).count("estimate 2 done") == 1)
        assert "53 lines, all lines, following" in screen_text(app)


async def test_who_scrolls_up_is_left_in_peace(tmp_path):
    paths = make_run(tmp_path / "run", models=2)
    log(paths, 90)
    async with exploring(tmp_path / "run") as (app, pilot):
        view = await opened(app, pilot, 90)
        await until(pilot, lambda: view.scroll_offset.y == view.max_scroll_y > 0)
        await pilot.press("home")
        await until(pilot, lambda: "estimate 0 done" in screen_text(app))
        log(paths, 5)
        await until(pilot, lambda: len(app.state.log) == 95)
        assert "estimate 0 done" in screen_text(app)
        await pilot.press("f")
        await until(pilot, lambda: view.scroll_offset.y == view.max_scroll_y)


async def test_levels_hide_what_is_no_problem(tmp_path):
    paths = make_run(tmp_path / "run", models=2)
    log(paths, 300)
    async with exploring(tmp_path / "run") as (app, pilot):
        view = await opened(app, pilot, 300)
        await pilot.press("l", "l")
        await until(pilot, lambda: "3 of 300 lines, errors" in screen_text(app))
        assert view.level is Level.ERROR
        assert "X " in screen_text(app)
        await pilot.press("l")
        await until(pilot, lambda: "300 lines, all lines" in screen_text(app))


async def test_a_search_goes_from_hit_to_hit_and_around(tmp_path):
    paths = make_run(tmp_path / "run", models=2)
    log(paths, 300)
    async with exploring(tmp_path / "run") as (app, pilot):
        await opened(app, pilot, 300)
        await pilot.press("slash", *"nan", "enter")
        await until(pilot, lambda: "of 3" in screen_text(app))
        seen = []
        for _ in range(3):
            await pilot.press("n")
            await pilot.pause()
            seen.append(screen_text(app).splitlines()[1].split("hit ")[1][0])
        assert sorted(seen) == ["1", "2", "3"]
        assert "NaN loss" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: "hit" not in screen_text(app).splitlines()[1])


async def test_a_hundred_thousand_lines_scroll_at_once(tmp_path):
    paths = make_run(tmp_path / "run", models=2)
    line = json.dumps({"time": 1.0, "event": "model", "role": "estimate", "index": 1, "seconds": 1.0, "worker": 0})
    paths.events.write_text(f"{line}\n" * 60_000)
    async with exploring(tmp_path / "run") as (app, pilot):
        view = await opened(app, pilot, 60_000)
        started = time.perf_counter()
        for key in ("home", "pagedown", "end", "pageup", "home"):
            await pilot.press(key)
        assert time.perf_counter() - started < 2.0
        assert view.counts == (60_000, 60_000)


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", 0),
        (b"not json\n", 0),
        (b'{"event": "\\u001b[2Jx", "time": 1}\n\xff\xfe\n{"event": 3}\n{"time": "soon"}\n', 1),
    ],
)
async def test_a_log_that_is_empty_or_damaged_is_shown_as_far_as_it_goes(tmp_path, content, lines):
    paths = make_run(tmp_path / "run", models=2)
    paths.events.write_bytes(content)
    async with exploring(tmp_path / "run") as (app, pilot):
        await opened(app, pilot, lines)
        await until(pilot, lambda: ("\\x1b[2Jx" if lines else "nothing has happened") in screen_text(app))
        await pilot.press("slash", "x", "enter", "n", "l", "f")
        await pilot.pause()
