"""Measurement of a sweep's reliability: that of its least reliable target, and the forecast of the models it needs."""

from contextlib import suppress
from math import isfinite

from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import rank
from tui_influence.analysis.snapshot import read_snapshot
from tui_influence.errors import TinflError
from tui_influence.influence.types import DEFAULT_GOAL
from tui_influence.store.growth import MeasuredReliability, write_forecast
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo, read_run_info


def measure_reliability(paths: Paths, info: RunInfo, goal: float) -> MeasuredReliability | None:
    """Rank the groups on each whole target by the run's default estimator; return the least reliable ranking's.

    A reliability that is unknown is the least of all.

    Returns:
        None before a model is recorded.

    Raises:
        ResultsError: the records cannot be read, or none of the prior networks is recorded.
    """
    measured: list[MeasuredReliability] = []
    for target in info.targets:
        snapshot = read_snapshot(paths, info, target.name)
        if not len(snapshot.outputs):
            return None
        ranking = rank(snapshot, Question(target=target.name).about(info), goal).report.ranking
        reliability, forecast = ranking.reliability, ranking.forecast
        measured.append(
            MeasuredReliability(
                models=ranking.n_models,
                target=target.name,
                goal=goal,
                reliability=reliability.value if reliability and isfinite(reliability.value) else None,
                expected=forecast.n_models if forecast else None,
                low=forecast.low if forecast else None,
                high=forecast.high if forecast else None,
                is_reachable=forecast is None or forecast.is_reachable,
            )
        )
    return min(measured, key=lambda one: -2.0 if one.reliability is None else one.reliability)


def publish_forecast(paths: Paths) -> None:
    """Write to `growth.json` how many models a sweep needs, by those recorded; nothing where that cannot be computed.

    A run must go on without a forecast.
    """
    with suppress(TinflError, OSError, ValueError, ArithmeticError):
        info = read_run_info(paths.root)
        if info.arms or info.is_imported:
            return
        measured = measure_reliability(paths, info, growth_goal(info))
        if measured is not None:
            write_forecast(paths, measured)


def growth_goal(info: RunInfo) -> float:
    """Return the reliability that a sweep is to reach: its `until`, or the usual goal."""
    until = info.design.get("until")
    return float(until) if isinstance(until, int | float) and 0 < until < 1 else DEFAULT_GOAL
