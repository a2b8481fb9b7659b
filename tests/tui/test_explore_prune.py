"""The Prune mode: what is proposed, what is asked before anything is trained, and what is shown of what was."""

import json

import pytest

from tests.tui.prunings import make_pruning, measured, proposed, train
from tests.tui.runs import exploring, make_run, ranked, say, screen_text, until, words
from tui_influence.pruning.planning import start_pruning
from tui_influence.roles import ArmKind
from tui_influence.runs.control import StopLevel, stop_request
from tui_influence.runs.heartbeat import State
from tui_influence.store.examples import read_examples
from tui_influence.store.pruning_plan import read_arms
from tui_influence.store.run_info import read_run_info
from tui_influence.tui.actions import actions_of
from tui_influence.tui.widgets.table import ArmTable

BODY = ("keep everything", "lowest 3", "lowest 6", "random 3", "random 6", "highest 3", "highest 6")


@pytest.fixture
def sweep(tmp_path):
    """A finished sweep without a pruning."""
    return make_run(tmp_path / "run", models=60)


@pytest.fixture
def pruned(sweep):
    """A finished sweep with a finished pruning."""
    make_pruning(sweep)
    return sweep


def footer(app) -> str:
    return screen_text(app).splitlines()[-1]


async def opened(app, pilot) -> ArmTable:
    await pilot.press("4")
    await measured(app, pilot)
    return app.screen.query_one(ArmTable)


async def test_a_sweep_without_a_pruning_shows_what_would_be_retrained_and_writes_nothing(sweep):
    before = {path: path.stat().st_mtime_ns for path in sweep.root.rglob("*")}
    async with exploring(sweep.root) as (app, pilot):
        await pilot.press("4")
        await proposed(app, pilot)
        await until(pilot, lambda: "retrainings of 13 arms" in screen_text(app))
        said = words(app)
    for part in ("main: a new pruning", "2, 5, 10, 15 (usual)", "65 retrainings of 13 arms",
                 "then the baselines", "300 at most", "5 of each arm, up to 20",
                 "digits, margin, ridge, 60 models", "at the sweep's rate",
                 "forecast gain of dropping the lowest"):  # fmt: skip
        assert part in said
    assert {path: path.stat().st_mtime_ns for path in sweep.root.rglob("*")} == before


async def test_what_is_chosen_is_what_is_counted(sweep):
    async with exploring(sweep.root) as (app, pilot):
        await pilot.press("4")
        await proposed(app, pilot)
        await pilot.press("d")
        await until(pilot, lambda: "Drop how many classes?" in screen_text(app))
        field = app.screen.query_one("Input")
        assert field.value == "2,5,10,15"
        field.value = "7, 4"
        await pilot.press("enter", "s", "down", "enter", "b")
        await proposed(app, pilot)
        await until(pilot, lambda: "21 retrainings of 7 arms" in screen_text(app))
        assert "4, 7; lowest" in screen_text(app)
        assert "3 of each arm" in screen_text(app)
        assert "baselines none" in words(app)
        await pilot.press("escape")  # back to what is usual
        await until(pilot, lambda: "65 retrainings" in screen_text(app))


async def test_a_number_that_cannot_be_is_refused_in_words_and_cannot_be_trained(sweep):
    async with exploring(sweep.root) as (app, pilot):
        await pilot.press("4")
        await proposed(app, pilot)
        await pilot.press("d")
        app.screen.query_one("Input").value = "29"
        await pilot.press("enter")
        await until(pilot, lambda: "cannot drop 29 of 30 groups: from 1 to 28" in words(app))
        assert "T Train" not in footer(app)
        await pilot.press("T")
        await pilot.pause()
        assert len(app.screen_stack) == 1
        await pilot.press("d")
        app.screen.query_one("Input").value = "many"
        await pilot.press("enter")
        await until(pilot, lambda: any("must be numbers" in found.message for found in app._notifications))


async def test_the_question_of_the_ranking_is_what_a_new_pruning_ranks_by(tmp_path):
    paths = make_run(tmp_path / "run", targets=("digits", "letters"), models=60)
    async with exploring(paths.root) as (app, pilot):
        await pilot.press("2")
        await ranked(app, pilot)
        await pilot.press("m", "m", "o", "t", "down", "enter", "4")
        await proposed(app, pilot)
        await until(pilot, lambda: "letters, probability, ridge, 60 models; as asked in Rank" in words(app))
        assert app.state.pruning.plan.value.pruning.ranking.targets == {"letters": 1.0}


async def test_classes_that_are_marked_in_the_ranking_come_along(sweep):
    async with exploring(sweep.root, (100, 30)) as (app, pilot):
        await pilot.press("2")
        await ranked(app, pilot)
        await pilot.press("G", "space", "up", "space", "p")
        assert app.current_mode == "prune"
        await proposed(app, pilot)
        await until(pilot, lambda: "drop 2 classes: class" in screen_text(app))
        arms = app.state.pruning.plan.value.pruning.arms
        assert [(arm.kind, arm.k) for arm in arms] == [(ArmKind.ALL, 0), (ArmKind.DROP, 2), (ArmKind.RANDOM, 2)]
        marked = {read_run_info(sweep.root).source.groups[group] for group in arms[1].rows[0].dropped}
        assert marked == set(app.state.pruning.marked)
        await pilot.press("l", "down", "enter")
        await until(pilot, lambda: "keep only 2 classes" in screen_text(app))
        await proposed(app, pilot)
        await until(pilot, lambda: app.state.pruning.plan.value.pruning.arms[1].k == 28)
        await pilot.press("l", "down", "down", "enter")
        await until(pilot, lambda: "none of the 2 marked" in screen_text(app))


async def test_without_marks_p_goes_to_prune_and_a_list_says_how_to_mark(sweep):
    async with exploring(sweep.root) as (app, pilot):
        await pilot.press("2")
        await ranked(app, pilot)
        await pilot.press("p")
        await proposed(app, pilot)
        assert not app.state.pruning.request.chooses_arms
        await pilot.press("l")
        await until(pilot, lambda: any("with space" in found.message for found in app._notifications))


async def test_training_states_run_cost_and_command_and_anything_but_yes_starts_nothing(sweep, monkeypatch):
    started = []
    monkeypatch.setattr("tui_influence.tui.retrainings.start_plan", lambda *asked: started.append(asked))
    async with exploring(sweep.root, (100, 30)) as (app, pilot):
        await pilot.press("4")
        await proposed(app, pilot)
        await pilot.press("T")
        await until(pilot, lambda: "Retrain?" in screen_text(app))
        said = words(app)
        for part in ("Run: small, pruning main", "Cost: 65 retrainings of 13 arms", "at the sweep's rate",
                     "Command: tinfl prune --"):  # fmt: skip
            assert part in said
        await pilot.press("enter")
        await until(pilot, lambda: len(app.screen_stack) == 1)
    assert not started
    assert not sweep.prunings.exists()


async def test_training_asks_the_core_for_what_was_shown(sweep, monkeypatch):
    asked, begun = [], []

    def plan(paths, info, own, wanted, progress):
        asked.append((paths.root, own.root, wanted))
        progress("packing the source", 3, 7)
        return "the plan"

    monkeypatch.setattr("tui_influence.tui.retrainings.plan_pruning", plan)
    monkeypatch.setattr(
        "tui_influence.tui.retrainings.start_plan", lambda found, own, observer: begun.append((found, own))
    )
    async with exploring(sweep.root) as (app, pilot):
        await pilot.press("2")
        await ranked(app, pilot)
        await pilot.press("m", "G", "space", "p", "d")
        app.screen.query_one("Input").value = "4"
        await pilot.press("enter")
        await until(pilot, lambda: "30 retrainings of 6 arms" in screen_text(app))
        await pilot.press("T", "y")
        await until(pilot, lambda: begun and not app.state.preparing)
        assert any("go on in the background" in found.message for found in app._notifications)
        assert not app.state.pruning.request.chooses_arms
    own = sweep.prunings / "main"
    ((root, place, wanted),) = asked
    assert (root, place) == (sweep.root, own)
    assert (wanted.drop_counts, wanted.seeds, wanted.weights) == ((4,), None, {"digits": 1.0})
    assert (wanted.estimator, wanted.output) == ("difference", "margin")
    assert [(each.kind, each.name, len(each.groups)) for each in wanted.lists] == [(ArmKind.DROP, "1 marked", 1)]
    assert [(found, place.root) for found, place in begun] == [("the plan", own)]


async def test_a_plan_is_begun_with_its_arms_and_the_config_that_it_is_trained_by(sweep, monkeypatch):
    from tui_influence.pruning.options import PruningRequest
    from tui_influence.pruning.planning import PruningPlan, preview_plan
    from tui_influence.store.paths import Paths

    requests = []
    monkeypatch.setattr("tui_influence.pruning.planning.start", lambda request, observer: requests.append(request) or 7)
    own = Paths(sweep.prunings / "main")
    pruning, config = preview_plan(
        sweep, read_run_info(sweep.root), own, PruningRequest(drop_counts=(4,), seeds=1, baselines=())
    )
    assert start_pruning(PruningPlan(pruning, config, None), own, None) == 7
    assert [(request.config, request.root, request.pruning) for request in requests] == [(config, own.root, pruning)]
    assert not own.arms.exists()  # it is written by who owns the run


async def test_a_refusal_to_train_is_shown_in_its_own_words(sweep, monkeypatch):
    from tui_influence.errors import DatasetError

    def plan(*asked):
        raise DatasetError("the source has moved")

    monkeypatch.setattr("tui_influence.tui.retrainings.plan_pruning", plan)
    async with exploring(sweep.root) as (app, pilot):
        await pilot.press("4")
        await proposed(app, pilot)
        await pilot.press("T", "y")
        await until(pilot, lambda: any("the source has moved" in found.message for found in app._notifications))
        assert not app.state.preparing
        assert not app.state.pruning.exists


async def test_a_few_timed_steps_replace_the_sweep_s_rate(sweep, monkeypatch):
    from tui_influence.runs.cost import Cost

    monkeypatch.setattr("tui_influence.tui.retrainings.plan_pruning", lambda *asked: None)
    monkeypatch.setattr("tui_influence.tui.retrainings.plan_cost", lambda plan: Cost(8.0, 46, 2, 65, 1 << 20, ["cpu"]))
    async with exploring(sweep.root) as (app, pilot):
        await pilot.press("4")
        await proposed(app, pilot)
        await pilot.press("t")
        await until(
            pilot, lambda: "4 min 20 s for the first 65, 20 min 00 s at most as timed on 2 workers" in words(app)
        )
        await pilot.press("d")
        app.screen.query_one("Input").value = "4"
        await pilot.press("enter")
        await proposed(app, pilot)
        await until(pilot, lambda: "at the sweep's rate" in words(app))  # what was timed was another plan


async def test_read_only_trains_and_stops_nothing(sweep):
    own = make_pruning(sweep, state=State.RUNNING, trained=9)
    async with exploring(sweep.root, readonly=True) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("S", "y")
        await pilot.pause()
        assert len(app.screen_stack) == 1
        await pilot.press("n", "down", "enter", "enter")
        await proposed(app, pilot)
        await pilot.press("T", "R")
        await pilot.pause()
        assert len(app.screen_stack) == 1
        assert "T Train" not in footer(app)
    assert stop_request(own) is StopLevel.NO
    assert sorted(path.name for path in sweep.prunings.iterdir()) == ["main"]


async def test_a_finished_pruning_shows_arms_recommendation_and_the_arm_under_the_cursor(pruned):
    async with exploring(pruned.root) as (app, pilot):
        await opened(app, pilot)
        await until(pilot, lambda: "28 of 28 retrainings" in screen_text(app))
        assert all(arm in screen_text(app) for arm in BODY)
        assert "recommended: " in screen_text(app)
        await pilot.press("down")
        await until(pilot, lambda: "lowest 3 4 of 4 retrainings, drops 3 of 30" in words(app))
        assert "over everything" in screen_text(app)
        assert "over random" in screen_text(app)
        assert "without class 2" in words(app)


async def test_views_turn_from_arms_to_curve_to_prediction(pruned):
    async with exploring(pruned.root) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("v")
        await until(pilot, lambda: "source classes dropped, of 30" in screen_text(app))
        assert "● lowest" in screen_text(app)
        assert "accuracy on the evaluate half" in screen_text(app)
        await pilot.press("o")
        await until(pilot, lambda: "margin in nats on the evaluate half" in screen_text(app))
        await pilot.press("v")
        await until(pilot, lambda: "gain of the lowest over as many at random, nats" in screen_text(app))
        assert "forecast" in screen_text(app)
        await pilot.press("v")
        await until(pilot, lambda: "gain, nats" in screen_text(app))


async def test_a_wide_screen_shows_all_of_it(pruned):
    async with exploring(pruned.root, (140, 40)) as (app, pilot):
        await opened(app, pilot)
        await until(pilot, lambda: "source classes dropped, of 30" in screen_text(app))
        for part in (
            "lowest 6",
            "gain of the lowest over everything, points",
            "ranked by influence on the margin of digits, ridge, 60 models",
        ):
            assert part in screen_text(app)


async def test_the_curve_fills_in_while_it_is_trained(sweep, monkeypatch):
    monkeypatch.setattr("tui_influence.tui.state.IDLE_PER_WORK_SECOND", 1)  # on a busy machine, 30 outlast the test
    own = make_pruning(sweep, state=State.RUNNING, trained=7)
    labels = read_examples(sweep, read_run_info(sweep.root), 0).labels
    async with exploring(sweep.root, (100, 30)) as (app, pilot):
        await opened(app, pilot)
        await until(pilot, lambda: "7 of 28 retrainings, 1 min 00 s left" in screen_text(app))
        assert "1/4" in screen_text(app)
        train(own, read_arms(own), labels, 21)
        say(own, State.RUNNING, done=21, total=28)
        await until(pilot, lambda: "21 of 28" in screen_text(app) and "3/4" in screen_text(app))
        train(own, read_arms(own), labels, 28)  # the last ones end right after the others were measured
        say(own, State.DONE, done=28, total=28)
        await until(pilot, lambda: "28 of 28" in screen_text(app) and "4/4" in screen_text(app))
        await pilot.press("1")
        await until(pilot, lambda: app.state.pruning.run not in app.watchers)  # nobody looks any more


async def test_an_arm_opens_its_target_classes_and_a_class_that_lost_its_ranking(pruned):
    async with exploring(pruned.root) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("down", "enter")
        await until(pilot, lambda: "lowest 3 gain of each target class: 1 lost" in words(app))
        lines = [line for line in screen_text(app).splitlines() if "[-" in line or "[+" in line]
        assert lines[0].split()[1] == "z"  # what lost most comes first
        await pilot.press("enter")
        assert app.current_mode == "rank"
        assert (app.state.question.target, app.state.question.target_class) == ("digits", "z")
        await ranked(app, pilot)
        await until(pilot, lambda: "digits  z, margin" in screen_text(app))
        await pilot.press("4", "escape")
        await until(pilot, lambda: "gain, points" in screen_text(app) and "random 3" in screen_text(app))
        assert app.screen.query_one(ArmTable).current.group == "lowest 3"  # where it was


async def test_stopping_and_resuming_a_pruning_ask_like_those_of_a_sweep(sweep, monkeypatch):
    own = make_pruning(sweep, state=State.RUNNING, trained=9)
    started = []
    monkeypatch.setattr("tui_influence.tui.retrainings.request_to_resume", lambda root, retry_failed: root)
    monkeypatch.setattr("tui_influence.tui.retrainings.start", lambda request, observer: started.append(request))
    async with exploring(sweep.root) as (app, pilot):
        await opened(app, pilot)
        assert "T Train" not in footer(app)  # not while it runs
        await pilot.press("S")
        await until(pilot, lambda: "Stop the pruning?" in screen_text(app))
        assert "Run: main, 9 of 28 models done" in screen_text(app)
        assert "tinfl stop" in screen_text(app)
        await pilot.press("y")
        await until(pilot, lambda: stop_request(own) is StopLevel.AFTER_CURRENT_MODELS)
        say(own, State.STOPPED, done=9, total=28)
        await until(pilot, lambda: "STOPPED" in screen_text(app))
        await pilot.press("R")
        await until(pilot, lambda: "Resume the pruning?" in screen_text(app))
        await pilot.press("y")
        await until(pilot, lambda: started == [own.root] and not app.state.preparing)


async def test_more_can_be_asked_of_a_pruning_that_is_there(pruned):
    async with exploring(pruned.root) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("d")
        field = app.screen.query_one("Input")
        field.value = "3,6,9"
        await pilot.press("enter")
        await proposed(app, pilot)
        await until(pilot, lambda: "12 more retrainings (28 done), 10 arms in all" in screen_text(app))
        assert "more retrainings for main" in screen_text(app)
        assert "fixed when it was started" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: "28 of 28 retrainings" in screen_text(app))


async def test_prunings_are_chosen_by_name_and_another_is_begun(pruned):
    make_pruning(pruned, "small", ks=(2,))
    async with exploring(pruned.root) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("n")
        await until(pilot, lambda: "Which pruning?" in screen_text(app))
        await pilot.press("down", "enter")
        await measured(app, pilot)
        await until(pilot, lambda: "lowest 2" in screen_text(app) and "16 of 16" in screen_text(app))
        await pilot.press("n", "down", "down", "enter")
        app.screen.query_one("Input").value = "../elsewhere"
        await pilot.press("enter")
        await until(pilot, lambda: any("must be letters" in found.message for found in app._notifications))
        assert app.state.pruning.name == "small"
        await pilot.press("n", "down", "down", "enter")
        app.screen.query_one("Input").value = "third"
        await pilot.press("enter")
        await proposed(app, pilot)
        await until(pilot, lambda: "third: a new pruning" in screen_text(app))


def damage(own, kind: str) -> None:
    found = json.loads(own.arms.read_text())
    if kind == "cut short":
        own.arms.write_text(own.arms.read_text()[:500])
    elif kind == "gone":
        own.arms.unlink()
    elif kind == "newer":
        own.arms.write_text(json.dumps(found | {"schema": 99}))
    else:
        found["arms"][0]["rows"][0]["dropped"] = ["\x1b[2J"]
        own.arms.write_text(json.dumps(found))


@pytest.mark.parametrize("kind", ["cut short", "gone", "newer", "nonsense"])
async def test_damaged_arms_are_a_line_and_not_a_crash(sweep, kind):
    damage(make_pruning(sweep), kind)
    async with exploring(sweep.root, (140, 24)) as (app, pilot):
        await pilot.press("4")
        await until(pilot, lambda: "arms.json" in screen_text(app))
        assert app.state.pruning.arms.error
        await pilot.press("down", "enter", "v", "o", "e", "escape")
        await pilot.pause()
        assert len(app.screen_stack) == 1


async def test_a_run_that_is_itself_a_pruning_says_where_to_look(sweep):
    own = make_pruning(sweep)
    async with exploring(own.root) as (app, pilot):
        await pilot.press("4")
        await until(pilot, lambda: "open its sweep's directory" in words(app))
        assert not [action.label for action in actions_of("prune") if f"{action.keys} {action.label}" in footer(app)][
            1:
        ]


async def test_the_arms_are_exported_as_the_command_does(pruned, tmp_path):
    from tui_influence.export.csv import csv_text
    from tui_influence.export.pruning import pruning_table

    async with exploring(pruned.root) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("e")
        field = app.screen.query_one("Input")
        assert field.value == "small-main-arms.csv"
        field.value = str(tmp_path / "arms.csv")
        await pilot.press("enter")
        await until(pilot, lambda: any("Wrote 7 arms" in found.message for found in app._notifications))
        assert (tmp_path / "arms.csv").read_text() == csv_text(pruning_table(app.state.pruning.arms.value))


async def test_the_command_that_does_the_same_is_copied_with_its_list(sweep, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("TMUX", raising=False)
    copied = tmp_path / "state" / "tinfl" / "copied.txt"
    async with exploring(sweep.root) as (app, pilot):
        await pilot.press("2")
        await ranked(app, pilot)
        await pilot.press("m", "G", "space", "p", "b")
        await proposed(app, pilot)
        await pilot.press("Y")
        await until(pilot, lambda: copied.exists())
        (listed,) = (tmp_path / "state" / "tinfl" / "lists").iterdir()
        assert listed.read_text().splitlines() == list(app.state.pruning.marked)
    assert copied.read_text() == (
        f"tinfl prune --drop={listed} --baselines=none --estimator=difference -- {sweep.root}"
    )


@pytest.mark.parametrize(("size", "ascii"), [((80, 24), True), ((140, 40), True), ((40, 12), False), ((1, 1), False)])
async def test_any_size_and_ascii_show_what_fits(pruned, size, ascii):
    async with exploring(pruned.root, size, ascii=ascii, coloured=False) as (app, pilot):
        table = await opened(app, pilot)
        for key in ("down", "v", "v", "v", "o", "enter", "escape"):
            await pilot.press(key)
            await pilot.pause()
            assert screen_text(app).isascii() or not ascii
            assert all(len(line) <= size[0] for line in screen_text(app).splitlines())
        if size[0] >= 40:
            await until(pilot, lambda: "28 of 28" in screen_text(app) and "lowest 3" in screen_text(app))
            assert table.current.group == "lowest 3"


async def test_the_detail_of_an_arm_is_complete_at_120_columns_in_either_unit(pruned):
    async with exploring(pruned.root, (120, 35)) as (app, pilot):
        table = await opened(app, pilot)
        await pilot.press("down")
        for _ in range(2):
            await until(pilot, lambda: "over everything" in screen_text(app))
            rows = [line.split("│")[0] for line in screen_text(app).splitlines()]
            for control in ("over everything", "over random"):
                start = next(number for number, row in enumerate(rows) if control in row)
                assert [row.split()[-1] for row in rows[start : start + 2]] == ["points", "nats"]
                assert all(row.count("[") == row.count("]") == 1 for row in rows[start : start + 2])
            assert all(any(f" {name} " in row for row in rows) for name in BODY)
            await pilot.press("o")
        assert table.current.group == "lowest 3"


async def test_opening_is_offered_where_there_are_target_classes_to_open(pruned):
    async with exploring(pruned.root) as (app, pilot):
        table = await opened(app, pilot)
        assert table.current.group == "keep everything"
        await until(pilot, lambda: "enter Open" not in footer(app))
        await pilot.press("down")
        await until(pilot, lambda: "enter Open" in footer(app))
        await pilot.press("enter")
        await until(pilot, lambda: "gain of each target class" in screen_text(app))
        assert "enter Open" in footer(app)


async def test_where_no_plan_can_be_made_only_the_pruning_and_the_reason_are_shown(pruned):
    async with exploring(pruned.root) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("d")
        app.screen.query_one("Input").value = "99"
        await pilot.press("enter")
        await until(pilot, lambda: "cannot drop 99 of 30 groups" in words(app))
        text = screen_text(app)
        assert "28 of 28 retrainings" in text
        for guess in ("the usual number", "baselines", "as asked in Rank"):
            assert guess not in text
