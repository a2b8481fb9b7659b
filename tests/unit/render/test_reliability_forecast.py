"""The models that a ranking needs, and why a sweep grew or ended, in words."""

from dataclasses import replace

import pytest

from tests.unit.store.conftest import make_info
from tui_influence.influence.types import ReliabilityForecast
from tui_influence.render.reliability_forecast import (
    decision_sentence,
    describe_forecast,
    describe_model_count,
    growth_lines,
)
from tui_influence.render.run_words import event_sentence
from tui_influence.store.growth import MeasuredReliability, Outcome

MEASURED = MeasuredReliability(128, "digits", 0.9, 0.869, 176, 150, 220)


@pytest.mark.parametrize(
    ("forecast", "text"),
    [
        (None, "too early to forecast how many models 0.9 takes"),
        (ReliabilityForecast(0.8, None, None, None, ""), "too early to forecast how many models 0.8 takes"),
        (ReliabilityForecast(0.9, 1700, 380, 2600, ""), "0.9 takes about 1,700 models in all (380 to 2,600)"),
        (ReliabilityForecast(0.9, 1700, 380, None, ""), "0.9 takes about 1,700 models in all (380 or many more)"),
        (ReliabilityForecast(0.9, None, 380, None, ""), "0.9 takes 380 models in all or many more"),
        (ReliabilityForecast(0.9, None, 2560, None, ""), "0.9 takes more than 2,560 models in all"),
        (ReliabilityForecast(0.9, 120, 90, 128, ""), "0.9 is reached"),
        (
            ReliabilityForecast(0.9, None, 2560, None, "", is_reachable=False),
            "0.9 is not reachable with this design: few groups have an effect, and the others are in no order",
        ),
    ],
)
def test_a_forecast_is_a_range_or_says_why_there_is_none(forecast, text):
    assert describe_forecast(forecast, 128) == text


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        (Outcome.GROWN, "reliability 0.86 at 128 models, goal 0.9: 48 more"),
        (Outcome.REACHED, "reliability 0.86 at 128 models: the goal, 0.9, is reached"),
        (Outcome.LIMIT, "reliability 0.86 at 128 models: max_models is reached, the goal, 0.9, is not"),
        (Outcome.UNMEASURED, "the reliability cannot be measured: the sweep does not grow"),
        (Outcome.FORECAST, "reliability 0.86 at 128 models"),
    ],
)
def test_a_decision_gives_its_reason_in_status_and_in_the_event_log(outcome, sentence):
    decision = vars(replace(MEASURED, outcome=outcome, further=48))
    assert decision_sentence(decision) == sentence
    assert event_sentence({"event": "growth", "time": 1.0, **decision}) == sentence


def test_a_value_below_the_goal_is_not_rounded_up_to_it():
    assert "0.89 at" in decision_sentence(vars(replace(MEASURED, reliability=0.8999)))
    assert "reliability unknown at" in decision_sentence(vars(replace(MEASURED, reliability=None)))


@pytest.mark.parametrize("event", [{}, {"reliability": "x", "goal": [], "outcome": "grown"}, {"outcome": 7}])
def test_events_of_any_content_can_be_shown(event):
    assert event_sentence({"event": "growth", "time": 1.0, **event})


def lines(measured, recorded=0, **design):
    info = make_info(config={"design": {"kind": "balanced", "alpha": 0.5} | design, "source": {"groups": "class"}})
    return list(growth_lines(measured, info, recorded))


def test_a_run_without_a_measurement_has_the_rule():
    ((label, text),) = lines(None)
    assert label == "needed"
    assert text.startswith("6 classes: about ")
    assert "the 8 planned will likely give noise" in text
    assert lines(None, recorded=7)
    assert not lines(None, recorded=8), "they say themselves what they need, where it is shown"
    _, (label, goal), warning = lines(None, until=0.9, max_models=20)
    assert (label, goal.partition(" takes about ")[0]) == ("needed", "a reliability of 0.9")
    assert "max_models" not in goal
    assert warning == ("warning", "until = 0.9 will hardly be reached with max_models = 20")
    assert len(lines(None, until=0.9, max_models=10_000)) == 2


def test_a_forecast_warns_where_the_limit_is_too_low():
    assert lines(MEASURED) == [("needed", "0.9 takes about 176 models in all (150 to 220) (from 128 models)")]
    goal = {"until": 0.9, "max_models": 140}
    assert lines(MEASURED, **goal)[-1] == ("warning", "until = 0.9 will hardly be reached with max_models = 140")
    assert len(lines(MEASURED, until=0.9, max_models=150)) == 1
    assert lines(replace(MEASURED, is_reachable=False), until=0.9, max_models=10_000)[-1][0] == "warning"


def test_a_decision_comes_first_and_a_reached_goal_needs_no_more():
    assert [label for label, _ in lines(replace(MEASURED, outcome=Outcome.LIMIT), until=0.9, max_models=140)] == [
        "growth",
        "needed",
    ]
    assert [label for label, _ in lines(replace(MEASURED, outcome=Outcome.REACHED))] == ["growth"]


@pytest.mark.parametrize("changes", [{"arms": 3}, {"config": {"imported": {}}}])
def test_prunings_and_imports_have_no_rule(changes):
    assert list(growth_lines(None, make_info(**changes), 0)) == []


def test_single_images_have_no_rule():
    info = make_info(config={"design": {"kind": "bernoulli", "alpha": 0.5}, "source": {"groups": "example"}})
    assert list(growth_lines(None, info, 0)) == []


def test_a_plan_says_how_many_models_an_order_takes_and_what_the_planned_ones_give():
    few, many = (describe_model_count(43, {"kind": "balanced"}, "ridge", models, "classes")[0] for models in (40, 4000))
    needed = "about 240 models for a usable order, reliability 0.64 (120 to 478, depending on the data)"
    assert few.startswith(f"43 classes: {needed}")
    assert few.endswith("the 40 planned will likely give noise")
    assert many.endswith("the 4,000 planned will likely give a strong order")
