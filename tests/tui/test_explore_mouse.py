"""The mouse: never needed, and where it is used it does what one expects."""

import pytest
from textual import events

from tests.tui.runs import exploring, make_run, ranked, screen_text, until
from tui_influence.runs.heartbeat import State
from tui_influence.tui.widgets.mode_bar import ModeBar
from tui_influence.tui.widgets.table import RankingTable


async def opened(app, pilot) -> RankingTable:
    await pilot.press("2")
    await ranked(app, pilot)
    table = app.screen.query_one(RankingTable)
    await until(pilot, lambda: table.max_scroll_y > 0)
    return table


async def wheel(pilot, table, kind: type[events.MouseScrollDown] | type[events.MouseScrollUp], times: int) -> None:
    for _ in range(times):
        table.post_message(kind(table, 5, 5, 0, 0, 0, shift=False, meta=False, ctrl=False))
    await pilot.pause()


@pytest.mark.parametrize("size", [(80, 24), (40, 24), (140, 40)])
async def test_a_click_on_a_mode_goes_there(tmp_path, size):
    make_run(tmp_path / "run", state=State.RUNNING, name="n" * 60)
    async with exploring(tmp_path / "run", size) as (app, pilot):
        for key, mode in (("2", "rank"), ("5", "log"), ("3", "class"), ("1", "sweep")):
            column = screen_text(app).splitlines()[0].index(f" {key} ") + 1
            await pilot.click(ModeBar, offset=(column, 0))
            await until(pilot, lambda mode=mode: app.current_mode == mode)
        await pilot.click(ModeBar, offset=(1, 0))  # the name
        assert app.current_mode == "sweep"


async def test_a_click_beside_a_field_leaves_for_another_mode(tmp_path):
    make_run(tmp_path / "run")
    async with exploring(tmp_path / "run") as (app, pilot):
        await opened(app, pilot)
        await pilot.press("slash", "1")
        await pilot.click(ModeBar, offset=(screen_text(app).splitlines()[0].index("5 Log"), 0))
        await until(pilot, lambda: app.current_mode == "log")


async def test_a_click_moves_the_cursor_to_the_line_under_it(tmp_path):
    make_run(tmp_path / "run")
    async with exploring(tmp_path / "run") as (app, pilot):
        table = await opened(app, pilot)
        for line in (7, 1, 12):
            await pilot.click(RankingTable, offset=(10, line))
            await until(pilot, lambda line=line: table._cursor == line - 1)
        await pilot.click(RankingTable, offset=(10, 0))  # the header
        await pilot.pause()
        assert table._cursor == 11
        await wheel(pilot, table, events.MouseScrollDown, 4)
        top = table.scroll_offset.y
        assert top > 0
        await pilot.click(RankingTable, offset=(10, 3))
        await until(pilot, lambda: table._cursor == top + 2)
        assert app.current_mode == "rank"


@pytest.mark.parametrize("how", ["enter", "double click"])
async def test_a_group_that_is_chosen_opens_as_a_class(tmp_path, how):
    make_run(tmp_path / "run")
    async with exploring(tmp_path / "run") as (app, pilot):
        table = await opened(app, pilot)
        wanted = table._rows[4]
        if how == "enter":
            await pilot.press(*["down"] * 4, "enter")
        else:
            await pilot.click(RankingTable, offset=(10, 5), times=2)
        await until(pilot, lambda: app.current_mode == "class")
        assert app.state.group == wanted.index
        await until(pilot, lambda: wanted.group in screen_text(app))


async def test_a_click_below_the_last_line_is_nothing(tmp_path):
    make_run(tmp_path / "run")
    async with exploring(tmp_path / "run", (80, 50)) as (app, pilot):
        await pilot.press("2")
        await ranked(app, pilot)
        table = app.screen.query_one(RankingTable)
        await pilot.press("down")
        await pilot.click(RankingTable, offset=(10, 40), times=2)
        await pilot.pause()
        assert table._cursor == 1
        assert app.current_mode == "rank"


async def test_the_wheel_scrolls_and_takes_the_cursor_along_at_the_edge(tmp_path):
    make_run(tmp_path / "run", groups=80)
    async with exploring(tmp_path / "run") as (app, pilot):
        table = await opened(app, pilot)
        await pilot.press(*["down"] * 10)
        await wheel(pilot, table, events.MouseScrollDown, 2)
        assert 0 < table.scroll_offset.y <= 10
        assert table._cursor == 10  # still in sight, so where it was
        await wheel(pilot, table, events.MouseScrollDown, 6)
        top = table.scroll_offset.y
        assert top > 10
        assert table._cursor == top  # at the edge
        await pilot.press("down")
        assert (table._cursor, table.scroll_offset.y) == (top + 1, top)  # on from there, without a jump
        await wheel(pilot, table, events.MouseScrollUp, 30)
        assert table.scroll_offset.y == 0
        assert table._cursor == table.size.height - 2  # the last line that is seen
        await wheel(pilot, table, events.MouseScrollDown, 200)
        assert table.scroll_offset.y == table.max_scroll_y
        assert table.max_scroll_y <= table._cursor < 80
