"""The models that a ranking needs, and why a sweep grows or ends, in words, the same everywhere. Loads no numpy."""

from collections.abc import Iterator, Mapping
from math import floor
from typing import Any

from tui_influence.analysis.names import PLURAL, group_noun
from tui_influence.analysis.types import MIN_MODELS
from tui_influence.influence.estimators import default_estimator
from tui_influence.influence.model_count import USABLE, models_for, reliability_of
from tui_influence.influence.types import MAX_FORECAST_FACTOR, ReliabilityForecast, reliability_grade
from tui_influence.store.growth import MeasuredReliability, Outcome
from tui_influence.store.run_info import RunInfo
from tui_influence.text import printable


def describe_forecast(forecast: ReliabilityForecast | None, models: int) -> str:
    """Return the models that a reliability takes, such as "0.9 takes about 700 models in all (380 to 1,600)".

    Args:
        forecast: of a ranking; None without one.
        models: that it is made from.
    """
    goal = f"{forecast.target_reliability:g}" if forecast else "0.9"
    if forecast is None or forecast.low is None:
        return f"too early to forecast how many models {goal} takes"
    low, high = forecast.low, forecast.high
    if not forecast.is_reachable:
        return f"{goal} is not reachable with this design: few groups have an effect, and the others are in no order"
    if forecast.n_models is not None and forecast.n_models <= models:
        return f"{goal} is reached"
    if forecast.n_models is not None:
        between = f"{low:,} or many more" if high is None else f"{low:,} to {high:,}"
        return f"{goal} takes about {forecast.n_models:,} models in all ({between})"
    if low >= MAX_FORECAST_FACTOR * models:
        return f"{goal} takes more than {low:,} models in all"
    return f"{goal} takes {low:,} models in all or many more"


def describe_model_count(groups: int, design: Mapping[str, Any], estimator: str, models: int, noun: str) -> list[str]:
    """Return how many models a sweep will need, as far as that is known before any is trained, a sentence each.

    Where that is more than the sweep may train, see `far_goal`.

    Args:
        groups: K.
        design: keys of `[design]`.
        estimator: name of the run's default one.
        models: planned.
        noun: of the groups, plural.
    """
    kind, until = str(design.get("kind")), design.get("until")
    usable = models_for(USABLE, groups, kind, estimator)
    grade = reliability_grade(reliability_of(models, groups, kind, estimator))
    order = "noise" if grade == "noise" else f"a {grade} order"
    sentences = [
        f"{groups:,} {noun}: about {usable.expected:,} models for a usable order, reliability {USABLE:g} "
        f"({usable.low:,} to {usable.high:,}, depending on the data); the {models:,} planned will likely give {order}"
    ]
    if isinstance(until, float) and 0 < until < 1:
        goal = models_for(until, groups, kind, estimator)
        sentences.append(f"a reliability of {until:g} takes about {goal.expected:,} ({goal.low:,} to {goal.high:,})")
    return sentences


def far_goal(until: object, least: int | None, most: object) -> str:
    """Return the warning that a sweep may train too few models for its goal; empty where they may suffice.

    Args:
        until: the goal, of the design.
        least: lower end of the range of models that it takes; None where that is unknown.
        most: `max_models` of the design.
    """
    if not isinstance(until, float) or not isinstance(most, int) or least is None or least <= most:
        return ""
    return f"until = {until:g} will hardly be reached with max_models = {most:,}"


def forecast_of(measured: MeasuredReliability) -> ReliabilityForecast:
    """Return the forecast of a sweep's least reliable target."""
    return ReliabilityForecast(
        measured.goal, measured.expected, measured.low, measured.high, "", is_reachable=measured.is_reachable
    )


def decision_sentence(values: Mapping[str, Any]) -> str:
    """Return why a sweep grew or ended, such as "reliability 0.86 at 128 models, goal 0.9: 48 more".

    Args:
        values: fields of a `MeasuredReliability`; those of an event may be of any type.
    """
    reliability, goal = values.get("reliability"), values.get("goal")
    value = "unknown" if reliability is None else _two_digits(reliability)
    at = f"reliability {value} at {values.get('models')} models"
    aim = f"{goal:g}" if isinstance(goal, int | float) else str(goal)
    match values.get("outcome"):
        case Outcome.GROWN:
            return f"{at}, goal {aim}: {values.get('further')} more"
        case Outcome.REACHED:
            return f"{at}: the goal, {aim}, is reached"
        case Outcome.LIMIT:
            return f"{at}: max_models is reached, the goal, {aim}, is not"
        case Outcome.UNMEASURED:
            return "the reliability cannot be measured: the sweep does not grow"
        case _:
            return at


def growth_lines(measured: MeasuredReliability | None, info: RunInfo, recorded: int) -> Iterator[tuple[str, str]]:
    """Yield what `growth.json` says about a sweep, each a label, "growth", "needed" or "warning", and a text.

    Args:
        measured: the latest forecast or decision, if there is one.
        info: the run.
        recorded: models to estimate from; before there are some, a rule takes the place of a forecast.
    """
    if measured is None:
        yield from _expected_count(info) if recorded < MIN_MODELS else ()
        return
    of_target = f" on {printable(measured.target, 30)}" if len(info.targets) > 1 else ""
    if measured.outcome is not Outcome.FORECAST:
        yield "growth", decision_sentence(vars(measured)) + of_target
    if measured.outcome in (Outcome.REACHED, Outcome.UNMEASURED):
        return
    forecast = forecast_of(measured)
    yield "needed", f"{describe_forecast(forecast, measured.models)}{of_target} (from {measured.models:,} models)"
    most = info.design.get("max_models")
    if not isinstance(most, int) or measured.outcome is Outcome.LIMIT:
        return
    if warning := far_goal(measured.goal, measured.low if measured.is_reachable else most + 1, most):
        yield "warning", warning


def _expected_count(info: RunInfo) -> Iterator[tuple[str, str]]:
    """Yield how many models a sweep will need; nothing for other runs, and where single images are the groups."""
    noun = group_noun(info)
    if info.arms or info.is_imported or noun == "example":
        return
    groups, until = len(info.source.groups), info.design.get("until")
    estimator = default_estimator(has_prior=info.prior > 0, groups=groups)
    for sentence in describe_model_count(groups, info.design, estimator, info.models, PLURAL[noun]):
        yield "needed", sentence
    if isinstance(until, float) and 0 < until < 1:
        least = models_for(until, groups, str(info.design.get("kind")), estimator).low
        if warning := far_goal(until, least, info.design.get("max_models")):
            yield "warning", warning


def _two_digits(value: object) -> str:
    """Return a number cut to two digits, so that what is below a goal does not look like it."""
    return f"{floor(value * 100 + 1e-9) / 100:.2f}" if isinstance(value, int | float) else str(value)
