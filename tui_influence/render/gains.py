"""Arms of a pruning, or target classes under one of them, as lines of a table: what each gained, as a whisker.

Loads numpy with what it is made of, so it is imported where there is something measured.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite

from tui_influence.influence.types import (
    SIGNIFICANCE_LEVEL,
)
from tui_influence.pruning.curve import Quantity
from tui_influence.pruning.types import (
    ArmResult,
    Interval,
    PruningResults,
)
from tui_influence.render.interval_table import Column, Estimates, IntervalTable
from tui_influence.render.numbers import format_q
from tui_influence.render.style import Style
from tui_influence.render.whisker import PointEstimate
from tui_influence.roles import (
    ArmKind,
)


@dataclass(frozen=True)
class GainRow:
    """A line.

    Attributes:
        index: of the arm, or of the class among those of its arm.
        group: its name.
        gain: over keeping everything, in points or nats; all NaN for keeping everything itself.
        told: the gain is told from zero.
    """

    index: int
    group: str
    gain: Interval
    told: bool


@dataclass(frozen=True, eq=False)
class GainSheet:
    """Lines with what stands beside them: what a `Table` shows.

    Attributes:
        noun: what a line is.
        unit: of the gains.
        digits: after the point.
        rows: the lines.
        before: columns left of the gain.
        after: columns right of it.
    """

    noun: str
    unit: str
    digits: int
    rows: tuple[GainRow, ...]
    before: tuple[Column, ...]
    after: tuple[Column, ...]

    @property
    def written(self) -> "Callable[[int, Style], IntervalTable]":
        """All rows as lines of a width."""
        ends = Column("95% interval", tuple(_ends(row.gain, self.digits) for row in self.rows), keep=1)
        gains = [
            PointEstimate(row.gain.value, row.gain.low, row.gain.high, is_significant=row.told) for row in self.rows
        ]
        return lambda width, style: IntervalTable(
            self.noun,
            [row.group for row in self.rows],
            [Estimates(self.unit, gains, digits=f"+.{self.digits}f")],
            style,
            width,
            before=self.before,
            after=[ends, *self.after],
        )


def arm_sheet(measured: PruningResults, quantity: Quantity) -> GainSheet:
    """Return all arms, with what each gained over keeping everything."""
    percent = quantity == "accuracy"
    scores = [result.accuracy if percent else result.margin for result in measured.results]
    nothing = Interval(float("nan"), float("nan"), float("nan"))
    gains = [
        nothing if result.arm.kind is ArmKind.ALL else scaled(score.gain, percent=percent)
        for result, score in zip(measured.results, scores, strict=True)
    ]
    return GainSheet(
        noun="arm",
        unit="gain, points " if percent else "gain, nats ",
        digits=1 if percent else 3,
        rows=tuple(
            GainRow(place, result.arm.label, gain, gain.sign != 0)
            for place, (result, gain) in enumerate(zip(measured.results, gains, strict=True))
        ),
        before=(
            Column("models", tuple(f"{one.models}/{len(one.arm.rows)}" for one in measured.results), keep=2),
            Column(quantity, tuple(_mean(score.mean, percent=percent) for score in scores)),
        ),
        after=(),
    )


def class_sheet(measured: PruningResults, result: ArmResult, quantity: Quantity) -> GainSheet:
    """Return what an arm changed for each target class, those that lost most first."""
    percent = quantity == "accuracy"
    several = len(measured.info.targets) > 1
    found = [
        (place, one, scaled(one.accuracy if percent else one.margin, percent=percent))
        for place, one in enumerate(result.by_class)
    ]
    found.sort(key=lambda one: one[2].value if isfinite(one[2].value) else 0.0)
    return GainSheet(
        noun="target class",
        unit="gain, points " if percent else "gain, nats ",
        digits=1 if percent else 3,
        rows=tuple(
            GainRow(
                place,
                f"{one.target}/{one.name}" if several else one.name,
                gain,
                one.q < SIGNIFICANCE_LEVEL if percent else gain.sign != 0,
            )
            for place, one, gain in found
        ),
        before=(),
        after=(Column("q", tuple(format_q(one.q, "-") for _, one, _ in found)),) if percent else (),
    )


def scaled(interval: Interval, *, percent: bool) -> Interval:
    """Return an interval in points where it is of fractions."""
    factor = 100 if percent else 1
    return replace(interval, value=factor * interval.value, low=factor * interval.low, high=factor * interval.high)


def shown_gain(gain: Interval, digits: int) -> str:
    """Return a gain with its interval, or a hyphen where it is unknown."""
    if not isfinite(gain.value):
        return "-"
    return f"{gain.value:+.{digits}f} {_ends(gain, digits)}".rstrip()


def _ends(gain: Interval, digits: int) -> str:
    return f"[{gain.low:+.{digits}f}, {gain.high:+.{digits}f}]" if isfinite(gain.low) and isfinite(gain.high) else ""


def _mean(mean: Interval, *, percent: bool) -> str:
    if not isfinite(mean.value):
        return "-"
    return f"{mean.value:.1%}" if percent else f"{mean.value:.3f}"
