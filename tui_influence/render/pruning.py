"""A pruning as lines of text: its plan with the gain forecasts, its report with the measured ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from tui_influence.influence.types import SIGNIFICANCE_LEVEL
from tui_influence.pruning.curve import ARM_STYLES
from tui_influence.pruning.forecast_limits import forecast_limit
from tui_influence.pruning.options import counterfactual_example, describe_weights
from tui_influence.pruning.types import (
    ClassGain,
    OrderAgreement,
    PruningResults,
    Quantity,
    Recommendation,
    lost_and_gained,
)
from tui_influence.render.format import plain, small_table
from tui_influence.render.gains import UNITS, forecast_and_measured, forecast_gains, format_gain, format_mean
from tui_influence.render.numbers import format_points
from tui_influence.render.removal_curve import removal_curve
from tui_influence.render.style import Style
from tui_influence.roles import BASELINES, ArmKind
from tui_influence.store.run_info import training_length
from tui_influence.text import format_duration, pluralize

if TYPE_CHECKING:
    from tui_influence.runs.cost import Cost
    from tui_influence.store.pruning_plan import ArmRanking, Pruning

_ARM_LABEL = 32
_MAX_CLASSES = 4
"""Target classes that a line of the report names at most."""
_MAX_CURVE = 16
"""Lines of a removal curve at most."""
_QUANTITIES: tuple[Quantity, ...] = ("accuracy", "margin")


def plan_lines(pruning: Pruning, recommendation: Recommendation, style: Style, config: Mapping[str, Any]) -> list[str]:
    """Return which models are to be retrained, from which ranking, and the forecast of their gain.

    Args:
        pruning: the plan.
        recommendation: by the gain forecasts.
        style: colours and signs.
        config: that the arms are trained by, as JSON values.
    """
    lines = [_ranking_line(pruning, style), *same_training(config), *_arms(pruning, style)]
    if not pruning.drops_lowest:
        return lines
    return [
        *lines,
        "",
        *_forecasts(pruning, style),
        recommendation_line(recommendation, style, "recommended before training").plain,
    ]


def summary_lines(results: PruningResults, style: Style) -> list[str]:
    """Return the gains of the retrainings, an arm a line."""
    targets = ", ".join(f"{t.name} ({t.transfer})" for t in results.info.targets)
    count = f"{results.models} of {pluralize(results.pruning.n_rows, 'retraining')}"
    return [
        _ranking_line(results.pruning, style),
        *same_training(results.info.config),
        f"{count}; {plain(targets, style.ascii)}; the evaluate half of the test examples",
        "",
        *_arm_table(results, style),
        "gain: over keeping everything, [95% interval] by Welch's t over retrainings, each arm with seeds of its own",
    ]


def same_training(config: Mapping[str, Any]) -> list[str]:
    """Return what the trainings of all arms have in common, epochs or steps, as a line; nothing if it is unknown.

    Args:
        config: that the arms are trained by, as JSON values.
    """
    length = training_length(config)
    if length is None:
        return []
    unit, number = length
    line = f"Each arm trains for the same number of {unit}s, {number:,}"
    return [line if unit == "step" else f"{line}, so an arm with fewer classes takes fewer steps"]


def report_lines(
    results: PruningResults,
    recommendation: Recommendation,
    style: Style,
    width: int,
    agreement: OrderAgreement | None = None,
) -> list[str]:
    """Return the results of a pruning: arms, removal curve, forecast and measured gains, gains of target classes.

    Args:
        results: measured so far.
        recommendation: by the measured gains.
        style: colours and signs.
        width: of the removal curve.
        agreement: with the ranking of a sweep by another recipe.
    """
    curve = removal_curve(results, width, ascii_only=style.ascii)
    return [
        *summary_lines(results, style),
        *(["", *curve] if curve else []),
        "",
        *_by_target(results, style),
        *_over_other_choices(results),
        *(_agreement_lines(agreement, style) if agreement else []),
        *_lines(forecast_and_measured(results, "margin", style)),
        "",
        *_class_lines(results, style),
        *([recommendation_line(recommendation, style, "recommended").plain] if results.pruning.drops_lowest else []),
    ]


def cost_line(pruning: Pruning, cost: Cost) -> str:
    """Return the cost of the planned retrainings, and the most that later stages can add to it."""
    n_rows, max_rows = pruning.n_rows, pruning.max_rows
    each = f"{cost.seconds_per_model:.2f} s each on {pluralize(cost.workers, 'worker')}"
    first = f"{pluralize(n_rows, 'model')} in {format_duration(cost.seconds)}"
    line = f"cost: {first} ({each}) and {cost.disk / 2**20:,.1f} MiB"
    if max_rows <= n_rows:
        return line
    most = format_duration(cost.seconds * max_rows / n_rows)
    return f"{line}; all later stages included, at most {max_rows:,} models in {most}"


def ranked_by(ranking: ArmRanking) -> str:
    """Return what the groups of a pruning are ranked by."""
    return (
        f"influence on the {ranking.output} of {describe_weights(ranking.targets)}, {ranking.estimator}, "
        f"{pluralize(ranking.models, 'model')}"
    )


def recommendation_line(recommendation: Recommendation, style: Style, label: str) -> Text:
    """Return how many groups to drop, and why; the label says on what ground."""
    k = recommendation.k
    drop = ("none", "bold")
    if k is not None:
        drop = (f"drop the {k} lowest" if recommendation.gains else f"the {k} lowest can go", f"bold {style.good}")
    return Text.assemble(
        (f"{label}: ", style.quiet), drop, (f"; {plain(recommendation.why, style.ascii)}", style.quiet)
    )


def results_verdict(results: PruningResults, recommendation: Recommendation, name: str, style: Style) -> Text | None:
    """Return what is recommended by the results so far; None for a pruning of lists.

    Args:
        results: measured so far.
        recommendation: by the measured gains.
        name: of the pruning; one that is a counterfactual says of which example.
        style: colours and signs.
    """
    if results.pruning.drops_lowest:
        return recommendation_line(recommendation, style, "recommended" if results.is_complete else "so far")
    example = counterfactual_example(name)
    if example is None:
        return None
    return Text(f"counterfactual of example {example}: see its image in Class", style.quiet)


def curve_lines(results: PruningResults, quantity: Quantity, style: Style, width: int, height: int) -> list[Text]:
    """Return the removal curve in so many lines, or why there is none yet."""
    around = len(removal_curve(results, width, ascii_only=style.ascii, quantity=quantity, height=3)) - 3
    if around < 0:
        return [Text("the curve begins with the first retrainings of two arms", style.quiet)]
    rows = min(max(height - around, 3), _MAX_CURVE)
    plot = removal_curve(results, width, ascii_only=style.ascii, quantity=quantity, height=rows)
    colours = {ArmKind.LOWEST: style.good, ArmKind.HIGHEST: style.bad}
    kinds = {style.glyph(arm.mark, arm.ascii): ArmKind(kind) for kind, arm in reversed(tuple(ARM_STYLES.items()))}
    axis = style.glyph("│└─", "|+-")
    lines = [Text(plot[0], "bold"), *(Text(line, no_wrap=True, overflow="crop") for line in plot[1:])]
    for row, line in enumerate(lines[1:], 1):
        for column, letter in enumerate(line.plain):
            if letter in axis:
                line.stylize(style.quiet, column, column + 1)
            elif letter in kinds and column > 7 and (row <= rows or letter == line.plain.strip()[:1]):
                line.stylize(f"bold {colours.get(kinds[letter], '')}", column, column + 1)
    return lines


def _lines(texts: Sequence[Text]) -> list[str]:
    return [text.plain.rstrip() for text in texts]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 0) -> list[str]:
    return _lines(small_table([Text(cell) for cell in header], [[Text(cell) for cell in row] for row in rows], left))


def _forecasts(pruning: Pruning, style: Style) -> list[str]:
    """Return the gain forecast of every planned number of groups, and the assumptions; nothing without one."""
    planned = {arm.k for arm in pruning.arms if arm.kind is ArmKind.LOWEST}
    forecasts = [forecast for forecast in pruning.forecast if forecast.k in planned]
    if not forecasts:
        return []
    tables = [forecast_gains(forecasts, quantity, style) for quantity in ("margin", "accuracy")]
    return [
        *(line for table in tables for line in _lines(table)),
        "What chooses the groups does not judge them, so luck is not counted as gain. Effects are taken to add up.",
        forecast_limit(pruning),
    ]


def _ranking_line(pruning: Pruning, style: Style) -> str:
    ranking = pruning.ranking
    text = f"Ranked by {ranked_by(ranking)} of {pruning.sweep} ({ranking.design}), estimate half"
    return plain(text, style.ascii)


def _arms(pruning: Pruning, style: Style) -> list[str]:
    seeds = sorted({len(arm.rows) for arm in pruning.arms})
    each = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    names = ", ".join(plain(arm.label, style.ascii) for arm in pruning.arms)
    return [f"{pluralize(pruning.n_rows, 'retraining')}, {each} of each arm: {names}", *_later_stages(pruning)]


def _later_stages(pruning: Pruning) -> list[str]:
    stages = pruning.stages
    kinds = {arm.kind for arm in pruning.arms}
    coming = [kind for kind in stages.baselines if kind not in kinds]
    lines = []
    if coming and ArmKind.LOWEST in kinds:
        names = " and ".join(kind.replace("-", " ") for kind in coming)
        lines.append(f"then by {names}: dropping what models trained on everything make least use of")
    if stages.within and stages.most > stages.seeds:
        lines.append(
            f"then up to {stages.most} of an arm, until the 95% interval of its accuracy gain has a half width of "
            f"at most {format_points(100 * stages.within)}"
        )
    return [*lines, f"{pluralize(pruning.max_rows, 'retraining')} at most"] if lines else []


def _arm_table(results: PruningResults, style: Style) -> list[str]:
    rows = []
    for arm in results.results:
        is_control = arm.arm.kind is ArmKind.ALL
        cells = [style.cut(arm.arm.label, _ARM_LABEL), str(arm.models)]
        for quantity in _QUANTITIES:
            score = arm.score(quantity)
            cells += [format_mean(score.mean, quantity), "" if is_control else format_gain(score.gain, quantity)]
        rows.append(cells)
    return _table(["arm", "n", "accuracy", "gain, points", "margin", "gain, nats"], rows, left=1)


def _by_target(results: PruningResults, style: Style) -> list[str]:
    """Return accuracy and its gain on each target of a mix."""
    if len(results.info.targets) == 1:
        return []
    names = [target.name for target in results.info.targets]
    rows = []
    for arm in results.results:
        cells = [plain(arm.arm.label, style.ascii)]
        for score in (arm.by_target[name]["accuracy"] for name in names):
            gain = "" if arm.arm.kind is ArmKind.ALL else f"  {format_gain(score.gain, 'accuracy')}"
            cells.append(f"{format_mean(score.mean, 'accuracy')}{gain}")
        rows.append(cells)
    header = ["arm", *(f"{plain(name, style.ascii)}: accuracy, gain" for name in names)]
    return ["Each target alone, in points:", *_table(header, rows, left=len(header)), ""]


def _over_other_choices(results: PruningResults) -> list[str]:
    """Return the gain of the ranking over cheaper ways to choose as many groups."""
    lowest = [arm for arm in results.results if arm.arm.kind is ArmKind.LOWEST]
    kinds = [kind for kind in (ArmKind.RANDOM, *BASELINES) if any(kind in arm.accuracy.over for arm in lowest)]
    if not kinds:
        return []
    lines = []
    header = ["at random" if kind is ArmKind.RANDOM else f"by {kind.replace('-', ' ')}" for kind in kinds]
    for quantity in _QUANTITIES:
        rows = [
            [str(arm.arm.k), *(format_gain(arm.score(quantity).over.get(kind), quantity) for kind in kinds)]
            for arm in lowest
        ]
        lines += [f"Gain of dropping the lowest over dropping as many otherwise, {UNITS[quantity]} of {quantity}:"]
        lines += [*_table(["dropped", *header], rows), ""]
    return lines


def _agreement_lines(agreement: OrderAgreement, style: Style) -> list[str]:
    """Return how the arms differ from the sweep's models, and how many are in the order that its ranking implies."""
    settings = plain("; ".join(agreement.settings), style.ascii)
    lines = [f"Trained by another recipe than the sweep's models: {settings}"]
    if agreement.pairs:
        lines.append(
            f"Pairs of arms ordered as its ranking implies, lowest > random > highest: {agreement.accuracy} of "
            f"{agreement.pairs} by accuracy, {agreement.margin} by margin (chance: half)"
        )
    return [*lines, ""]


def _class_lines(results: PruningResults, style: Style) -> list[str]:
    lines = []
    for arm in results.results:
        lost, gained = lost_and_gained(arm.by_class)
        label = plain(arm.arm.label, style.ascii)
        lines += [
            f"{label}: {change} {_class_names(gains, results, style)}"
            for change, gains in (("lost", lost), ("gained", gained))
            if gains
        ]
    if not lines:
        return []
    return [
        f"Target classes whose accuracy changed (q < {SIGNIFICANCE_LEVEL:g}, FDR over an arm's classes), in points;",
        "selected because they stand out, so their changes are overestimated (all classes: --classes-csv):",
        *lines,
        "",
    ]


def _class_names(gains: Sequence[ClassGain], results: PruningResults, style: Style) -> str:
    several = len(results.info.targets) > 1
    names = [
        plain(f"{gain.target}/{gain.name}" if several else gain.name, style.ascii)
        + f" {format_gain(gain.accuracy, 'accuracy')}"
        for gain in gains[:_MAX_CLASSES]
    ]
    more = len(gains) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
