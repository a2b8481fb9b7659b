"""A sweep with `until`: by how much it grows, when it ends, and that a kill at any moment changes nothing."""

from dataclasses import replace

import pytest

from tests.unit.growth.growing import GrowingRun, comparable
from tui_influence.designs import schedule
from tui_influence.growth.extension import extend_sweep
from tui_influence.growth.until import further_models
from tui_influence.influence.types import DEFAULT_GOAL
from tui_influence.roles import Role
from tui_influence.runs.prepare import extend_plan_file
from tui_influence.store.growth import Outcome, read_growth
from tui_influence.store.plan import read_plan, write_plan
from tui_influence.store.run_info import read_run_info, write_run_info


def test_a_sweep_grows_at_the_end_of_its_plan_until_the_goal_is_reached(tmp_path):
    run = GrowingRun(tmp_path / "results", most=400)
    before = run.rows
    after = run.to_the_end()
    assert after[: len(before)] == before
    assert [(role, index) for role, index, *_ in after[len(before) :]] == [
        (Role.ESTIMATE, index) for index in range(16, run.models)
    ]
    assert 16 < run.models < 400
    *grown, last = read_growth(run.paths).decisions
    assert last.outcome is Outcome.REACHED
    assert last.reliability >= 0.9
    assert len(grown) > 1
    for decision, following in zip(grown, [*grown[1:], last], strict=True):
        assert decision.outcome is Outcome.GROWN
        assert decision.reliability < 0.9
        assert following.models == decision.models + decision.further
        assert following.models % 2 == 0
        assert decision.further <= decision.models / 2
    rows = schedule(run.design, 16, 2, further=run.models - 16)
    assert [comparable(row) for row in rows] == after


def test_it_ends_at_max_models_where_the_goal_is_not_reached(tmp_path):
    run = GrowingRun(tmp_path / "results", most=31, noises=(8.0,))
    run.to_the_end()
    assert run.models == 31
    assert run.outcomes[-1] == (31, "limit", 0)
    assert extend_sweep(run.paths) == []
    assert run.outcomes[-1] == (31, "limit", 0)


def test_it_does_not_grow_where_the_goal_is_reached_at_once(tmp_path):
    run = GrowingRun(tmp_path / "results", models=40, noises=(0.1,))
    before = run.rows
    assert run.to_the_end() == before
    assert run.outcomes == [(40, "reached", 0)]


def test_the_least_reliable_target_decides(tmp_path):
    run = GrowingRun(tmp_path / "results", models=40, most=60, noises=(0.1, 8.0, 0.1))
    run.to_the_end()
    assert run.models == 60
    assert {decision.target for decision in read_growth(run.paths).decisions} == {"t1"}


@pytest.mark.parametrize("moment", ["decided", "plan written", "run.json written", "half trained"])
def test_a_run_that_is_killed_at_any_moment_has_the_same_rows(tmp_path, moment):
    whole = GrowingRun(tmp_path / "whole" / "results")
    expected = whole.to_the_end()
    killed = GrowingRun(tmp_path / "results")
    for _ in range(20):
        killed.train()
        info, planned = read_run_info(killed.paths.root), read_plan(killed.paths)
        rows = extend_sweep(killed.paths)
        if not rows:
            break
        if moment == "plan written":
            write_plan(killed.paths, rows)
        if moment in ("run.json written", "half trained"):
            extend_plan_file(killed.paths, info, rows)
        if moment == "half trained":
            grown = read_plan(killed.paths)
            write_plan(killed.paths, grown[: len(planned) + 1])
            killed.train()
            write_plan(killed.paths, grown)
            continue
        # what `prepare` makes of the directory when the run is resumed
        models = read_run_info(killed.paths.root).models
        write_plan(killed.paths, schedule(killed.design, 16, 2, further=models - 16))
        killed.train()
        again = extend_sweep(killed.paths)
        if again:
            extend_plan_file(killed.paths, read_run_info(killed.paths.root), again)
    assert killed.rows == expected
    assert [one[0] for one in killed.outcomes] == sorted({one[0] for one in killed.outcomes})
    assert killed.outcomes[-1] == whole.outcomes[-1]


def test_a_sweep_without_a_goal_does_not_grow_but_has_a_forecast(tmp_path):
    run = GrowingRun(tmp_path / "results", until=None)
    run.train()
    assert extend_sweep(run.paths) == []
    growth = read_growth(run.paths)
    assert growth.decisions == ()
    assert (growth.forecast.models, growth.forecast.goal) == (16, DEFAULT_GOAL)
    assert growth.forecast.low is not None
    assert growth.forecast.outcome is Outcome.FORECAST


def test_a_sweep_that_cannot_be_measured_ends(tmp_path):
    """Its default estimator needs prior networks, and all of them failed."""
    run = GrowingRun(tmp_path / "results")
    run.train()
    write_run_info(run.paths, replace(read_run_info(run.paths.root), prior=3))
    assert extend_sweep(run.paths) == []
    assert run.outcomes == [(16, "unmeasured", 0)]


def test_without_a_single_record_nothing_is_decided(tmp_path):
    run = GrowingRun(tmp_path / "results")
    assert extend_sweep(run.paths) == []
    assert run.outcomes == []


@pytest.mark.parametrize(
    ("models", "expected", "most", "further"),
    [
        (100, 120, 400, 20),
        (100, 121, 400, 20),
        (100, 123, 400, 24),
        (100, 4000, 400, 50),
        (100, None, 400, 50),
        (100, None, 110, 10),
        (100, None, 111, 11),
        (100, 90, 400, 12),
        (101, 110, 400, 13),
        (1, None, 400, 1),
        (2, None, 400, 2),
        (3, None, 400, 1),
        (4, 1000, 400, 2),
    ],
)
def test_it_grows_to_what_is_forecast_by_an_eighth_at_least_and_half_at_most(models, expected, most, further):
    assert further_models(models, expected, most) == further
