"""Mode Class: images that a class moves, its own images, and one image large."""

import os

import numpy as np
import pytest
from rich.color import Color

from tests.tui.runs import add_models, exploring, make_run, ranked, say, screen_text, until, words
from tui_influence.render.style import Style
from tui_influence.runs.heartbeat import State
from tui_influence.tui import image_cache
from tui_influence.tui.screens.image import ImageScreen
from tui_influence.tui.state import Result, RunState
from tui_influence.tui.widgets.image_grid import ImageGrid


def is_lit(app, colour: str = "#ffffff") -> bool:
    """Whether a pixel of a picture, white unless another colour is asked for, is on the screen."""
    wanted = Color.parse(colour).triplet
    strips = app.screen._compositor.render_strips(app.size)
    styles = (segment.style for strip in strips for segment in strip if segment.style and segment.style.bgcolor)
    return any(style.bgcolor.triplet == wanted for style in styles)


async def opened(app, pilot) -> ImageGrid:
    """The images of the class that is looked at."""
    await pilot.press("3")
    await until(pilot, lambda: app.state.group_detail.value is not None)
    grid = app.screen.query_one("#moved", ImageGrid)
    await until(pilot, lambda: grid.tiles and not grid.missing())
    return grid


async def test_it_shows_what_the_best_class_helps_with_pictures_labels_and_the_class_s_own_images(tmp_path):
    make_run(tmp_path / "run", noise=0.05)
    async with exploring(tmp_path / "run", (140, 40)) as (app, pilot):
        grid = await opened(app, pilot)
        text = screen_text(app)
        assert app.state.ranking.value.report.ranking.rows[0].group in text
        assert "rank 1 of 30" in text
        assert "helped most" in text
        assert "hurt most" in text
        assert "effect on each class of the target" in text
        assert "images of the class itself" in text
        assert is_lit(app)
        shown = {tile.index for tile in grid.tiles}
        assert shown == set(range(0, 12, 2))  # the half to estimate from, and nothing of the other


async def test_keys_go_through_the_classes_in_ranking_order_and_a_name_picks_one(tmp_path):
    make_run(tmp_path / "run", noise=0.05)
    async with exploring(tmp_path / "run", (100, 30)) as (app, pilot):
        await opened(app, pilot)
        order = [row.group for row in app.state.ranking.value.report.ranking.rows]
        await pilot.press("n")
        await until(
            pilot, lambda: app.state.group_detail.value.group == app.state.group and order[1] in screen_text(app)
        )
        await pilot.press("N", "N")
        await until(
            pilot, lambda: order[-1] in screen_text(app) and app.state.group_detail.value.group == app.state.group
        )
        await pilot.press("g", *"class 07", "enter")
        await until(pilot, lambda: "class 07" in screen_text(app).splitlines()[1])
        await until(pilot, lambda: app.state.group_detail.value.group == 7)


async def test_rank_s_cursor_is_the_class_that_is_opened(tmp_path):
    make_run(tmp_path / "run", noise=0.05)
    async with exploring(tmp_path / "run", (100, 30)) as (app, pilot):
        await pilot.press("2")
        await ranked(app, pilot)
        await pilot.press("down", "down")
        third = app.state.ranking.value.report.ranking.rows[2].group
        await opened(app, pilot)
        await until(pilot, lambda: third in screen_text(app).splitlines()[1])


async def test_an_image_opens_large_with_predictions_with_and_without_the_class(tmp_path):
    make_run(tmp_path / "run", noise=0.05)
    async with exploring(tmp_path / "run", (140, 40)) as (app, pilot):
        grid = await opened(app, pilot)
        first, second = grid.tiles[0], grid.tiles[1]
        await pilot.press("enter")
        await until(pilot, lambda: "without it" in screen_text(app))
        assert isinstance(app.screen, ImageScreen)
        text = words(app)
        assert f'example {first.index} of target "digits", x' in text
        assert f"with {app.state.ranking.value.report.ranking.rows[0].group}" in text
        assert "classes that drive it" in text
        await until(pilot, lambda: is_lit(app))
        await pilot.press("right")
        await until(pilot, lambda: f'example {second.index} of target "digits", x' in words(app))
        await pilot.press("q")
        await until(pilot, lambda: not isinstance(app.screen, ImageScreen))
        assert app.current_mode == "class"
        assert grid.current.index == second.index


async def test_arrows_go_over_both_shelves_and_turn_pages(tmp_path):
    make_run(tmp_path / "run", noise=0.05)
    async with exploring(tmp_path / "run", (40, 24)) as (app, pilot):
        grid = await opened(app, pilot)
        helped = [tile.index for tile in grid.tiles]
        places = []
        for _ in helped:
            places.append(grid.current.index)
            await pilot.press("right")
        assert set(places) <= set(helped)
        assert len(set(places)) > 2  # more than a page of them
        await pilot.press("home")
        assert grid.current.index == helped[0]


async def test_images_are_told_apart_by_size_keys_and_stay_whole(tmp_path):
    make_run(tmp_path / "run", noise=0.05)
    async with exploring(tmp_path / "run", (80, 24)) as (app, pilot):
        grid = await opened(app, pilot)
        before = screen_text(app)
        await pilot.press("minus")
        await until(pilot, lambda: not grid.missing() and screen_text(app) != before)
        await pilot.press("plus")
        await until(pilot, lambda: not grid.missing() and screen_text(app) == before)


async def test_a_narrow_terminal_turns_from_images_to_target_classes(tmp_path):
    make_run(tmp_path / "run", noise=0.05)
    async with exploring(tmp_path / "run", (80, 24)) as (app, pilot):
        await opened(app, pilot)
        assert "effect on each class" not in screen_text(app)
        await pilot.press("v")
        await until(pilot, lambda: "effect on each class" in screen_text(app))
        assert "helped most" not in screen_text(app)
        await pilot.press("v")
        await until(pilot, lambda: "helped most" in screen_text(app))


async def test_one_class_of_the_target_narrows_the_images(tmp_path):
    make_run(tmp_path / "run", noise=0.05)
    async with exploring(tmp_path / "run", (140, 40)) as (app, pilot):
        grid = await opened(app, pilot)
        await pilot.press("c", "y", "enter")
        await until(pilot, lambda: app.state.effects.answered.target_class == "y" and app.state.group_detail.value)
        await until(pilot, lambda: {tile.index for tile in grid.tiles} == {4, 10})
        assert "digits, y" in screen_text(app)


async def test_images_that_are_gone_are_said_to_be_and_everything_else_is_shown(tmp_path):
    make_run(tmp_path / "run", pictures=False, noise=0.05)
    async with exploring(tmp_path / "run", (140, 40)) as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: "no image" in screen_text(app))
        assert "thumbnails.npy" in words(app)
        assert "▲" in screen_text(app)
        assert "effect on each class" in screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: "without it" in screen_text(app) and "no image" in screen_text(app))


@pytest.mark.parametrize("harm", ["text", "wrong type", "pipe", "too few", "cut"])
async def test_damaged_images_are_a_line_not_a_traceback(tmp_path, harm):
    paths = make_run(tmp_path / "run", noise=0.05)
    file = paths.target(0) / "thumbnails.npy"
    good = file.read_bytes()
    file.unlink()
    if harm == "text":
        file.write_text("not an array")
    elif harm == "wrong type":
        np.save(file, np.zeros((12, 8, 8, 1)))
    elif harm == "pipe":
        os.mkfifo(file)
    elif harm == "too few":
        np.save(file, np.zeros((1, 8, 8, 1), np.uint8))
    else:
        file.write_bytes(good[:-100])
    async with exploring(tmp_path / "run", (140, 40)) as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: "no image" in screen_text(app))
        assert any(app.state.image_errors.values())


async def test_a_single_model_says_that_nothing_is_known_yet(tmp_path):
    make_run(tmp_path / "run", models=1)
    async with exploring(tmp_path / "run", (140, 40)) as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: "none significant" in screen_text(app))
        assert "influence unknown" in screen_text(app)
        await pilot.press("enter", "n", "v", "right", "plus")
        await pilot.pause()


async def test_without_any_model_it_says_so(tmp_path):
    make_run(tmp_path / "run", models=0, state=State.RUNNING)
    async with exploring(tmp_path / "run") as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: "no model has been recorded yet" in words(app))
        await pilot.press("n", "g", "enter", "v")
        await pilot.pause()


async def test_new_models_leave_the_cursor_on_its_image(tmp_path):
    paths = make_run(tmp_path / "run", state=State.RUNNING, noise=0.05)
    async with exploring(tmp_path / "run", (140, 40)) as (app, pilot):
        grid = await opened(app, pilot)
        await pilot.press("right", "right")
        held, before = grid.current.index, app.state.group_detail.value
        for query in (app.state.ranking, app.state.effects):
            query.throttle.due = 0
        add_models(paths, app.state.overview.info, range(40, 44))
        say(paths, State.RUNNING, done=44)
        await until(pilot, lambda: app.state.group_detail.value is not before)
        assert grid.current.index == held


@pytest.mark.parametrize("options", [{"ascii": True}, {"coloured": False}, {"dark": False}])
async def test_without_colour_or_unicode_pictures_are_drawn_with_what_there_is(tmp_path, options):
    make_run(tmp_path / "run", noise=0.05)
    async with exploring(tmp_path / "run", (140, 40), **options) as (app, pilot):
        await opened(app, pilot)
        text = screen_text(app)
        if "ascii" in options:
            assert text.isascii()
            assert "@" in text
        elif "coloured" in options:
            assert "█" in text
        else:
            assert is_lit(app, "#000000")  # white is the background


@pytest.mark.parametrize("size", [(40, 12), (20, 5), (1, 1), (300, 90)])
async def test_any_size_shows_what_fits(tmp_path, size):
    make_run(tmp_path / "run", noise=0.05)
    async with exploring(tmp_path / "run", size) as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: app.state.group_detail.value is not None)
        await pilot.press("right", "down", "up", "v", "v", "enter", "escape", "minus", "plus")
        await pilot.pause()
        if size[0] >= 40:
            await until(pilot, lambda: "helped most" in screen_text(app))


async def test_long_wide_and_evil_names_and_a_thousand_target_classes_stay_in_their_places(tmp_path):
    names = ["\x1b[2J evil", "漢字" * 80, "x" * 300, "class 3"]
    make_run(tmp_path / "run", groups=names, classes=1000, noise=0.05)
    async with exploring(tmp_path / "run", (140, 40)) as (app, pilot):
        await opened(app, pilot)
        for _ in names:
            await pilot.press("n")
            await until(pilot, lambda: app.state.group_detail.value.group == app.state.group)
            await pilot.pause()
            assert "994 undefined" in screen_text(app)  # of the thousand classes
            assert "\x1b" not in screen_text(app)
            lines = app.screen._compositor.render_strips(app.size)
            assert all(strip.cell_length == 140 for strip in lines)


async def test_an_image_that_is_opened_while_the_estimates_change_under_it_is_the_one_that_was_seen(tmp_path):
    make_run(tmp_path / "run", noise=0.05)
    async with exploring(tmp_path / "run", (140, 40)) as (app, pilot):
        grid = await opened(app, pilot)
        opening = ImageGrid.Opened(grid.tiles, 1)
        wanted = grid.tiles[1].index
        await pilot.press("n")
        await until(pilot, lambda: app.state.group_detail.value.group == app.state.group)
        grid.post_message(opening)
        await until(pilot, lambda: isinstance(app.screen, ImageScreen) and "without it" in screen_text(app))
        assert f'example {wanted} of target "digits", x' in words(app)


async def test_what_was_said_about_an_image_by_another_question_is_never_shown(tmp_path):
    make_run(tmp_path / "run", targets=("digits", "letters"), noise=0.05)
    async with exploring(tmp_path / "run", (140, 40)) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "without it" in screen_text(app))
        example = app.state.example
        stale = Result(example, example.answered, example.value)
        await pilot.press("escape", "o")
        await until(pilot, lambda: app.state.group_detail.value.effects.question.output_kind == "probability")
        await until(pilot, lambda: app.screen.query_one("#moved", ImageGrid).tiles)
        await pilot.press("enter")
        await until(pilot, lambda: "without it" in screen_text(app))
        latest = example.value
        app.post_message(stale)
        await pilot.pause(0.1)
        assert example.value is latest
        assert not example.is_stale


async def test_while_another_question_is_worked_out_nothing_stands_under_it(tmp_path):
    make_run(tmp_path / "run", noise=0.05)
    async with exploring(tmp_path / "run", (140, 40)) as (app, pilot):
        grid = await opened(app, pilot)
        app.runner.estimates.close()  # so that no answer comes
        await pilot.press("o")
        await until(pilot, lambda: "working it out..." in screen_text(app))
        assert not grid.tiles


async def test_what_is_found_out_about_another_run_is_not_heard(tmp_path):
    make_run(tmp_path / "one")
    make_run(tmp_path / "two")
    async with exploring(tmp_path, (100, 30)) as (app, pilot):
        await until(pilot, lambda: "two" in screen_text(app))
        await pilot.press("enter", "2")
        await ranked(app, pilot)
        other = RunState(tmp_path / "three")
        app.post_message(Result(other.ranking, app.state.question, None, "of another run"))
        await pilot.pause(0.1)
        assert app.state.ranking.error == ""


async def test_pictures_that_arrive_late_are_drawn_after_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr(image_cache, "RETRY_SECONDS", 0.3)
    paths = make_run(tmp_path / "run", noise=0.05)
    file = paths.target(0) / "thumbnails.npy"
    kept = file.read_bytes()
    file.unlink()
    async with exploring(tmp_path / "run", (140, 40)) as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: "no image" in screen_text(app))
        file.write_bytes(kept)
        await pilot.pause(0.4)
        await pilot.press("right", "left")
        await until(pilot, lambda: "no image" not in screen_text(app) and not any(app.state.image_errors.values()))


def test_a_picture_that_is_seen_does_not_make_room_for_others():
    album, style = image_cache.ImageCache(), Style()
    keys = [image_cache.ImageKey(0, place, 16, style) for place in range(image_cache.MAX_IMAGES + 10)]
    for key in keys:
        album.store({key: ()})
        assert album.get(keys[0]) == ()
    assert sum(album.get(key) is not None for key in keys) == image_cache.MAX_IMAGES
    assert album.request(keys[1:3]) == keys[1:3]
    assert album.request(keys[1:3]) == []
