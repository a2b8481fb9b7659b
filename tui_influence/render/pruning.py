"""A pruning in words: what is planned and predicted, and what was measured. Plain text, one line each, safe to show.

How a pruning stands, and what was measured of it, as lines of text of a width. Pure functions of what is known.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import isfinite

from rich.cells import cell_len
from rich.text import Text

from tui_influence.influence.types import (
    SIGNIFICANCE_LEVEL,
)
from tui_influence.pruning.arms import ascending_order
from tui_influence.pruning.curve import ARM_STYLES, Quantity
from tui_influence.pruning.options import (
    counterfactual_example,
)
from tui_influence.pruning.recommendation import (
    measured_best,
    predicted_best,
)
from tui_influence.pruning.results import (
    lost_and_gained,
)
from tui_influence.pruning.target_mix import describe_weights
from tui_influence.pruning.types import (
    ArmResult,
    ClassGain,
    Interval,
    PruningResults,
    Recommendation,
)
from tui_influence.render.format import cut, fit, plain
from tui_influence.render.gains import scaled, shown_gain
from tui_influence.render.removal_curve import removal_curve
from tui_influence.render.style import LABEL, Style
from tui_influence.roles import (
    BASELINES,
    ArmKind,
)
from tui_influence.runs.cost import Cost
from tui_influence.store.pruning_plan import (
    ArmRanking,
    Gain,
    GainForecast,
    Pruning,
)
from tui_influence.text import (
    format_duration,
    pluralize,
)

_LABEL = 32
_CLASSES_NAMED = 4


def plan_lines(pruning: Pruning, *, ascii_only: bool = False) -> list[str]:
    """Return what is to be retrained, from which ranking, and what it is predicted to gain."""
    lines = [_ranked_by(pruning, ascii_only), *_arms(pruning, ascii_only)]
    if not pruning.drops_lowest:
        return lines
    return [
        *lines,
        "",
        *_predictions(pruning),
        f"recommended before training: {_recommended(predicted_best(pruning))}",
    ]


def _predictions(pruning: Pruning) -> list[str]:
    """The predicted gain of every planned k, and what the prediction assumes."""
    planned = {arm.k for arm in pruning.arms if arm.kind is ArmKind.LOWEST}
    rows = [
        [
            str(found.k),
            _predicted(found.margin_over_random),
            _predicted(found.margin),
            _predicted(found.accuracy_over_random, percent=True),
            _predicted(found.accuracy, percent=True),
        ]
        for found in pruning.forecast
        if found.k in planned
    ]
    if not rows:
        return ["predicted gain: none, from so few models (or of so many groups)"]
    return [
        "Predicted gain of dropping the lowest, with 95% intervals:",
        *_table(["dropped", "nats, over random", "over everything", "points, over random", "over everything"], rows),
        *_assumptions(pruning),
    ]


def _assumptions(pruning: Pruning) -> list[str]:
    lines = [
        "By models that did not choose the groups, so luck is not counted as gain; they were chosen by fewer models",
        "than there are, so the gain errs low. It assumes that effects add up.",
    ]
    if pruning.ranking.relative:
        return [
            *lines,
            "The sweep's masks all have one size, so they tell classes from each other, but not what fewer classes do:",
            "nothing is predicted over keeping everything.",
        ]
    return [
        *lines,
        "Over keeping everything it takes one more class to be worth with all of them there what it is worth at the",
        "sweep's alpha. It is worth less there, so this column errs towards keeping.",
    ]


def summary_lines(measured: PruningResults, *, ascii_only: bool = False) -> list[str]:
    """Return what the retrainings gained, an arm a line."""
    pruning = measured.pruning
    return [
        _ranked_by(pruning, ascii_only),
        f"{measured.models} of {pluralize(pruning.n_rows, 'retraining')}; "
        + ", ".join(
            f"{plain(target.name, ascii_only)} ({plain(target.transfer, ascii_only)})"
            for target in measured.info.targets
        )
        + "; the evaluate half of the test examples",
        "",
        *_arm_table(measured, ascii_only),
        "gain: over keeping everything, [95% interval] by Welch's t over retrainings, each arm with seeds of its own",
    ]


def report_lines(measured: PruningResults, width: int, *, ascii_only: bool = False) -> list[str]:
    """Return what was measured: a table, the removal curve, predicted against measured, what each class gained."""
    lines = summary_lines(measured, ascii_only=ascii_only)
    curve = removal_curve(measured, width, ascii_only=ascii_only)
    return [
        *lines,
        *(["", *curve] if curve else []),
        "",
        *_by_target(measured, ascii_only),
        *_against_others(measured),
        *_against_prediction(measured),
        "",
        *_class_lines(measured, ascii_only),
        *([f"recommended: {_recommended(measured_best(measured))}"] if measured.pruning.drops_lowest else []),
    ]


def _ranked_by(pruning: Pruning, ascii_only: bool) -> str:
    used = pruning.ranking
    return (
        f"Ranked by influence on the {plain(used.output, ascii_only)} of "
        f"{plain(describe_weights(used.targets), ascii_only)}, "
        f"{plain(used.estimator, ascii_only)}, {pluralize(used.models, 'model')} of {plain(pruning.sweep, ascii_only)} "
        f"({plain(used.design, ascii_only)}), estimate half"
    )


def _arms(pruning: Pruning, ascii_only: bool) -> list[str]:
    seeds = sorted({len(arm.rows) for arm in pruning.arms})
    shown = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    names = ", ".join(plain(arm.label, ascii_only) for arm in pruning.arms)
    return [f"{pluralize(pruning.n_rows, 'retraining')}, {shown} of each arm: {names}", *_what_follows(pruning)]


def _what_follows(pruning: Pruning) -> list[str]:
    stages = pruning.stages
    there = {arm.kind for arm in pruning.arms}
    coming = [kind for kind in stages.baselines if kind not in there]
    lines = []
    if coming and any(arm.kind is ArmKind.LOWEST for arm in pruning.arms):
        names = " and ".join(kind.replace("-", " ") for kind in coming)
        lines.append(f"then by {names}: dropping what models trained on everything find no use for")
    if stages.within and stages.most > stages.seeds:
        lines.append(
            f"then up to {stages.most} of an arm where its accuracy varies too much for an interval of "
            f"+- {100 * stages.within:g} points"
        )
    return [*lines, f"{pluralize(pruning.max_rows, 'retraining')} at most"] if lines else []


def cost_line(pruning: Pruning, cost: Cost) -> str:
    """Return what the retrainings cost: those that are planned, and at most with those that follow from them."""
    size, most = pruning.n_rows, pruning.max_rows
    line = (
        f"cost: {pluralize(size, 'model')}, {cost.seconds_per_model:.2f} s each on "
        f"{pluralize(cost.workers, 'worker')}: {format_duration(cost.seconds)}, {cost.disk / 2**20:,.1f} MiB"
    )
    if most <= size:
        return line
    return f"{line}; at most {most:,} with what follows: {format_duration(cost.seconds * most / size)}"


def _arm_table(measured: PruningResults, ascii_only: bool) -> list[str]:
    rows = [
        [
            fit(plain(result.arm.label, ascii_only), min(_LABEL, cell_len(plain(result.arm.label, ascii_only)))),
            str(result.models),
            _value(result.accuracy.mean, percent=True),
            "" if result.arm.kind is ArmKind.ALL else _shown(result.accuracy.gain, percent=True),
            _value(result.margin.mean),
            "" if result.arm.kind is ArmKind.ALL else _shown(result.margin.gain),
        ]
        for result in measured.results
    ]
    return _table(["arm", "n", "accuracy", "gain, points", "margin", "gain, nats"], rows, left=1)


def _by_target(measured: PruningResults, ascii_only: bool) -> list[str]:
    """Accuracy and its gain on each target of a mix."""
    if len(measured.info.targets) == 1:
        return []
    names = [target.name for target in measured.info.targets]
    rows = [
        [
            plain(result.arm.label, ascii_only),
            *(
                f"{_value(score.mean, percent=True)}"
                + ("" if result.arm.kind is ArmKind.ALL else f"  {_shown(score.gain, percent=True)}")
                for score in (result.by_target[name]["accuracy"] for name in names)
            ),
        ]
        for result in measured.results
    ]
    header = ["arm", *(f"{plain(name, ascii_only)}: accuracy, gain" for name in names)]
    return ["Each target alone, in points:", *_table(header, rows, left=len(header)), ""]


def _against_others(measured: PruningResults) -> list[str]:
    """What the ranking gains over cheaper ways to choose as many groups."""
    lowest = [result for result in measured.results if result.arm.kind is ArmKind.LOWEST]
    kinds = [kind for kind in (ArmKind.RANDOM, *BASELINES) if any(kind in one.accuracy.over for one in lowest)]
    if not kinds:
        return []
    lines = []
    for unit, percent in (("points of accuracy", True), ("nats of margin", False)):
        rows = [
            [
                str(one.arm.k),
                *(
                    _shown(over[kind], percent=percent) if kind in over else "-"
                    for over in [(one.accuracy if percent else one.margin).over]
                    for kind in kinds
                ),
            ]
            for one in lowest
        ]
        words = ["at random" if kind is ArmKind.RANDOM else f"by {kind.replace('-', ' ')}" for kind in kinds]
        lines += [f"Gain of dropping the lowest over dropping as many otherwise, {unit}:"]
        lines += [*_table(["dropped", *words], rows), ""]
    return lines


def _against_prediction(measured: PruningResults) -> list[str]:
    rows = []
    for result in measured.results:
        found = measured.forecast(result.arm.k)
        if result.arm.kind is not ArmKind.LOWEST or found is None:
            continue
        over_random = result.margin.over.get(ArmKind.RANDOM)
        rows.append(
            [
                str(result.arm.k),
                _predicted(found.margin_over_random),
                "-" if over_random is None else _shown(over_random),
                _predicted(found.margin),
                _shown(result.margin.gain),
            ]
        )
    if not rows:
        return ["no prediction to compare with"]
    header = ["dropped", "over random, predicted", "measured", "over everything, predicted", "measured"]
    return ["Gain of the lowest in nats, predicted and measured:", *_table(header, rows)]


def _class_lines(measured: PruningResults, ascii_only: bool) -> list[str]:
    lines = []
    for result in measured.results:
        lost, gained = lost_and_gained(result.by_class)
        label = plain(result.arm.label, ascii_only)
        lines += [
            f"{label}: {word} {_named(gains, measured, ascii_only)}"
            for word, gains in (("lost", lost), ("gained", gained))
            if gains
        ]
    if not lines:
        return []
    return [
        f"Target classes whose accuracy changed (q < {SIGNIFICANCE_LEVEL:g}, FDR over an arm's classes), "
        "in points; named",
        "because they stand out, so they look larger than they are (all classes: --classes-csv):",
        *lines,
        "",
    ]


def _named(gains: Sequence[ClassGain], measured: PruningResults, ascii_only: bool) -> str:
    several = len(measured.info.targets) > 1
    names = [
        (f"{plain(gain.target, ascii_only)}/" if several else "")
        + f"{plain(gain.name, ascii_only)} {_shown(gain.accuracy, percent=True)}"
        for gain in gains[:_CLASSES_NAMED]
    ]
    more = len(gains) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _recommended(found: Recommendation) -> str:
    return f"none: {found.why}" if found.k is None else f"drop the {found.k} lowest: {found.why}"


def _value(interval: Interval, *, percent: bool = False) -> str:
    if not isfinite(interval.value):
        return "-"
    return f"{interval.value:.1%}" if percent else f"{interval.value:.3f}"


def _shown(interval: Interval, *, percent: bool = False) -> str:
    return _gain(interval.value, interval.low, interval.high, percent=percent)


def _predicted(gain: Gain | None, *, percent: bool = False) -> str:
    return "-" if gain is None else _gain(*gain, percent=percent)


def _gain(value: float, low: float, high: float, *, percent: bool) -> str:
    if not isfinite(value):
        return "-"
    scale, digits = (100, 1) if percent else (1, 3)
    shown = f"{scale * value:+.{digits}f}"
    return f"{shown} [{scale * low:+.{digits}f}, {scale * high:+.{digits}f}]" if isfinite(low) else shown


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 0) -> list[str]:
    widths = [max(cell_len(row[place]) for row in [header, *rows]) for place in range(len(header))]
    return [
        "  ".join(
            fit(cell, width, right=place >= left) for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [header, *rows]
    ]


_DRAWN_ANEW = (ArmKind.RANDOM, *BASELINES)
"""Arms whose repeats each drop groups of their own."""


def ranked_by(used: ArmRanking) -> str:
    """Return what a pruning's groups are ranked by."""
    targets = ", ".join(
        name if len(used.targets) == 1 else f"{name} {weight:g}" for name, weight in used.targets.items()
    )
    return f"{targets}, {used.output}, {used.estimator}, {pluralize(used.models, 'model')}"


def recommended(found: Recommendation, style: Style, words: str = "recommended") -> Text:
    """Return how many groups to drop, and why; `words` say on what ground."""
    what = "none" if found.k is None else f"drop the {found.k} lowest"
    text_style = "bold" if found.k is None else f"bold {style.good}"
    return Text.assemble(
        (f"{words}: ", style.quiet), (what, text_style), (f"; {plain(found.why, style.ascii)}", style.quiet)
    )


def verdict(measured: PruningResults, name: str, style: Style) -> Text | None:
    """Return what is recommended by what was measured so far; of lists nothing is.

    Args:
        measured: so far.
        name: of the pruning: one that verifies an example says what it is for.
        style: colours and signs.
    """
    if measured.pruning.drops_lowest:
        return recommended(measured_best(measured), style, "recommended" if measured.is_complete else "so far")
    example = counterfactual_example(name)
    if example is None:
        return None
    return Text(f"verifies example {example}: its image, in Class, says whether it flips", style.quiet)


def curve(measured: PruningResults, quantity: Quantity, style: Style, width: int, height: int) -> list[Text]:
    """Return the removal curve in so many lines, or what it is waiting for."""
    around = len(removal_curve(measured, width, ascii_only=style.ascii, quantity=quantity, height=3)) - 3
    if around < 0:
        return [Text("the curve begins with the first retrainings of two arms", style=style.quiet)]
    plot = removal_curve(
        measured, width, ascii_only=style.ascii, quantity=quantity, height=min(max(height - around, 3), 16)
    )
    colours = {ArmKind.LOWEST: style.good, ArmKind.HIGHEST: style.bad}
    lines = [Text(plot[0], style="bold"), *(Text(line, no_wrap=True, overflow="crop") for line in plot[1:])]
    axis = style.glyph("│└─", "|+-")
    for place, line in enumerate(lines[1:], 1):
        for column, letter in enumerate(line.plain):
            if letter in axis:
                line.stylize(style.quiet, column, column + 1)
            elif place <= len(plot) - around or letter == line.plain.strip()[:1]:
                kind = next(
                    (kind for kind, drawn in ARM_STYLES.items() if letter == style.glyph(drawn.mark, drawn.ascii)), None
                )
                if kind is not None and column > 7:
                    line.stylize(f"bold {colours.get(ArmKind(kind), '')}", column, column + 1)
    return lines


def against_prediction(measured: PruningResults, quantity: Quantity, style: Style) -> list[Text]:
    """Return the gain of the lowest, predicted and measured: over as many at random, and over keeping everything."""
    found = [
        (result, forecast)
        for result in measured.results
        if result.arm.kind is ArmKind.LOWEST and (forecast := measured.forecast(result.arm.k)) is not None
    ]
    if not measured.pruning.drops_lowest:
        return [Text("nothing is predicted of lists of classes", style=style.quiet)]
    if not found:
        return [Text("nothing was predicted, from so few models or of so many groups", style=style.quiet)]
    unit = "points" if quantity == "accuracy" else "nats"
    lines: list[Text] = []
    for over_random in (True, False):
        rows = []
        for result, forecast in found:
            score = result.accuracy if quantity == "accuracy" else result.margin
            gain = score.over.get(ArmKind.RANDOM) if over_random else score.gain
            rows.append((result.arm.k, forecast_of(forecast, quantity, over_random=over_random), gain))
        what = "as many at random" if over_random else "everything (errs low)"
        title = f"gain of the lowest over {what}, {unit}"
        lines += [*([Text()] if lines else []), Text(title, style="bold"), *_predicted_table(rows, quantity, style)]
    return lines


def predicted_gains(forecasts: Sequence[GainForecast], quantity: Quantity, style: Style) -> list[Text]:
    """Return the predicted gain of dropping the lowest, over as many at random and over keeping everything."""
    header = ["drop", "over as many at random", "over everything (errs low)"]
    rows = [
        [
            Text(str(one.k)),
            *(_coloured(forecast_of(one, quantity, over_random=over), quantity, style) for over in (True, False)),
        ]
        for one in forecasts
    ]
    unit = "points" if quantity == "accuracy" else "nats"
    title = Text.assemble(("predicted gain of dropping the lowest", "bold"), (f"  {unit}, 95% intervals", style.quiet))
    return [title, *_pruning_lines_table([Text(cell, style=style.quiet) for cell in header], rows)]


def forecast_of(forecast: GainForecast, quantity: Quantity, *, over_random: bool) -> Gain | None:
    """Return one of the gains that were predicted."""
    if quantity == "accuracy":
        return forecast.accuracy_over_random if over_random else forecast.accuracy
    return forecast.margin_over_random if over_random else forecast.margin


def arm_detail(measured: PruningResults, result: ArmResult, style: Style, width: int) -> list[Text]:
    """Return an arm beside the others: its gains with intervals, over everything, over random, over the baselines."""
    arm = result.arm
    name = cut(plain(arm.label, style.ascii), max(width - 24, 8), style.ellipsis)
    count = f"  {result.models} of {pluralize(len(arm.rows), 'retraining')}, {_share(measured, arm.k)}"
    lines = [Text.assemble((name, "bold"), (count, style.quiet))]
    values = f"{_mean(_possible(result.accuracy.mean), 100, '.1f', '%')}, "
    values += f"margin {_mean(result.margin.mean, 1, '.3f', ' nats')}"
    lines.append(Text.assemble(("accuracy ", style.quiet), values))
    if arm.kind is ArmKind.ALL:
        return [*lines, Text("what every other arm is compared with", style=style.quiet)]
    over = {"everything": (result.accuracy.gain, result.margin.gain)}
    over |= {
        str(kind).replace("-", " "): (found, result.margin.over[kind]) for kind, found in result.accuracy.over.items()
    }
    rows = [
        [
            Text(f"over {other}", style=style.quiet),
            _coloured(accuracy, "accuracy", style),
            _coloured(margin, "margin", style),
        ]
        for other, (accuracy, margin) in over.items()
    ]
    header = [Text("gain", style=style.quiet), Text("points", style=style.quiet), Text("nats", style=style.quiet)]
    lines += _pruning_lines_table(header, rows, left=1)
    lines += _changed(result, style, width)
    if arm.kind not in _DRAWN_ANEW and arm.rows:
        order = ascending_order(measured.pruning.ranking.influence).tolist()
        names = [measured.pruning.groups[group] for group in sorted(arm.rows[0].dropped, key=order.index)]
        lines.append(style.fact("without", _listed(names, style, width)))
    return lines


def _listed(names: Sequence[str], style: Style, width: int) -> Text:
    text = ", ".join(plain(name, style.ascii) for name in names)
    return Text(cut(text, max(width - LABEL, 8), style.ellipsis))


def _changed(result: ArmResult, style: Style, width: int) -> Iterator[Text]:
    lost, gained = lost_and_gained(result.by_class)
    for word, gains, colour in (("lost", lost, style.bad), ("gained", gained, style.good)):
        if gains:
            text = _listed([f"{one.name[:24]} {100 * one.accuracy.value:+.1f}" for one in gains], style, width)
            text.stylize(colour)
            yield style.fact(word, text)


def class_heading(result: ArmResult, style: Style) -> Text:
    """Return what the target classes under an arm are."""
    lost, gained = lost_and_gained(result.by_class)
    counts = f"  gain of each target class: {len(lost)} lost, {len(gained)} gained (q < {SIGNIFICANCE_LEVEL:g})"
    return Text.assemble((plain(result.arm.label, style.ascii)[:60], "bold"), (counts, style.quiet))


def class_detail(gain: ClassGain, style: Style) -> list[Text]:
    """Return a target class under an arm."""
    digits = {"accuracy": 1, "margin": 3}
    shown = {
        name: scaled(one, percent=name == "accuracy")
        for name, one in (("accuracy", gain.accuracy), ("margin", gain.margin))
    }
    told = (
        "its accuracy changed beyond chance"
        if gain.q < SIGNIFICANCE_LEVEL
        else "no change of its accuracy beyond chance"
    )
    return [
        Text.assemble(
            (plain(gain.name, style.ascii)[:60], "bold"), (f"  {plain(gain.target, style.ascii)[:40]}", style.quiet)
        ),
        *(
            style.fact(name, f"{shown_gain(one, digits[name])} {'points' if name == 'accuracy' else 'nats'}")
            for name, one in shown.items()
        ),
        style.fact("", f"{told} (q {gain.q:.2g})" if isfinite(gain.q) else "too few retrainings to tell", style.quiet),
    ]


def _possible(accuracy: Interval) -> Interval:
    """An accuracy's interval as far as one can be: t knows no bounds."""
    return (
        replace(accuracy, low=max(accuracy.low, 0.0), high=min(accuracy.high, 1.0))
        if isfinite(accuracy.low)
        else accuracy
    )


def _mean(mean: Interval, scale: float, number: str, unit: str) -> str:
    if not isfinite(mean.value):
        return "not known yet"
    ends = f" [{scale * mean.low:{number}}, {scale * mean.high:{number}}]" if isfinite(mean.low) else ""
    return f"{scale * mean.value:{number}}{unit}{ends}"


def _share(measured: PruningResults, k: int) -> str:
    return f"drops {k:,} of {len(measured.pruning.groups):,}"


def _coloured(gain: Interval | Gain | None, quantity: Quantity, style: Style) -> Text:
    """A gain with its interval, in the colour of its sign where zero is not in it."""
    if gain is None:
        return Text("-", style=style.quiet)
    interval = scaled(gain if isinstance(gain, Interval) else Interval(*gain), percent=quantity == "accuracy")
    colour = {1: style.good, -1: style.bad, 0: ""}[interval.sign]
    return Text(shown_gain(interval, 1 if quantity == "accuracy" else 3), style=colour)


def _predicted_table(
    rows: Sequence[tuple[int, Gain | None, Interval | None]], quantity: Quantity, style: Style
) -> list[Text]:
    header = [Text(cell, style=style.quiet) for cell in ("drop", "predicted", "measured")]
    return _pruning_lines_table(
        header,
        [
            [Text(str(k)), _coloured(predicted, quantity, style), _coloured(measured, quantity, style)]
            for k, predicted, measured in rows
        ],
    )


def _pruning_lines_table(header: Sequence[Text], rows: Sequence[Sequence[Text]], left: int = 0) -> list[Text]:
    """Lines of cells, the first `left` columns to the left and the others to the right."""
    widths = [max(cell_len(row[place].plain) for row in [header, *rows]) for place in range(len(header))]
    lines = []
    for row in [header, *rows]:
        cells = []
        for place, (cell, width) in enumerate(zip(row, widths, strict=True)):
            cells.append(Text(fit(cell.plain, width, right=place >= left), style=cell.style))
        line = Text("  ").join(cells)
        line.no_wrap, line.overflow = True, "crop"
        lines.append(line)
    return lines
