"""Two rankings side by side in the Rank mode."""

import json

import pytest
from textual.widgets import OptionList

from tests.integration.command_line import run
from tests.tui.runs import add_models, exploring, make_run, ranked, say, screen_text, until, words
from tui_influence.analysis.question import Question, carry_comparison, comparison_choices
from tui_influence.runs.heartbeat import State
from tui_influence.store.run_info import read_run_info
from tui_influence.tui.clipboard import copied_file
from tui_influence.tui.widgets.table import RankingTable


@pytest.fixture(autouse=True)
def _own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("TMUX", raising=False)


@pytest.fixture
def root(tmp_path):
    make_run(tmp_path / "run", targets=("digits", "letters"), models=120, planned=120, noise=0.1)
    return tmp_path / "run"


async def compared(app, pilot, *keys: str) -> RankingTable:
    """Compare with what these keys choose."""
    await pilot.press("2")
    await ranked(app, pilot)
    await pilot.press("v", *keys, "enter")
    await until(pilot, lambda: app.state.comparison.question and not app.state.comparison.is_stale)
    table = app.screen.query_one(RankingTable)
    await until(pilot, lambda: table._model.agreement)
    return table


def groups(table) -> list[str]:
    return [row.group for row in table._rows]


async def test_the_table_is_the_comparison_of_the_command_line(root):
    expected = json.loads(run("rank", root, "--compare-target", "letters", "--json").out)
    async with exploring(root, (100, 40)) as (app, pilot):
        table = await compared(app, pilot, *"letters")
        assert groups(table) == [row["group"] for row in expected["rows"]]
        lines = screen_text(app).splitlines()
        assert "digits against letters" in lines[1]
        assert f"most opposed first, rank correlation {expected['correlation']:.2f}" in lines[2]
        for row in expected["rows"][:10]:
            (line,) = (line for line in lines if row["group"] in line)
            signs = [char for char in line if char in "▲▼"]
            assert signs == ["▲" if row[side]["influence"] > 0 else "▼" for side in ("first", "second")]


@pytest.mark.parametrize("size", [(80, 24), (40, 12), (140, 40)])
async def test_both_signs_are_seen_at_any_size(root, size):
    async with exploring(root, size, ascii=True) as (app, pilot):
        await compared(app, pilot, *"letters")
        assert "+" in screen_text(app)
        first = next(line for line in screen_text(app).splitlines() if line.startswith(">"))
        assert "+" in first
        assert "-" in first
        assert screen_text(app).isascii()


async def test_filter_marks_orders_and_cursor_work_on_both(root):
    async with exploring(root) as (app, pilot):
        table = await compared(app, pilot, *"letters")
        await pilot.press("down", "space")
        held = groups(table)[1]
        await pilot.press("slash", *"second", "greater_than_sign", "0", "enter")
        await until(pilot, lambda: " of 30 classes" in screen_text(app))
        assert {row.second.influence > 0 for row in table._rows} == {True}
        await pilot.press("escape", "s", "s")
        await until(pilot, lambda: "most helpful to both first" in screen_text(app))
        smaller = [min(row.first.influence, row.second.influence) for row in table._rows]
        assert smaller == sorted(smaller, reverse=True)
        await pilot.press("y")
        await until(pilot, copied_file().exists)
        header, line = copied_file().read_text().splitlines()
        assert header.startswith("difference_rank,group,effect,difference")
        assert line.split(",")[:2] == ["2", held]


async def test_export_and_command_are_those_of_the_command_line(root, tmp_path):
    async with exploring(root) as (app, pilot):
        await pilot.press("2", "c", "down", "enter")
        await ranked(app, pilot)
        await compared(app, pilot, *"letters, class y")
        await pilot.press("m")
        await ranked(app, pilot)
        await until(pilot, lambda: not app.state.comparison.is_stale)
        await pilot.press("e")
        field = app.screen.query_one("Input")
        assert field.value == "small-digits-x-vs-letters-y.csv"
        field.value = str(tmp_path / "app.csv")
        await pilot.press("enter")
        await until(pilot, (tmp_path / "app.csv").exists)
        await pilot.press("Y")
        await until(pilot, copied_file().exists)
    command = copied_file().read_text()
    assert (
        command == f"tinfl rank --class=x --compare-target=letters --compare-class=y --estimator=difference -- {root}"
    )
    said = run(*command.split()[1:-2], "--csv", tmp_path / "command.csv", root)
    assert said.code == 0, said.err
    assert (tmp_path / "app.csv").read_bytes() == (tmp_path / "command.csv").read_bytes()


async def test_one_target_says_so_and_offers_its_classes(tmp_path):
    make_run(tmp_path / "run")
    async with exploring(tmp_path / "run") as (app, pilot):
        await pilot.press("2")
        await ranked(app, pilot)
        await pilot.press("v")
        await until(pilot, lambda: "This run has one target. Compare with which class?" in screen_text(app))
        await pilot.press("down", "enter")
        await until(pilot, lambda: "all classes against y" in screen_text(app))
        await until(pilot, lambda: "rank correlation" in screen_text(app))


async def test_until_the_second_ranking_is_there_the_table_says_so(root, monkeypatch):
    held = []
    async with exploring(root) as (app, pilot):
        await pilot.press("2")
        await ranked(app, pilot)
        monkeypatch.setattr(app.runner.estimates, "submit", lambda kind, job: held.append((kind, job)))
        await pilot.press("v", *"letters", "enter")
        await until(pilot, lambda: "working out the second" in screen_text(app))
        assert "most helpful first" in screen_text(app)  # the first alone, as it was
        ((kind, job),) = held
        assert kind == "comparison"
        job()
        await until(pilot, lambda: "most opposed first" in screen_text(app))


async def test_nothing_can_be_chosen_again(root):
    async with exploring(root) as (app, pilot):
        await compared(app, pilot, *"letters")
        await pilot.press("v")
        assert str(app.screen.query_one(OptionList).highlighted_option.prompt) == "nothing: one ranking alone"
        await pilot.press("enter")
        await until(pilot, lambda: "most helpful first" in screen_text(app))
        assert app.state.comparison.question is None


async def test_the_target_compared_with_cannot_become_both_sides(root):
    async with exploring(root) as (app, pilot):
        await compared(app, pilot, *"letters")
        await pilot.press("t", *"letters", "enter")
        await ranked(app, pilot)
        await until(pilot, lambda: "most helpful first" in screen_text(app))
        assert app.state.question.target == "letters"
        assert app.state.comparison.question is None


async def test_new_models_reach_both_sides_and_leave_the_cursor(tmp_path):
    paths = make_run(tmp_path / "run", targets=("digits", "letters"), state=State.RUNNING, models=20)
    info = read_run_info(paths.root)
    async with exploring(tmp_path / "run") as (app, pilot):
        table = await compared(app, pilot, *"letters")
        await pilot.press("down", "down", "space", "down")
        held, marks = table.current.group, set(table.marks)
        add_models(paths, info, range(20, 40))
        app.state.ranking.throttle.due = app.state.comparison.throttle.due = 0
        say(paths, State.RUNNING, done=40)
        await until(pilot, lambda: app.state.comparison.value.report.ranking.n_models == 40)
        await until(pilot, lambda: "40 models" in screen_text(app))
        assert table.current.group == held
        assert table.marks == marks


async def test_the_detail_names_both_sides(root):
    async with exploring(root, (140, 40)) as (app, pilot):
        await compared(app, pilot, *"letters")
        await until(pilot, lambda: "at least 95%" in screen_text(app))
        text = words(app)
        assert "helps, significant" in text
        assert "hurts, significant" in text


def test_everything_but_the_question_itself_can_be_compared_with(root):
    info = read_run_info(root)
    choice = comparison_choices(info, Question(target_class="x"), None)
    assert choice.names == (
        *("all classes", "letters", "class y", "class z"),
        *("letters, class x", "letters, class y", "letters, class z"),
    )
    for name, question in zip(choice.names, choice.questions, strict=True):
        assert (question.target == "letters") == name.startswith("letters")
    assert comparison_choices(info, Question(), Question("letters")).questions[0] is None


@pytest.mark.parametrize(
    ("asked", "comparison", "kept"),
    [
        (Question(), None, None),
        (Question("letters"), Question("letters"), None),
        (Question(), Question("digits"), None),
        (Question("letters", "x"), Question("letters"), Question("letters")),
        (Question(estimator="ridge"), Question("letters"), Question("letters", estimator="ridge")),
    ],
)
def test_a_comparison_is_kept_as_long_as_its_sides_differ(root, asked, comparison, kept):
    assert carry_comparison(read_run_info(root), asked, comparison) == kept
