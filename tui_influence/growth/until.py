"""Growth of a sweep until its rankings are as reliable as its config requests.

Whenever all planned models are recorded, the reliability of the least reliable target decides whether further ones
follow: about as many as the forecast says, but at most half as many again as there are, so that the next decision rests
on more evidence. The decision is a function of the records alone, so a run that was killed makes it again.
"""

from dataclasses import replace

from tui_influence.config.schema import Config
from tui_influence.designs import Row
from tui_influence.errors import ResultsError
from tui_influence.growth.measurement import measure_reliability
from tui_influence.staged_design import sweep_rows
from tui_influence.store.class_clusters import read_cluster_stage
from tui_influence.store.growth import MeasuredReliability, Outcome, write_decision
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo

_MAX_GROWTH, _MIN_GROWTH = 1 / 2, 1 / 8
"""Of the present models, by how many a sweep grows at once; fewer would make many decisions for little."""


def further_rows(paths: Paths, info: RunInfo, config: Config) -> list[Row]:
    """Decide whether a sweep grows, now that all its rows are recorded; write the decision, and return the new rows.

    Args:
        paths: of the run; the caller owns it.
        info: the run.
        config: of the run, with `until`.

    Raises:
        TinflError: the records cannot be read, or the decision not written.
    """
    decision = decide(paths, info, config)
    if decision is None:
        return []
    write_decision(paths, decision)
    if not decision.further:
        return []
    groups = info.source.groups
    clusters = config.n_clusters(len(groups))
    stage = read_cluster_stage(paths, info.identity, groups, clusters)
    further = info.models - config.design.models + decision.further
    return sweep_rows(config.design, len(groups), info.seed, info.prior, clusters, stage, further)[-decision.further :]


def decide(paths: Paths, info: RunInfo, config: Config) -> MeasuredReliability | None:
    """Return the reliability of a sweep and what follows from it; None if it has no records, or no goal."""
    goal, most = config.design.until, config.design.max_models
    if goal is None or most is None:
        return None
    try:
        measured = measure_reliability(paths, info, goal)
    except ResultsError:  # such as prior networks that all failed
        unmeasured = MeasuredReliability(info.models, info.targets[0].name, goal)
        return replace(unmeasured, outcome=Outcome.UNMEASURED)
    if measured is None:
        return None
    measured = replace(measured, models=info.models)
    if measured.reliability is not None and measured.reliability >= goal:
        return replace(measured, outcome=Outcome.REACHED)
    if info.models >= most:
        return replace(measured, outcome=Outcome.LIMIT)
    return replace(measured, outcome=Outcome.GROWN, further=further_models(info.models, measured.expected, most))


def further_models(models: int, expected: int | None, most: int) -> int:
    """Return by how many models a sweep grows, to an even number in all, as models of seed pairs belong together.

    Args:
        models: that are recorded, fewer than `most`.
        expected: models needed in all, if that is known.
        most: models in all.
    """
    needed = models + models * _MAX_GROWTH if expected is None else expected
    total = min(max(needed, models + models * _MIN_GROWTH), models + models * _MAX_GROWTH)
    even = 2 * max(round(total / 2), models // 2 + 1)
    return min(even, most) - models
