"""A pruning as one JSON document, and as a table with one row an arm."""

from collections.abc import Mapping
from dataclasses import asdict
from math import nan
from typing import Any

from tui_influence import __version__
from tui_influence.export.result_table import Fact, ResultTable, Value
from tui_influence.pruning.recommendation import measured_best, predicted_best
from tui_influence.pruning.results import CONTROL_KINDS
from tui_influence.pruning.types import Interval, OrderAgreement, PruningResults, Recommendation, Score
from tui_influence.render.numbers import finite
from tui_influence.store.pruning_plan import Gain, GainForecast, Pruning
from tui_influence.store.run_info import describe_training, training_length

_PARTS = ("", "_low", "_high")
_GAINS = ("accuracy_gain", "margin_gain", "accuracy_gain_over_random", "margin_gain_over_random")
COLUMNS = (
    "arm", "kind", "n_dropped", "n_models",
    *(f"{name}{part}" for name in ("accuracy", "accuracy_gain", "margin", "margin_gain") for part in _PARTS),
    *(
        f"{name}_gain_over_{kind.value.replace('-', '_')}{part}"
        for kind in CONTROL_KINDS for name in ("accuracy", "margin") for part in _PARTS
    ),
    *(f"forecast_{name}{part}" for name in _GAINS for part in _PARTS),
)  # fmt: skip
CLASS_COLUMNS = (
    "arm", "kind", "n_dropped", "target", "class",
    *(f"{name}{part}" for name in ("accuracy_gain", "margin_gain") for part in _PARTS),
    "accuracy_q",
)  # fmt: skip


def pruning_table(results: PruningResults) -> ResultTable:
    """Return the arms as a table; the numbers are fractions and nats, of the evaluate half."""
    rows: list[list[Value]] = []
    for result in results.results:
        forecast = results.forecast(result.arm.k) if result.arm.kind == "lowest" else None
        intervals = [interval for score in (result.accuracy, result.margin) for interval in (score.mean, score.gain)]
        values = [value for interval in intervals for value in _interval_values(interval)]
        none = Interval(nan, nan, nan)
        over = [score.over.get(kind, none) for kind in CONTROL_KINDS for score in (result.accuracy, result.margin)]
        values += [value for interval in over for value in _interval_values(interval)]
        values += [
            value for gain in (_gains(forecast) if forecast else [None] * 4) for value in (gain or (nan, nan, nan))
        ]
        arm = result.arm
        rows.append([arm.label, arm.kind.value, arm.k, result.models, *values])
    return ResultTable(_facts(results), COLUMNS, rows)


def classes_table(results: PruningResults) -> ResultTable:
    """Return the gain of each target class by each arm as a table; fractions and nats."""
    rows: list[list[Value]] = [
        [
            *(result.arm.label, result.arm.kind.value, result.arm.k, gain.target, gain.name),
            *_interval_values(gain.accuracy),
            *_interval_values(gain.margin),
            gain.q,
        ]
        for result in results.results
        for gain in result.by_class
    ]
    return ResultTable(_facts(results), CLASS_COLUMNS, rows)


def pruning_document(results: PruningResults, agreement: OrderAgreement | None = None) -> dict[str, Any]:
    """Return a pruning and its results so far as JSON values.

    Args:
        results: measured so far.
        agreement: with the ranking of a sweep by another recipe.
    """
    return {
        **plan_document(results.pruning, results.info.config),
        "run": results.info.name,
        "n_models": results.models,
        "interval": "Welch's t over retrainings, 95%",
        "split": "evaluate",
        "results": [
            {
                "arm": result.arm.label,
                "kind": result.arm.kind.value,
                "n_dropped": result.arm.k,
                "n_models": result.models,
                "accuracy": _score(result.accuracy),
                "margin": _score(result.margin),
                "targets": {
                    name: {quantity: _score(score) for quantity, score in scores.items()}
                    for name, scores in result.by_target.items()
                },
                "classes": [
                    {
                        "target": gain.target,
                        "class": gain.name,
                        "accuracy_gain": interval_document(gain.accuracy),
                        "margin_gain": interval_document(gain.margin),
                        "q": finite(gain.q),
                    }
                    for gain in result.by_class
                ],
            }
            for result in results.results
        ],
        "recommended": _recommendation(measured_best(results)),
        "order_agreement": None if agreement is None else asdict(agreement),
    }


def plan_document(pruning: Pruning, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan of a pruning and its gain forecast as JSON values.

    Args:
        pruning: the plan.
        config: that its arms are trained by, as JSON values.
    """
    used, length = pruning.ranking, training_length(config)
    return {
        "sweep": pruning.sweep,
        "planned": pruning.n_rows,
        "same": f"{length[0]}s" if length else None,
        "training": describe_training(config),
        "ranking": {
            "targets": used.targets,
            "estimator": used.estimator,
            "output": used.output,
            "design": used.design,
            "n_models": used.models,
            "split": "estimate",
        },
        "arms": [
            {"arm": arm.label, "kind": arm.kind.value, "n_dropped": arm.k, "seeds": len(arm.rows)}
            for arm in pruning.arms
        ],
        "forecast": [_forecast(forecast) for forecast in pruning.forecast if pruning.drops_lowest],
        "recommended_before": _recommendation(predicted_best(pruning)),
        "version": __version__,
    }


def _facts(results: PruningResults) -> tuple[Fact, ...]:
    used = results.pruning.ranking
    return (
        ("run", results.info.name),
        ("identity", results.info.identity),
        (
            "ranking",
            f"{used.estimator}, {used.output}, {used.models} models of {results.pruning.sweep}",
        ),
        ("targets", ", ".join(f"{name} {weight:g}" for name, weight in used.targets.items())),
        *([("training", f"{results.info.training} of every arm")] if results.info.training else []),
        ("gain", "over keeping everything, on the evaluate half; 95% intervals by Welch's t over retrainings"),
        ("forecast", "gain over keeping everything and over as many dropped at random, before anything was retrained"),
        ("written by", f"tinfl {__version__}"),
    )


def _interval_values(interval: Interval) -> list[float]:
    return [interval.value, interval.low, interval.high]


def _score(score: Score) -> dict[str, Any]:
    over = {kind.value: interval_document(interval) for kind, interval in score.over.items()}
    return {"mean": interval_document(score.mean), "gain": interval_document(score.gain), "gain_over": over}


def interval_document(interval: Interval) -> dict[str, float | None]:
    """Return a value with its interval as JSON values."""
    return {"value": finite(interval.value), "low": finite(interval.low), "high": finite(interval.high)}


def _forecast(forecast: GainForecast) -> dict[str, Any]:
    return {
        "n_dropped": forecast.k,
        **{
            name: None if gain is None else interval_document(Interval(*gain))
            for name, gain in zip(_GAINS, _gains(forecast), strict=True)
        },
    }


def _gains(forecast: GainForecast) -> list[Gain | None]:
    """Return the gains of a forecast in the order of `_GAINS`."""
    return [forecast.accuracy, forecast.margin, forecast.accuracy_over_random, forecast.margin_over_random]


def _recommendation(recommendation: Recommendation) -> dict[str, Any]:
    return {"n_dropped": recommendation.k, "gains": recommendation.gains, "why": recommendation.why}
