"""`growth.json`: how reliable the rankings of a sweep are, how many models they need, and why the sweep grew or ended.

Written by the owner of the run: a forecast while models are trained, and a decision whenever all planned models are
recorded and the sweep may grow. No number depends on it. Loads no numpy: `tinfl status` reads it.
"""

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from tui_influence.errors import ResultsError
from tui_influence.store.files import check_digest, read_json, write_json
from tui_influence.store.json_values import array, count, describe_damage, number, table, text, with_digest
from tui_influence.store.paths import Paths
from tui_influence.text import printable

_MAX_BYTES = 1 << 20


class Outcome(StrEnum):
    """What follows from a measured reliability."""

    FORECAST = "forecast"
    """Nothing: models are still trained, or the sweep may not grow."""
    GROWN = "grown"
    """Further models were planned."""
    REACHED = "reached"
    """The goal is reached: the sweep ends."""
    LIMIT = "limit"
    """`max_models` is reached: the sweep ends."""
    UNMEASURED = "unmeasured"
    """The reliability cannot be measured: the sweep ends."""


@dataclass(frozen=True)
class MeasuredReliability:
    """The reliability of the ranking of a whole target, the least reliable one, and what follows from it.

    Attributes:
        models: that the ranking is estimated from.
        target: name of the target.
        goal: reliability to reach.
        reliability: of the ranking; None where it is unknown.
        expected: models needed in all for the goal; None where they are unknown or too many.
        low: lower end of their range; None without a forecast.
        high: upper end; None if it is open.
        is_reachable: whether any number of models may reach the goal.
        outcome: what follows.
        further: models by which the sweep grows.
    """

    models: int
    target: str
    goal: float
    reliability: float | None = None
    expected: int | None = None
    low: int | None = None
    high: int | None = None
    is_reachable: bool = True
    outcome: Outcome = Outcome.FORECAST
    further: int = 0


@dataclass(frozen=True)
class Growth:
    """What is known of the growth of a sweep.

    Attributes:
        forecast: the latest measurement.
        decisions: one for each number of models at which the sweep might have ended, ascending.
    """

    forecast: MeasuredReliability | None = None
    decisions: tuple[MeasuredReliability, ...] = ()

    @property
    def latest(self) -> MeasuredReliability | None:
        """The latest forecast or decision."""
        decision = self.decisions[-1] if self.decisions else None
        if decision and self.forecast and self.forecast.models > decision.models:
            return self.forecast
        return decision or self.forecast


def write_forecast(paths: Paths, forecast: MeasuredReliability) -> None:
    """Replace the forecast."""
    _write(paths, replace(read_growth(paths), forecast=forecast))


def write_decision(paths: Paths, decision: MeasuredReliability) -> None:
    """Add a decision, in place of any from as many models or more."""
    growth = read_growth(paths)
    earlier = tuple(other for other in growth.decisions if other.models < decision.models)
    _write(paths, replace(growth, forecast=decision, decisions=(*earlier, decision)))


def read_growth(paths: Paths) -> Growth:
    """Read `growth.json`; nothing is known where there is none, or it is damaged: the run writes it again."""
    try:
        return check_growth(paths)
    except ResultsError:
        return Growth()


def check_growth(paths: Paths) -> Growth:
    """Read `growth.json`; nothing is known where there is none.

    Raises:
        ResultsError: it is damaged.
    """
    if not paths.growth.exists():
        return Growth()
    values = read_json(paths.growth, limit=_MAX_BYTES)
    try:
        content = table(values)
        forecast = content["forecast"]
        growth = Growth(
            None if forecast is None else _parse(table(forecast)),
            tuple(_parse(table(decision)) for decision in array(content["decisions"])),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ResultsError(f"{printable(str(paths.growth))}: damaged ({describe_damage(error)})") from error
    check_digest(paths.growth, content)
    return growth


def _write(paths: Paths, growth: Growth) -> None:
    write_json(paths.growth, with_digest(asdict(growth)))


def _parse(values: dict[str, Any]) -> MeasuredReliability:
    is_reachable = values["is_reachable"]
    if not isinstance(is_reachable, bool):
        raise TypeError("is_reachable is neither true nor false")
    reliability = values["reliability"]
    expected, low, high = (None if values[key] is None else count(values[key], 10**12) for key in _COUNTS)
    return MeasuredReliability(
        models=count(values["models"]),
        target=text(values["target"]),
        goal=number(values["goal"], 0, 1),
        reliability=None if reliability is None else number(reliability, -1, 1),
        expected=expected,
        low=low,
        high=high,
        is_reachable=is_reachable,
        outcome=Outcome(text(values["outcome"])),
        further=count(values["further"]),
    )


_COUNTS = ("expected", "low", "high")
