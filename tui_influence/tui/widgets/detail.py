"""One group in words, beside the table: what its numbers are and what they mean. Pure functions of a report."""

from math import isfinite

from rich.text import Text

from tui_influence.analysis.types import (
    ComparisonReport,
    RankReport,
)
from tui_influence.influence.types import (
    SIGNIFICANCE_LEVEL,
    ComparedGroup,
    RankedGroup,
)
from tui_influence.render.format import plain
from tui_influence.render.ranking import comparison_labels, meaning, unit, verdict
from tui_influence.render.style import Style


def detail(report: RankReport, row: RankedGroup | None, images: int | None, style: Style) -> Text:
    """Return what there is to say of a group, and of the ranking it is in.

    Args:
        report: the ranking.
        row: the group; None if nothing is chosen.
        images: of the group, in the source dataset.
        style: colours and signs.
    """
    lines: list[Text] = []
    if row is not None:
        lines += [Text(plain(row.group, style.ascii)[:200], style="bold"), Text()]
        lines += [_fact(label, text, style) for label, text in _facts(report, row, images)]
        lines += [Text(), _judgement(report, row, style), Text()]
    lines += [Text(plain(f"{meaning(report)}.", style.ascii), style=style.quiet), Text()]
    lines += [Text(plain(verdict(report), style.ascii), style=style.quiet)]
    return Text("\n").join(lines)


def pair_detail(report: ComparisonReport, row: ComparedGroup | None, images: int | None, style: Style) -> Text:
    """Return what there is to say of a group in two rankings, and of both; arguments as in `detail`."""
    lines: list[Text] = []
    if row is not None:
        lines += [Text(plain(row.group, style.ascii)[:200], style="bold"), Text()]
        for label, side, one in zip(
            comparison_labels(report), (report.first, report.second), (row.first, row.second), strict=True
        ):
            lines += [Text(plain(label, style.ascii), style="underline")]
            lines += [_fact(name, text, style) for name, text in _numbers(side, one)]
            lines += [_judgement(side, one, style), Text()]
        lines += [_fact(name, text, style) for name, text in _difference(row)]
        lines += [_fact(name, text, style) for name, text in _counts(row.first, images)] + [Text()]
    lines += [Text(plain(f"{meaning(report)}.", style.ascii), style=style.quiet), Text()]
    lines += [Text(plain(verdict(report), style.ascii), style=style.quiet)]
    return Text("\n").join(lines)


def _facts(report: RankReport, row: RankedGroup, images: int | None) -> list[tuple[str, str]]:
    return [*_numbers(report, row), *_counts(row, images)]


def _difference(row: ComparedGroup) -> list[tuple[str, str]]:
    facts = []
    if isfinite(row.difference):
        facts.append(("difference", f"{row.difference:+.4g}"))
    if isfinite(row.low) and isfinite(row.high):
        facts.append(("at least 95%", f"{row.low:+.4g} to {row.high:+.4g}"))
    return facts


def _numbers(report: RankReport, row: RankedGroup) -> list[tuple[str, str]]:
    facts = [("rank", f"{row.rank:,} of {len(report.ranking.rows):,}")]
    if isfinite(row.influence):
        facts.append(("influence", f"{row.influence:+.4g} ({unit(report)})"))
    if isfinite(row.low) and isfinite(row.high):
        facts += [("95%", f"{row.low:+.4g} to {row.high:+.4g}"), ("se", f"{row.se:.3g}")]
    if isfinite(row.q):
        facts.append(("q (FDR)", f"{row.q:.3g}"))
    return facts


def _counts(row: RankedGroup, images: int | None) -> list[tuple[str, str]]:
    facts = [("models", f"{row.n_with:,} with, {row.n_without:,} without")]
    if images is not None:
        facts.append(("images", f"{images:,}"))
    return facts


def _judgement(report: RankReport, row: RankedGroup, style: Style) -> Text:
    than = f" than an average {report.noun}" if report.is_relative else ""
    if not isfinite(row.influence):
        return Text("Its influence is unknown: too few models, or it is in all of them or in none.", style=style.quiet)
    if not row.q < SIGNIFICANCE_LEVEL:
        return Text("No effect beyond chance has been shown.", style=style.quiet)
    helps = row.influence > 0
    sign = style.arrow(row.influence)
    word = ("better" if helps else "worse") + than if than else "helps" if helps else "hurts"
    return Text(f"{sign} {word}, beyond chance (q < {SIGNIFICANCE_LEVEL:g})", style=style.good if helps else style.bad)


def _fact(label: str, text: str, style: Style) -> Text:
    return Text.assemble((f"{label:<13}", style.quiet), text)
