"""A pruning in words: what is planned and predicted, and what was measured. Plain text, one line each, safe to show."""

from collections.abc import Sequence
from math import isfinite

from rich.cells import cell_len

from tui_influence.influence.types import (
    SIGNIFICANCE_LEVEL,
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
    ClassGain,
    Interval,
    PruningResults,
    Recommendation,
)
from tui_influence.render.format import fit, plain
from tui_influence.render.removal_curve import removal_curve
from tui_influence.roles import (
    BASELINES,
    ArmKind,
)
from tui_influence.runs.cost import Cost
from tui_influence.store.pruning_plan import (
    Gain,
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
