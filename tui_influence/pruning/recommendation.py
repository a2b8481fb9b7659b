"""How many groups to drop: before anything is retrained, from the prediction; afterwards, from what was measured.

The best of several k is chosen by the same numbers that judge it, so its interval is one that holds for all of them
together (Bonferroni): with L of them, each is of the level 1 - 0.05 / L.
"""

from dataclasses import replace
from math import isfinite

from tui_influence.influence.estimate import t_quantile
from tui_influence.pruning.types import (
    ArmResult,
    Interval,
    PruningResults,
    Recommendation,
)
from tui_influence.roles import (
    ArmKind,
)
from tui_influence.store.pruning_plan import (
    Gain,
    Pruning,
)

_MOST_SEEDS = 100
"""Retrainings of an arm that are suggested, at most."""
_FEWEST_SEEDS = 4
"""Retrainings of an arm from which anything is suggested: fewer do not know how they vary."""
_POWER = 0.8
_MANY = 1e6
"""Degrees of freedom at which Student's t is the normal distribution."""


_NO_NUMBER = Recommendation(None, "no number of classes was asked for")


def predicted_best(pruning: Pruning) -> Recommendation:
    """Recommend one of the planned k by its predicted margin: the largest gain among those that are told from zero."""
    planned = {arm.k for arm in pruning.arms if arm.kind is ArmKind.LOWEST}
    if not planned:
        return _NO_NUMBER
    found = [forecast for forecast in pruning.forecast if forecast.k in planned]
    if not found:
        return Recommendation(None, "nothing is predicted from so few models, or of so many groups")
    if pruning.ranking.relative:
        return Recommendation(
            None,
            "the sweep's masks all have one size: they tell classes from each other, not whether fewer are better; "
            "the retrainings will tell",
        )
    gains = [(_of_several(forecast.margin, len(found)), forecast.k) for forecast in found if forecast.margin]
    told = [(gain, k) for gain, k in gains if gain[1] > 0]
    if not told:
        return Recommendation(None, "no predicted gain over keeping everything can be told from zero")
    (value, low, high), k = max(told)
    return Recommendation(
        k, f"largest predicted gain, {value:+.3f} nats [{low:+.3f}, {high:+.3f}]{_together(len(found))}"
    )


def measured_best(measured: PruningResults) -> Recommendation:
    """Recommend by what was measured: the k of the best margin, if its gain can be told from zero."""
    if not measured.pruning.drops_lowest:
        return _NO_NUMBER
    arms = [one for one in measured.results if one.arm.kind is ArmKind.LOWEST and one.models]
    control = measured.result_of(ArmKind.ALL, 0)
    if not arms or control is None or not control.models:
        return Recommendation(None, "not enough is retrained yet")
    gains = [(one, with_level(one.margin.gain, 1 - 0.05 / len(arms))) for one in arms]
    known = [(one, gain) for one, gain in gains if isfinite(gain.low)]
    if not known:
        return Recommendation(None, "one retraining of an arm gives no interval: more --seeds")
    told = [(one, gain) for one, gain in known if gain.low > 0]
    best, gain = max(told or known, key=lambda pair: pair[1].value)
    shown = f"{gain.value:+.3f} nats [{gain.low:+.3f}, {gain.high:+.3f}]{_together(len(arms))}"
    if gain.sign <= 0:
        return Recommendation(
            None, f"dropping {best.arm.k} gains most, {shown}, which cannot be told from zero{_more(best, len(arms))}"
        )
    return Recommendation(best.arm.k, f"it gains {shown}")


def _of_several(gain: Gain, count: int) -> Gain:
    """A gain with an interval that holds for so many gains together."""
    value, low, high = gain
    wider = t_quantile(1 - 0.025 / count, _MANY) / t_quantile(0.975, _MANY)
    return value, value - wider * (value - low), value + wider * (high - value)


def _together(count: int) -> str:
    return f", an interval for the best of {count}" if count > 1 else ""


def _more(result: ArmResult, count: int) -> str:
    """How many retrainings would probably tell a gain of the size that was measured; nothing where that is no gain."""
    gain: Interval = result.margin.gain
    if not gain.value > 0 or result.models < _FEWEST_SEEDS:
        return ""
    per_seed = gain.se * result.models**0.5
    for seeds in range(result.models + 1, _MOST_SEEDS + 1):
        df = 2 * (seeds - 1)
        if gain.value >= (t_quantile(1 - 0.025 / count, df) + t_quantile(_POWER, df)) * per_seed / seeds**0.5:
            return f" (a true gain of this size would show in {_POWER:.0%} of tries with --seeds {seeds})"
    return ""


def with_level(interval: Interval, level: float) -> Interval:
    """Return the interval at another level than 95%."""
    half = t_quantile((1 + level) / 2, interval.df) * interval.se
    return replace(interval, low=interval.value - half, high=interval.value + half)
