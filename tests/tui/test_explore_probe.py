"""The Probe mode: what it finds is what the commands find, and it stays calm where there is nothing."""

import shlex

import pytest
from textual.widgets import Input

from tests.integration.command_line import run as command
from tests.tui.probed import EXAMPLES, FAILING, LEAK, add_probed, make_probed
from tests.tui.runs import exploring, say, screen_text, spoil, until, words
from tui_influence.analysis.probe_types import ProbeKind
from tui_influence.runs.heartbeat import State
from tui_influence.tui.operations import RunOperations
from tui_influence.tui.screens.image import ImageScreen
from tui_influence.tui.widgets.image_grid import ImageGrid
from tui_influence.tui.widgets.image_view import ImageView
from tui_influence.tui.widgets.table import ProbeTable


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """A run over classes, that no test changes."""
    return make_probed(tmp_path_factory.mktemp("zoo") / "run").root


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A run over single images, that no test changes."""
    return make_probed(tmp_path_factory.mktemp("images") / "run", single=True).root


async def turned(app, pilot, view: ProbeKind = ProbeKind.FAILURES) -> None:
    """Go to a view, and wait for what is found."""
    if app.current_mode != "probe":
        await pilot.press("6")
    while app.state.probe.kind is not view:
        await pilot.press("v")
        await pilot.pause()
    await answered(app, pilot)


async def answered(app, pilot) -> None:
    """Wait for what is asked now."""
    await until(pilot, lambda: app.state.probe.query.error or not app.state.probe.query.is_stale)


async def closed(app, pilot) -> None:
    """Close a large image."""
    await pilot.press("escape")
    await until(pilot, lambda: not isinstance(app.screen, ImageScreen))


async def exported(app, pilot, file) -> str:
    """Export what is shown, and read it."""
    await pilot.press("e")
    await until(pilot, lambda: app.screen.query(Input) and len(app.screen_stack) > 1)
    app.screen.query_one(Input).value = str(file)
    await pilot.press("enter")
    await until(pilot, file.exists)
    return file.read_text()


def line_of_cursor(app) -> str:
    (line,) = [line for line in screen_text(app).splitlines() if line.startswith("▸")]
    return line.partition("│  ")[0]


def beside(app) -> str:
    """What is beside the table."""
    return "\n".join(line.rpartition("│")[2] for line in screen_text(app).splitlines())


async def test_failures_show_what_models_say_and_what_hurts_are_filtered_and_open_large(zoo):
    async with exploring(zoo, (140, 40)) as (app, pilot):
        await turned(app, pilot)
        table = app.screen.query_one(ProbeTable)
        assert "most of 120 models predict 2 of 24 examples wrongly" in words(app)
        assert line_of_cursor(app).split()[1:6] == ["bird", "car", "0%", "-3.53", "shark"]
        assert "▼ -1.8" in line_of_cursor(app)
        assert "*" in line_of_cursor(app)
        await until(pilot, lambda: f"example {FAILING[0]}, bird/{FAILING[0]}.png" in beside(app))
        assert "bird, most often predicted car" in beside(app)
        await until(pilot, lambda: app.state.images.get(app.screen.query_one("#probe-test", ImageView)._key()))

        await pilot.press("slash", *"q<0.01")
        await until(pilot, lambda: [row.index for row in table._rows] == [FAILING[0]])
        assert "1 of 2 failures" in words(app)
        await pilot.press("escape", "s", "s")
        await until(pilot, lambda: "lowest q first" in words(app) and app.focused is table)
        assert [row.index for row in table._rows] == list(FAILING)

        await pilot.press("enter")
        await until(pilot, lambda: "without it" in screen_text(app))
        assert "source class shark hurts it most image 1 of 2 that models get wrong" in words(app)
        assert "with shark" in words(app)
        assert "classes that drive it" in words(app)
        await pilot.press("right")
        await until(pilot, lambda: f"example {FAILING[1]} of target" in words(app))
        await closed(app, pilot)
        assert table.current.index == FAILING[1]

        await pilot.press("slash", *"q<1", "enter", "end", "m")  # another question, the same look at its answer
        await until(
            pilot, lambda: "ridge" in words(app) and app.state.probe.query.value.question.question.estimator == "ridge"
        )
        await until(pilot, lambda: "2 of 2 failures, lowest q first" in words(app))
        assert table.current.index == FAILING[1]
        await until(pilot, lambda: f"example {FAILING[1]}," in beside(app))
        await until(pilot, lambda: app.state.images.get(app.screen.query_one("#probe-test", ImageView)._key()))


async def test_a_class_opens_as_images_by_what_drives_them_and_a_source_class_by_what_it_drives(zoo):
    async with exploring(zoo, (140, 40)) as (app, pilot):
        await turned(app, pilot, ProbeKind.SUBPOPULATIONS)
        assert {"bird", "swift", "ostrich"} <= set(line_of_cursor(app).split())
        await pilot.press("enter")
        await answered(app, pilot)
        grid = app.screen.query_one("#subpopulations", ImageGrid)
        await until(pilot, lambda: grid.tiles and not grid.missing() and app.focused is grid)
        titles = [line for line in screen_text(app).splitlines() if "driven by " in line and ": " in line]
        names = [title.partition("driven by ")[2].partition(":")[0] for title in titles]
        assert set(names) == {"ostrich", "swift"}
        shown = grid.current.index
        await until(pilot, lambda: f"example {shown}, bird/{shown}.png" in beside(app))
        second = names[1]
        await pilot.press("down", "enter")
        await until(pilot, lambda: "without it" in screen_text(app))
        assert f"{second} image" in words(app)
        assert f"with {second}" in words(app)
        await closed(app, pilot)
        await pilot.press("escape")
        await until(pilot, lambda: app.state.question.target_class is None)
        await answered(app, pilot)
        await until(pilot, lambda: isinstance(app.focused, ProbeTable))

        await pilot.press("d", *"swift", "enter")
        await until(pilot, lambda: app.state.probe.source is not None)
        await answered(app, pilot)
        await until(pilot, lambda: "swift drives" in words(app))
        driven = {place for place in range(0, EXAMPLES, 4) if place % 8}
        assert {tile.index for tile in grid.tiles} >= driven
        await pilot.press("escape")
        await until(pilot, lambda: app.state.probe.source is None)
        await answered(app, pilot)
        await until(pilot, lambda: "driven by" in screen_text(app))


async def test_the_command_that_is_copied_writes_the_csv_that_is_exported(zoo, tmp_path, monkeypatch):
    copied = []
    monkeypatch.setattr(RunOperations, "copy", lambda operations, text, description: copied.append(text))
    steps = (
        (("6",), ["failures"]),
        (("m", "o"), ["failures", "--estimator=ridge", "--output-kind=probability"]),
        (("v",), ["subpops", "--estimator=ridge", "--output-kind=probability"]),
        (("m", "o", "o", "enter"), ["subpops", "--class=bird"]),
        (("d", *"swi", "enter"), ["subpops", "--source=swift", "--class=bird"]),
    )
    async with exploring(zoo) as (app, pilot):
        for place, (keys, asked) in enumerate(steps):
            for key in keys:
                await pilot.press(key)
                await answered(app, pilot)
            await until(pilot, lambda: app.screen._view is not None)
            text = await exported(app, pilot, tmp_path / f"{place}.csv")
            await pilot.press("Y")
            await until(pilot, lambda place=place: len(copied) == place + 1)
            program, *words_of, dashes, root = shlex.split(copied[-1])
            assert (program, words_of, dashes, root) == ("tinfl", asked, "--", str(zoo))
            assert text == command(*words_of, "--csv=-", root).out


async def test_leaks_are_pairs_of_images_side_by_side_and_open_with_the_source_image_compared(images, tmp_path):
    async with exploring(images, (140, 40)) as (app, pilot):
        await turned(app, pilot, ProbeKind.LEAKS)
        await until(pilot, lambda: "helps: likely leakage" in words(app))
        assert line_of_cursor(app).split()[1:6] == ["bus/b1.png", f"{LEAK[1]}", "car", "▲", "+3.028*"]
        views = list(app.screen.query(ImageView))
        await until(pilot, lambda: all(app.state.images.get(view._key()) for view in views))
        assert {view._key().target for view in views} == {0, None}
        text = await exported(app, pilot, tmp_path / "leaks.csv")
        assert text == command("leaks", "--csv=-", str(images)).out  # where the dataset is not
        await pilot.press("s")
        await until(pilot, lambda: "hurt first" in words(app) and "hurts: misleading" in words(app))
        await pilot.press("s", "enter")
        await until(pilot, lambda: "with bus/b1.png" in words(app))
        await closed(app, pilot)
        await pilot.resize_terminal(80, 24)
        table = app.screen.query_one(ProbeTable)
        await until(pilot, lambda: "helps: likely leakage" in words(app) and table.size.height < 12)
        source, test = (view.region for view in views)
        assert source.y == test.y > table.region.bottom
        assert min(source.area, test.area) > 150


async def test_where_nothing_fails_and_nothing_can_leak_it_says_so(zoo):
    async with exploring(zoo) as (app, pilot):
        await turned(app, pilot)
        await pilot.press("c", *"car", "enter")
        await until(pilot, lambda: "Most of 120 models predict 0 of 12 examples wrongly." in words(app))
        await turned(app, pilot, ProbeKind.LEAKS)
        await until(pilot, lambda: "takes a run whose groups are single images" in words(app))
        assert "--duplicates" in words(app)
        await pilot.press("enter", "e", "slash", "m", "s")
        await pilot.pause()
        assert len(app.screen_stack) == 1
        assert app.state.question.estimator == "ridge"


async def test_too_few_models_are_a_line_in_every_view(tmp_path):
    make_probed(tmp_path / "run", models=4, single=True)
    async with exploring(tmp_path / "run") as (app, pilot):
        for view, reason in zip(ProbeKind, ("at least 10", "at least 10", "too few to tell"), strict=True):
            await turned(app, pilot, view)
            await until(pilot, lambda reason=reason: reason in words(app))
            await pilot.press("enter", "slash", "s", "e", "escape")
            await pilot.pause()


async def test_a_run_that_cannot_be_read_is_a_line(tmp_path):
    paths = make_probed(tmp_path / "run", models=0)
    spoil(paths, source=3)
    async with exploring(tmp_path / "run") as (app, pilot):
        await pilot.press("6", "v", "c", "d", "enter", "e", "Y")
        await until(pilot, lambda: app.state.sweep.error and "run.json" in words(app))


async def test_new_models_are_probed_too_under_the_cursor_and_no_late_answer_stands_under_another_question(tmp_path):
    paths = make_probed(tmp_path / "run", models=40)
    say(paths, State.RUNNING, done=40, total=120)
    async with exploring(tmp_path / "run", (140, 40)) as (app, pilot):
        await turned(app, pilot)
        await pilot.press("down")
        table, before = app.screen.query_one(ProbeTable), app.state.probe.query.value
        held = table.current.index
        app.state.probe.query.throttle.due = 0
        add_probed(paths, app.state.overview.info, range(40, 60))
        say(paths, State.RUNNING, done=60, total=120)
        await until(pilot, lambda: app.state.probe.query.value is not before)
        await until(pilot, lambda: "60 models" in words(app))
        assert table.current.index == held

        app.runner.estimates.close()  # so that no answer comes
        found = app.state.probe.query.value
        await pilot.press("o")
        await until(pilot, lambda: "working it out..." in screen_text(app))
        await pilot.press("o", "o")
        await until(pilot, lambda: "working it out..." not in screen_text(app))
        assert app.state.probe.query.value is found


@pytest.mark.parametrize("options", [{"ascii": True, "dark": False}, {"coloured": False, "readonly": True}])
async def test_every_look_says_the_same(zoo, options):
    async with exploring(zoo, (140, 40), **options) as (app, pilot):
        for view, said in zip(ProbeKind, ("hurt by", "driven by", "single images"), strict=True):
            await turned(app, pilot, view)
            await until(pilot, lambda said=said: said in words(app))
            assert "ascii" not in options or screen_text(app).isascii()
        await turned(app, pilot, ProbeKind.SUBPOPULATIONS)
        await pilot.press("enter")
        await until(pilot, lambda: "driven by ostrich" in words(app))
        assert "ascii" not in options or screen_text(app).isascii()


@pytest.mark.parametrize("size", [(40, 12), (1, 1)])
async def test_any_size_shows_what_fits(images, size):
    async with exploring(images, size) as (app, pilot):
        for view in ProbeKind:
            await turned(app, pilot, view)
            await pilot.press("down", "enter", "escape", "slash", "escape")
            await pilot.pause()
        assert all(strip.cell_length == size[0] for strip in app.screen._compositor.render_strips(app.size))
        if size[0] >= 40:
            assert "6 Probe" in screen_text(app)
            assert "bus/b1" in screen_text(app)


async def test_evil_and_endless_names_stay_in_their_places_and_missing_pictures_are_said_to_be(tmp_path):
    paths = make_probed(tmp_path / "run", single=True)
    names = ["\x1b[2J evil", "漢字" * 80, "x" * 300, "\x1b[2J bus", *(f"class {k}" for k in range(4))]
    source = {"classes": names, "groups": names, "sizes": [1] * 8, "images": 8, "fingerprint": "f0", "skipped": 0}
    spoil(paths, source=source)
    (paths.source / "thumbnails.npy").unlink()
    async with exploring(tmp_path / "run", (140, 40)) as (app, pilot):
        for view, name in zip(ProbeKind, ("xxx", "\\x1b[2J", "\\x1b[2J"), strict=True):
            await turned(app, pilot, view)
            await until(pilot, lambda name=name: name in screen_text(app))
            assert "\x1b" not in screen_text(app)
            assert all(strip.cell_length == 140 for strip in app.screen._compositor.render_strips(app.size))
        await until(pilot, lambda: "cannot read" in beside(app))
        assert not app.screen.query_one("#probe-source").display


async def test_enter_keeps_a_filter_and_gives_the_keys_back_and_views_turn_as_often_as_they_are_told_to(zoo):
    async with exploring(zoo, (140, 40)) as (app, pilot):
        await turned(app, pilot)
        await pilot.press("slash", *"q<1", "enter", "s")
        assert app.screen.query_one("#filter", Input).value == "q<1"
        assert isinstance(app.focused, ProbeTable)
        await pilot.press("v", "v")
        await until(pilot, lambda: app.state.probe.kind is ProbeKind.LEAKS)
