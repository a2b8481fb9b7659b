"""From an image, `v` verifies: what is asked first, how the retrainings stand, and what they say."""

import re
import threading

import pytest

from tests.tui.prunings import FLIPS, make_pruning, make_verification, measured, train
from tests.tui.runs import exploring, make_run, say, screen_text, until, words
from tui_influence.analysis.failures import harmful_groups
from tui_influence.analysis.question import Question
from tui_influence.analysis.snapshot import read_snapshot
from tui_influence.errors import DatasetError
from tui_influence.pruning.counterfactual import DEFAULT_DROPPED, DEFAULT_SEEDS
from tui_influence.pruning.options import counterfactual_paths
from tui_influence.roles import ArmKind
from tui_influence.runs.heartbeat import State
from tui_influence.store.examples import read_examples
from tui_influence.store.pruning_plan import read_arms
from tui_influence.store.run_info import read_run_info
from tui_influence.tui.screens.image import ImageScreen
from tui_influence.tui.widgets.image_grid import ImageGrid

WIDE = (140, 45)


@pytest.fixture
def sweep(tmp_path):
    """A finished sweep: half of its classes hurt every image."""
    return make_run(tmp_path / "run", noise=0.05)


def footer(app) -> str:
    return screen_text(app).splitlines()[-1]


async def opened(app, pilot) -> int:
    """Open the first image of a class; return its number."""
    await pilot.press("3")
    await until(pilot, lambda: app.state.group_detail.value is not None)
    grid = app.screen.query_one("#moved", ImageGrid)
    await until(pilot, lambda: grid.tiles and not grid.missing())
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(app.screen, ImageScreen) and app.state.example.value is not None)
    return app.state.example.answered.example


async def at_example(app, pilot, example: int) -> None:
    """Go through the images of a class until it is this one."""
    place = await opened(app, pilot)
    while place != example:
        await pilot.press("right")
        await until(pilot, lambda place=place: app.state.example.answered.example != place)
        place = app.state.example.answered.example


def to_blame(sweep, example: int, estimator: str = "difference") -> list[str]:
    """Names of the groups that are most to blame, in the order of the plan."""
    reading = read_snapshot(sweep, read_run_info(sweep.root))
    found = harmful_groups(reading, Question(example=example, estimator=estimator), DEFAULT_DROPPED)
    return sorted(reading.info.source.groups[one.group] for one in found)


async def asked(app, pilot) -> None:
    await pilot.press("v")
    await until(pilot, lambda: "Retrain without these?" in screen_text(app))


def said(app) -> str:
    return " ".join(found.message for found in app._notifications)


async def test_verifying_states_what_is_left_out_cost_and_command_and_anything_but_yes_starts_nothing(sweep):
    before = {path: path.stat().st_mtime_ns for path in sweep.root.rglob("*")}
    async with exploring(sweep.root, (100, 30)) as (app, pilot):
        example = await opened(app, pilot)
        await asked(app, pilot)
        text = words(app)
        for part in (
            f"Run: small, example {example} of digits, a {'xyz'[example % 3]}",
            *to_blame(sweep, example, "ridge"),
            f"Controls: {DEFAULT_DROPPED} dropped at random; everything kept",
            f"Cost: {3 * DEFAULT_SEEDS} retrainings, {DEFAULT_SEEDS} of each, on this machine: about ",
            "sweep's rate",
            f"Command: tinfl failures --verify --example={example} --estimator=ridge -- ",
        ):
            assert part in text
        assert len(re.findall(r"▼ -[\d.]+\*? +\[", text)) == DEFAULT_DROPPED  # each with its influence
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ImageScreen))
    assert {path: path.stat().st_mtime_ns for path in sweep.root.rglob("*")} == before


async def test_the_core_is_asked_for_what_was_shown_and_its_refusal_is_told(sweep, monkeypatch):
    plans, begun = [], []

    def plan(paths, info, own, wanted, progress):
        plans.append((paths.root, own.root, wanted))
        progress("packing the source", 3, 7)
        if len(plans) == 1:
            raise DatasetError("the source has moved")
        return "the plan"

    monkeypatch.setattr("tui_influence.tui.retrainings.plan_pruning", plan)
    monkeypatch.setattr(
        "tui_influence.tui.retrainings.start_plan", lambda found, own, observer: begun.append((found, own))
    )
    async with exploring(sweep.root, (100, 30)) as (app, pilot):
        example = await opened(app, pilot)
        await asked(app, pilot)
        assert "--estimator=ridge" in words(app)
        await pilot.press("y")
        await until(pilot, lambda: "the source has moved" in said(app) and not app.state.preparing)
        assert not app.state.counterfactual.exists
        await asked(app, pilot)
        await pilot.press("y")
        await until(pilot, lambda: begun and not app.state.preparing)
        assert "leaving does not stop them" in said(app)
    own = sweep.prunings / f"example-{example}"
    root, place, wanted = plans[-1]
    assert (root, place) == (sweep.root, own)
    (chosen,) = wanted.lists
    assert (chosen.kind, sorted(chosen.groups)) == (ArmKind.DROP, to_blame(sweep, example, "ridge"))
    assert (wanted.seeds, wanted.weights, wanted.estimator) == (DEFAULT_SEEDS, {"digits": 1.0}, "ridge")
    assert [(found, place.root) for found, place in begun] == [("the plan", own)]


async def test_where_nothing_is_to_blame_that_is_all_it_says(tmp_path):
    sweep = make_run(tmp_path / "run", noise=0.05, effects=(3, 2), groups=8)
    async with exploring(sweep.root) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("v")
        await until(pilot, lambda: "there is nothing to drop" in said(app))
        assert isinstance(app.screen, ImageScreen)
        assert all(found.severity == "information" for found in app._notifications)


async def test_what_is_retrained_is_shown_as_it_comes_and_at_last_whether_it_flips(sweep):
    example = 0
    own = make_verification(sweep, example, trained=6, state=State.RUNNING)
    labels = read_examples(sweep, read_run_info(sweep.root), 0).labels
    async with exploring(sweep.root, WIDE) as (app, pilot):
        await at_example(app, pilot, example)
        await until(pilot, lambda: "6 of 24 retrainings, 1 min 00 s left" in screen_text(app))
        text = words(app)
        assert f"without {', '.join(to_blame(sweep, example))}" in text
        assert "nothing 0 of 2" in text
        assert "3 harmful 2 of 2" in text
        assert "so far, the margin rises" in text
        assert "does not change significantly" in text  # as 2 of 2 against 0 of 2 may be chance
        assert f"to stop it: esc, 4 Prune, n example-{example}, S" in text
        await pilot.press("v")
        await until(pilot, lambda: "It is running" in said(app))
        assert isinstance(app.screen, ImageScreen)
        train(own, read_arms(own), labels, 24, FLIPS)
        say(own, State.DONE, done=24, total=24)
        await until(pilot, lambda: "24 of 24 retrainings" in screen_text(app) and "8 of 8" in screen_text(app))
        text = words(app)
        assert "more than without as many at random: they are the cause" in text
        assert "3 at random 0 of 8" in text
        assert text.count("<.001 +") == 2  # p against nothing and against random, each with the change of the margin
        assert "elsewhere, of 6 examples of the evaluate half 6 turn right and 0 wrong" in text
        assert "with 3 at random left out instead, 0 turn right and 0 wrong" in text
        assert "Fisher's exact test" in text
        await pilot.press("v")
        await until(pilot, lambda: f"tinfl failures --verify --seeds=20 --example={example}" in said(app))
        assert isinstance(app.screen, ImageScreen)


async def test_the_verification_of_one_image_is_never_said_of_another_nor_is_a_damaged_one_more_than_a_line(sweep):
    make_verification(sweep, 0)
    damaged = make_verification(sweep, 4)
    damaged.arms.write_text(damaged.arms.read_text()[:500])
    async with exploring(sweep.root, WIDE) as (app, pilot):
        await at_example(app, pilot, 0)
        await until(pilot, lambda: "they are the cause" in words(app))
        await pilot.press("right")
        await until(pilot, lambda: "drive it" in words(app) and "they are the cause" not in words(app))
        await pilot.press("left")
        await until(pilot, lambda: "they are the cause" in words(app))
        while app.state.counterfactual.run.root != damaged.root:
            await pilot.press("right")
        await until(pilot, lambda: "arms.json" in screen_text(app) and "they are the cause" not in words(app))
        while app.state.counterfactual.run.root != counterfactual_paths(sweep, 0, 0).root:
            await pilot.press("left")
        await until(pilot, lambda: "they are the cause" in words(app))
        await pilot.press("escape")
        await until(pilot, lambda: list(app.watchers) == [app.state.sweep])  # nobody looks any more
        assert app.state.counterfactual.run is None


async def test_one_that_stopped_is_gone_on_with_after_asking(sweep, monkeypatch):
    own = make_verification(sweep, 0, trained=6, state=State.STOPPED)
    started, may_begin = [], threading.Event()
    monkeypatch.setattr(
        "tui_influence.tui.retrainings.request_to_resume", lambda root, retry_failed: may_begin.wait(60) and root
    )
    monkeypatch.setattr("tui_influence.tui.retrainings.start", lambda request, observer: started.append(request))
    async with exploring(sweep.root, WIDE) as (app, pilot):
        await at_example(app, pilot, 0)
        await until(pilot, lambda: "STOPPED" in screen_text(app) and "v resumes it" in screen_text(app))
        await pilot.press("v")
        await until(pilot, lambda: "Resume the counterfactual?" in screen_text(app))
        assert "Run: example-0, 6 of 24 models done" in screen_text(app)
        await pilot.press("y")
        await until(pilot, lambda: "at work: the supervisor" in words(app))
        await pilot.press("escape", "q")  # would give up what is being started
        await until(pilot, lambda: "Still being started: the supervisor. q again to quit" in said(app))
        assert app.is_running
        may_begin.set()
        await until(pilot, lambda: started == [own.root] and not app.state.preparing)


async def test_read_only_shows_what_there_is_by_scrolling_and_in_ascii_and_starts_nothing(sweep):
    make_verification(sweep, 0, trained=22, state=State.STOPPED)
    async with exploring(sweep.root, readonly=True, ascii=True) as (app, pilot):
        await at_example(app, pilot, 0)
        await until(pilot, lambda: "STOPPED" in screen_text(app) and "more than without as many" in words(app))
        seen = words(app)
        for _ in range(2):
            await pilot.press("pagedown")
            await pilot.pause(0.05)
            seen += words(app)
        assert "evaluate half" in seen
        assert "resumes it" not in seen
        assert seen.isascii()
        assert "v Verify" not in footer(app)
        await pilot.press("v")
        await pilot.pause()
        assert isinstance(app.screen, ImageScreen)


async def test_prune_shows_it_among_the_prunings_and_says_what_it_is_for(sweep):
    make_pruning(sweep)
    make_verification(sweep, 0)
    async with exploring(sweep.root, WIDE) as (app, pilot):
        await pilot.press("4")
        await measured(app, pilot)
        await pilot.press("n")
        await until(pilot, lambda: "Which pruning?" in screen_text(app))
        await pilot.press(*"example", "enter")
        await until(pilot, lambda: "drop 3 that hurt" in screen_text(app))
        assert app.state.pruning.name == counterfactual_paths(sweep, 0, 0).root.name
        await until(pilot, lambda: "counterfactual of example 0" in words(app))
        assert "recommended" not in words(app)
        assert "a gain forecast is not made for lists of classes" in words(app)
