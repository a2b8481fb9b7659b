"""Agreement of a pruning with its sweep's ranking, where its arms are trained by another recipe than the models.

A ranking implies an order of the arms at each number of groups dropped: dropping the lowest leaves the best model,
dropping as many at random the next, dropping the highest the worst. How many pairs of arms are in that order says
whether the ranking carries over. Pairs at one number share arms, so they are not independent: there is no interval.
"""

from itertools import combinations

from tui_influence.config.identity import differences
from tui_influence.config.loader import config_from_json
from tui_influence.errors import ResultsError
from tui_influence.pruning.types import ArmResult, OrderAgreement, PruningResults, Quantity
from tui_influence.roles import ArmKind
from tui_influence.store.run_info import RunInfo

_IMPLIED_ORDER = (ArmKind.LOWEST, ArmKind.RANDOM, ArmKind.HIGHEST)
"""Kinds of arms from the best model to the worst."""


def order_agreement(results: PruningResults, sweep: RunInfo) -> OrderAgreement | None:
    """Count the pairs of arms that are in the order which the sweep's ranking implies.

    Args:
        results: of the pruning.
        sweep: that the ranking is of.

    Returns:
        the counts; None if the pruning is trained by the sweep's recipe, or a saved config is of another version.
    """
    try:
        config, before = config_from_json(results.info.config), config_from_json(sweep.config)
    except ResultsError:
        return None
    names = {target.name for target in config.target}
    before = before.model_copy(update={"target": [target for target in before.target if target.name in names]})
    steps = before.train.source_steps(sweep.source.images)
    if before.train.steps is None and config.train.steps == steps:  # as many as keeping everything takes
        same_length = {"epochs": before.train.epochs, "steps": None}
        config = config.model_copy(update={"train": config.train.model_copy(update=same_length)})
    settings = differences(before, config)
    if not settings:
        return None
    pairs = _implied_pairs(results)
    return OrderAgreement(tuple(settings), len(pairs), _in_order(pairs, "accuracy"), _in_order(pairs, "margin"))


def _implied_pairs(results: PruningResults) -> list[tuple[ArmResult, ArmResult]]:
    """Return the pairs of recorded arms that drop as many groups, the one that should be better first."""
    pairs: list[tuple[ArmResult, ArmResult]] = []
    for k in sorted({result.arm.k for result in results.results}):
        arms = [results.result_of(kind, k) for kind in _IMPLIED_ORDER]
        pairs += combinations([arm for arm in arms if arm is not None and arm.models], 2)
    return pairs


def _in_order(pairs: list[tuple[ArmResult, ArmResult]], quantity: Quantity) -> int:
    return sum(better.score(quantity).mean.value > worse.score(quantity).mean.value for better, worse in pairs)
