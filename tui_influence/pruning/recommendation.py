"""How many groups to drop: before anything is retrained, from the prediction; afterwards, from what was measured."""

from dataclasses import dataclass
from math import ceil, isfinite

from tui_influence.pruning.measured import ArmResult, Measured
from tui_influence.store.arms_file import ArmKind, Pruning

_MOST_SEEDS = 100
"""Retrainings of an arm that are suggested, at most."""


@dataclass(frozen=True)
class Recommendation:
    """How many groups to drop.

    Attributes:
        k: how many of the lowest; None for none.
        why: in one sentence.
    """

    k: int | None
    why: str


def predicted_best(pruning: Pruning) -> Recommendation:
    """Recommend one of the planned k by its predicted margin: the largest gain among those that are told from zero."""
    planned = {arm.k for arm in pruning.arms if arm.kind is ArmKind.LOWEST}
    found = [forecast for forecast in pruning.forecast if forecast.k in planned]
    if not found:
        return Recommendation(None, "too few models, or no k, to predict from")
    if pruning.ranking.relative:
        return Recommendation(
            None,
            "the sweep's masks all have one size: they tell classes from each other, not whether fewer are better; "
            "the retrainings will tell",
        )
    told = [(forecast.margin, forecast.k) for forecast in found if forecast.margin and forecast.margin[1] > 0]
    if not told:
        return Recommendation(None, "no predicted gain over keeping everything can be told from zero")
    (value, low, high), k = max(told)
    return Recommendation(k, f"largest predicted gain, {value:+.3f} nats [{low:+.3f}, {high:+.3f}]")


def _more(result: ArmResult) -> str:
    """How many retrainings would tell a gain of the size that was measured; nothing where that is no gain, or many.

    The interval's half width falls with their square root.
    """
    gain = result.margin.gain
    if not (gain.value > 0 and isfinite(gain.low)):
        return ""
    needed = ceil(result.models * ((gain.value - gain.low) / gain.value) ** 2)
    return f" (a true gain of this size would take about --seeds {needed})" if needed <= _MOST_SEEDS else ""


def measured_best(measured: Measured) -> Recommendation:
    """Recommend by what was measured: the k of the best margin on the `estimate` half, judged on the other half."""
    arms = [one for one in measured.results if one.arm.kind is ArmKind.LOWEST and one.models]
    control = measured.of(ArmKind.ALL, 0)
    if not arms or control is None or not control.models:
        return Recommendation(None, "not enough is retrained yet")
    best: ArmResult = max(arms, key=lambda one: one.choosing)
    gain = best.margin.gain
    chosen = f"dropping {best.arm.k} is best on the examples that were ranked by"
    if gain.sign <= 0:
        return Recommendation(None, f"{chosen}, but on the others its gain cannot be told from zero{_more(best)}")
    return Recommendation(
        best.arm.k, f"{chosen}, and on the others it gains {gain.value:+.3f} nats [{gain.low:+.3f}, {gain.high:+.3f}]"
    )
