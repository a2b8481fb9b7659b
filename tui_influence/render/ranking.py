"""A ranking, or a comparison of two, in sentences: its subject, the meaning of its numbers, and its reliability.

Every output format says the same, so the sentences are made here. Plain text, no markup; names inside sentences are
made safe to show.
"""

from collections.abc import Sequence
from math import isfinite
from typing import TypeVar

from tui_influence.analysis.types import AnyReport, ComparisonReport, RankReport
from tui_influence.influence.estimators import find_estimator
from tui_influence.influence.types import (
    LDS,
    MIN_HELDOUT_MASKS,
    MIN_REPEATED_MASKS,
    SIGNIFICANCE_LEVEL,
    LDSCeiling,
    ReliabilityForecast,
    reliability_grade,
)
from tui_influence.render.numbers import with_interval
from tui_influence.render.reliability_forecast import describe_forecast
from tui_influence.text import pluralize, printable

NAME_LIMIT = 60
"""The longest name in a sentence, in characters."""

Row = TypeVar("Row")
_QUANTITY = {
    "margin": "mean margin (nats)",
    "probability": "mean probability of the correct class",
    "correct": "fraction of correct predictions",
}
_UNIT = {"margin": "margin, nats", "probability": "probability", "correct": "fraction correct"}


def short_name(name: str) -> str:
    """Return a name as it may stand in a sentence: no control characters, not endless."""
    return printable(name, NAME_LIMIT)


def first(rows: Sequence[Row], top: int | None) -> Sequence[Row]:
    """The rows that `--top` leaves, in every format: the first of them; all when it is None."""
    return rows if top is None else rows[: max(top, 0)]


def _lds(lds: LDS | None, ceiling: LDSCeiling | None) -> str:
    if lds is None or not isfinite(lds.value):
        return f"No LDS: it takes held-out models of {MIN_HELDOUT_MASKS} masks."
    value = with_interval(lds.value, lds.low, lds.high)
    masks = f" of {lds.n_masks} masks" if lds.n_repeated else ""
    what = f"the rank correlation of predicted and actual outputs over {lds.n} held-out models{masks}"
    if ceiling is not None:
        highest = with_interval(ceiling.value, ceiling.low, ceiling.high)
        return f"LDS {value} of {highest}: {what}, and the most that any prediction can reach."
    return f"LDS {value}: {what}. Its ceiling {missing_ceiling(lds)}."


def missing_ceiling(lds: LDS) -> str:
    """Return why an LDS has no ceiling, to go on after "its ceiling"."""
    if lds.n_repeated < MIN_REPEATED_MASKS:
        count = lds.n_repeated or "none"
        return f"takes {MIN_REPEATED_MASKS} held-out masks with several models each, and there are {count}"
    return "cannot be distinguished from zero yet: it takes more held-out models"


def _forecast(forecast: ReliabilityForecast | None, n_models: int) -> list[str]:
    if forecast is None:
        return []
    if forecast.low is None:
        goal = f"{forecast.target_reliability:g}"
        return [f"It is too early to forecast how many models a reliability of {goal} takes."]
    text = describe_forecast(forecast, n_models)
    return [f"A reliability of {text}; there are {n_models:,}." if " takes " in text else f"A reliability of {text}."]


def _label(report: RankReport, same_target: bool) -> str:
    if report.example is not None:
        part = f"example {report.example}"
    elif report.target_class is not None:
        part = f"class {short_name(report.target_class)}"
    else:
        part = ""
    if same_target:
        return part or "all classes"
    return f"{short_name(report.target)}, {part}" if part else short_name(report.target)


def split_label(split: str) -> str:
    """Return which half of the test examples is meant."""
    return "all test examples" if split == "all" else f"{split} half"


def unit(report: RankReport) -> str:
    """Return the output kind and its unit, in a few words."""
    return _UNIT[report.ranking.output]


def circumstances(report: RankReport) -> list[str]:
    """Return what a ranking was made from and how, a part each."""
    failed = f" ({report.n_failed:,} failed)" if report.n_failed else ""
    return [
        f"run {short_name(report.run)}",
        f"{pluralize(report.ranking.n_models, 'model')}{failed}",
        short_name(report.design),
        unit(report),
        f"by {report.ranking.estimator}",
        f"example {report.example}" if report.example is not None else split_label(report.split),
    ]


def scope(report: RankReport) -> str:
    """Return which test examples the influence is on."""
    target = f'target "{short_name(report.target)}"'
    if report.example is not None:
        return f"example {report.example} of {target}"
    if report.target_class is not None:
        return f'examples of class "{short_name(report.target_class)}" of {target}'
    return f"examples of {target}"


def meaning(report: AnyReport) -> str:
    """Return the meaning of the influences in one sentence; it depends on estimator, output and design."""
    if isinstance(report, ComparisonReport):
        return _comparison_meaning(report)
    quantity, noun = _QUANTITY[report.ranking.output], report.noun
    examples = scope(report)
    what = find_estimator(report.ranking.estimator).meaning.format(
        quantity=quantity, examples=examples, noun=noun, nouns=report.nouns
    )
    if report.is_relative:
        frame = f"relative to an average {noun} (every model has equally many, so influences add up to about zero)"
    else:
        frame = f"absolute: compared with leaving the {noun} out"
    return f"{what}, {frame}"


def verdict(report: AnyReport) -> str:
    """Return reliability, LDS and forecast, in sentences."""
    if isinstance(report, ComparisonReport):
        return _comparison_verdict(report)
    ranking = report.ranking
    parts = [
        trust(report),
        *_prior(report),
        _lds(ranking.lds, ranking.lds_ceiling),
        *_forecast(ranking.forecast, ranking.n_models),
    ]
    return " ".join(parts)


def selection(report: RankReport) -> str:
    """Return how often the intervals of the rows that are looked at first hold, in one sentence."""
    extremes = find_estimator(report.ranking.estimator).extremes_coverage
    return (
        f"Intervals hold in 95% of cases for a {report.noun} chosen beforehand; "
        f"of the 3 highest and lowest of a ranking {extremes} do."
    )


def _prior(report: RankReport) -> list[str]:
    share = report.ranking.prior_share
    if share is None or not isfinite(share):
        return []
    return [f"{share:.0%} of it comes from {pluralize(report.n_prior, 'prior network')}."]


def trust(report: RankReport) -> str:
    """Return the reliability of the order, in one sentence."""
    reliability = report.ranking.reliability
    if reliability is None or not isfinite(reliability.value):
        return "Reliability unknown: too few models or groups."
    value = with_interval(reliability.value, reliability.low, reliability.high)
    if report.is_noise():
        return f"Reliability {value}, noise: the order cannot be distinguished from chance."
    if report.order_is_noise:
        return (
            f"Reliability {value}, uncertain: the {report.nouns} with q < {SIGNIFICANCE_LEVEL:g} have an effect, "
            "but the order of all as a whole cannot be distinguished from chance yet."
        )
    meaning_of_value = find_estimator(report.ranking.estimator).reliability_meaning
    return f"Reliability {value}, {reliability_grade(reliability)}: {meaning_of_value}."


def comparison_labels(report: ComparisonReport) -> tuple[str, str]:
    """Return a label for each ranking, as far as they differ; safe to show."""
    same = report.first.target == report.second.target
    return _label(report.first, same), _label(report.second, same)


def comparison_title(report: ComparisonReport) -> str:
    """Return both subjects of a comparison, in one line."""
    nouns, rows = report.first.nouns, len(report.comparison.rows)
    return f"Influence of {rows:,} {nouns} on {scope(report.first)}, against {scope(report.second)}"


def _comparison_meaning(report: ComparisonReport) -> str:
    return (
        f"{meaning(report.first)}; the second is the same on {scope(report.second)}; the difference is the first "
        "minus the second, in an interval that is valid however their errors are correlated; an effect is significant "
        f"in that ranking (q < {SIGNIFICANCE_LEVEL:g}); one that is not significant may exist all the same"
    )


def agreement(report: ComparisonReport) -> str:
    """Return the rank correlation of both orders, in a few words."""
    comparison = report.comparison
    if not isfinite(comparison.correlation):
        return "rank correlation unknown"
    return f"rank correlation {comparison.correlation:z.2f}"


def _comparison_verdict(report: ComparisonReport) -> str:
    comparison, nouns = report.comparison, report.first.nouns
    if isfinite(comparison.correlation):
        alike = f"Rank correlation of both orders {comparison.correlation:z.2f} over {comparison.n_compared:,} {nouns}"
        alike += "; some of it may be chance that both share, as they come from the same models."
    else:
        alike = f"Rank correlation unknown: too few {nouns} have an influence in both."
    return f"{alike} First: {trust(report.first)} Second: {trust(report.second)}"
