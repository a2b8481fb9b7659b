"""Gains of the arms of a pruning, and of the target classes under an arm: in tables with whiskers, and in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, nan
from typing import TYPE_CHECKING

from rich.text import Text

from tui_influence.influence.types import SIGNIFICANCE_LEVEL
from tui_influence.pruning.forecast_limits import forecast_limit, missing_forecast
from tui_influence.pruning.types import ArmResult, ClassGain, Interval, PruningResults, Quantity, lost_and_gained
from tui_influence.render.format import plain, small_table
from tui_influence.render.interval_table import Column, Estimates, IntervalTable
from tui_influence.render.numbers import format_interval, format_q, with_interval
from tui_influence.render.style import LABEL, Style
from tui_influence.render.whisker import PointEstimate
from tui_influence.roles import BASELINES, ArmKind
from tui_influence.text import pluralize

if TYPE_CHECKING:
    from tui_influence.store.pruning_plan import Gain, GainForecast

UNITS: dict[Quantity, str] = {"accuracy": "points", "margin": "nats"}
_DIGITS: dict[Quantity, str] = {"accuracy": "+.1f", "margin": "+.3f"}
_DRAWN_ANEW = (ArmKind.RANDOM, *BASELINES)
"""Arms whose repeats each drop groups of their own."""


@dataclass(frozen=True)
class GainRow:
    """A row of a table.

    Attributes:
        index: of the arm, or of the class among those of its arm.
        group: its name.
        gain: over keeping everything, in points or nats; all NaN for keeping everything itself.
        is_significant: whether the gain differs from zero.
    """

    index: int
    group: str
    gain: Interval
    is_significant: bool


@dataclass(frozen=True, eq=False)
class GainTable:
    """Arms, or target classes under one of them, with their gains: a model of the app's table.

    Attributes:
        noun: the noun of a row.
        quantity: the quantity that is gained.
        rows: all rows.
        before: columns left of the gain.
        after: columns right of it.
    """

    noun: str
    quantity: Quantity
    rows: tuple[GainRow, ...]
    before: tuple[Column, ...]
    after: tuple[Column, ...]

    @property
    def written(self) -> Callable[[int, Style], IntervalTable]:
        """All rows as lines of a width."""
        digits, gains = _DIGITS[self.quantity], [row.gain for row in self.rows]
        intervals = Column("95% interval", tuple(format_interval(g.low, g.high, digits) for g in gains), keep=1)
        estimates = [
            PointEstimate(row.gain.value, row.gain.low, row.gain.high, is_significant=row.is_significant)
            for row in self.rows
        ]
        return lambda width, style: IntervalTable(
            self.noun,
            [row.group for row in self.rows],
            [Estimates(f"gain, {UNITS[self.quantity]} ", estimates, digits)],
            style,
            width,
            before=self.before,
            after=[intervals, *self.after],
        )


def arm_gains(results: PruningResults, quantity: Quantity) -> GainTable:
    """Return all arms, with their gains over keeping everything."""
    arms = results.results
    gains = [
        Interval(nan, nan, nan) if arm.arm.kind is ArmKind.ALL else in_units(arm.score(quantity).gain, quantity)
        for arm in arms
    ]
    return GainTable(
        noun="arm",
        quantity=quantity,
        rows=tuple(
            GainRow(index, arm.arm.label, gain, gain.sign != 0)
            for index, (arm, gain) in enumerate(zip(arms, gains, strict=True))
        ),
        before=(
            Column("models", tuple(f"{arm.models}/{len(arm.arm.rows)}" for arm in arms), keep=2),
            Column(quantity, tuple(format_mean(arm.score(quantity).mean, quantity) for arm in arms)),
        ),
        after=(),
    )


def class_gains(results: PruningResults, arm: ArmResult, quantity: Quantity) -> GainTable:
    """Return the gain of each target class under an arm, those that lost most first."""
    several = len(results.info.targets) > 1
    gains = [(index, gain, in_units(gain.of(quantity), quantity)) for index, gain in enumerate(arm.by_class)]
    gains.sort(key=lambda row: row[2].value if isfinite(row[2].value) else 0.0)
    return GainTable(
        noun="target class",
        quantity=quantity,
        rows=tuple(
            GainRow(
                index,
                f"{gain.target}/{gain.name}" if several else gain.name,
                interval,
                gain.q < SIGNIFICANCE_LEVEL if quantity == "accuracy" else interval.sign != 0,
            )
            for index, gain, interval in gains
        ),
        before=(),
        after=(Column("q", tuple(format_q(gain.q, "-") for _, gain, _ in gains)),) if quantity == "accuracy" else (),
    )


def in_units(gain: Interval | Gain, quantity: Quantity) -> Interval:
    """Return a gain in its unit: accuracies, which are fractions, in points."""
    interval = gain if isinstance(gain, Interval) else Interval(*gain)
    factor = 100 if quantity == "accuracy" else 1
    return replace(interval, value=factor * interval.value, low=factor * interval.low, high=factor * interval.high)


def format_gain(gain: Interval | Gain | None, quantity: Quantity) -> str:
    """Return "+1.2 [+0.4, +2.0]" in points or nats, or a hyphen where the gain is unknown."""
    if gain is None:
        return "-"
    interval = in_units(gain, quantity)
    return with_interval(interval.value, interval.low, interval.high, _DIGITS[quantity])


def gain_text(gain: Interval | Gain | None, quantity: Quantity, style: Style) -> Text:
    """Return a gain with its interval, in the colour of its sign where it is significant."""
    if gain is None:
        return Text("-", style.quiet)
    colour = {1: style.good, -1: style.bad, 0: ""}[in_units(gain, quantity).sign]
    return Text(format_gain(gain, quantity), colour)


def format_mean(mean: Interval, quantity: Quantity) -> str:
    """Return a mean accuracy or margin of an arm, or a hyphen where it is unknown."""
    if not isfinite(mean.value):
        return "-"
    return f"{mean.value:.1%}" if quantity == "accuracy" else f"{mean.value:.3f}"


def forecast_gains(forecasts: Sequence[GainForecast], quantity: Quantity, style: Style) -> list[Text]:
    """Return the gain forecast of dropping the lowest, over as many at random and over keeping everything.

    Args:
        forecasts: a line each.
        quantity: accuracy or margin.
        style: of the texts.
    """
    header = ["drop", "over as many at random", "over everything"]
    rows = [
        [
            Text(str(forecast.k)),
            *(gain_text(_forecast(forecast, quantity, over_random=over), quantity, style) for over in (True, False)),
        ]
        for forecast in forecasts
    ]
    unit = f"  {UNITS[quantity]}, 95% intervals"
    title = Text.assemble(("forecast gain of dropping the lowest", "bold"), (unit, style.quiet))
    return [title, *small_table([Text(cell, style.quiet) for cell in header], rows)]


def forecast_and_measured(results: PruningResults, quantity: Quantity, style: Style) -> list[Text]:
    """Return the gain of the lowest, forecast and measured: over as many at random, and over keeping everything."""
    arms = [
        (arm, forecast)
        for arm in results.results
        if arm.arm.kind is ArmKind.LOWEST and (forecast := results.forecast(arm.arm.k)) is not None
    ]
    if not arms:
        return [Text(missing_forecast(results.pruning), style.quiet)]
    header = [Text(cell, style.quiet) for cell in ("drop", "forecast", "measured")]
    lines: list[Text] = []
    for over_random in (True, False):
        rows = []
        for arm, forecast in arms:
            score = arm.score(quantity)
            measured = score.over.get(ArmKind.RANDOM) if over_random else score.gain
            gains = (_forecast(forecast, quantity, over_random=over_random), measured)
            rows.append([Text(str(arm.arm.k)), *(gain_text(gain, quantity, style) for gain in gains)])
        control = "as many at random" if over_random else "everything"
        title = Text(f"gain of the lowest over {control}, {UNITS[quantity]}", "bold")
        lines += [*([Text()] if lines else []), title, *small_table(header, rows)]
    return [*lines, Text(forecast_limit(results.pruning), style.quiet)]


def _forecast(forecast: GainForecast, quantity: Quantity, *, over_random: bool) -> Gain | None:
    if quantity == "accuracy":
        return forecast.accuracy_over_random if over_random else forecast.accuracy
    return forecast.margin_over_random if over_random else forecast.margin


def arm_detail(results: PruningResults, result: ArmResult, style: Style, width: int) -> list[Text]:
    """Return an arm in words: its gains over everything, over random and over the baselines, and the groups dropped."""
    arm = result.arm
    name = style.cut(arm.label, max(width - 24, 8))
    share = f"drops {arm.k:,} of {len(results.pruning.groups):,}"
    count = f"  {result.models} of {pluralize(len(arm.rows), 'retraining')}, {share}"
    accuracy = _mean_with_interval(result.accuracy.mean.within_unit(), 100, ".1f", "%")
    margin = _mean_with_interval(result.margin.mean, 1, ".3f", " nats")
    lines = [
        Text.assemble((name, "bold"), (count, style.quiet)),
        Text.assemble(("accuracy ", style.quiet), f"{accuracy}, margin {margin}"),
    ]
    if arm.kind is ArmKind.ALL:
        return [*lines, Text("the control of every other arm", style.quiet)]
    over = {"everything": (result.accuracy.gain, result.margin.gain)}
    over |= {str(k).replace("-", " "): (gain, result.margin.over[k]) for k, gain in result.accuracy.over.items()}
    lines += _gains_over(over, style, width)
    lines += _changed_classes(result, style, width)
    if arm.kind not in _DRAWN_ANEW and arm.rows:
        names = [results.pruning.groups[group] for group in results.pruning.ranking.ascending()]
        dropped = {results.pruning.groups[group] for group in arm.rows[0].dropped}
        lines.append(style.fact("without", _names([name for name in names if name in dropped], style, width)))
    return lines


def _gains_over(over: Mapping[str, tuple[Interval, Interval]], style: Style, width: int) -> list[Text]:
    """Return the gains over each control: points and nats side by side, or below each other where that is too wide."""
    gains = {
        control: (gain_text(accuracy, "accuracy", style), gain_text(margin, "margin", style))
        for control, (accuracy, margin) in over.items()
    }
    rows = [[Text(f"over {control}", style.quiet), *pair] for control, pair in gains.items()]
    lines = small_table([Text(cell, style.quiet) for cell in ("gain", "points", "nats")], rows, left=1)
    if max(line.cell_len for line in lines) <= width:
        return lines
    first, *rows = [
        [Text(label, style.quiet), gain, Text(f"{unit:<6}", style.quiet)]
        for control, pair in gains.items()
        for label, gain, unit in zip((f"over {control}", ""), pair, UNITS.values(), strict=True)
    ]
    return [style.clipped(line, width) for line in small_table(first, rows, left=1)]


def class_heading(result: ArmResult, style: Style) -> Text:
    """Return a line above the target classes under an arm."""
    lost, gained = lost_and_gained(result.by_class)
    counts = f"  gain of each target class: {len(lost)} lost, {len(gained)} gained (q < {SIGNIFICANCE_LEVEL:g})"
    return Text.assemble((plain(result.arm.label, style.ascii)[:60], "bold"), (counts, style.quiet))


def class_detail(gain: ClassGain, style: Style) -> list[Text]:
    """Return a target class under an arm in words."""
    name, target = plain(gain.name, style.ascii)[:60], plain(gain.target, style.ascii)[:40]
    change = "significant" if gain.q < SIGNIFICANCE_LEVEL else "not significant"
    change = f"change of its accuracy: {change} (q {gain.q:.2g})" if isfinite(gain.q) else "too few retrainings to tell"
    return [
        Text.assemble((name, "bold"), (f"  {target}", style.quiet)),
        style.fact("accuracy", f"{format_gain(gain.accuracy, 'accuracy')} {UNITS['accuracy']}"),
        style.fact("margin", f"{format_gain(gain.margin, 'margin')} {UNITS['margin']}"),
        style.fact("", change, style.quiet),
    ]


def _names(names: Sequence[str], style: Style, width: int) -> Text:
    return Text(style.cut(", ".join(names), max(width - LABEL, 8)))


def _changed_classes(result: ArmResult, style: Style, width: int) -> Iterator[Text]:
    lost, gained = lost_and_gained(result.by_class)
    for label, gains, colour in (("lost", lost, style.bad), ("gained", gained, style.good)):
        if gains:
            text = _names([f"{gain.name[:24]} {100 * gain.accuracy.value:+.1f}" for gain in gains], style, width)
            text.stylize(colour)
            yield style.fact(label, text)


def _mean_with_interval(mean: Interval, scale: float, digits: str, unit: str) -> str:
    if not isfinite(mean.value):
        return "not known yet"
    interval = format_interval(scale * mean.low, scale * mean.high, digits)
    return f"{scale * mean.value:{digits}}{unit} {interval}".rstrip()
