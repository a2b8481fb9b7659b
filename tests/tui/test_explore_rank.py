import json
import re

import pytest
from typer.testing import CliRunner

from tests.tui.runs import add_models, exploring, make_run, ranked, say, screen_text, until, words
from tui_influence.cli.app import app as commands
from tui_influence.runs.heartbeat import State
from tui_influence.store.run_info import read_run_info
from tui_influence.tui.clipboard import copied_file
from tui_influence.tui.widgets.table import RankingTable


@pytest.fixture(autouse=True)
def _own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("TMUX", raising=False)


async def opened(app, pilot) -> RankingTable:
    await pilot.press("2")
    await ranked(app, pilot)
    return app.screen.query_one(RankingTable)


def tinfl(*arguments: object) -> str:
    done = CliRunner().invoke(commands, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.stderr
    return done.stdout


def shown_groups(app) -> list[str]:
    """Names of the groups on the screen, from the top."""
    return [found[0] for line in screen_text(app).splitlines() if (found := re.findall(r"class \d\d", line))]


async def test_the_table_is_the_ranking_of_the_command_line(tmp_path):
    make_run(tmp_path / "run")
    expected = [row["group"] for row in json.loads(tinfl("rank", tmp_path / "run", "--json"))["rows"]]
    async with exploring(tmp_path / "run", (80, 40)) as (app, pilot):
        await opened(app, pilot)
        await until(pilot, lambda: shown_groups(app))
        assert shown_groups(app) == expected[: len(shown_groups(app))]
        assert len(shown_groups(app)) == 30
        assert "30 classes, 40 models, most helpful first" in screen_text(app)


async def test_what_is_typed_before_the_ranking_is_there_filters_it(tmp_path):
    make_run(tmp_path / "run")
    async with exploring(tmp_path / "run") as (app, pilot):
        await pilot.press("2", "slash", *"s 2")
        await ranked(app, pilot)
        await until(pilot, lambda: "12 of 30 classes" in screen_text(app))
        assert app.screen.query_one("#filter").value == "s 2"


async def test_typing_filters_and_escape_clears(tmp_path):
    make_run(tmp_path / "run")
    async with exploring(tmp_path / "run") as (app, pilot):
        await opened(app, pilot)
        await pilot.press("slash", *"s 2")
        await until(pilot, lambda: "12 of 30 classes" in screen_text(app))
        assert all("2" in name for name in shown_groups(app))
        await pilot.press("enter", "s")  # the table has the keys again: this sorts
        await until(pilot, lambda: "most harmful first" in screen_text(app))
        assert "12 of 30 classes" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: "30 classes, 40 models, most harmful first" in screen_text(app))


async def test_filtering_moves_no_column(tmp_path):
    make_run(tmp_path / "run")

    def header(app) -> str:
        return next(line for line in screen_text(app).splitlines() if "influence" in line)

    async with exploring(tmp_path / "run") as (app, pilot):
        await opened(app, pilot)
        await until(pilot, lambda: "influence" in screen_text(app))
        before = header(app)
        await pilot.press("slash", *"s 07")
        await until(pilot, lambda: "1 of 30 classes" in screen_text(app))
        assert header(app) == before


TERMS = {
    ">0.5": lambda row: row.influence > 0.5,
    "<-0.2": lambda row: row.influence < -0.2,
    "|x|>0.8": lambda row: abs(row.influence) > 0.8,
    "q<0.5": lambda row: row.q < 0.5,
    "n>=19": lambda row: min(row.n_with, row.n_without) >= 19,
    ">": lambda row: True,
}
KEYS = {"|": "vertical_line", ">": "greater_than_sign", "<": "less_than_sign"}


async def test_terms_compare(tmp_path):
    make_run(tmp_path / "run")
    async with exploring(tmp_path / "run") as (app, pilot):
        table = await opened(app, pilot)
        everything = app.state.ranking.value.report.ranking.rows
        for term, holds in TERMS.items():
            await pilot.press("slash", *(KEYS.get(char, char) for char in term))
            await pilot.pause()
            assert app.screen.query_one("#filter").value == term
            assert [row.index for row in table._rows] == [row.index for row in everything if holds(row)]
            await pilot.press("escape")


async def test_new_models_leave_cursor_marks_and_scroll_where_they_are(tmp_path):
    paths = make_run(tmp_path / "run", state=State.RUNNING, models=20)
    info = read_run_info(paths.root)
    async with exploring(tmp_path / "run") as (app, pilot):
        app.state.ranking.throttle.due = 0
        table = await opened(app, pilot)
        await pilot.press("down", "down", "space", *["down"] * 20, "space")
        await pilot.pause()
        held, marks = table.current.group, set(table.marks)
        line = table._cursor - table.scroll_offset.y
        assert len(marks) == 2
        assert table.scroll_offset.y > 0
        before = [row.group for row in app.state.ranking.value.report.ranking.rows]
        add_models(paths, info, range(20, 40))
        app.state.ranking.throttle.due = 0
        say(paths, State.RUNNING, done=40)
        await until(pilot, lambda: app.state.ranking.value.report.ranking.n_models == 40)
        assert [row.group for row in app.state.ranking.value.report.ranking.rows] != before
        assert table.current.group == held
        assert table.marks == marks
        moved = table._cursor - table.scroll_offset.y
        assert moved == line or table.scroll_offset.y in (0, table.max_scroll_y)


async def test_the_exported_file_has_the_bytes_of_the_command_line(tmp_path):
    make_run(tmp_path / "run", targets=("digits", "letters"))
    async with exploring(tmp_path / "run") as (app, pilot):
        await opened(app, pilot)
        await pilot.press("m", "o", "t")
        await pilot.press(*"lett", "enter")
        await ranked(app, pilot)
        await pilot.press("c", "down", "enter")
        await ranked(app, pilot)
        asked = app.state.question
        assert (asked.target, asked.target_class, asked.estimator, asked.output_kind) == (
            "letters", "x", "difference", "probability")  # fmt: skip
        await pilot.press("slash", "2", "enter", "e")
        field = app.screen.query_one("Input")
        assert field.value == "small-letters-x.csv"
        field.value = str(tmp_path / "app.csv")
        await pilot.press("enter")
        await until(pilot, lambda: (tmp_path / "app.csv").exists())
        await pilot.press("escape", "Y")
        await until(pilot, copied_file().exists)
    command = copied_file().read_text()
    assert (
        command
        == f"tinfl rank --target=letters --class=x --estimator=difference --output-kind=probability -- {tmp_path}/run"
    )
    tinfl(*command.split()[1:3], "--class=x", "--estimator=difference", "--output-kind=probability", tmp_path / "run",
          "--csv", tmp_path / "command.csv")  # fmt: skip
    for suffix in (".csv", ".meta.json"):
        assert (tmp_path / f"app{suffix}").read_bytes() == (tmp_path / f"command{suffix}").read_bytes()


async def test_a_file_that_cannot_be_written_is_a_message(tmp_path):
    make_run(tmp_path / "run")
    async with exploring(tmp_path / "run") as (app, pilot):
        await opened(app, pilot)
        await pilot.press("e")
        app.screen.query_one("Input").value = str(tmp_path / "nowhere" / "x.csv")
        await pilot.press("enter")
        await until(pilot, lambda: "cannot write" in screen_text(app))


async def test_marked_lines_are_copied_as_csv_in_rank_order(tmp_path):
    make_run(tmp_path / "run")
    async with exploring(tmp_path / "run") as (app, pilot):
        table = await opened(app, pilot)
        await pilot.press("down", "down", "space", "home", "space", "y")
        await until(pilot, copied_file().exists)
        rows = app.state.ranking.value.report.ranking.rows
        lines = copied_file().read_text().splitlines()
        assert lines[0].startswith("rank,group,influence")
        assert [line.split(",")[1] for line in lines[1:]] == [rows[0].group, rows[2].group]
        await pilot.press("u")
        assert not table.marks


async def test_another_method_changes_the_numbers_and_says_which(tmp_path):
    make_run(tmp_path / "run")
    async with exploring(tmp_path / "run", (140, 40)) as (app, pilot):
        await opened(app, pilot)
        first = app.state.ranking.value.report.ranking.rows[0].influence
        await pilot.press("m")
        await ranked(app, pilot)
        assert "margin, difference" in screen_text(app)
        assert app.state.ranking.value.report.ranking.rows[0].influence != first
        assert "minus over" in words(app)  # the detail pane says what it means


async def test_the_detail_is_there_as_soon_as_there_is_room(tmp_path):
    make_run(tmp_path / "run")
    async with exploring(tmp_path / "run") as (app, pilot):
        await opened(app, pilot)
        assert "joins the training set" not in words(app)
        await pilot.resize_terminal(140, 40)
        await until(pilot, lambda: "joins the training set" in words(app))


async def test_a_ranking_of_noise_says_so(tmp_path):
    make_run(tmp_path / "run")
    async with exploring(tmp_path / "run") as (app, pilot):
        await opened(app, pilot)
        await pilot.press("m")
        await until(pilot, lambda: "NOISE, not a result" in screen_text(app))


@pytest.mark.parametrize("models", [0, 1, 2])
async def test_few_models_or_none_are_calmly_shown(tmp_path, models):
    make_run(tmp_path / "run", models=models, state=State.RUNNING)
    async with exploring(tmp_path / "run", (140, 40)) as (app, pilot):
        await opened(app, pilot)
        wanted = "no model has been recorded yet" if models == 0 else f"{models} model"
        await until(pilot, lambda: wanted in screen_text(app))
        await pilot.press("space", "s", "slash", "9", "enter", "y")
        await pilot.pause()


async def test_names_made_to_harm_do_none(tmp_path):
    evil = ["\x1b[2Jwipe", "[red]markup[/", "狮子" * 200, "a" * 300, "\u202egnp", "line\nbreak", "", "   ", "$x"]
    make_run(tmp_path / "run", groups=evil, targets=("\x1b]0;own\x07[bold]t",), name="[/]\x1b[31mrun")
    for ascii in (False, True):
        async with exploring(tmp_path / "run", (140, 40), ascii=ascii) as (app, pilot):
            table = await opened(app, pilot)
            for _ in evil:
                await pilot.press("down")
                text = screen_text(app)
                assert not [char for char in text if char in "\x1b\x07\u202e"]
                assert text.isascii() or not ascii
            assert "[red]markup[/" in screen_text(app)
            await pilot.press("c", "escape", "t")
            await until(pilot, lambda: "one target" in screen_text(app))
            assert len(table._rows) == len(evil)


async def test_a_filter_that_no_class_passes_says_so(tmp_path):
    make_run(tmp_path / "run")
    async with exploring(tmp_path / "run") as (app, pilot):
        await opened(app, pilot)
        await pilot.press("slash", "greater_than_sign", "greater_than_sign", "0")
        await until(pilot, lambda: "no class matches" in screen_text(app))
        assert "influence  " not in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: "no class matches" not in screen_text(app))
