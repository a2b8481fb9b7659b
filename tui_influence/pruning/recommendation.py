"""The recommended number of groups to drop: from the gain forecast first, later from the measured gains.

The best of several numbers is chosen by the same data that judge it, so its interval is one that holds for all of them
together (Bonferroni): with L of them, each is of the level 1 - 0.05 / L.

Where no number gains, the largest one can still go that costs nothing measurable: neither accuracy nor margin is lost
significantly, as many groups dropped at random lose significantly more margin than that, and the loss of margin is, at
the end of its interval, still less than half of theirs.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite

from tui_influence.influence.estimate import interval, t_quantile
from tui_influence.pruning.forecast_limits import missing_forecast
from tui_influence.pruning.types import ArmResult, Interval, PruningResults, Recommendation
from tui_influence.roles import ArmKind
from tui_influence.store.pruning_plan import Gain, Pruning

_MAX_SEEDS = 100
"""The most retrainings of an arm that are suggested."""
_MIN_SEEDS = 4
"""The fewest retrainings of an arm that a suggestion is based on: the variance of fewer is unknown."""
_POWER = 0.8
_NORMAL_DF = 1e6
"""Degrees of freedom at which Student's t is the normal distribution."""


_NO_DROP_COUNTS = Recommendation(None, "no number of lowest-ranked classes is planned")


def predicted_best(pruning: Pruning) -> Recommendation:
    """Recommend one of the planned numbers by its forecast margin: the largest significant gain."""
    planned = {arm.k for arm in pruning.arms if arm.kind is ArmKind.LOWEST}
    if not planned:
        return _NO_DROP_COUNTS
    forecasts = [forecast for forecast in pruning.forecast if forecast.k in planned]
    if not forecasts:
        return Recommendation(None, missing_forecast(pruning))
    gains = [(_simultaneous(forecast.margin, len(forecasts)), forecast.k) for forecast in forecasts if forecast.margin]
    if not gains:
        return Recommendation(
            None,
            "all masks of the sweep have the same size, so it compares classes, not numbers of classes; the "
            "retrainings measure this",
        )
    significant = [(gain, k) for gain, k in gains if gain[1] > 0]
    if not significant:
        return Recommendation(None, "no forecast gain over keeping everything is significant")
    (value, low, high), k = max(significant)
    return Recommendation(
        k, f"largest forecast gain, {value:+.3f} nats [{low:+.3f}, {high:+.3f}]{_interval_note(len(forecasts))}"
    )


def measured_best(results: PruningResults) -> Recommendation:
    """Recommend by the measured gains: the number with the best margin, if its gain is significant.

    Else the largest number that costs nothing measurable.
    """
    if not results.pruning.drops_lowest:
        return _NO_DROP_COUNTS
    arms = [result for result in results.results if result.arm.kind is ArmKind.LOWEST and result.models]
    control = results.result_of(ArmKind.ALL, 0)
    if not arms or control is None or not control.models:
        return Recommendation(None, "too few models are retrained yet")
    gains = [(result, with_level(result.margin.gain, 1 - 0.05 / len(arms))) for result in arms]
    with_interval = [(result, gain) for result, gain in gains if isfinite(gain.low)]
    if not with_interval:
        return Recommendation(None, "one retraining of an arm gives no interval; use more --seeds")
    significant = [(result, gain) for result, gain in with_interval if gain.low > 0]
    best, gain = max(significant or with_interval, key=lambda pair: pair[1].value)
    text = f"{gain.value:+.3f} nats [{gain.low:+.3f}, {gain.high:+.3f}]{_interval_note(len(arms))}"
    if gain.sign <= 0:
        harmless = _largest_harmless(arms)
        if harmless is not None:
            return harmless
        return Recommendation(
            None,
            f"dropping {best.arm.k} gains most, {text}. The gain is not significant{_seeds_note(best, len(arms))}",
        )
    return Recommendation(best.arm.k, f"it gains {text}")


def _largest_harmless(arms: Sequence[ArmResult]) -> Recommendation | None:
    """Recommend the largest number that costs nothing measurable; see the module."""
    for result in sorted(arms, key=lambda result: -result.arm.k):
        gain, over = result.margin.gain, result.margin.over.get(ArmKind.RANDOM)
        if over is None or not with_level(over, 1 - 0.05 / len(arms)).low > 0:
            continue
        lost_at_random = over.value - gain.value
        if min(gain.high, result.accuracy.gain.high) < 0 or gain.low <= -lost_at_random / 2:
            continue
        return Recommendation(
            result.arm.k,
            f"no measurable loss, {gain.value:+.3f} nats [{gain.low:+.3f}, {gain.high:+.3f}]; as many at random lose "
            f"{over.value:.3f} nats [{over.low:.3f}, {over.high:.3f}] more",
            gains=False,
        )
    return None


def _simultaneous(gain: Gain, count: int) -> Gain:
    """Return a gain with an interval that holds for so many gains together."""
    value, low, high = gain
    wider = t_quantile(1 - 0.025 / count, _NORMAL_DF) / t_quantile(0.975, _NORMAL_DF)
    return value, value - wider * (value - low), value + wider * (high - value)


def _interval_note(count: int) -> str:
    return f", an interval for the best of {count}" if count > 1 else ""


def _seeds_note(result: ArmResult, count: int) -> str:
    """Return how many seeds would make a gain of the measured size significant; empty where it is no gain."""
    gain: Interval = result.margin.gain
    if not gain.value > 0 or result.models < _MIN_SEEDS:
        return ""
    per_seed = gain.se * result.models**0.5
    for seeds in range(result.models + 1, _MAX_SEEDS + 1):
        df = 2 * (seeds - 1)
        if gain.value >= (t_quantile(1 - 0.025 / count, df) + t_quantile(_POWER, df)) * per_seed / seeds**0.5:
            return f"; a true gain of this size is significant in {_POWER:.0%} of cases with --seeds {seeds}"
    return ""


def with_level(value: Interval, level: float) -> Interval:
    """Return a value with its interval at another level than 95%."""
    low, high = interval(value.value, value.se, value.df, level)
    return replace(value, low=float(low), high=float(high))
