"""A ranking, or a comparison of two, as JSON, for scripts.

Strict JSON (RFC 8259): NaN and infinities are null, everything outside printable ASCII is escaped, so the text is
safe on any terminal and any encoding; a parser gives back the names as they are. The one exception is a lone
surrogate (a file name that is not UTF-8), which strict parsers reject: it becomes the text `\\udcff`. Keys may be
added, none is renamed or dropped.
"""

import json
from typing import Any

from tui_influence import __version__
from tui_influence.analysis.types import AnyReport, ComparisonReport, RankReport
from tui_influence.export.result_table import without_surrogates
from tui_influence.influence.estimators import find_estimator
from tui_influence.influence.types import LDS, ComparedGroup, LDSCeiling, RankedGroup, Ranking, ReliabilityForecast
from tui_influence.render.numbers import finite
from tui_influence.render.ranking import first, meaning, selection, verdict


def rank_json(report: AnyReport, *, top: int | None = None) -> str:
    """Return the ranking, or the comparison, as one JSON object, indented, with a final line end.

    Args:
        report: it, and what it is about.
        top: keep the first so many groups in "rows"; None keeps all. "n_groups" counts them all.
    """
    document = _comparison(report, top) if isinstance(report, ComparisonReport) else rank_document(report, top)
    return json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def rank_document(report: RankReport, top: int | None = None) -> dict[str, Any]:
    """Return the ranking as what `rank_json` writes, to be part of another document."""
    ranking = report.ranking
    return {
        "run": without_surrogates(report.run),
        "target": without_surrogates(report.target),
        "class": _text_or_null(report.target_class),
        "estimator": without_surrogates(ranking.estimator),
        "output": str(ranking.output),
        "design": without_surrogates(report.design),
        "n_models": int(ranking.n_models),
        **_trust(report),
        "rows": [row_document(row) | _cluster(report, row) for row in first(ranking.rows, top)],
        "example": report.example,
        "split": report.split,
        "n_groups": len(ranking.rows),
        "n_failed": report.n_failed,
        "n_prior": report.n_prior,
        "lds_ceiling": _lds_ceiling(ranking.lds_ceiling),
        "prior_share": None if ranking.prior_share is None else finite(ranking.prior_share),
        "noise": report.is_noise(),
        "meaning": without_surrogates(meaning(report)),
        "verdict": without_surrogates(verdict(report)),
        "selection": without_surrogates(selection(report)),
        "config_hash": without_surrogates(report.config_hash),
        "version": __version__,
    }


def _comparison(report: ComparisonReport, top: int | None) -> dict[str, Any]:
    comparison, ranking = report.comparison, report.first.ranking
    return {
        "run": without_surrogates(report.first.run),
        "first": _side(report.first),
        "second": _side(report.second),
        "estimator": without_surrogates(ranking.estimator),
        "output": str(ranking.output),
        "design": without_surrogates(report.first.design),
        "correlation": finite(comparison.correlation),
        "rows": [_compared(row) for row in first(comparison.rows, top)],
        "n_groups": len(comparison.rows),
        "n_compared": comparison.n_compared,
        "meaning": without_surrogates(meaning(report)),
        "verdict": without_surrogates(verdict(report)),
        "config_hash": without_surrogates(report.first.config_hash),
        "version": __version__,
    }


def _side(report: RankReport) -> dict[str, Any]:
    return {
        "target": without_surrogates(report.target),
        "class": _text_or_null(report.target_class),
        "example": report.example,
        "split": report.split,
        "n_models": int(report.ranking.n_models),
        "n_failed": report.n_failed,
        **_trust(report),
        "lds_ceiling": _lds_ceiling(report.ranking.lds_ceiling),
        "noise": report.is_noise(),
    }


def _trust(report: RankReport) -> dict[str, Any]:
    ranking = report.ranking
    return {
        "reliability": _reliability(ranking),
        "lds": lds_document(ranking.lds),
        "forecast": _forecast(ranking.forecast),
    }


def _compared(row: ComparedGroup) -> dict[str, Any]:
    return {
        "difference_rank": int(row.rank),
        "group": without_surrogates(row.group),
        "effect": str(row.kind),
        "difference": finite(row.difference),
        "low": finite(row.low),
        "high": finite(row.high),
        "first": {"rank": int(row.first.rank), **_numbers(row.first)},
        "second": {"rank": int(row.second.rank), **_numbers(row.second)},
    }


def row_document(row: RankedGroup) -> dict[str, Any]:
    """Return one row of a ranking as it stands in "rows"."""
    return {"rank": int(row.rank), "group": without_surrogates(row.group), **_numbers(row)}


def _cluster(report: RankReport, row: RankedGroup) -> dict[str, int]:
    return {"cluster": report.clusters[row.group]} if row.group in report.clusters else {}


def _numbers(row: RankedGroup) -> dict[str, Any]:
    return {
        "influence": finite(row.influence),
        "se": finite(row.se),
        "low": finite(row.low),
        "high": finite(row.high),
        "q": finite(row.q),
        "n_with": int(row.n_with),
        "n_without": int(row.n_without),
    }


def _reliability(ranking: Ranking) -> dict[str, Any] | None:
    reliability = ranking.reliability
    if reliability is None:
        return None
    return {
        "value": finite(reliability.value),
        "half": finite(reliability.half),
        "low": finite(reliability.low),
        "high": finite(reliability.high),
        "n_splits": int(reliability.n_splits),
        "meaning": find_estimator(ranking.estimator).reliability_meaning,
    }


def _forecast(forecast: ReliabilityForecast | None) -> dict[str, Any] | None:
    if forecast is None:
        return None
    return {
        "target_reliability": finite(forecast.target_reliability),
        "models": forecast.n_models,
        "low": forecast.low,
        "high": forecast.high,
        "reachable": forecast.is_reachable,
        "reason": without_surrogates(forecast.reason),
    }


def lds_document(lds: LDS | None) -> dict[str, Any] | None:
    """Return an LDS as JSON values; null without one."""
    if lds is None:
        return None
    interval = {"value": finite(lds.value), "low": finite(lds.low), "high": finite(lds.high)}
    return interval | {"n": lds.n, "n_masks": lds.n_masks, "n_repeated": lds.n_repeated}


def _lds_ceiling(ceiling: LDSCeiling | None) -> dict[str, Any] | None:
    if ceiling is None:
        return None
    return {"value": finite(ceiling.value), "low": finite(ceiling.low), "high": finite(ceiling.high)}


def _text_or_null(text: str | None) -> str | None:
    return None if text is None else without_surrogates(text)
