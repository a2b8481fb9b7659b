"""What a gain forecast takes, why there is none, and what limits it, in words. Loads no numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui_influence.text import pluralize

if TYPE_CHECKING:
    from tui_influence.store.pruning_plan import Pruning

MIN_FREEDOM = 24
"""Models, less groups and seed clusters, below which nothing is predicted: the noise would not be known."""
MAX_GROUPS = 4000
"""Groups above which nothing is predicted: it takes memory as their square and time as their cube."""


def missing_forecast(pruning: Pruning) -> str:
    """Return why a pruning has no gain forecast of the numbers of groups that it drops."""
    groups, models = len(pruning.groups), pruning.ranking.models
    if not pruning.drops_lowest:
        return "a gain forecast is not made for lists of classes"
    if pruning.forecast:
        return "the gain forecast was made for other numbers of groups, when the pruning was planned"
    if groups > MAX_GROUPS:
        return f"a gain forecast is made for at most {MAX_GROUPS:,} groups, and there are {groups:,}"
    need = f"a gain forecast takes about {MIN_FREEDOM} more comparable models than groups"
    if models < groups + MIN_FREEDOM:
        return f"{need}: {groups + MIN_FREEDOM:,} or more here, and there are {models:,}"
    return (
        f"{need}; of the {models:,} models, a pair with one seed counts once, and those with masks over clusters tell "
        "no classes of a cluster apart"
    )


def forecast_limit(pruning: Pruning) -> str:
    """Return in one sentence what limits the gain forecast over keeping everything."""
    if pruning.anchors:
        return (
            f"Over everything, the forecast compares with {pluralize(pruning.anchors, 'prior network')} trained for "
            "half the epochs, so it is optimistic."
        )
    if pruning.ranking.relative:
        return (
            "All masks of the sweep have one size, so they say nothing of fewer classes: no forecast over everything."
        )
    return "Over everything, the forecast is pessimistic: a further class is worth less, the more classes there are."
