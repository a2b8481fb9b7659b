"""The table of actions, and what is made from it: bindings, footer, help, palette."""

import importlib
import pkgutil

import pytest
from textual.binding import Binding
from textual.command import CommandList
from textual.dom import DOMNode
from textual.widgets import Static

import tui_influence.tui
from tests.tui.prunings import make_pruning, measured
from tests.tui.runs import exploring, make_run, ranked, screen_text, until, words
from tui_influence.analysis.filtering import _COMPARISON, _RANKING
from tui_influence.runs.heartbeat import State
from tui_influence.tui.actions import ACTIONS, BY_ID, MODES, actions_of
from tui_influence.tui.widgets.image_grid import ImageGrid
from tui_influence.tui.widgets.input import FILTER
from tui_influence.tui.widgets.log_view import LogView
from tui_influence.tui.widgets.table import ArmTable, ProbeTable, RankingTable


def owners() -> dict[type[DOMNode], list[Binding]]:
    """Every class of the app that binds keys, with its own bindings."""
    found = {}
    for module in pkgutil.walk_packages(tui_influence.tui.__path__, "tui_influence.tui."):
        for thing in vars(importlib.import_module(module.name)).values():
            is_ours = isinstance(thing, type) and thing.__module__.startswith("tui_influence.tui")
            if is_ours and issubclass(thing, DOMNode) and "BINDINGS" in vars(thing):
                found[thing] = list(Binding.make_bindings(thing.BINDINGS))
    return found


def test_every_binding_of_the_app_is_an_action_of_the_table_with_a_tooltip_and_a_method():
    bound = set()
    for owner, bindings in owners().items():
        for binding in bindings:
            where = f"{owner.__name__}, {binding.key}"
            assert binding.id in BY_ID, where
            assert 0 < len(binding.tooltip) <= 62, where  # a line of the help at 80 columns
            assert callable(getattr(owner, f"action_{binding.action.partition('(')[0]}")), where
            bound.add(binding.id)
    assert bound == set(BY_ID)
    assert len(BY_ID) == len(ACTIONS)


def test_no_two_actions_share_a_key_where_both_are_possible():
    for place, action in enumerate(ACTIONS):
        for other in ACTIONS[place + 1 :]:
            if action.clashes_with(other):
                assert not set(action.keys.split(",")) & set(other.keys.split(",")), (action.id, other.id)


def test_what_must_work_beside_a_field_cannot_be_typed():
    keys = {key for action in ACTIONS if action.beside_field for key in action.keys.split(",")}
    assert keys == {"escape", "ctrl+t", "ctrl+p", "f1", "up", "down"}


def test_every_scope_belongs_to_one_class_of_screens_or_widgets():
    scopes = {action.scope for action in ACTIONS}
    claimed = [binding.id.split(".")[0] for bindings in owners().values() for binding in bindings[:1]]
    assert set(claimed) == scopes
    assert len(claimed) == len(scopes)


def test_the_filter_s_help_names_every_column():
    for name in {*_RANKING, *_COMPARISON} - {"", "x", "influence", "abs", "difference"}:  # other words for these
        assert name in FILTER


def offered(app) -> list[str]:
    """What the palette offers, also what it has no room for."""
    return [str(command.hit.text) for found in app.screen.query(CommandList) for command in found.options]


def said(app) -> str:
    """What the help says, also what has to be scrolled to."""
    return "\n".join(str(part.content) for part in app.screen.query(Static))


async def go(app, pilot, mode: str) -> None:
    await pilot.press({"sweep": "1", "rank": "2", "class": "3", "prune": "4", "log": "5", "probe": "6"}[mode])
    if mode in ("rank", "class"):
        await ranked(app, pilot)
    await pilot.pause()


@pytest.mark.parametrize("mode", MODES)
async def test_help_and_palette_hold_the_actions_of_the_mode(tmp_path, mode):
    make_run(tmp_path / "run", state=State.RUNNING)
    async with exploring(tmp_path / "run") as (app, pilot):
        await go(app, pilot, mode)
        await pilot.press("question_mark")
        await until(pilot, lambda: f"Keys: {mode.capitalize()}" in said(app))
        for action in actions_of(mode):
            assert f" {action.tooltip}" in said(app)
        await pilot.press("escape", "ctrl+p")
        await until(pilot, lambda: any("Dark/light" in name for name in offered(app)))
        assert ("Stop (S)" in offered(app)) == (mode == "sweep")
        assert "Resume (R)" not in offered(app)  # not while it runs


@pytest.mark.parametrize(
    ("mode", "begins", "own"),
    [
        ("sweep", "The sweep\nIts progress", ""),
        ("rank", "A ranking", "The line above"),
        ("class", "Images of one class", "Larger images"),
        ("log", "The log of the run", "A line up, which ends following"),
        ("probe", "Results of a probe", "Look at this line closely"),
    ],
)
async def test_help_begins_with_what_has_the_focus_and_its_own_keys(tmp_path, mode, begins, own):
    make_run(tmp_path / "run")
    async with exploring(tmp_path / "run") as (app, pilot):
        await go(app, pilot, mode)
        if mode == "class":
            await until(pilot, lambda: isinstance(app.focused, ImageGrid))
        elif mode == "probe":
            await until(pilot, lambda: isinstance(app.focused, ProbeTable))
        await pilot.press("question_mark")
        await until(pilot, lambda: "Keys: " in said(app))
        assert said(app).startswith(begins)
        assert own in said(app).partition("Keys: ")[0]


async def test_help_of_the_ranking_explains_the_filter_too(tmp_path):
    make_run(tmp_path / "run")
    async with exploring(tmp_path / "run") as (app, pilot):
        await go(app, pilot, "rank")
        await pilot.press("question_mark")
        await until(pilot, lambda: "The filter" in said(app))
        assert "rank<=10" in said(app).partition("Keys: ")[2]


async def test_a_question_mark_is_typed_into_the_filter_and_f1_explains_it(tmp_path):
    make_run(tmp_path / "run")
    async with exploring(tmp_path / "run") as (app, pilot):
        await go(app, pilot, "rank")
        await pilot.press("slash", "question_mark")
        assert app.screen.query_one("#filter").value == "?"
        await pilot.press("f1")
        await until(pilot, lambda: said(app).startswith("The filter"))
        await pilot.press("f1")
        await until(pilot, lambda: app.focused is app.screen.query_one("#filter"))
        assert app.screen.query_one("#filter").value == "?"


@pytest.mark.parametrize(("keys", "begins"), [(("c",), "A list that narrows"), (("e",), "A path")])
async def test_f1_explains_the_field_of_a_dialog(tmp_path, keys, begins):
    make_run(tmp_path / "run")
    async with exploring(tmp_path / "run") as (app, pilot):
        await go(app, pilot, "rank")
        await pilot.press(*keys)
        await pilot.press("f1")
        await until(pilot, lambda: said(app).startswith(begins))
        await pilot.press("escape", "escape")
        await until(pilot, lambda: len(app.screen_stack) == 1)


async def test_the_list_of_runs_explains_itself(tmp_path):
    make_run(tmp_path / "run")
    async with exploring(tmp_path) as (app, pilot):
        await until(pilot, lambda: "40 of 60" in screen_text(app))
        await pilot.press("question_mark")
        await until(pilot, lambda: "The runs in a folder" in said(app))
        assert "Open this run" in said(app)
        assert "Which source classes help or hurt" not in said(app)  # there is no run yet


async def test_an_open_image_explains_itself(tmp_path):
    make_run(tmp_path / "run")
    async with exploring(tmp_path / "run") as (app, pilot):
        await go(app, pilot, "class")
        await until(pilot, lambda: isinstance(app.focused, ImageGrid) and app.focused.current is not None)
        await pilot.press("enter")
        await until(pilot, lambda: len(app.screen_stack) == 2)
        await pilot.press("question_mark")
        await until(pilot, lambda: "One image of the target" in said(app))
        assert "Next image of those it was opened from" in said(app)


def test_what_says_what_it_is_begins_with_that():
    helpful = {owner for owner in owners() if isinstance(vars(owner).get("help"), str)}
    for owner in helpful | {RankingTable, LogView, ImageGrid, ProbeTable, ArmTable}:
        title, stop, rest = owner.help.partition(". ")
        assert len(title) < 40
        assert stop
        assert rest


def hint(app) -> str:
    """The line of hints above the footer."""
    return str(app.screen.query_one("#hint").content)


@pytest.mark.parametrize("width", [80, 120])
async def test_hints_fit_and_name_only_keys_that_do_something(tmp_path, width):
    paths = make_run(tmp_path / "run")
    make_pruning(paths)
    async with exploring(tmp_path / "run", (width, 40)) as (app, pilot):
        assert "the sweep goes on" not in hint(app)
        for mode in MODES:
            await go(app, pilot, mode)
            await until(pilot, lambda: hint(app))
            assert len(hint(app)) <= 78
            assert hint(app) in screen_text(app)
            if mode in ("class", "prune"):
                if mode == "prune":
                    await measured(app, pilot)
                assert ("v turns the view." in hint(app)) == (width < 120)
        await pilot.press("1")


async def test_hints_follow_what_a_pruning_allows(tmp_path):
    paths = make_run(tmp_path / "run", state=State.RUNNING)
    make_pruning(paths, state=State.RUNNING, trained=9)
    async with exploring(tmp_path / "run") as (app, pilot):
        await until(pilot, lambda: "q leaves, the sweep goes on." in hint(app))
        await pilot.press("4")
        await measured(app, pilot)
        await until(pilot, lambda: "S stops." in hint(app))
        assert "choose" not in hint(app)
        assert "T trains" not in hint(app)


async def test_every_footer_of_a_mode_shows_how_to_leave_at_80_columns(tmp_path):
    make_run(tmp_path / "run", state=State.RUNNING)
    async with exploring(tmp_path / "run") as (app, pilot):
        for mode in MODES:
            await go(app, pilot, mode)
            await until(pilot, lambda: "q Quit" in words(app))
